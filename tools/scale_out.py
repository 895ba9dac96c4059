"""Hurt jobs that make a set in a bucket, in every way that is known, and count the rows that are lost, doubled or wrong.

    python -m tools.scale_out [--images N] [--rows-per-shard N] [--workers N] [--kills N] [--seed N] [--json FILE]

A bucket on loopback, a Dask cluster of processes: workers are killed (SIGKILL), the scheduler is killed and started again, two jobs
race for one manifest, the bucket is full, slow, or loses its answers.  Then every row is looked at: its name, and its numbers.
Prints the table of docs/performance/scale.md, and what a job costs.  Exit code 1 if a row is lost, doubled or wrong.  Needs the
extras [dask] and [test].
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import aeformat
from tools.loopback.dask_cluster import Cluster
from tools.loopback.unkind_bucket import NAME, Bucket, unkind_bucket

MODEL: Final = "mnist-exact"
INPUT: Final = f"s3://{NAME}/images/digits.npy"


@dataclass
class Line:
    """A line of the table.  extra: shards written more often than once."""

    what: str
    shards: int
    kills: int
    restarts: int
    refused: int
    extra: int
    lost: int
    doubled: int
    wrong: int
    seconds: float
    requests: int


class Harm:
    """Told of shards as they are done, it does harm at random moments."""

    def __init__(self, moments: set[int], do: Callable[[], None]) -> None:
        self._moments, self._do, self.n_done = moments, do, 0

    def update(self, n_shards: float) -> None:
        """Count n_shards more as done."""
        self.n_done += round(n_shards)
        if self.n_done in self._moments:
            self._moments.remove(self.n_done)
            self._do()


class Drill:
    """One bucket, one cluster, one array of images, and what is found in the end."""

    def __init__(self, bucket: Bucket, cluster: Cluster, options: argparse.Namespace) -> None:
        self._bucket, self._cluster, self._options = bucket, cluster, options
        self._random = Random(options.seed)
        self.n_shards = -(-options.images // options.rows_per_shard)
        pixels = np.random.default_rng(options.seed).integers(0, 256, (options.images, 28, 28), dtype=np.uint8)
        put(INPUT, pixels)
        self._expected = dict(enumerate(aeformat.load_model(MODEL).encode(pixels, backend="numpy")))

    def _moments(self, n: int) -> set[int]:
        """Between which shards harm is done: not at the very end, when nobody would notice."""
        return set(self._random.sample(range(1, max(n + 1, self.n_shards * 3 // 4)), n))

    def run(self, what: str, job: Callable[[str], None], *, restarts: int = 0) -> Line:
        """Do a job into a prefix of its own, and look at what is there."""
        url = f"s3://{NAME}/{what.replace(' ', '-')}"
        before, killed, start = self._bucket.counted(), self._cluster.n_killed, time.monotonic()
        print(what, file=sys.stderr)
        job(url)
        seconds = time.monotonic() - start
        self._bucket.be()
        after = self._bucket.counted()
        came = {key: after[key] - before.get(key, 0) for key in after}
        lost, doubled, wrong = self._look(url)
        refused = sum(came.get(key, 0) for key in ("full", "throttled", "lost answers"))
        return Line(
            what,
            self.n_shards,
            self._cluster.n_killed - killed,
            restarts,
            refused,
            came["shard writes"] - self.n_shards,
            lost,
            doubled,
            wrong,
            seconds,
            came["requests"],
        )

    def _look(self, url: str) -> tuple[int, int, int]:
        """Rows that are lost, doubled, wrong."""
        with aeformat.open(url) as latents:
            names = [name for _, _, of in latents.all_names() for name in (of.names if of and of.names else ())]
            values = latents[:]
        count = Counter(names)
        numbers = [int(name.rpartition("/")[2].removesuffix(".png")) for name in names]
        wrong = sum(not np.array_equal(values[at], self._expected[n]) for at, n in enumerate(numbers))
        doubled = sum(n - 1 for n in count.values())
        return len(self._expected) - len(count), doubled, wrong

    def pack(self, url: str, harm: Harm | None = None, *, dask: bool = True) -> None:
        """One job of this process."""
        aeformat.pack_set(
            INPUT,
            url,
            model=MODEL,
            rows_per_shard=self._options.rows_per_shard,
            dask=self._cluster.address if dask else None,
            backend="numpy",
            progress=Harm(set(), print) if harm is None else harm,
        )

    def lines(self) -> list[Line]:
        """All kinds of harm."""
        kills = self._options.kills

        def killed_workers(url: str) -> None:
            self.pack(url, Harm(self._moments(kills), self._replace_worker))

        def restarted(url: str) -> None:
            self.pack(url, Harm(self._moments(2), self._cluster.restart_scheduler))

        return [
            self.run("one process", lambda url: self.pack(url, dask=False)),
            self.run("a cluster undisturbed", self.pack),
            self.run("workers killed", killed_workers),
            self.run("scheduler restarted", restarted, restarts=2),
            self.run("two jobs race", self._race),
            self.run("a full bucket", self._full),
            self.run("a slow bucket", lambda url: self._unkind(url, throttle=9)),
            self.run("lost answers", lambda url: self._unkind(url, lose=3)),
        ]

    def _replace_worker(self) -> None:
        self._cluster.kill_worker()
        self._cluster.start_workers(1)

    def _race(self, url: str) -> None:
        """Two processes with the same work, as two people might start them."""
        command = [sys.executable, "-m", "aeformat", "pack", INPUT, "-o", url, "--model", MODEL, "--backend", "numpy"]
        command += ["--rows-per-shard", str(self._options.rows_per_shard)]
        jobs = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(2)]
        if any(job.wait() for job in jobs):
            raise RuntimeError("a job of the race has failed")

    def _full(self, url: str) -> None:
        self._bucket.be(shards=self.n_shards // 2)
        try:
            self.pack(url)
        except OSError:
            self._bucket.be()
            self.pack(url)
        else:
            raise RuntimeError("the bucket was full, and nobody noticed")

    def _unkind(self, url: str, **how: int) -> None:
        self._bucket.be(**how)
        self.pack(url)


def put(url: str, array: NDArray[np.uint8]) -> None:
    """Write an array as an object."""
    import boto3

    bucket, _, key = url.removeprefix("s3://").partition("/")
    file = io.BytesIO()
    np.save(file, array)
    boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=file.getvalue())


def table(lines: list[Line]) -> str:
    """As Markdown."""
    heads = (
        "what", "shards", "workers killed", "scheduler killed", "answers refused", "shards written again", "rows lost", "doubled",
        "wrong", "s", "requests a shard",
    )  # fmt: skip
    rows = [[*heads], ["---"] * len(heads)]
    for line in lines:
        facts: list[Any] = list(asdict(line).values())
        rows.append([*map(str, facts[:-2]), f"{facts[-2]:.1f}", f"{facts[-1] / line.shards:.1f}"])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> int:
    """0 if no row is lost, doubled or wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rows-per-shard", type=int, default=25)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write all figures there")
    options = parser.parse_args()
    with unkind_bucket() as bucket:
        os.environ.update(bucket.environment)
        with Cluster(options.workers, bucket.environment) as cluster:
            lines = Drill(bucket, cluster, options).lines()
    print(table(lines))
    if options.json:
        options.json.write_text(json.dumps([asdict(line) for line in lines], indent=1) + "\n", encoding="utf-8")
    return 1 if any(line.lost or line.doubled or line.wrong for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
