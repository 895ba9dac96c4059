"""The rounds: all contenders of a data set, one after another, round after round."""

from __future__ import annotations

import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

import aeformat
from tools.bench.data import DATA
from tools.bench.rivals.all import OURS, RIVALS, missing, version_of
from tools.bench.rivals.rival import Rival
from tools.measuring import ROOT, machine, run_child

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


def measured(name: str, wanted: Wanted, before: dict[str, Any] | None = None) -> dict[str, Any]:
    """One data set: what table.py, goals.py and plot.py take.

    before: its rounds so far, which are gone on with.  Raises SystemExit where they are of other rows, versions or another machine.
    """
    kind = DATA[name]
    n_rows = wanted.rows or kind.rows
    path = wanted.work / f"{name}-{n_rows}.npy"
    if not path.exists():
        np.save(path, kind.make(n_rows, wanted.images))
    values: Any = np.load(path, mmap_mode="r")
    left_out = {rival: why for rival in wanted.only if (why := _why_not(RIVALS[rival], values.dtype.name, name))}
    rivals = [rival for rival in wanted.only if rival not in left_out]
    packages = sorted({*_ALWAYS, *(package for rival in rivals for package in RIVALS[rival].packages)})
    versions = {package: version for package in packages if (version := version_of(package))}
    result = {
        "label": kind.label, "rows": n_rows, "dims": values.shape[1:], "type": values.dtype.name, "bytes": values.nbytes,
        "images": wanted.images if name.startswith("digits") else "", "machine": machine(), "source": _source(),
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(), "work": _kind_of_disk(wanted.work),
        "versions": {**versions, "aeformat": aeformat.__version__, "Python": platform.python_version()}, "left_out": left_out,
    }  # fmt: skip
    found: dict[str, Any] = {rival: {"runs": {}} for rival in rivals}
    if before is not None:
        _check_same(name, before, result, set(rivals))
        found = {rival: before["contenders"][rival] for rival in rivals}
    _add_rounds(found, {"data": os.fspath(path), "has_names": kind.has_names}, wanted)
    return {**result, "contenders": found, "rounds": len(found[OURS]["runs"]["write"])}


def _check_same(name: str, before: dict[str, Any], now: dict[str, Any], contenders: set[str]) -> None:
    if set(before["contenders"]) != contenders:
        raise SystemExit(f"{name}: the rounds so far have other contenders; measure anew")
    for key in now.keys() - {"date"}:
        if json.loads(json.dumps(now[key])) != before[key]:
            raise SystemExit(
                f"{name}: the rounds so far have another {key}: {before[key]}, now {now[key]}; measure anew"
            )


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


def _add_rounds(found: dict[str, Any], data: dict[str, Any], wanted: Wanted) -> None:
    folder = wanted.work / "rival"
    for number in range(wanted.rounds):
        for rival in found:
            given = {"name": rival, "folder": os.fspath(folder), "seconds": wanted.seconds, **data}
            does = ("write", "read", "pick") if RIVALS[rival].open else ("write", "read")
            for do in does:
                run = run_child(_CHILD, do=do, **given)
                found[rival]["runs"].setdefault(do, []).append(run)
            if "flips" not in found[rival]:
                found[rival]["flips"] = run_child(_CHILD, do="flips", **given)
            shutil.rmtree(folder)
            print(f"round {number + 1}: {rival}", file=sys.stderr)


def _source() -> str:
    """Which source of aeformat/ it is: its tree in git."""
    try:
        tree = subprocess.check_output(["git", "rev-parse", "--short=12", "HEAD:aeformat"], cwd=ROOT, text=True)
        changed = subprocess.check_output(["git", "status", "--porcelain", "aeformat"], cwd=ROOT, text=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"tree {tree.strip()}{', changed' if changed else ''}"


def _kind_of_disk(folder: Path) -> str:
    """The file system's type, where the system tells."""
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return "unknown"
    lines = [line.split()[1:3] for line in mounts.read_text().splitlines()]
    over = [(place, kind) for place, kind in lines if folder.resolve().is_relative_to(place)]
    return max(over, key=lambda mount: len(mount[0]))[1]
