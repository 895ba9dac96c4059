"""Kill a process that writes, again and again, and see that no row is lost which it had acknowledged.

    python tools/crash_table.py [--kills N] [--seed N]

A process appends rows to one file, with names and fields, and says after each `flush` how many rows are on disk.  It is killed
(SIGKILL) at a random moment; then the file is read as it is, each row and field is compared with what was written, and the
next process goes on with it.  A set is treated the same, with a commit for each shard.  The exit code is 1 if a row is lost,
doubled or wrong.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import aeformat

FIELDS: Final = {"label": int, "caption": str}
_LONGEST_S: Final = 0.1  # from an acknowledgement of a process to its end, at most
_WAIT_S: Final = 300  # for a process that does not begin


def values_of(first: int, n_rows: int) -> NDArray[Any]:
    """The rows from `first` on, as they must be."""
    return (np.arange(first * 8, (first + n_rows) * 8) % 65_521).astype(np.float32).reshape(n_rows, 8)


def write_rows(file: Any, first: int, n_rows: int) -> None:
    """Add the rows from `first` on."""
    rows = range(first, first + n_rows)
    names, captions = [f"{row}.png" for row in rows], [f"no. {row}" if row % 5 else None for row in rows]
    file.write(values_of(first, n_rows), names=names, label=list(rows), caption=captions)


def append_rows(path: str, codec: str, seed: int, said: Connection) -> None:
    """In a child process: append without end, and say what is on disk."""
    rng = Random(seed)
    file = aeformat.create(path, append=True, dims=8, encoding="f32le", codec=codec, fields=FIELDS)
    said.send(file.n_rows)
    while True:
        for _ in range(rng.randrange(1, 4)):
            write_rows(file, file.n_rows, rng.randrange(1, 200))
        said.send(file.flush())


def add_shards(path: str, codec: str, seed: int, said: Connection) -> None:
    """In a child process: commit shards without end."""
    rng = Random(seed)
    first = len(aeformat.open(path)) if Path(path, "manifest.aefset").exists() else 0
    said.send(first)
    while True:
        n_rows = rng.randrange(1, 400)
        writing = aeformat.create_set(path, dims=8, encoding="f32le", codec=codec, fields=FIELDS)
        with writing.writer() as file:
            write_rows(file, first, n_rows)
        first = writing.commit().n_rows
        said.send(first)


@dataclass
class Counts:
    """One row of the table.  acknowledged: rows that were said to be on disk, at the last kill; found: those read after it."""

    kills: int = 0
    acknowledged: int = 0
    found: int = 0
    lost: int = 0
    wrong: int = 0


def run(write: Callable[..., None], path: Path, codec: str, *, kills: int, rng: Random) -> Counts:
    """Kill so often, and check after each kill."""
    context, counts = multiprocessing.get_context("spawn"), Counts()
    for _ in range(kills):
        said, says = context.Pipe(duplex=False)
        child = context.Process(target=write, args=(os.fspath(path), codec, rng.getrandbits(32), says), daemon=True)
        child.start()
        says.close()
        for _ in range(1 + rng.randrange(4)):  # the first says that it has begun
            if not said.poll(_WAIT_S):
                raise SystemExit("a process does not say anything")
            counts.acknowledged = max(counts.acknowledged, said.recv())
        time.sleep(rng.random() * _LONGEST_S)
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        counts.kills += 1
        counts.acknowledged = max(counts.acknowledged, _last(said))
        _check(path, counts)
    return counts


def _last(said: Connection) -> int:
    """The last number that was said."""
    n_rows = 0
    try:
        while said.poll():
            n_rows = said.recv()
    except EOFError:
        pass
    return n_rows


def _check(path: Path, counts: Counts) -> None:
    """Count what is there."""
    if not path.exists() or (path.is_file() and not path.stat().st_size):
        counts.lost += counts.acknowledged
        return
    more: dict[str, Any] = {} if path.is_dir() else {"incomplete": True}
    with aeformat.open(path, **more) as latents:
        counts.found = n_rows = len(latents)
        counts.lost += max(0, counts.acknowledged - n_rows)
        if n_rows:
            same = (latents[:] == values_of(0, n_rows)).all(axis=1)
            counts.wrong += int((~same).sum() + (latents.field("label") != np.arange(n_rows)).sum())
            counts.wrong += sum(
                caption != (f"no. {row}" if row % 5 else None) for row, caption in enumerate(latents.field("caption"))
            )
            counts.wrong += latents.index_of(f"{n_rows - 1}.png") != n_rows - 1


def main(arguments: list[str] | None = None) -> int:
    """0 if nothing is lost or wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="of each kind (default: 50)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    rng, is_good = Random(options.seed), True
    print(f"{'what':14} {'codec':5} {'kills':>6} {'acknowledged':>13} {'found':>9} {'lost':>5} {'wrong':>6}")
    with tempfile.TemporaryDirectory(prefix="aeformat-crashes-") as folder:
        for what, write in (("one file", append_rows), ("a set", add_shards)):
            for codec in ("none", "zstd"):
                place = Path(folder) / f"{what} {codec}"
                c = run(write, place, codec, kills=options.kills, rng=rng)
                print(
                    f"{what:14} {codec:5} {c.kills:6} {c.acknowledged:13,} {c.found:9,} {c.lost:5} {c.wrong:6}",
                    flush=True,
                )
                is_good &= not c.lost and not c.wrong
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
