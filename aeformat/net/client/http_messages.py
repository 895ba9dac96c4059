"""HTTP/1.1 messages as bytes, by h11: requests to be sent, responses as they arrive.  No socket is used in here.

Owns the server's address, the token, and the header fields that every request has.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urljoin, urlsplit

import h11

from aeformat import __version__
from aeformat.errors import Hint, UsageError
from aeformat.net.client.proxies import Proxy, authority, proxy_to
from aeformat.net.slices import SkippedBytes
from aeformat.transport.messages import Request, Response
from aeformat.transport.problems import TransferFailed

PIECE_BYTES: Final = 1 << 20  # large ones let the kernel copy in large pages
_SHORT_BODY_BYTES: Final = 1 << 16  # a problem document takes less
_MOST_INTERIM: Final = 100  # responses before the final one (T5-15)
_MOST_INTERIM_BYTES: Final = 1 << 16
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """The base URL of a server, and how to reach it.

    path: begins and ends with "/".  token: is sent to this server only.  ca_file: file of the certificates to trust; None for
    the system's.  proxy: through which it is reached, None for a direct connection.
    """

    scheme: str
    host: str
    port: int
    path: str
    token: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    proxy: Proxy | None = None

    @classmethod
    def parse(cls, url: str, *, token: str | None = None, ca_file: str | None = None) -> ServerAddress:
        """Parse a base URL, and find the proxy that the environment names for it.  Raises UsageError."""
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
        port = port or _PORTS[parts.scheme]
        proxy = proxy_to(parts.scheme, parts.hostname, port, os.environ)
        return cls(parts.scheme, parts.hostname, port, path, token, ca_file, proxy)

    @property
    def url(self) -> str:
        """The base URL in its canonical form: with the port, with "/" at the end."""
        return f"{self.origin}{self.path}"

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"{self.scheme}://{authority(self.host, self.port)}"

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

    response: the head of the response, None until it has arrived.  is_over: whether the response has ended.  has_begun: whether
    a byte of it has arrived.
    """

    def __init__(self, address: ServerAddress, request: Request) -> None:
        self._h11 = h11.Connection(h11.CLIENT)
        self._address, self._request = address, request
        self.target = address.target(request.path)  # raises TransferFailed for a path on another server (T5-8)
        self.response: Response | None = None
        self.is_over = self.has_begun = False
        self._is_sent = self._is_lasting = False
        self._left: int | None = None  # bytes that a body of stated length still lacks; h11 need not copy them
        self._n_interim = self._n_bytes = 0  # before the response

    def head(self) -> bytes:
        """The head of the request, to be sent first."""
        address, request = self._address, self._request
        is_default_port = address.port == _PORTS[address.scheme]
        place = authority(address.host, address.port)
        named = {
            "Host": place.rpartition(":")[0] if is_default_port else place,
            "User-Agent": f"aeformat/{__version__}",
            "Accept-Encoding": "identity",  # T5-4
            **request.fields,
        }
        if request.body is not None:
            named["Content-Length"] = str(request.body[1] - request.body[0])
        if address.token is not None:
            named["Authorization"] = f"Bearer {address.token}"
        target = self.target
        if address.proxy is not None and address.scheme == "http":  # T5-17; https goes through a tunnel
            target = f"{address.origin}{target}"
            if address.proxy.authorization is not None:
                named["Proxy-Authorization"] = address.proxy.authorization
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
        self._is_sent = True
        return self._h11.send(h11.EndOfMessage()) or b""

    @property
    def receive_bytes(self) -> int:
        """The largest number of bytes that the next call of `received` takes."""
        return PIECE_BYTES if self._left is None else min(PIECE_BYTES, self._left)

    def received(self, data: bytes) -> list[bytes]:
        """Take the next bytes from the server, b"" at the end of the connection.  Return the pieces of the body in them.

        Sets `response` once the head has arrived.  Raises h11.RemoteProtocolError, also for a body that ends early.
        """
        self.has_begun = self.has_begun or bool(data)
        self._is_lasting = self._is_lasting and bool(data)
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
                self._answered(event)
            elif isinstance(event, h11.Data):
                pieces.append(bytes(event.data))
            elif isinstance(event, h11.InformationalResponse):
                self._n_interim += 1
                self._check_interim(0)
            elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                self.is_over = True
        if self.response is None:
            self._check_interim(len(data))
        elif not self.is_over:
            length = self.response.get("Content-Length")  # h11 has checked it
            if length is not None and self.response.get("Transfer-Encoding") is None:
                self._left = int(length) - sum(map(len, pieces))
        return pieces

    def _answered(self, event: h11.Response) -> None:
        """The head of the response has arrived.  Its Location, if it has one, is resolved here (T5-12)."""
        named = {name.decode("latin-1"): text.decode("latin-1") for name, text in event.headers}
        try:
            location = (
                urljoin(f"{self._address.origin}{self.target}", named["location"]) if "location" in named else None
            )
        except ValueError:
            raise h11.RemoteProtocolError("a Location that is no URL") from None
        closes = "close" in named.get("connection", "").lower().replace(",", " ").split()
        self._is_lasting = event.http_version == b"1.1" and not closes
        self.response = Response(event.status_code, named, location=location)

    def _check_interim(self, n_bytes: int) -> None:
        """Count bytes that came before the response.  Raises h11.RemoteProtocolError if they become too many (T5-15)."""
        self._n_bytes += n_bytes
        if self._n_interim > _MOST_INTERIM or self._n_bytes > _MOST_INTERIM_BYTES:
            raise h11.RemoteProtocolError(f"{self._n_interim} interim responses (1xx) and no answer")

    @property
    def can_be_followed(self) -> bool:
        """Whether the connection takes another request: all is sent and received, and neither side closes it."""
        return self._is_sent and self.is_over and self._is_lasting and not self._h11.trailing_data[0]


def with_body(response: Response, data: bytes) -> Response:
    """A response with its short body.  Bytes beyond the limit of a short body are dropped."""
    return replace(response, body=data[:_SHORT_BODY_BYTES])


def fits_short_body(n_bytes: int) -> bool:
    """Whether a body of this size is within the limit of a short body, which is kept in memory."""
    return n_bytes <= _SHORT_BODY_BYTES
