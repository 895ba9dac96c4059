"""Formats of arrays beside one another: bytes, speed, memory, and what becomes of flipped bits.

    python -m tools.bench [--data NAME ...] [--only RIVAL ...] [--rounds N] [--out FOLDER]
    python -m tools.bench --limits                what this machine can do at all: limits.py
    python -m tools.bench --tables                measure nothing; write tables and pictures of what was measured

Writes formats.json, formats.md and a picture a data set into --out, or limits.json.  Where a page stands beside that folder (docs/performance.md),
its tables of goals and limits are replaced.  A data set is one run, all contenders in it; those that are not named stay in
formats.json as they were.  Contenders that are not installed are left out, and the table says so.  Needs Linux (memory, flipped
bits) and the extra [bench].

--images: MNIST's training images by default; `drawn` for digits that this project draws, 14 ms each.
--work: where files are written; by default a folder in memory, /dev/shm, so that no disk is measured.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from pathlib import Path
from typing import Any, Final

from tools.bench.data import DATA, DRAWN
from tools.bench.goals import goals
from tools.bench.limits import limits, limits_table
from tools.bench.plot import draw
from tools.bench.rivals.all import OURS, RIVALS
from tools.bench.run import Wanted, measured
from tools.bench.table import goal_table, report
from tools.card import put_table
from tools.measuring import ROOT

OUT: Final = ROOT / "docs" / "performance"
_MEMORY: Final = Path("/dev/shm")


def main(arguments: list[str] | None = None) -> None:
    """Measure, and write the results."""
    options = _options(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    place = options.work or (_MEMORY if _MEMORY.is_dir() else None)
    with tempfile.TemporaryDirectory(prefix="aeformat-bench-", dir=place) as name:
        if options.limits:
            found = limits(Path(name), options.images)
            _write_json(options.out / "limits.json", found)
            print(limits_table(found))
            _put(options.out, "limits", limits_table(found))
            return
        path = options.out / "formats.json"
        results: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {"data": {}}
        wanted = Wanted(Path(name), options.images, options.rows, options.rounds, options.seconds, options.only)
        for data in () if options.tables else options.data:
            before = results["data"].get(data) if options.more else None
            results["data"][data] = measured(data, wanted, before)
            _write(results, options.out)  # now: the next one may be stopped
        if options.tables:
            _write(results, options.out)
            measured_limits = options.out / "limits.json"
            if measured_limits.exists():
                _put(options.out, "limits", limits_table(json.loads(measured_limits.read_text("utf-8"))))


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", choices=list(DATA), default=list(DATA), metavar="NAME")
    parser.add_argument("--only", nargs="+", choices=list(RIVALS), default=list(RIVALS), metavar="RIVAL")
    parser.add_argument("--images", default="mnist:train", help=f"what `aeformat pack` takes, or {DRAWN}")
    parser.add_argument("--rows", type=int, help="instead of each data set's own number")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.2, help="how long one measurement is repeated")
    parser.add_argument("--more", action="store_true", help="add rounds to those in formats.json")
    parser.add_argument("--work", type=Path, help="a folder; what is written there is removed")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--tables", action="store_true")
    parser.add_argument("--limits", action="store_true")
    options = parser.parse_args(arguments)
    if OURS not in options.only:
        options.only.insert(0, OURS)
    return options


def _write(results: dict[str, Any], out: Path) -> None:
    results["data"] = {name: results["data"][name] for name in DATA if name in results["data"]}
    found = goals(results)
    results["goals"] = [{**goal._asdict(), "is_reached": goal.is_reached} for goal in found]
    _write_json(out / "formats.json", results)
    (out / "formats.md").write_text(report(results), "utf-8")
    for name, data in results["data"].items():
        draw(data, out / f"formats-{name}.png")
    _put(out, "goals", goal_table(found))


def _put(out: Path, name: str, table: str) -> None:
    """Into the page beside the folder of results, if there is one."""
    page = out.with_suffix(".md")
    if page.exists():
        put_table(page, name, table)


def _write_json(path: Path, found: dict[str, Any]) -> None:
    """The innermost maps and lists on a line each."""
    text = json.dumps(found, indent=1)
    inner = re.compile(r"[\[{]\n[^][{}]*[]}]")
    path.write_text(inner.sub(lambda one: " ".join(one[0].split()), text) + "\n", "utf-8")


if __name__ == "__main__":
    main()
