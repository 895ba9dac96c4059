"""Servers and proxies of a few lines, for what an honest server never does: each connection is a thread that follows a script."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Asked:
    """A request as it arrived.  connection: its number, from 0."""

    method: str
    target: str
    fields: dict[str, str]
    body: bytes = b""
    connection: int = 0


Answer = Callable[[Asked], bytes | None]  # None: close the connection without an answer


def answer(status: int = 200, body: bytes = b"", **fields: str) -> bytes:
    """A response as bytes; the names of fields have _ for -."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {text}" for name, text in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass
class Fake:
    """A server in a `with` block.  After each answer it waits for the next request, unless closes_after."""

    answers: Answer
    closes_after: bool = False
    tls: ssl.SSLContext | None = None
    asked: list[Asked] = field(default_factory=list)
    n_connections: int = 0

    def __enter__(self) -> Fake:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._all: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        for sock in self._all:
            sock.close()

    @property
    def port(self) -> int:
        return self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http{'s' * (self.tls is not None)}://127.0.0.1:{self.port}/"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self._all.append(sock)
                self.n_connections += 1
                threading.Thread(target=self._serve, args=(sock, self.n_connections - 1), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError, ValueError), sock if self.tls is None else self._wrapped(sock) as sock:
            while True:
                found = read_request(sock, number)
                self.asked.append(found)
                data = self.answers(found)
                if data is None:
                    return
                sock.sendall(data)
                if self.closes_after:
                    return

    def _wrapped(self, sock: socket.socket) -> ssl.SSLSocket:
        assert self.tls is not None
        return self.tls.wrap_socket(sock, server_side=True)


def read_request(sock: socket.socket, number: int = 0) -> Asked:
    """The next request.  Raises ValueError at the end of the connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(1 << 16)
        if not piece:
            raise ValueError("closed")
        data += piece
    head, body = data.split(b"\r\n\r\n", 1)
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    named = {name.lower(): text.strip() for name, text in (line.split(":", 1) for line in lines)}
    size = int(named.get("content-length", 0))
    while len(body) < size:
        piece = sock.recv(1 << 16)
        if not piece:
            raise ValueError("cut")
        body += piece
    return Asked(method, target, named, body, number)


@dataclass
class Forwarder:
    """A proxy in a `with` block: absolute form for http, CONNECT for https.  wanted: of Proxy-Authorization; refuses: a status."""

    wanted: str | None = None
    refuses: int = 0
    heads: list[str] = field(default_factory=list)

    def __enter__(self) -> Forwarder:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            data = b""
            while b"\r\n\r\n" not in data:
                piece = client.recv(1 << 16)
                if not piece:
                    return
                data += piece
            head, rest = data.split(b"\r\n\r\n", 1)
            text = head.decode("latin-1")
            self.heads.append(text)
            given = re.search(r"(?i)\r\nproxy-authorization: ([^\r]*)", text)
            status = 407 if self.wanted is not None and (given is None or given[1] != self.wanted) else self.refuses
            if status:
                client.sendall(answer(status))
                return
            method, target, _ = text.split(" ", 2)
            host, port = re.search(r"(?:http://)?([\d.]+):(\d+)", target).groups()
            with socket.create_connection((host, int(port))) as server:
                if method == "CONNECT":
                    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    threading.Thread(target=pump, args=(server, client), daemon=True).start()
                    pump(client, server)
                    return
                path = target.split(f":{port}", 1)[1]
                head = re.sub(r"(?i)\r\nproxy-authorization: [^\r]*", "", text.replace(target, path, 1)).encode()
                size = re.search(r"(?i)\r\ncontent-length: (\d+)", text)
                while size is not None and len(rest) < int(size[1]):
                    rest += client.recv(1 << 16)
                server.sendall(head + b"\r\n\r\n" + rest)
                client.sendall(server.recv(1 << 16).replace(b"\r\n", b"\r\nConnection: close\r\n", 1))


@dataclass
class Relay:
    """Passes bytes on to a server, and counts the connections; in a `with` block."""

    port: int
    n_connections: int = 0

    def __enter__(self) -> Relay:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.n_connections += 1
                server = socket.create_connection(("127.0.0.1", self.port))
                threading.Thread(target=pump, args=(server, client), daemon=True).start()
                threading.Thread(target=pump, args=(client, server), daemon=True).start()


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Pass on what comes, until the source ends; then end the sink too."""
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
