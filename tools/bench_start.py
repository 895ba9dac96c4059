"""How long it takes to start: `import aeformat.reader` and `aeformat info FILE` beside `import msgpack, zstandard`, and models.

    python tools/bench_start.py [--runs 21]

Whole processes, in turn, medians of processor time (user and system), so that a busy machine disturbs little.  Byte code is
cached, as it is after an installation.  Then, within this process, every shipped package: read, checked, and ready to run in NumPy,
without TensorFlow.
"""

from __future__ import annotations

import argparse
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.model import store
from aeformat.model.file_io import read_package

MODELS = Path(__file__).resolve().parent.parent / "models"
ROLES = ("encoder", "decoder")
FILE = Path(__file__).resolve().parent.parent / "spec" / "vectors" / "container" / "valid" / "001-small.aef"
COMMANDS = {
    "import msgpack, zstandard": ["-c", "import msgpack, zstandard"],
    "import aeformat.reader": ["-c", "import aeformat.reader"],
    "aeformat info FILE": ["-c", "from aeformat.cli.main import run; run()", "info", str(FILE)],
}


def seconds(arguments: list[str]) -> float:
    """Processor time of one run of this Python."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print a row a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=21)
    options = parser.parse_args()
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for arguments in COMMANDS.values():
        seconds(arguments)  # compiles what is not compiled yet
    for _ in range(options.runs):
        for name, arguments in COMMANDS.items():
            times[name].append(seconds(arguments))
    print(f"Python {platform.python_version()}, {platform.platform()}, {options.runs} runs each")
    bare = statistics.median(times["import msgpack, zstandard"])
    for name, found in times.items():
        median = statistics.median(found)
        print(f"{name:28} {1000 * median:6.1f} ms   x{median / bare:.2f}")
    print()
    for name in store.shipped_names():
        print(f"{name:28} {' '.join(f'{role} {1000 * loading(name, role):5.1f} ms  ' for role in ROLES)}")
    assert "tensorflow" not in sys.modules


def loading(name: str, role: str) -> float:
    """Seconds from a package's path to a network that runs: the least of five.  BLAS threads make processor time of it twofold."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        NumpyBackend().load(read_package(MODELS / f"{name}.{role}.aef"))
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    main()
