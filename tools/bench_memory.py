"""Peak memory and speed of pack and unpack at 10,000 and at 1,000,000 images, from one run.

    python tools/bench_memory.py [--images INPUT] [--n-rows 1000000] [--backend numpy]

The images (by default MNIST's test set, or the demo digits where it is not at hand) are tiled into a temporary .npy.  Each
command runs as a process of its own; the peak is the kernel's count of its resident memory (VmHWM, so Linux only).
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from aeformat.errors import UsageError
from aeformat.images import ImageFit, demo_digits, open_source

_SMALL = 10_000
_BYTES_A_KB = 1024


def main() -> int:
    """Print one row a command and size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", default="mnist:test")
    parser.add_argument("--n-rows", type=int, default=1_000_000)
    parser.add_argument("--backend", default="numpy", choices=("numpy", "tensorflow"))
    options = parser.parse_args()
    images, label = _images(options.images)
    print(
        f"{label}; {platform.platform()}, Python {platform.python_version()}, NumPy {np.__version__}, {os.cpu_count()} CPUs"
    )
    print(f"{'command':8} {'images':>10} {'peak MB':>8} {'seconds':>8} {'images/s':>10}")
    peaks: dict[tuple[str, int], float] = {}
    with tempfile.TemporaryDirectory(prefix="aeformat-bench-") as name:
        folder = Path(name)
        for n_rows in (_SMALL, options.n_rows):
            _tile(images, n_rows, folder / "in.npy")
            for command in (["pack", "in.npy", "-o", "t.aef"], ["unpack", "t.aef", "-o", "out.npy"]):
                peak, seconds = _run([*command, "--force", "--backend", options.backend], folder)
                peaks[command[0], n_rows] = peak
                print(
                    f"{command[0]:8} {n_rows:>10,} {peak:>8.0f} {seconds:>8.1f} {n_rows / seconds:>10,.0f}", flush=True
                )
    for command_name in ("pack", "unpack"):
        more = peaks[command_name, options.n_rows] - peaks[command_name, _SMALL]
        print(f"{command_name}: {more:+.0f} MB from {_SMALL:,} to {options.n_rows:,} images")
    return 0


def _images(name: str) -> tuple[np.ndarray, str]:
    try:
        source = open_source([name], ImageFit((28, 28, 1)))
    except UsageError:
        return demo_digits()[..., 0], "demo digits"
    return np.concatenate([block.images for block in source.blocks(10_000)])[..., 0], name


def _tile(images: np.ndarray, n_rows: int, path: Path) -> None:
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(n_rows, *images.shape[1:]))
    for start in range(0, n_rows, len(images)):
        out[start : start + len(images)] = images[: n_rows - start]
    out.flush()


def _run(command: list[str], folder: Path) -> tuple[float, float]:
    """(peak resident MB, seconds) of one run of aeformat."""
    start = time.perf_counter()
    code = "import re, runpy, sys; sys.argv[0] = 'aeformat'\n"
    code += "try: runpy.run_module('aeformat', run_name='__main__')\n"
    code += "finally: print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"
    ran = subprocess.run([sys.executable, "-c", code, *command], cwd=folder, check=True, capture_output=True, text=True)
    peak = int(ran.stdout.split()[-1]) * _BYTES_A_KB / 1e6
    return peak, time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
