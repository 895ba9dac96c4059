"""One HTTP/1.1 exchange as bytes, for both shells: h11, and what every request of ours has in common.

Owns the base URL, the token and the form of requests and responses.  No socket.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin, urlsplit

import h11

from aeformat import __version__
from aeformat.errors import UsageError
from aeformat.net.slices import Span
from aeformat.transport.messages import Request, Response
from aeformat.transport.problems import TransferFailed

PIECE_BYTES: Final = 1 << 20  # large ones let the kernel copy in large pages
_PROBLEM_BYTES: Final = 1 << 16
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Base:
    """Where a server is.  path: begins and ends with "/".  token: for this origin only."""

    scheme: str
    host: str
    port: int
    path: str
    token: str | None = None
    ca_file: str | None = None

    @classmethod
    def parse(cls, url: str, *, token: str | None = None, ca_file: str | None = None) -> Base:
        """From a base URL.  Raises UsageError."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise UsageError(f"{url}: {error}") from None
        if parts.scheme not in _PORTS or not parts.hostname:
            raise UsageError(f"{url}: is not an http:// or https:// URL")
        if parts.username or parts.query or parts.fragment:
            raise UsageError("a server's URL has no user, query or fragment; give tokens with --token-file")
        path = parts.path if parts.path.endswith("/") else parts.path + "/"
        return cls(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], path, token, ca_file)

    @property
    def url(self) -> str:
        """The base URL, always written the same way."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    def target(self, path: str) -> str:
        """The request target of a path: one of ours, or a Location.  Raises TransferFailed for another origin (T5-8)."""
        there = urlsplit(urljoin(self.url, path))
        try:
            port = there.port or _PORTS.get(there.scheme)
        except ValueError:
            port = None
        if (there.scheme, there.hostname, port) != (self.scheme, self.host, self.port):
            raise TransferFailed(f"the server sends us elsewhere, to {path[:100]!r}; that is not followed")
        target = f"{there.path}?{there.query}" if there.query else there.path
        if not target.isascii() or not target.isprintable() or " " in target:
            raise TransferFailed(f"{path[:100]!r} is no good path")
        return target

    def tls(self) -> ssl.SSLContext | None:
        """None for http.  Raises UsageError where the CA file cannot be used."""
        if self.scheme == "http":
            return None
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:
            raise UsageError(f"{self.ca_file}: {error.strerror}") from error


class Exchange:
    """One request and its response."""

    def __init__(self, base: Base, request: Request) -> None:
        self._h11 = h11.Connection(h11.CLIENT)
        self._base, self._request = base, request
        self.response: Response | None = None
        self.is_over = False
        self._left: int | None = None  # of a body of stated length, which h11 need not copy

    def head(self) -> bytes:
        """What to send first."""
        base, request = self._base, self._request
        host = f"[{base.host}]" if ":" in base.host else base.host
        default = base.port == _PORTS[base.scheme]
        named = {
            "Host": host if default else f"{host}:{base.port}",
            "User-Agent": f"aeformat/{__version__}",
            "Connection": "close",
            "Accept-Encoding": "identity",  # T5-4
            **request.fields,
        }
        if request.body is not None:
            named["Content-Length"] = str(request.body[1] - request.body[0])
        if base.token is not None:
            named["Authorization"] = f"Bearer {base.token}"
        target = base.target(request.path)
        sent = self._h11.send(h11.Request(method=request.method, target=target, headers=list(named.items())))
        return sent or b""

    def piece(self, data: bytes) -> list[bytes]:
        """What to send for the next bytes of the body."""
        return list(self._h11.send_with_data_passthrough(h11.Data(data=data)) or ())

    def skip(self, n_bytes: int) -> None:
        """The next bytes of the body are sent by somebody else."""
        self._h11.send_with_data_passthrough(h11.Data(data=Span(n_bytes)))  # type: ignore[arg-type]

    def finish(self) -> bytes:
        """What to send last."""
        return self._h11.send(h11.EndOfMessage()) or b""

    @property
    def room(self) -> int:
        """How many bytes `received` takes next, at most."""
        return PIECE_BYTES if self._left is None else min(PIECE_BYTES, self._left)

    def received(self, data: bytes) -> list[bytes]:
        """The peer's next bytes, b"" for the end.  Pieces of the body; `response` is set once its head is there.

        Raises h11.RemoteProtocolError, also for a body that ends early.
        """
        if self._left is not None:
            if not data:
                raise h11.RemoteProtocolError(f"the connection was closed {self._left} bytes before the body ends")
            self._left -= len(data)
            self.is_over = not self._left
            return [data]
        self._h11.receive_data(data)
        pieces: list[bytes] = []
        while not self.is_over:
            event = self._h11.next_event()
            if event is h11.NEED_DATA:
                break
            if isinstance(event, h11.Response):
                names = {name.decode("latin-1"): text.decode("latin-1") for name, text in event.headers}
                self.response = Response(event.status_code, names)
            elif isinstance(event, h11.Data):
                pieces.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                self.is_over = True
        if self.response is not None and not self.is_over:
            length = self.response.get("Content-Length")  # h11 has looked at it
            if length is not None and self.response.get("Transfer-Encoding") is None:
                self._left = int(length) - sum(map(len, pieces))
        return pieces


def with_body(response: Response, data: bytes) -> Response:
    """A response whose small body was read.  More than a problem document takes is cut off."""
    return Response(response.status, response.fields, data[:_PROBLEM_BYTES])


def is_small(n_bytes: int) -> bool:
    """Whether a body may be kept whole."""
    return n_bytes <= _PROBLEM_BYTES
