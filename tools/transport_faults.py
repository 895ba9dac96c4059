"""Sends and fetches a file through a proxy that damages what passes, and counts.

    python -m tools.transport_faults [--times 20] [--json]

For each fault it counts: how often it was injected, transfers tried and completed, bytes that were sent again, and wrong bytes
that were delivered, which must be 0.  Everything runs on 127.0.0.1.  Exit code 1 if a byte was wrong or a transfer failed.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import io
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from aeformat import net
from aeformat.container.header import LatentsHeader
from aeformat.container.writer import LatentsWriter
from aeformat.net.client.options import Options
from aeformat.net.client.pace import Timeouts
from aeformat.transport import retry
from aeformat.transport.problems import TransferFailed, TransferUnfinished
from tools.loopback.proxy import DOWN, KINDS, UP, Fault, Proxy
from tools.loopback.server import Running, running

HEADER = LatentsHeader(hashlib.sha256(b"faults").digest(), (64,), (28, 28, 1), "f64le")
OPTIONS = Options(policy="never", timeouts=Timeouts(idle_seconds=0.6, rate_bytes=2000, rate_seconds=0.5))
SERVER: dict[str, Any] = {"idle_seconds": 0.6, "rate_bytes": 2000, "rate_seconds": 0.5, "tries_at_offset": 6}


@dataclasses.dataclass
class Row:
    """One line of the table."""

    fault: str
    way: str
    n_injected: int = 0
    n_tried: int = 0
    n_completed: int = 0
    n_resent: int = 0
    n_wrong: int = 0


@contextlib.contextmanager
def through(server: Running, row: Row, rng: Random, per_transfer: int) -> Iterator[Proxy]:
    """A proxy that injects the row's fault `per_transfer` times, then none."""
    left = per_transfer

    def plan(method: str, is_range: bool) -> Fault | None:
        nonlocal left
        wanted = "PATCH" if row.way == UP else "GET"
        needs_range = row.fault in ("200 for 206", "wrong Content-Range")
        if method != wanted or not left:
            return None
        if needs_range and not is_range:
            return Fault("cut", rng.uniform(0.3, 0.9))  # so that there will be a range
        left -= 1
        row.n_injected += 1
        return Fault(row.fault, rng.random())

    proxy = Proxy(server.port, plan, stall_seconds=1.2)
    try:
        yield proxy
    finally:
        proxy.close()


def latents(n_rows: int, seed: int) -> bytes:
    """Make a latents file.  Its bytes depend on the arguments only."""
    sink = io.BytesIO()
    with LatentsWriter(sink, HEADER, chunk_rows=20) as writer:
        writer.write(np.random.default_rng(seed).normal(size=(n_rows, 64)))
    return sink.getvalue()


def transfer(server: Running, row: Row, rng: Random, folder: Path, number: int) -> None:
    """Transfer one file, in the row's direction, with up to three faults."""
    data = latents(300, seed=rng.randrange(1 << 30))
    source, target = folder / f"{number}.aef", folder / f"{number}.back"
    source.write_bytes(data)
    row.n_tried += 1
    with through(server, row, rng, rng.randint(1, 3)) as proxy, contextlib.suppress(TransferUnfinished):
        if row.way == UP:
            sent = net.send(source, proxy.url, OPTIONS)
            delivered, n_passed = _stored(server, sent.sha256), proxy.n_up
        else:
            sent = net.send(source, server.url, OPTIONS)
            net.fetch(proxy.url + f"v1/containers/{sent.sha256.hex()}", target, OPTIONS)
            delivered, n_passed = target.read_bytes(), proxy.n_down
        row.n_completed += 1
        row.n_resent += max(0, n_passed - len(data))
        row.n_wrong += sum(a != b for a, b in zip(delivered, data, strict=False)) + abs(len(delivered) - len(data))


def _stored(server: Running, sha256: bytes) -> bytes:
    """The whole blob, fetched without the proxy."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "blob"
        net.fetch(f"{server.url}v1/containers/{sha256.hex()}", path, OPTIONS)
        return path.read_bytes()


def table(n_times: int, seed: int) -> list[Row]:
    """All faults, each in both directions."""
    retry.FIRST_SECONDS = 0.02  # type: ignore[misc]  # the schedule is tested elsewhere; this is about bytes
    rows = []
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "root", **SERVER) as server:
        for kind, ways in KINDS.items():
            for way in ways:
                row, rng = Row(kind, {UP: "up", DOWN: "down"}[way]), Random(f"{seed} {kind} {way}")
                for number in range(n_times):
                    transfer(server, row, rng, Path(folder), number)
                    (Path(folder) / f"{number}.back").unlink(missing_ok=True)
                rows.append(row)
    return rows


def main() -> int:
    """1 if anything was lost or wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20, help="transfers for each fault and direction")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    try:
        rows = table(options.times, options.seed)
    except TransferFailed as error:
        print(f"a transfer failed for good: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps([dataclasses.asdict(row) for row in rows], indent=2))
    else:
        print(
            "| fault | way | injected | tried | completed | bytes resent | wrong bytes |\n|---|---|---|---|---|---|---|"
        )
        for r in rows:
            print(
                f"| {r.fault} | {r.way} | {r.n_injected} | {r.n_tried} | {r.n_completed} | {r.n_resent:,} | {r.n_wrong} |"
            )
    return int(any(row.n_wrong or row.n_completed < row.n_tried for row in rows))


if __name__ == "__main__":
    sys.exit(main())
