"""Throughput and memory of the transport on 127.0.0.1, against nginx and curl, in one run.

    python -m tools.bench_transport [--mb 1000] [--rounds 3]

Sends and fetches one file of raw float64 latents (the worst case: compression saves no byte of them, and each one is hashed and
looked at for NaN).  Rivals take turns, so that a busy machine disturbs them alike, and each begins with nothing left to be
written; the best and the median of each are shown, with the processor time of the server; then its memory under that
upload and under 50 slow readers.  nginx stores with PUT (its dav module) and serves from disk; it verifies and syncs
nothing.  `aeformat send` hashes the file beside sending it, to check what the server says it has; so does curl with openssl beside it.
"from disk": what is served was dropped from the system's cache before; else it was served just before.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from aeformat import net
from aeformat.container.header import LatentsHeader
from aeformat.container.writer import LatentsWriter
from aeformat.net.client.options import Options
from aeformat.net.server.disk import Disk
from tools.loopback.server import Running, free_port, program_path, running

ROOT = Path(__file__).resolve().parent.parent
NEVER = Options(policy="never")
CURL_TO_US, SEND_TO_US = "curl -T -> aeformat serve", "aeformat send -> aeformat serve"
US_TO_CURL_FILE = "aeformat serve -> curl, to a file"
CURL_TO_CACHE = "curl -T -> aeformat serve, through the cache"
CURL_AND_HASH = "curl -T and openssl dgst -sha256 -> aeformat serve"
US_TO_CURL, US_TO_FETCH = "aeformat serve -> curl", "aeformat serve -> aeformat fetch"
CURL_TO_NGINX, NGINX_TO_CURL = "curl -T -> nginx", "nginx -> curl"
US_FROM_DISK, NGINX_FROM_DISK = f"{US_TO_CURL}, from disk", f"{NGINX_TO_CURL}, from disk"
NGINX = """
daemon off; pid nginx.pid; error_log stderr error; worker_processes 1; {user}
events {{ worker_connections 64; }}
http {{ access_log off; client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp;
scgi_temp_path tmp; client_max_body_size 0; sendfile on;
server {{ listen 127.0.0.1:{port}; root files; location / {{ dav_methods PUT; }} }} }}
"""


def make(path: Path, n_mb: int) -> None:
    """Make a file of that size; it repeats the same numbers."""
    header = LatentsHeader(hashlib.sha256(b"bench").digest(), (64,), (28, 28, 1), "f64le")
    rows = np.random.default_rng(1).normal(size=(8 << 10, 64))
    with path.open("wb") as file, LatentsWriter(file, header) as writer:
        for _ in range(n_mb // 4):
            writer.write(rows)


@contextlib.contextmanager
def nginx(folder: Path) -> Iterator[tuple[str | None, int]]:
    """An nginx that accepts PUT, and its worker process; None if nginx is not installed."""
    program = program_path("nginx")
    if program is None:
        yield None, 0
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
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield f"http://127.0.0.1:{port}/", int(children[0])
    finally:
        process.terminate()
        process.wait()


def curl(*arguments: object) -> None:
    """Run curl; it must succeed."""
    subprocess.run(["curl", "-sS", "-f", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


def aeformat(*arguments: object) -> None:
    """Run a command of aeformat; it must succeed."""
    command = [sys.executable, "-m", "aeformat", *map(str, arguments), "--model-policy", "never"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        sys.exit(done.stderr)


def send(source: Path, url: str) -> None:
    """Run `aeformat send` in a process of its own, as curl; its start is included in the time."""
    aeformat("send", source, url)


def fetch(url: str, target: Path) -> None:
    """Run `aeformat fetch` in a process of its own; its start is included in the time."""
    aeformat("fetch", url, "-o", target)


def drop_from_cache(path: Path) -> None:
    """Drop a file from the system's cache, so that the next reader reads it from the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def processor_seconds(pid: int) -> float:
    """The CPU seconds that a process has used so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Cached(Disk):
    """A disk whose file system has no direct I/O."""

    def open_direct(self, path: Path) -> int | None:
        """Always None: there is no direct I/O."""
        return None


class Bench:
    """The files and servers of one run: one file, one server at a time, one nginx."""

    def __init__(self, folder: Path, source: Path) -> None:
        self.folder, self.source = folder, source
        self.sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
        self.n_bytes = source.stat().st_size
        self.number = 0
        self.rss = 0
        self.seconds: dict[str, list[float]] = {}
        self.used: dict[str, list[float]] = {}

    def fresh(self) -> Path:
        """The folder of a new, empty store; the one before is deleted."""
        shutil.rmtree(self.folder / f"store{self.number}", ignore_errors=True)
        self.number += 1
        return self.folder / f"store{self.number}"

    def time(self, what: str, pid: int, work: Callable[[], object]) -> None:
        """Measure the seconds that `work` takes, and the CPU seconds of the server's process meanwhile."""
        os.sync()
        used, began = processor_seconds(pid), time.perf_counter()
        work()
        self.seconds.setdefault(what, []).append(time.perf_counter() - began)
        self.used.setdefault(what, []).append(processor_seconds(pid) - used)

    def hashing_beside(self, work: Callable[[], object]) -> None:
        """Do `work` while another process hashes the file."""
        with subprocess.Popen(["openssl", "dgst", "-sha256", self.source], stdout=subprocess.DEVNULL):
            work()

    def serve(self, file: Path, pid: int, url: str, names: tuple[str, str]) -> None:
        """Measure fetching a file from the disk, and once more from the cache.

        A first fetch is not measured, because on a virtual machine a cache that grows takes time.
        """
        curl("-o", "/dev/null", url)
        drop_from_cache(file)
        for what in names:
            self.time(what, pid, lambda: curl("-o", "/dev/null", url))

    def round(self, url: str | None, worker: int) -> None:
        """Measure each way once.  url: of nginx, if it is installed.  worker: its worker process."""
        named = ["-H", "Upload-Complete: ?1", "-H", "Content-Type: application/vnd.aeformat", "-H", "Expect:"]

        def post(server: Running) -> None:
            curl("-X", "POST", "-T", self.source, *named, f"{server.url}v1/uploads")

        with running(self.fresh()) as server:
            self.time(CURL_TO_US, server.pid, lambda: post(server))
            self.rss = max(self.rss, server.rss())
        with running(self.fresh(), disk=Cached()) as server:
            self.time(CURL_TO_CACHE, server.pid, lambda: post(server))
        if shutil.which("openssl"):
            with running(self.fresh()) as server:
                self.time(CURL_AND_HASH, server.pid, lambda: self.hashing_beside(lambda: post(server)))
        if url is not None:
            (self.folder / "nginx" / "files" / "f").unlink(missing_ok=True)
            self.time(CURL_TO_NGINX, worker, lambda: curl("-T", self.source, "-H", "Expect:", f"{url}f"))
        with running(self.fresh()) as server:
            self.time(SEND_TO_US, server.pid, lambda: send(self.source, server.url))
            blob = f"{server.url}v1/containers/{self.sha256}"
            stored = self.folder / f"store{self.number}" / "objects" / self.sha256[:2] / self.sha256
            self.serve(stored, server.pid, blob, (US_FROM_DISK, US_TO_CURL))
            if url is not None:
                file = self.folder / "nginx" / "files" / "f"
                self.serve(file, worker, f"{url}f", (NGINX_FROM_DISK, NGINX_TO_CURL))
            copy = self.folder / "copy"
            ways: dict[str, Callable[[], None]] = {
                US_TO_CURL_FILE: lambda: curl("-o", copy, blob),
                US_TO_FETCH: lambda: fetch(blob, copy),
            }
            for what, get in ways.items():
                get()  # untimed, see serve
                copy.unlink()
                self.time(what, server.pid, get)
                copy.unlink()

    def slow_readers(self, n_readers: int) -> tuple[int, int]:
        """The server's resident bytes before, and while so many clients request the file and hardly read."""
        with running(self.fresh()) as server:
            net.send(self.source, server.url, NEVER)
            server.request("GET", "v1/")
            with running(self.folder / f"store{self.number}") as again, contextlib.ExitStack() as stack:
                again.request("GET", "v1/")
                before = again.rss()
                for _ in range(n_readers):
                    sock = stack.enter_context(socket.create_connection(("127.0.0.1", again.port)))
                    sock.sendall(f"GET /v1/containers/{self.sha256} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                    sock.recv(1000)
                time.sleep(3)
                return before, again.rss()


def versions() -> str:
    """The versions of the compared programs, and the machine, in one line."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    first = [
        subprocess.run(command, capture_output=True, text=True, check=False)
        for command in (["curl", "--version"], [program_path("nginx") or "true", "-v"], ["openssl", "version"])
    ]
    found = [(done.stdout or done.stderr).split("\n")[0].split(" (")[0] for done in first]
    load = os.getloadavg()[0]
    machine = f"{os.cpu_count()} x {cpu[1] if cpu else platform.machine()}, {platform.system()} {platform.release()}"
    return f"{'; '.join(found)}; Python {platform.python_version()}; {machine}; load {load:.1f}"


def main() -> int:
    """Measure, and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder / "bench.aef", options.mb)
        os.environ["AEFORMAT_CACHE"] = str(folder / "cache")
        bench = Bench(folder, folder / "bench.aef")
        with nginx(folder / "nginx") as (url, worker):
            for _ in range(options.rounds):
                bench.round(url, worker)
        print(versions())
        print("\n| | best, s | median, s | MB/s | server's processor, s |\n|---|---|---|---|---|")
        for what, took in bench.seconds.items():
            used = statistics.median(bench.used[what])
            speed = bench.n_bytes / min(took) / 1e6
            print(f"| {what} | {min(took):.2f} | {statistics.median(took):.2f} | {speed:,.0f} | {used:.2f} |")
        for ours, theirs in (
            (CURL_TO_US, CURL_TO_NGINX),
            (CURL_TO_US, CURL_TO_CACHE),
            (SEND_TO_US, CURL_TO_US),
            (SEND_TO_US, CURL_AND_HASH),
            (SEND_TO_US, CURL_TO_NGINX),
            (US_TO_CURL, NGINX_TO_CURL),
            (US_FROM_DISK, NGINX_FROM_DISK),
            (US_TO_FETCH, US_TO_CURL_FILE),
        ):
            if theirs in bench.seconds:
                best, median = (f(bench.seconds[theirs]) / f(bench.seconds[ours]) for f in (min, statistics.median))
                print(f"{ours}: {best:.2f} (best), {median:.2f} (median) of the speed of {theirs}")
        print(
            f"server's memory during curl's upload of {bench.n_bytes / 1e6:,.0f} MB: {bench.rss / 1e6:.0f} MB at most"
        )
        before, after = bench.slow_readers(50)
        print(f"50 slow readers: {before / 1e6:.0f} MB before, {after / 1e6:.0f} MB at most")
    return 0


if __name__ == "__main__":
    sys.exit(main())
