"""Servers to test against, each in a process of its own on a free port of 127.0.0.1; and disks that fail."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aeformat.net.client.http_client import HttpClient, Timeouts
from aeformat.net.client.http_messages import ServerAddress
from aeformat.net.server.blocks import BLOCK_BYTES
from aeformat.net.server.disk import Disk
from aeformat.net.server.run import Settings, serve
from aeformat.transport.messages import Request, Response
from aeformat.transport.transfer_limits import DEFAULT

_FORK = multiprocessing.get_context("fork")


def half(data) -> int:
    """Half the size of `data`, rounded down to whole blocks if there are some, as direct I/O needs them."""
    n_bytes = len(data) // 2
    return n_bytes // BLOCK_BYTES * BLOCK_BYTES or (0 if len(data) == BLOCK_BYTES else n_bytes)


class Dying(Disk):
    """A disk that kills its process at the n-th step: before the step, or in the middle of a write."""

    def __init__(self, n_steps: int) -> None:
        self._n_left = n_steps

    def _step(self) -> bool:
        self._n_left -= 1
        return self._n_left == 0

    def _die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)

    def write(self, handle, at, data):
        if self._step():
            super().write(handle, at, memoryview(data)[: half(data)])
            self._die()
        super().write(handle, at, data)

    def truncate(self, handle, at):
        if self._step():
            self._die()
        super().truncate(handle, at)

    def sync(self, handle):
        if self._step():
            self._die()
        super().sync(handle)

    def rename(self, source, target):
        if self._step():
            self._die()
        super().rename(source, target)
        if self._step():
            self._die()

    def remove(self, path):
        if self._step():
            self._die()
        super().remove(path)


class Unplugged(Dying):
    """A disk that loses its power at the n-th step: all writes and truncations since the last sync are undone."""

    def __init__(self, n_steps: int) -> None:
        super().__init__(n_steps)
        self._lock = threading.RLock()
        self._undo: list[tuple[int, int, bytes, int]] = []  # file descriptor, offset, bytes before, file size before

    def _note(self, handle: int, at: int, n_bytes: int) -> None:
        mine = os.open(f"/proc/self/fd/{handle}", os.O_RDWR)  # the file, even if it is renamed later
        self._undo.append((mine, at, os.pread(mine, n_bytes, at), os.fstat(mine).st_size))

    def write(self, handle, at, data):
        with self._lock:
            self._note(handle, at, len(data))
            super().write(handle, at, data)

    def truncate(self, handle, at):
        with self._lock:
            self._note(handle, at, os.fstat(handle).st_size)
            super().truncate(handle, at)

    def sync(self, handle):
        file = os.fstat(handle).st_ino
        with self._lock:
            before = [entry for entry in self._undo if os.fstat(entry[0]).st_ino == file]
        super().sync(handle)
        with self._lock:
            for entry in before:
                self._undo.remove(entry)
                os.close(entry[0])

    def _die(self) -> None:
        with self._lock:
            for handle, at, data, size in reversed(self._undo):
                os.pwrite(handle, data, at)
                os.ftruncate(handle, size)
            super()._die()


class Running:
    """One server process.  is_up: whether it accepts connections.  log: the file for its stderr."""

    def __init__(self, settings: Settings, disk: Disk | None = None, *, log: Path | None = None) -> None:
        receiver, sender = _FORK.Pipe(duplex=False)
        self.process = _FORK.Process(target=self._run, args=(settings, disk, sender, log), daemon=True)
        self.process.start()
        sender.close()
        self.is_up = receiver.poll(60)
        try:
            self.url = receiver.recv() if self.is_up else ""
        except EOFError:  # it died first
            self.is_up, self.url = False, ""

    @staticmethod
    def _run(settings: Settings, disk: Disk | None, sender, log: Path | None) -> None:
        sys.stderr = open(log or os.devnull, "a", buffering=1)  # noqa: SIM115, PTH123
        serve(settings, ready=sender.send, disk=disk)

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1].rstrip("/"))

    def stop(self, how: int = signal.SIGKILL) -> None:
        if self.process.is_alive():
            os.kill(self.process.pid, how)
        self.process.join(60)

    def rss(self) -> int:
        """The peak of the process's resident memory so far, in bytes."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) << 10 for line in text.splitlines() if line.startswith("VmHWM"))

    def request(
        self, method: str, path: str, fields: dict[str, str] | None = None, body: bytes | None = None, token=None
    ) -> Response:
        """Send one request with our own client."""
        client = HttpClient(ServerAddress.parse(self.url, token=token), Timeouts(idle_seconds=60))
        span = None if body is None else (0, len(body))
        found = client.request(
            Request(method, path, fields or {}, span), None if body is None else lambda at, n: body[at : at + n]
        )
        assert isinstance(found, Response), found
        return found

    def raw(self, data: bytes, seconds: float = 15.0) -> bytes:
        """Send these bytes as they are.  Return the bytes that come back, until the server closes or is silent."""
        with socket.create_connection(("127.0.0.1", self.port), 30) as sock:
            sock.settimeout(seconds)
            with contextlib.suppress(OSError):
                sock.sendall(data)
            found = b""
            with contextlib.suppress(OSError):
                while piece := sock.recv(65536):
                    found += piece
            return found


@contextlib.contextmanager
def running(
    root: Path,
    *,
    port: int = 0,
    tokens: Path | None = None,
    disk: Disk | None = None,
    log=None,
    certificate=None,
    **limits,
) -> Iterator[Running]:
    """Start a server with these limits; it is killed at the end of the block."""
    settings = Settings(root, "127.0.0.1", port, tokens, certificate, dataclasses.replace(DEFAULT, **limits))
    server = Running(settings, disk, log=log)
    try:
        yield server
    finally:
        server.stop()


def until(is_so: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait until `is_so` returns True.  Fails if that takes longer than `seconds`."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.02)


def accepts(port: int) -> bool:
    """Whether somebody listens there."""
    try:
        socket.create_connection(("127.0.0.1", port), 30).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def program_path(program: str) -> str | None:
    """The path of a program: from PATH, from this Python's folder, or from a folder of servers.  None if it is not found."""
    places = (None, str(Path(sys.executable).parent), "/usr/sbin:/usr/local/sbin")
    return next((found for place in places if (found := shutil.which(program, path=place))), None)


def needs(program: str) -> str:
    """The path of a program.  If it is not installed the test is skipped; with AEFORMAT_REQUIRE_ALL=1 it fails."""
    found = program_path(program)
    if found is None:
        if os.environ.get("AEFORMAT_REQUIRE_ALL") == "1":
            pytest.fail(f"{program} is not installed")
        pytest.skip(f"{program} is not installed")
    return found


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1.  Returns the files of the certificate and of its key."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    made = subprocess.run(
        [needs("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        capture_output=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    return certificate, key


def upload(server: Running, data: bytes, token: str | None = None) -> Response:
    """Send a whole file in one POST."""
    fields = {"Upload-Complete": "?1", "Content-Type": "application/vnd.aeformat"}
    return server.request("POST", "v1/uploads", fields, data, token)
