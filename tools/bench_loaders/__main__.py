"""Loaders of latents beside one another: size on disk, and rows a second of shuffled batches, cold and warm.

    python -m tools.bench_loaders --work DIR [--out FILE] [--data ROWSxSIZE ...] [--workers N ...] [--rounds N]
                                  [--batch-size N] [--only NAME ...] [--mosaic PYTHON]

Every contender of contenders.py writes the same rows (data.py).  Then, round after round, each loads one epoch in a process of its own: all
rows, in the shuffled order that it makes, as batches of torch.bfloat16.  In a round the contenders come one after another, so that
a machine that is busy for a while slows them alike; the table has medians of the ratios within rounds.  Cold: the files have been taken out of
the system's cache (posix_fadvise DONTNEED), so it needs Linux; a disk may have a cache of its own.

--work: an empty folder on the disk that is meant; all contenders lie there at a time, some 9 copies of the rows.
--out: FILE.json and FILE.md are written; by default `loaders` in --work.
--mosaic: MosaicML streaming pins numpy below 2.2 and brings some hundred packages, so it has an environment of its own: the path of a
Python that has mosaicml-streaming and torch.  Without it, it is left out, and the table says so.
Needs the extra [bench-loaders].
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any, Final

import aeformat
from tools.bench_loaders.contenders import CONTENDERS
from tools.bench_loaders.table import OURS, table
from tools.measuring import machine, run_child

_CHILD: Final = "tools.bench_loaders.child"
MOSAIC: Final = "MosaicML streaming"


def measured(options: argparse.Namespace, n_rows: int, size: int, versions: dict[str, str]) -> dict[str, Any]:
    """All contenders on rows of one size."""
    pythons = {name: options.mosaic if name == MOSAIC else sys.executable for name in options.only}
    left_out = {MOSAIC: "it needs an environment of its own, see --mosaic"} if not pythons.get(MOSAIC) else {}
    pythons = {name: python for name, python in pythons.items() if python}
    contenders: dict[str, Any] = {}
    for number, (name, python) in enumerate(pythons.items()):
        folder = options.work / f"{n_rows}x{size}" / str(number)
        folder.mkdir(parents=True)
        given = {"name": name, "folder": os.fspath(folder), "rows": n_rows, "size": size}
        written = run_child(_CHILD, python=python, do="write", **given)
        versions.update({f"{package}": found for package, found in written.pop("versions").items()})
        contenders[name] = {**written, "runs": {}, "given": given}
        print(f"{name}: {written['bytes']:,} bytes", file=sys.stderr)
    for round_number in range(options.rounds):
        for is_cold in (True, False):
            for n_workers in options.workers:
                for name, found in contenders.items():
                    column = f"{'cold' if is_cold else 'warm'} {n_workers}"
                    asked = {"batch_size": options.batch_size, "workers": n_workers, "seed": round_number}
                    one = run_child(_CHILD, python=pythons[name], do="load", cold=is_cold, **asked, **found["given"])
                    found["runs"].setdefault(column, []).append(one)
                    print(f"{round_number} {column} {name}: {one['rows_a_second']:,.0f}", file=sys.stderr)
    for found in contenders.values():
        shutil.rmtree(found.pop("given")["folder"])
    return {"rows": n_rows, "size": size, "contenders": contenders, "left_out": left_out}


def _data(text: str) -> tuple[int, int]:
    n_rows, _, size = text.partition("x")
    if int(size) % 8:
        raise ValueError("the size is a multiple of 8")
    return int(n_rows), int(size)


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench_loaders")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--data", type=_data, nargs="+", default=[(100_000, 32), (20_000, 64)], metavar="ROWSxSIZE")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2, 4])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--only", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS))
    parser.add_argument("--mosaic", metavar="PYTHON")
    options = parser.parse_args()
    if OURS not in options.only:
        options.only.insert(0, OURS)
    options.work.mkdir(parents=True, exist_ok=True)
    out = options.out or options.work / "loaders"
    versions = {"aeformat": aeformat.__version__, "Python": platform.python_version()}
    results = {
        "machine": machine(),
        "batch_size": options.batch_size, "workers": options.workers, "rounds": options.rounds, "versions": versions,
        "data": [measured(options, n_rows, size, versions) for n_rows, size in options.data],
    }  # fmt: skip
    out.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    text = table(results)
    out.with_suffix(".md").write_text(text, "utf-8")
    print(text)


if __name__ == "__main__":
    main()
