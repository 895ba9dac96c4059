"""The rounds: all contenders of a data set, one after another, round after round."""

from __future__ import annotations

import datetime
import os
import platform
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

import aeformat
from tools.bench.data import DATA
from tools.bench.rivals.all import RIVALS, missing, version_of
from tools.bench.rivals.rival import Rival
from tools.measuring import machine, run_child

_CHILD: Final = "tools.bench.child"
_ALWAYS: Final = ("numpy", "zstandard", "isal")


class Wanted(NamedTuple):
    """What is measured, and how long.  rows: None for each data set's own number."""

    work: Path
    images: str
    rows: int | None
    rounds: int
    seconds: float
    only: Iterable[str]


def measured(name: str, wanted: Wanted) -> dict[str, Any]:
    """One data set: what table.py, goals.py and plot.py take."""
    kind = DATA[name]
    n_rows = wanted.rows or kind.rows
    path = wanted.work / f"{name}-{n_rows}.npy"
    if not path.exists():
        np.save(path, kind.make(n_rows, wanted.images))
    values: Any = np.load(path, mmap_mode="r")
    left_out = {rival: why for rival in wanted.only if (why := _why_not(RIVALS[rival], values.dtype.name, name))}
    rivals = [rival for rival in wanted.only if rival not in left_out]
    contenders = _rounds(rivals, {"data": os.fspath(path), "has_names": kind.has_names}, wanted)
    packages = {*_ALWAYS, *(package for rival in rivals for package in RIVALS[rival].packages)}
    versions = {package: found for package in packages if (found := version_of(package))}
    return {
        "label": kind.label, "rows": n_rows, "dims": values.shape[1:], "type": values.dtype.name, "bytes": values.nbytes,
        "images": wanted.images if name.startswith("digits") else "", "rounds": wanted.rounds, "machine": machine(),
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(), "work": _kind_of_disk(wanted.work),
        "versions": {**versions, "aeformat": aeformat.__version__, "Python": platform.python_version()},
        "contenders": contenders, "left_out": left_out,
    }  # fmt: skip


def _why_not(rival: Rival, dtype: str, data: str) -> str | None:
    """Why a rival is not measured; None where it is."""
    kind = DATA[data]
    if absent := missing(rival):
        return f"not installed: {', '.join(absent)}"
    if rival.is_text and not kind.has_text:
        return "text is measured on one data set"
    if dtype not in rival.types:
        return f"it takes no {dtype}"
    return "it keeps no names" if kind.has_names and not rival.names else None


def _rounds(rivals: list[str], data: dict[str, Any], wanted: Wanted) -> dict[str, Any]:
    folders = {rival: wanted.work / f"rival-{number}" for number, rival in enumerate(rivals)}
    found: dict[str, Any] = {rival: {"runs": {}} for rival in rivals}
    for number in range(wanted.rounds):
        for rival, folder in folders.items():
            given = {"name": rival, "folder": os.fspath(folder), "seconds": wanted.seconds, **data}
            does = ("write", "read", "pick") if RIVALS[rival].open else ("write", "read")
            for do in does:
                run = run_child(_CHILD, do=do, **given)
                found[rival]["runs"].setdefault(do, []).append(run)
            if number == 0:
                found[rival]["flips"] = run_child(_CHILD, do="flips", **given)
            shutil.rmtree(folder)
            print(f"round {number + 1}: {rival}", file=sys.stderr)
    return found


def _kind_of_disk(folder: Path) -> str:
    """The file system's type, where the system tells."""
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return "unknown"
    lines = [line.split()[1:3] for line in mounts.read_text().splitlines()]
    over = [(place, kind) for place, kind in lines if folder.resolve().is_relative_to(place)]
    return max(over, key=lambda mount: len(mount[0]))[1]
