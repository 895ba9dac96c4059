"""How long one small request takes: over a new connection, over a kept one, and through nginx; beside curl on a kept connection.

    python -m tools.bench_requests [--requests 200]

Medians in milliseconds, on 127.0.0.1.  "curl" is one process that sends all requests over one connection: what the server takes
if the client takes next to nothing.  The last column is the time of our plain client on a kept connection, as a ratio to curl's.
nginx runs with spec/transport/nginx.conf; without it, its columns are missing.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from aeformat.container.header import LatentsHeader
from aeformat.container.writer import LatentsWriter
from tools.loopback.front import nginx_in_front
from tools.loopback.server import Running, program_path, running

Measure = Callable[[str, str, int], list[float]]  # URL, method, number of requests -> seconds of each


def container(n_rows: int) -> bytes:
    """A container of float64 latents, 512 bytes a row."""
    sink = io.BytesIO()
    header = LatentsHeader(hashlib.sha256(b"bench").digest(), (64,), (28, 28, 1), "f64le")
    with LatentsWriter(sink, header) as writer:
        writer.write(np.random.default_rng(1).normal(size=(n_rows, 64)))
    return sink.getvalue()


def _connect(url: str) -> tuple[http.client.HTTPConnection, str]:
    parts = urlsplit(url)
    return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60), parts.path


def kept(url: str, method: str, n_requests: int) -> list[float]:
    """Requests over one connection."""
    connection, path = _connect(url)
    with contextlib.closing(connection):
        return [_seconds(connection, method, path) for _ in range(n_requests)]


def new(url: str, method: str, n_requests: int) -> list[float]:
    """Requests over a connection each."""
    took = []
    for _ in range(n_requests):
        connection, path = _connect(url)
        with contextlib.closing(connection):
            took.append(_seconds(connection, method, path))
    return took


def _seconds(connection: http.client.HTTPConnection, method: str, path: str) -> float:
    began = time.perf_counter()
    connection.request(method, path)
    connection.getresponse().read()
    return time.perf_counter() - began


def curl(url: str, method: str, n_requests: int) -> list[float]:
    """Requests of one curl process, which keeps its connection."""
    command = ["curl", "-s", "-o", os.devnull, "-w", "%{time_total}\n", *(["-I"] if method == "HEAD" else [])]
    done = subprocess.run([*command, f"{url}?[1-{n_requests}]"], check=True, capture_output=True, text=True)
    return [float(line) for line in done.stdout.split("\n") if line]


def table(server: Running, front: str | None, n_requests: int) -> None:
    """Print a row for each kind of request."""
    data = container(114)
    found = server.request(
        "POST", "v1/uploads", {"Upload-Complete": "?1", "Content-Type": "application/vnd.aeformat"}, data
    )
    assert found.status == 201, found
    blob = f"v1/containers/{hashlib.sha256(data).hexdigest()}"
    ways: dict[str, tuple[str, Measure]] = {"new": (server.url, new), "kept": (server.url, kept)}
    if front is not None:
        ways |= {"nginx, new": (front, new), "nginx, kept": (front, kept)}
    if program_path("curl"):
        ways["curl, kept"] = (server.url, curl)
    print(f"| ms | {' | '.join(ways)} | kept / curl |")
    print("|---" * (len(ways) + 2) + "|")
    for method, path, name in (
        ("GET", "v1/", "GET v1/"),
        ("HEAD", blob, "HEAD of a blob"),
        ("GET", blob, f"GET of {len(data) / 1000:.0f} kB"),
        ("GET", "v1/nothing", "404"),
    ):
        took = {way: 1000 * statistics.median(go(url + path, method, n_requests)) for way, (url, go) in ways.items()}
        ratio = f"{took['kept'] / took['curl, kept']:.2f}" if "curl, kept" in took else ""
        print(f"| {name} | {' | '.join(f'{ms:.2f}' for ms in took.values())} | {ratio} |")


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=200, help="of each kind")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        running(Path(name) / "store") as server,
        contextlib.ExitStack() as stack,
    ):
        front = None
        if program_path("nginx"):
            front = stack.enter_context(nginx_in_front(Path(name) / "nginx", server.port))
        table(server, front, options.requests)
    return 0


if __name__ == "__main__":
    sys.exit(main())
