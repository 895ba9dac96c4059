"""What this machine can do at all: the limits that no format and no network on it can pass.

Each figure is the best of several calls, in one process; speeds count bytes of the array, not what moves between caches.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import zstandard
from numpy.typing import NDArray

from tools.bench.data import DATA
from tools.bench.rivals.all import version_of
from tools.card import markdown
from tools.measuring import ROOT, machine, run_child

_LARGE: Final = 1 << 28  # bytes: more than the caches
_SIDE: Final = 2048  # of the matrices
_ROWS: Final = 60_000
_REPEATS: Final = 5
_LEVELS: Final = (1, 3)
_CORES: Final = os.cpu_count() or 1
_ONE_THREAD: Final = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def limits(work: Path, images: str, *, large: int = _LARGE, rows: int = _ROWS, side: int = _SIDE) -> dict[str, Any]:
    """{"figures": [{"what", "figure", "unit", "how"}], ...}.  large, rows, side: smaller in tests."""
    values = DATA["digits-f64"].make(rows, images)
    figures = [*_memory(large), *_files(large, work), *_checks(large), *_zstd(values), *_start()]
    for threads, environment in (("1 thread", _ONE_THREAD), ("all threads", {})):
        found = run_child("tools.bench.limits", environment=environment, side=side)
        figures.append(
            _figure(f"GEMM, float32, {threads}", found["rate"], "G multiply-adds/s", f"{side} x {side}, NumPy")
        )
    return {
        "machine": machine(), "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "images": images, "figures": figures,
        "versions": {
            "Python": platform.python_version(), "NumPy": np.__version__, "zlib": zlib.ZLIB_RUNTIME_VERSION,
            "zstd": ".".join(map(str, zstandard.ZSTD_VERSION)), "isal": version_of("isal"),
        },
    }  # fmt: skip


def _figure(what: str, figure: float, unit: str, how: str) -> dict[str, Any]:
    return {"what": what, "figure": figure, "unit": unit, "how": how}


def _rate(call: Callable[[], Any], n_bytes: float) -> float:
    """GB/s of the fastest call; the first is not counted."""
    return n_bytes / 1e9 / _seconds(call)


def _seconds(call: Callable[[], Any]) -> float:
    times = []
    for _ in range(_REPEATS + 1):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return min(times[1:])


def _together(call: Callable[[int], Any]) -> Callable[[], Any]:
    """On every core: call(0), call(1), ..."""
    pool = ThreadPoolExecutor(_CORES)
    return lambda: list(pool.map(call, range(_CORES)))


def _memory(large: int) -> list[dict[str, Any]]:
    source, target = np.ones(large, np.uint8), np.zeros(large, np.uint8)
    step = large // _CORES

    def part(number: int) -> None:
        np.copyto(target[number * step : (number + 1) * step], source[number * step : (number + 1) * step])

    planes = np.ones((8, large // 8), np.uint8)
    return [
        _figure("memory: copy, 1 thread", _rate(lambda: np.copyto(target, source), large), "GB/s", "`np.copyto` between arrays that are there"),
        _figure("memory: copy, all cores", _rate(_together(part), large), "GB/s", "the same, a part a thread"),
        _figure("memory: copy to fresh memory", _rate(source.copy, large), "GB/s", "`array.copy()`: the system gives zeroed pages"),
        _figure("memory: read", _rate(source.max, large), "GB/s", "`max()` of bytes"),
        _figure("byte shuffle", _rate(planes.T.copy, large), "GB/s", "8 planes into one array, by NumPy, fresh memory"),
    ]  # fmt: skip


def _files(large: int, work: Path) -> list[dict[str, Any]]:
    path, data = work / "large", np.ones(large, np.uint8)
    write, read = _rate(lambda: path.write_bytes(data.data), large), _rate(path.read_bytes, large)
    path.unlink()
    return [
        _figure("file: write", write, "GB/s", "into a new file in the system's cache (or memory)"),
        _figure("file: read", read, "GB/s", "from there into fresh memory"),
    ]


def _checks(large: int) -> list[dict[str, Any]]:
    data = np.arange(large // 8).view(np.uint8).data
    figures = [_figure("CRC-32, zlib", _rate(lambda: zlib.crc32(data), large), "GB/s", "`zlib.crc32`")]
    if version_of("isal"):
        from isal import isal_zlib

        figures.append(
            _figure(
                "CRC-32, ISA-L",
                _rate(lambda: isal_zlib.crc32(data), large),
                "GB/s",
                "`isal_zlib.crc32`, where it is installed",
            )
        )
    figures.append(_figure("SHA-256", _rate(lambda: hashlib.sha256(data), large), "GB/s", "`hashlib.sha256`"))
    return figures


def _zstd(values: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Of byte planes of latents, in frames of 1 MiB of rows."""
    rows_a_frame = max(1, (1 << 20) // values[0].nbytes)
    frames = [_planes(values[at : at + rows_a_frame]) for at in range(0, len(values), rows_a_frame)]
    n_bytes = sum(map(len, frames))
    figures = []
    for level in _LEVELS:
        packed = [zstandard.ZstdCompressor(level).compress(frame) for frame in frames]
        how = f"shuffled latents (digits-f64), {sum(map(len, packed)) / len(values):,.1f} bytes a row of {values[0].nbytes}"
        works = {"compress": partial(_compress, frames, level), "decompress": partial(_decompress, packed)}
        for label, work in works.items():
            one, every = _rate(partial(work, 0, 1), n_bytes), _rate(_together(partial(work, of=_CORES)), n_bytes)
            figures.append(_figure(f"zstd {level}: {label}, 1 thread", one, "GB/s", how))
            figures.append(_figure(f"zstd {level}: {label}, all cores", every, "GB/s", "the same, a frame a thread"))
    return figures


def _compress(frames: list[bytes], level: int, number: int, of: int) -> None:
    """Each of-th frame from a number on."""
    own = zstandard.ZstdCompressor(level)
    for frame in frames[number::of]:
        own.compress(frame)


def _decompress(packed: list[bytes], number: int, of: int) -> None:
    own = zstandard.ZstdDecompressor()
    for frame in packed[number::of]:
        own.decompress(frame)


def _planes(values: NDArray[np.float64]) -> bytes:
    return values.view(np.uint8).reshape(-1, 8).T.tobytes()


def _start() -> list[dict[str, Any]]:
    return [
        _figure(f"start of Python: {code}", 1000 * _seconds(partial(_python, code)), "ms", "a whole process")
        for code in ("pass", "import numpy", "import aeformat.reader")
    ]


def _python(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def main(arguments: str) -> None:
    """GEMM, in a process whose environment says how many threads.  Prints multiply-adds in 10^9 a second."""
    side = json.loads(arguments)["side"]
    left, right = np.ones((side, side), np.float32), np.ones((side, side), np.float32)
    print(json.dumps({"rate": _rate(lambda: left @ right, side**3)}))


def limits_table(found: dict[str, Any]) -> str:
    """In Markdown, with the machine and the versions below it."""
    rows = [["what", "", "", "how"]]
    rows += [[one["what"], f"{one['figure']:,.2f}", one["unit"], one["how"]] for one in found["figures"]]
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items() if number)
    return f"{markdown(rows)}\n{found['machine']}; best of {_REPEATS} calls on {found['date']}; {versions}.\n"
