"""Throughput and memory of the transport on 127.0.0.1, against nginx and curl, in one run.

    python tools/bench_transport.py [--mb 1000] [--rounds 3]

Sends and fetches one file of raw float64 latents (the worst case: nothing to decompress, all to be hashed).  Each way
is run several times and the best is taken; then the server's memory under that upload and under 50 slow readers.  nginx
stores with PUT (its dav module) and serves from disk; it verifies and syncs nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from net.running import Running, free_port, running  # noqa: E402

from aeformat import net  # noqa: E402
from aeformat.header import LatentsHeader  # noqa: E402
from aeformat.net.api import Options  # noqa: E402
from aeformat.writer import LatentsWriter  # noqa: E402

NEVER = Options(policy="never")
NGINX = """
daemon off; pid nginx.pid; error_log stderr error; worker_processes 1; {user}
events {{ worker_connections 64; }}
http {{ access_log off; client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp;
scgi_temp_path tmp; client_max_body_size 0; sendfile on;
server {{ listen 127.0.0.1:{port}; root files; location / {{ dav_methods PUT; }} }} }}
"""


def make(path: Path, n_mb: int) -> None:
    """A file of that size, the same numbers again and again."""
    header = LatentsHeader(hashlib.sha256(b"bench").digest(), (64,), (28, 28, 1), "f64le")
    rows = np.random.default_rng(1).normal(size=(8 << 10, 64))
    with path.open("wb") as file, LatentsWriter(file, header) as writer:
        for _ in range(n_mb // 4):
            writer.write(rows)


@contextlib.contextmanager
def nginx(folder: Path) -> Iterator[str | None]:
    """An nginx that takes PUT; None where there is none."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        yield None
        return
    for name in ("files", "tmp"):
        (folder / name).mkdir(parents=True)
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(NGINX.format(port=port, user=user), encoding="utf-8")
    process = subprocess.Popen([program, "-p", folder, "-c", folder / "nginx.conf"])
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait()


def best(n_rounds: int, work: Callable[[], object], before: Callable[[], object] = lambda: None) -> float:
    """Seconds of the fastest of some runs."""
    seconds = []
    for _ in range(n_rounds):
        before()
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def curl(*arguments: object) -> None:
    """curl, which must succeed."""
    subprocess.run(["curl", "-sS", "-f", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


class Bench:
    """One file, one server, one nginx."""

    def __init__(self, folder: Path, source: Path, n_rounds: int) -> None:
        self.folder, self.source, self.n_rounds = folder, source, n_rounds
        self.sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
        self.n_bytes = source.stat().st_size
        self.number = 0

    def fresh(self) -> Path:
        """A new store, so that nothing is there already; the old one makes room."""
        shutil.rmtree(self.folder / f"store{self.number}", ignore_errors=True)
        self.number += 1
        return self.folder / f"store{self.number}"

    def sending(self, send: Callable[[Running], object]) -> tuple[float, int]:
        """(seconds, resident bytes of the server)."""
        seconds, rss = [], 0
        for _ in range(self.n_rounds):
            with running(self.fresh()) as server:
                began = time.perf_counter()
                send(server)
                seconds.append(time.perf_counter() - began)
                rss = max(rss, server.rss())
        return min(seconds), rss

    def rows(self) -> Iterator[tuple[str, float]]:
        """What, seconds."""
        named = ["-H", "Upload-Complete: ?1", "-H", "Content-Type: application/vnd.aeformat", "-H", "Expect:"]
        up, self.rss = self.sending(lambda s: curl("-X", "POST", "-T", self.source, *named, f"{s.url}v1/uploads"))
        yield "curl -T -> aeformat serve", up
        yield "aeformat send -> aeformat serve", self.sending(lambda s: net.send(self.source, s.url, NEVER))[0]
        with nginx(self.folder / "nginx") as url:
            if url is not None:
                stored = self.folder / "nginx" / "files" / "f"
                put = lambda: curl("-T", self.source, "-H", "Expect:", f"{url}f")  # noqa: E731
                yield "curl -T -> nginx", best(self.n_rounds, put, lambda: stored.unlink(missing_ok=True))
                yield "nginx -> curl", best(self.n_rounds, lambda: curl("-o", "/dev/null", f"{url}f"))
        with running(self.fresh()) as server:
            net.send(self.source, server.url, NEVER)
            url, copy = f"{server.url}v1/containers/{self.sha256}", self.folder / "copy"
            yield "aeformat serve -> curl", best(self.n_rounds, lambda: curl("-o", "/dev/null", url))
            yield (
                "aeformat serve -> aeformat fetch",
                best(self.n_rounds, lambda: net.fetch(url, copy, NEVER, force=True)),
            )

    def slow_readers(self, n_readers: int) -> tuple[int, int]:
        """Resident bytes before and while so many clients ask for the file and hardly read."""
        with running(self.fresh()) as server:
            net.send(self.source, server.url, NEVER)
            server.ask("GET", "v1/")
            with running(self.folder / f"store{self.number}") as again, contextlib.ExitStack() as stack:
                again.ask("GET", "v1/")
                before = again.rss()
                for _ in range(n_readers):
                    sock = stack.enter_context(socket.create_connection(("127.0.0.1", again.port)))
                    sock.sendall(f"GET /v1/containers/{self.sha256} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                    sock.recv(1000)
                time.sleep(3)
                return before, again.rss()


def main() -> int:
    """Prints two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder / "bench.aef", options.mb)
        os.environ["AEFORMAT_CACHE"] = str(folder / "cache")
        bench = Bench(folder, folder / "bench.aef", options.rounds)
        seconds = {}
        print("| | seconds | MB/s |\n|---|---|---|")
        for what, took in bench.rows():
            seconds[what] = took
            print(f"| {what} | {took:.2f} | {bench.n_bytes / took / 1e6:,.0f} |", flush=True)
        for ours, theirs in (
            ("curl -T -> aeformat serve", "curl -T -> nginx"),
            ("aeformat send -> aeformat serve", "curl -T -> nginx"),
            ("aeformat serve -> curl", "nginx -> curl"),
        ):
            if theirs in seconds:
                print(f"{ours}: {seconds[theirs] / seconds[ours]:.2f} of the speed of {theirs}")
        print(
            f"server's memory during curl's upload of {bench.n_bytes / 1e6:,.0f} MB: {bench.rss / 1e6:.0f} MB at most"
        )
        before, after = bench.slow_readers(50)
        print(f"50 slow readers: {before / 1e6:.0f} MB before, {after / 1e6:.0f} MB at most")
    return 0


if __name__ == "__main__":
    sys.exit(main())
