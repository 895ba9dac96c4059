"""What takes a process of its own, whose linear algebra has one thread: this package's pixels, and the limits of a core.

python -m tools.conformance.one_core decode FILE OUT      writes the pixels, prints the seconds
python -m tools.conformance.one_core limits               prints multiply-adds a second of NumPy's products, as JSON
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

import aeformat
from tools.conformance.pixels import Work
from tools.conformance.programs import run

_ONE_THREAD: Final = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
_SIDE: Final = 1024
_RUNS: Final = 3


def _asked(*arguments: str) -> str:
    return run(
        [sys.executable, "-m", "tools.conformance.one_core", *arguments], environment={**os.environ, **_ONE_THREAD}
    )


def by_package(work: Work) -> tuple[NDArray[np.uint8], float]:
    """The pixels of a file, by aeformat in NumPy."""
    out = work.path.with_suffix(".package")
    seconds = float(_asked("decode", str(work.path), str(out)))
    return np.fromfile(out, np.uint8), seconds


def limits() -> dict[str, float]:
    """Multiply-adds a second, by type."""
    found: dict[str, float] = json.loads(_asked("limits"))
    return found


def _decode(path: str, out: str) -> float:
    """Seconds of processor time, of the fastest of some runs."""
    data, best = Path(path).read_bytes(), float("inf")
    for _ in range(_RUNS):
        begin = time.process_time()
        images = aeformat.decode(aeformat.stream(io.BytesIO(data)), backend="numpy")
        best = min(best, time.process_time() - begin)
    np.concatenate([np.asarray(image).reshape(-1) for image in images]).tofile(out)
    return best


def _product(kind: str) -> float:
    a = np.ones((_SIDE, _SIDE), kind)
    a @ a
    best = float("inf")
    for _ in range(_RUNS):
        begin = time.process_time()
        a @ a
        best = min(best, time.process_time() - begin)
    return _SIDE**3 / best


def main(command: str, *arguments: str) -> None:
    """Print what was asked for."""
    print(
        _decode(*arguments)
        if command == "decode"
        else json.dumps({kind: _product(kind) for kind in ("float32", "float64")})
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
