"""A server of this package in a process of its own, on a free port of 127.0.0.1: for tests and for benchmarks."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from aeformat.net.client.http_client import HttpClient
from aeformat.net.client.http_messages import ServerAddress
from aeformat.net.client.pace import Timeouts
from aeformat.net.server.disk import Disk
from aeformat.net.server.run import Settings, serve
from aeformat.transport.messages import Request, Response
from aeformat.transport.transfer_limits import DEFAULT

_FORK = multiprocessing.get_context("fork")


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
    def _run(settings: Settings, disk: Disk | None, sender: Connection, log: Path | None) -> None:
        sys.stderr = open(log or os.devnull, "a", buffering=1)  # noqa: SIM115, PTH123
        serve(settings, ready=sender.send, disk=disk)

    @property
    def pid(self) -> int:
        """The id of the process, dead or alive."""
        assert self.process.pid is not None  # it was started
        return self.process.pid

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.url.rsplit(":", 1)[1].rstrip("/"))

    def stop(self, how: int = signal.SIGKILL) -> None:
        """Send a signal to the process, and wait until it has ended."""
        if self.process.is_alive():
            os.kill(self.pid, how)
        self.process.join(60)

    def rss(self) -> int:
        """The peak of the process's resident memory so far, in bytes."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) << 10 for line in text.splitlines() if line.startswith("VmHWM"))

    def request(
        self,
        method: str,
        path: str,
        fields: dict[str, str] | None = None,
        body: bytes | None = None,
        token: str | None = None,
    ) -> Response:
        """Send one request with our own client."""
        span = None if body is None else (0, len(body))
        with HttpClient(ServerAddress.parse(self.url, token=token), Timeouts(idle_seconds=60)) as client:
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
    log: Path | None = None,
    certificate: tuple[Path, Path] | None = None,
    **more: Any,
) -> Iterator[Running]:
    """Start a server with these settings and limits; it is killed at the end of the block."""
    named = {field.name: more.pop(field.name) for field in dataclasses.fields(Settings) if field.name in more}
    limits = dataclasses.replace(DEFAULT, **more)
    if tokens is None:
        named.setdefault("host_names", ("x",))  # as the tests' raw requests call it
    settings = Settings(root, "127.0.0.1", port, tokens, certificate, limits, **named)
    server = Running(settings, disk, log=log)
    try:
        yield server
    finally:
        server.stop()


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def program_path(program: str) -> str | None:
    """The path of a program: from PATH, from this Python's folder, or from a folder of servers.  None if it is not found."""
    places = (None, str(Path(sys.executable).parent), "/usr/sbin:/usr/local/sbin")
    return next((found for place in places if (found := shutil.which(program, path=place))), None)
