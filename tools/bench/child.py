"""One measurement in a process of its own.  Prints a line of JSON.

Everything is compared with the data before it counts.  What is loaded on first use has been loaded: each rival has written and read a few rows
before.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from tools.bench.data import names_of
from tools.bench.flips import flipped
from tools.bench.rivals.all import RIVALS
from tools.bench.rivals.rival import Array, Names, Place, Rival
from tools.measuring import forget_peak, peak_bytes, resident_bytes

BATCH_ROWS: Final = 256
_FEW: Final = 16
_MOST_CALLS: Final = 20
_FLIP_BYTES: Final = 1 << 18  # of rows
_TEST_ROWS: Final = 50


class Asked(NamedTuple):
    """What is measured.  folder: the rival's own; seconds: how long a measurement is repeated."""

    name: str
    values: Array
    has_names: bool
    folder: Path
    seconds: float

    @property
    def rival(self) -> Rival:
        return RIVALS[self.name]

    @property
    def place(self) -> Place:
        return Place(self.folder, self.has_names)

    @property
    def names(self) -> Names:
        return names_of(len(self.values)) if self.has_names else None


def write(asked: Asked) -> dict[str, Any]:
    """Bytes on disk, and seconds of one call.  The last one's file stays."""
    values, names = asked.values, asked.names

    def call() -> None:
        asked.rival.write(asked.folder, values, names)

    seconds, peak, _ = _timed(call, asked.seconds, before=lambda: _emptied(asked.folder))
    files = [path for path in asked.folder.rglob("*") if path.is_file()]
    return {"seconds": seconds, "peak": peak, "bytes": sum(path.stat().st_size for path in files), "files": len(files)}


def read(asked: Asked) -> dict[str, Any]:
    """Seconds of one call, from the path to all rows in memory."""
    read_all = asked.rival.read
    seconds, peak, (values, names) = _timed(lambda: read_all(asked.place), asked.seconds)
    _check(asked.name, values, asked.values)
    if names != asked.names:
        raise SystemExit(f"{asked.name} read other names than were written")
    return {"seconds": seconds, "peak": None if peak is None else peak - asked.values.nbytes}


def pick(asked: Asked) -> dict[str, Any]:
    """Seconds of opening, of one row, and of a batch, at random; the file is in the system's cache."""
    opener = asked.rival.open
    assert opener is not None
    opening, *_ = _timed(lambda: opener(asked.place), asked.seconds)
    opened, rng = opener(asked.place), np.random.default_rng(0)
    n_rows = len(asked.values)
    for row in rng.permutation(n_rows)[:_TEST_ROWS].tolist():
        _check(asked.name, opened.row(row), asked.values[row])
    batch = rng.permutation(n_rows)[:BATCH_ROWS]
    _check(asked.name, opened.rows(batch), asked.values[batch])
    if asked.names is not None and opened.named_row(n_rows - 1)[1] != asked.names[-1]:
        raise SystemExit(f"{asked.name} read another name than was written")
    one: Callable[[int], Any] = opened.named_row if asked.has_names else opened.row
    return {
        "open": opening,
        "row": _mean(one, iter(rng.permutation(n_rows).tolist()), asked.seconds),
        "batch": _mean(opened.rows, (rng.permutation(n_rows)[:BATCH_ROWS] for _ in range(_MOST_CALLS)), asked.seconds),
    }


def flips(asked: Asked) -> dict[str, Any]:
    """What becomes of flipped bits: see flips.py.  256 KiB of rows are written, without names."""
    values = asked.values[: max(1, _FLIP_BYTES // asked.values[0].nbytes)]
    return flipped(asked.rival, values, asked.folder / "flipped")


def _timed(
    call: Callable[[], Any], seconds: float, before: Callable[[], None] = lambda: None
) -> tuple[float, int | None, Any]:
    """Seconds of the fastest call, bytes of memory that the first one took beyond what was there, and what the last one returned."""
    times: list[float] = []
    peak = result = None
    while not times or (sum(times) < seconds and len(times) < _MOST_CALLS):
        result = None  # two at a time would be more than is counted
        before()
        is_counted = not times and forget_peak()
        resident = resident_bytes() if is_counted else 0
        began = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - began)
        if is_counted:
            peak = peak_bytes() - resident
    return min(times), peak, result


def _mean(call: Callable[[Any], Any], given: Iterator[Any], seconds: float) -> float:
    """Seconds a call, all calls together: a format that is slow now and then is slow."""
    n_calls, spent = 0, 0.0
    for one in given:
        began = time.perf_counter()
        call(one)
        spent += time.perf_counter() - began
        n_calls += 1
        if spent > seconds:
            break
    return spent / n_calls


def _check(name: str, found: Array, wanted: Array) -> None:
    if found.shape != wanted.shape or found.dtype != wanted.dtype or not np.array_equal(found, wanted):
        raise SystemExit(f"{name} read other rows than were written")


def _emptied(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _warm_up(asked: Asked) -> None:
    folder = asked.folder.with_name(asked.folder.name + "-few")
    _emptied(folder)
    few = asked._replace(values=asked.values[:_FEW], folder=folder)
    few.rival.write(folder, few.values, few.names)
    few.rival.read(few.place)
    if few.rival.open is not None:
        few.rival.open(few.place).rows(np.arange(len(few.values))[::-1])
    shutil.rmtree(folder)


def main(arguments: str) -> None:
    """arguments: JSON: do, name, data (a .npy file), has_names, folder, seconds."""
    given = json.loads(arguments)
    asked = Asked(given["name"], np.load(given["data"]), given["has_names"], Path(given["folder"]), given["seconds"])
    if given["do"] != "flips":  # which forks: no library may have started threads
        _warm_up(asked)
    print(json.dumps({"write": write, "read": read, "pick": pick, "flips": flips}[given["do"]](asked)))
