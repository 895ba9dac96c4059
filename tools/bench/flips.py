"""What becomes of a flipped bit: refused by an error, or handed out as wrong rows.

Each flip is read in a process that is forked for it, because some libraries end the process.
"""

from __future__ import annotations

import importlib
import os
import shutil
import signal
from pathlib import Path
from typing import Any, Final

import numpy as np

from tools.bench.rivals.rival import Array, Place, Rival

N_FLIPS: Final = 64
_SECONDS: Final = 10  # of one reading; some hang
_REFUSED, _WRONG, _HARMLESS = range(3)


def flipped(rival: Rival, values: Array, folder: Path) -> dict[str, Any]:
    """How many flips were refused, read as wrong rows, harmless (the rows are right), or ended the process."""
    folder.mkdir(parents=True)
    for module in rival.imports:  # imported once, not used: what has started threads must not fork
        importlib.import_module(module)
    _forked(lambda: rival.write(folder, values, None))
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.stem != "shape")
    sizes = np.cumsum([path.stat().st_size for path in files])
    counts = {"refused": 0, "wrong": 0, "harmless": 0, "crashed": 0}
    rng = np.random.default_rng(0)
    for at in (np.arange(N_FLIPS) * sizes[-1] + rng.integers(0, sizes[-1], N_FLIPS)) // N_FLIPS:
        number = int(np.searchsorted(sizes, at, "right"))
        path, place = files[number], int(at - sizes[number] + files[number].stat().st_size)
        bit = 1 << int(rng.integers(8))
        _flip(path, place, bit)
        status = _forked(lambda: _outcome(rival, folder, values))
        _flip(path, place, bit)
        outcome = os.waitstatus_to_exitcode(status)
        counts["crashed" if outcome not in range(3) else ("refused", "wrong", "harmless")[outcome]] += 1
    shutil.rmtree(folder)
    return counts


def _flip(path: Path, place: int, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        (byte,) = file.read(1)
        file.seek(place)
        file.write(bytes([byte ^ bit]))


def _outcome(rival: Rival, folder: Path, values: Array) -> int:
    try:
        found, _ = rival.read(Place(folder, has_names=False))
    except Exception:  # noqa: BLE001 - whatever error a library has, it refuses
        return _REFUSED
    same = found.shape == values.shape and found.dtype == values.dtype and found.tobytes() == values.tobytes()
    return _HARMLESS if same else _WRONG


def _forked(run: Any) -> int:
    """The status of a forked process: run() is its exit code."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        signal.alarm(_SECONDS)
        code = run() or 0
    except BaseException:  # noqa: BLE001 - nothing of the parent's may run on in the child
        code = 99
    os._exit(code)
