"""Shared by the tests of net: servers (tools/loopback), disks that fail at a step, small helpers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from aeformat.net.server.blocks import BLOCK_BYTES
from aeformat.net.server.disk import Disk
from aeformat.transport.messages import Response
from tools.loopback.server import Running, free_port, program_path, running

__all__ = [
    "Dying",
    "Running",
    "Unplugged",
    "accepts",
    "free_port",
    "half",
    "needs",
    "program_path",
    "running",
    "self_signed",
    "until",
    "upload",
]


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
