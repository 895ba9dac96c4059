"""HTTP/1.1 messages as bytes, by h11: requests to be sent, responses as they arrive.  No socket is used in here.

Owns the server's address, the token, and the header fields that every request has.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin, urlsplit

import h11

from aeformat import __version__
from aeformat.errors import Hint, UsageError
from aeformat.net.slices import SkippedBytes
from aeformat.transport.messages import Request, Response
from aeformat.transport.problems import TransferFailed

PIECE_BYTES: Final = 1 << 20  # large ones let the kernel copy in large pages
_SHORT_BODY_BYTES: Final = 1 << 16  # a problem document takes less
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """The base URL of a server, and how to reach it.

    path: begins and ends with "/".  token: is sent to this server only.  ca_file: file of the certificates to trust; None for
    the system's.
    """

    scheme: str
    host: str
    port: int
    path: str
    token: str | None = None
    ca_file: str | None = None

    @classmethod
    def parse(cls, url: str, *, token: str | None = None, ca_file: str | None = None) -> ServerAddress:
        """Parse a base URL.  Raises UsageError."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise UsageError(f"{url}: {error}") from None
        if parts.scheme not in _PORTS or not parts.hostname:
            raise UsageError(f"{url}: is not an http:// or https:// URL")
        if parts.username or parts.query or parts.fragment:
            raise UsageError("a server's URL has no user, query or fragment", hint=Hint.SET_TOKEN)
        path = parts.path if parts.path.endswith("/") else parts.path + "/"
        return cls(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], path, token, ca_file)

    @property
    def url(self) -> str:
        """The base URL in its canonical form: with the port, with "/" at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    def target(self, path: str) -> str:
        """The request target for a path below the base URL, or for a Location that the server sent.

        Raises TransferFailed for a URL of another server (T5-8).
        """
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
        """The TLS context for this server, None for http.  Raises UsageError if the CA file cannot be used."""
        if self.scheme == "http":
            return None
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:
            raise UsageError(f"{self.ca_file}: {error.strerror}") from error


class RequestCodec:
    """Turns one request into bytes to send, and the bytes that arrive into its response.

    response: the head of the response, None until it has arrived.  is_over: whether the response has ended.
    """

    def __init__(self, address: ServerAddress, request: Request) -> None:
        self._h11 = h11.Connection(h11.CLIENT)
        self._address, self._request = address, request
        self.response: Response | None = None
        self.is_over = False
        self._left: int | None = None  # bytes that a body of stated length still lacks; h11 need not copy them

    def head(self) -> bytes:
        """The head of the request, to be sent first.  Raises TransferFailed for a path on another server (T5-8)."""
        address, request = self._address, self._request
        host = f"[{address.host}]" if ":" in address.host else address.host
        is_default_port = address.port == _PORTS[address.scheme]
        named = {
            "Host": host if is_default_port else f"{host}:{address.port}",
            "User-Agent": f"aeformat/{__version__}",
            "Connection": "close",
            "Accept-Encoding": "identity",  # T5-4
            **request.fields,
        }
        if request.body is not None:
            named["Content-Length"] = str(request.body[1] - request.body[0])
        if address.token is not None:
            named["Authorization"] = f"Bearer {address.token}"
        target = address.target(request.path)
        sent = self._h11.send(h11.Request(method=request.method, target=target, headers=list(named.items())))
        return sent or b""

    def piece(self, data: bytes) -> list[bytes]:
        """The bytes to send for the next bytes of the request's body."""
        return list(self._h11.send_with_data_passthrough(h11.Data(data=data)) or ())

    def skip(self, n_bytes: int) -> None:
        """Count the next n_bytes of the request's body, which the caller sends by itself."""
        self._h11.send_with_data_passthrough(h11.Data(data=SkippedBytes(n_bytes)))  # type: ignore[arg-type]

    def finish(self) -> bytes:
        """The bytes to send after the request's body."""
        return self._h11.send(h11.EndOfMessage()) or b""

    @property
    def receive_bytes(self) -> int:
        """The largest number of bytes that the next call of `received` takes."""
        return PIECE_BYTES if self._left is None else min(PIECE_BYTES, self._left)

    def received(self, data: bytes) -> list[bytes]:
        """Take the next bytes from the server, b"" at the end of the connection.  Return the pieces of the body in them.

        Sets `response` once the head has arrived.  Raises h11.RemoteProtocolError, also for a body that ends early.
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
            length = self.response.get("Content-Length")  # h11 has checked it
            if length is not None and self.response.get("Transfer-Encoding") is None:
                self._left = int(length) - sum(map(len, pieces))
        return pieces


def with_body(response: Response, data: bytes) -> Response:
    """A response with its short body.  Bytes beyond the limit of a short body are dropped."""
    return Response(response.status, response.fields, data[:_SHORT_BODY_BYTES])


def fits_short_body(n_bytes: int) -> bool:
    """Whether a body of this size is within the limit of a short body, which is kept in memory."""
    return n_bytes <= _SHORT_BODY_BYTES
