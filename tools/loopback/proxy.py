"""A proxy on 127.0.0.1 that damages the bodies that pass through it.  It handles one request for each connection.

It parses just enough of HTTP to find where a body begins, and to keep its Content-Length right, or make it wrong.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

UP, DOWN = "up", "down"  # request bodies, response bodies


@dataclass(frozen=True)
class Fault:
    """One fault.  kind: a key of KINDS.  where: how far into the body it happens, 0 to 1."""

    kind: str
    where: float = 0.5


# Kind of fault -> the directions that it is possible in.
KINDS = {
    "cut": (UP, DOWN),
    "stall": (UP, DOWN),
    "flip a bit": (UP, DOWN),
    "truncate": (UP, DOWN),
    "duplicate the tail": (UP, DOWN),
    "200 for 206": (DOWN,),
    "wrong Content-Range": (DOWN,),
    "lost final response": (UP,),
    "early 413": (UP,),
    "one byte a second": (UP, DOWN),
    "503": (UP, DOWN),
}

Plan = Callable[[str, bool], "Fault | None"]  # method, whether there is a Range -> the fault of this request


class Proxy:
    """A proxy in front of the server on `port`.  stall_seconds: must be longer than the client waits."""

    def __init__(self, port: int, plan: Plan, *, stall_seconds: float = 3.0) -> None:
        self._target, self._plan, self._stall = port, plan, stall_seconds
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._is_open = True
        self.n_up = self.n_down = 0  # bytes of bodies that were passed on
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/"

    def close(self) -> None:
        self._is_open = False
        self._listener.close()

    def _accept(self) -> None:
        while self._is_open:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError, ValueError):
            head, rest = _read_head(client)
            method = head.split(b" ", 1)[0].decode()
            fault = self._plan(method, b"\r\nrange:" in head.lower())
            kind = fault.kind if fault else ""
            if kind in ("early 413", "503"):
                status = b"413 Content Too Large" if kind == "early 413" else b"503 Service Unavailable"
                client.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                client.shutdown(socket.SHUT_WR)
                with contextlib.suppress(OSError):
                    while client.recv(1 << 16):
                        pass
                return
            if kind == "200 for 206":
                head = re.sub(rb"(?i)\r\n(range|if-range):[^\r]*", b"", head)
            with socket.create_connection(("127.0.0.1", self._target)) as server:
                is_up = method in ("PATCH", "POST")
                if self._pass(client, server, head, rest, fault if is_up else None, UP):
                    if kind == "lost final response":
                        server.recv(1)
                        return
                    head, rest = _read_head(server)
                    if kind == "wrong Content-Range":
                        head = re.sub(
                            rb"(?i)(content-range: bytes )(\d+)", lambda m: m[1] + b"%d" % (int(m[2]) + 1), head
                        )
                    self._pass(server, client, head, rest, fault if method == "GET" else None, DOWN)

    def _pass(
        self, source: socket.socket, sink: socket.socket, head: bytes, rest: bytes, fault: Fault | None, way: str
    ) -> bool:
        """Pass on the head and the body of one message.  False if the connection must be cut then."""
        size = _length(head)
        kind = fault.kind if fault and size else ""
        at = int(fault.where * max(0, size - 1)) if fault else 0
        if kind == "truncate":
            sink.sendall(_with_length(head, at))
            for data in _body(source, rest, at):
                sink.sendall(data)
                self._count(way, len(data))
            return True
        extra = min(64, size) if kind == "duplicate the tail" else 0
        sink.sendall(_with_length(head, size + extra) if extra else head)
        n_passed, tail = 0, b""
        for data in _body(source, rest, size):
            end = n_passed + len(data)
            if kind in ("cut", "stall") and end > at:
                sink.sendall(data[: at - n_passed])
                self._count(way, at - n_passed)
                if kind == "stall":
                    time.sleep(self._stall)
                return False
            if kind == "one byte a second" and end > at:
                for byte in data[: int(self._stall)]:
                    sink.sendall(bytes([byte]))
                    time.sleep(1)
                return False
            if kind == "flip a bit" and n_passed <= at < end:
                flipped = bytearray(data)
                flipped[at - n_passed] ^= 0x10
                data = bytes(flipped)
            sink.sendall(data)
            self._count(way, len(data))
            n_passed, tail = end, (tail + data)[-extra:] if extra else b""
        if extra:
            sink.sendall(tail)
        return True

    def _count(self, way: str, n_bytes: int) -> None:
        if way == UP:
            self.n_up += n_bytes
        else:
            self.n_down += n_bytes


def _read_head(sock: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(1 << 16)
        if not piece:
            raise ValueError("no head")
        data += piece
    head, rest = data.split(b"\r\n\r\n", 1)
    return head + b"\r\n\r\n", rest


def _length(head: bytes) -> int:
    match = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    is_empty = head.startswith((b"HEAD ", b"GET ")) or b" 304 " in head[:20] or b" 204 " in head[:20]
    return 0 if match is None or is_empty else int(match[1])


def _with_length(head: bytes, size: int) -> bytes:
    return re.sub(rb"(?i)(\r\ncontent-length: *)\d+", lambda m: m[1] + b"%d" % size, head)


def _body(sock: socket.socket, rest: bytes, size: int) -> Iterator[bytes]:
    if size and rest:
        yield rest[:size]
    left = size - min(size, len(rest))
    while left:
        data = sock.recv(min(left, 1 << 16))
        if not data:
            raise ValueError("the source ended early")
        left -= len(data)
        yield data
