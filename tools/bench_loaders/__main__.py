"""Loaders of latents beside one another: size on disk, and rows a second of shuffled batches, cold and warm.

    python -m tools.bench_loaders --work DIR [--out FILE] [--data ROWSxSIZE ...] [--workers N ...] [--rounds N]
                                  [--batch-size N] [--only NAME ...] [--mosaic PYTHON] [--for SECONDS]

Every contender of contenders.py writes the same rows (data.py).  Then, round after round, each loads one epoch in a process of its own: all
rows, in the shuffled order that it makes, as batches of torch.bfloat16.  In a round the contenders come one after another, so that
a machine that is busy for a while slows them alike; the table has medians of the ratios within rounds.  Cold: the files have been taken out of
the system's cache (posix_fadvise DONTNEED), so it needs Linux; a disk may have a cache of its own, and names and sizes of files stay in memory.

--work: a folder on the disk that is meant; all contenders lie there, some 10 copies of the rows.  What has been written and measured is
noted there in state.json: the same line again goes on behind it.
--for: begin nothing more after so many seconds, and end with exit code 3 if anything is left.  --rounds 0 writes the folders and measures nothing.
More rounds, rows of another size and other numbers of workers can be asked for later.
--out: FILE.json and FILE.md are written; by default `loaders` in --work.
--mosaic: MosaicML streaming pins numpy below 2.2 and brings some hundred packages, so it has an environment of its own: the path of a
Python that has mosaicml-streaming and torch.  Without it, it is left out, and the table says so.
Needs the extra [bench-loaders].
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from pathlib import Path
from typing import Final

import aeformat
from tools.bench_loaders.contenders import CONTENDERS
from tools.bench_loaders.state import State, asked_of, steps
from tools.bench_loaders.table import OURS, table
from tools.measuring import machine, run_child

_CHILD: Final = "tools.bench_loaders.child"
MOSAIC: Final = "MosaicML streaming"


def _data(text: str) -> tuple[int, int]:
    n_rows, _, size = text.partition("x")
    if int(size) % 8:
        raise ValueError("the size is a multiple of 8")
    return int(n_rows), int(size)


def options_of(arguments: list[str] | None) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench_loaders")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--data", type=_data, nargs="+", default=[(100_000, 32), (20_000, 64)], metavar="ROWSxSIZE")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2, 4])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--only", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS))
    parser.add_argument("--mosaic", metavar="PYTHON")
    parser.add_argument("--for", type=float, default=float("inf"), dest="seconds", metavar="SECONDS")
    options = parser.parse_args(arguments)
    if OURS not in options.only:
        options.only.insert(0, OURS)
    return options


def main(arguments: list[str] | None = None) -> None:
    """Measure, and write the results."""
    options = options_of(arguments)
    end = time.monotonic() + options.seconds
    left_out = {} if options.mosaic else {MOSAIC: "it needs an environment of its own, see --mosaic"}
    names = [name for name in options.only if name not in left_out]
    base = {"aeformat": aeformat.__version__, "Python": platform.python_version()}
    state = State(options.work, asked_of(options, names), base)
    for step in steps(options, names):
        if state.has(step):
            continue
        if time.monotonic() > end:
            sys.stderr.write("not all is measured yet: the same line goes on\n")
            raise SystemExit(3)
        python = options.mosaic if step.name == MOSAIC else sys.executable
        state.note(step, run_child(_CHILD, python=python, **state.given(step)))
    if options.rounds:
        results = {"machine": machine(), **state.results(options, left_out)}
        out = options.out or options.work / "loaders"
        out.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n", "utf-8")
        out.with_suffix(".md").write_text(table(results), "utf-8")
        print(table(results))


if __name__ == "__main__":
    main()
