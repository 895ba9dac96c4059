"""One exchange over a socket; aio.line has its twin over asyncio's streams.

Owns timeouts and early answers: a server that answers before it has read the body is listened to at once (T6-4).
Whatever breaks becomes Lost; only what the protocol core must decide is left to it.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

import h11

from aeformat.net.client.http_messages import PIECE_BYTES, Base, Exchange, is_small, with_body
from aeformat.net.slices import Slices
from aeformat.transport.messages import Lost, Request, Response

CONNECT_SECONDS: Final = 10.0
BROKEN: Final = (OSError, h11.RemoteProtocolError)

PATIENCE_BYTES: Final = 1 << 16  # of a body, to be taken by the peer in idle_seconds

ReadAt = Callable[[int, int], bytes]
Aside = Callable[[], None]  # called between two pieces of a body; what it raises ends the request


class FileBody:
    """The body of requests, from a file.  progress: told how far it was read or sent."""

    def __init__(self, file: BinaryIO, progress: Callable[[int], None]) -> None:
        self.file, self.progress = file, progress

    def __call__(self, at: int, n_bytes: int) -> bytes:
        """These bytes, fewer at the end."""
        self.file.seek(at)
        data = self.file.read(n_bytes)
        self.progress(at + len(data))
        return data


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait.  idle_seconds: for one piece.  rate_bytes: a second, over rate_seconds."""

    idle_seconds: float = 30.0
    rate_bytes: int = 1024
    rate_seconds: float = 60.0


PATIENT: Final = Patience()


class Pace:
    """Notices a peer that lives, but only just."""

    def __init__(self, patience: Patience) -> None:
        self._patience, self._since, self._n_bytes = patience, time.monotonic(), 0

    def passed(self, n_bytes: int) -> None:
        """Raises TimeoutError (an OSError) when too little has passed for too long."""
        self._n_bytes += n_bytes
        elapsed = time.monotonic() - self._since
        if elapsed >= self._patience.rate_seconds:
            if self._n_bytes < self._patience.rate_bytes * elapsed:
                raise TimeoutError(f"slower than {self._patience.rate_bytes} bytes a second")
            self._since, self._n_bytes = time.monotonic(), 0


def why(error: Exception) -> str:
    """A broken connection in a few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not trusted: {error.verify_message}"
    return str(error) or type(error).__name__


def n_queued(sock: socket.socket) -> int:
    """Bytes that were sent and that the peer's machine has not taken yet, as far as this one says."""
    try:
        import fcntl
        import termios
    except ImportError:  # Windows does not say
        return 0
    handle = sock.fileno()
    if handle < 0:  # it is closed
        return 0
    try:
        (found,) = struct.unpack("i", fcntl.ioctl(handle, termios.TIOCOUTQ, bytes(4)))
    except OSError:
        return 0
    return int(found)


class Queue:
    """What a peer has still to take: a peer that takes some of it is alive."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock, self._n_bytes = sock, n_queued(sock)

    def has_shrunk(self) -> bool:
        """Since it was made, or asked last."""
        n_before, self._n_bytes = self._n_bytes, n_queued(self._sock)
        return self._n_bytes < n_before


def parts(pieces: list[bytes]) -> Iterator[memoryview]:
    """The same bytes in parts that a slow peer takes in time: what waits is timed whole."""
    for piece in pieces:
        for at in range(0, len(piece), PATIENCE_BYTES):
            yield memoryview(piece)[at : at + PATIENCE_BYTES]


class Line:
    """Blocking exchanges with one server."""

    def __init__(self, base: Base, patience: Patience) -> None:
        self.base, self._patience = base, patience
        self._tls = base.tls()

    @contextlib.contextmanager
    def exchange(
        self, request: Request, read_at: ReadAt | None = None, aside: Aside | None = None
    ) -> Iterator[Answering]:
        """Send a request.  Raises what is in BROKEN."""
        exchange = Exchange(self.base, request)
        head = exchange.head()
        address = self.base.host, self.base.port
        with contextlib.ExitStack() as stack:
            sock = stack.enter_context(socket.create_connection(address, CONNECT_SECONDS))
            if self._tls is not None:
                sock = stack.enter_context(self._tls.wrap_socket(sock, server_hostname=self.base.host))
            sock.settimeout(self._patience.idle_seconds)
            answering = Answering(exchange, sock, self._patience)
            sock.sendall(head)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # there may be an answer all the same
                answering.send_body(request, read_at, aside)
            answering.read_head()
            yield answering

    def ask(self, request: Request, read_at: ReadAt | None = None, aside: Aside | None = None) -> Response | Lost:
        """A request whose answer is small."""
        try:
            with self.exchange(request, read_at, aside) as answering:
                return answering.small()
        except BROKEN as error:
            return Lost(why(error))


class Answering:
    """A response as it comes, over a socket."""

    def __init__(self, exchange: Exchange, sock: socket.socket, patience: Patience) -> None:
        self._exchange, self._sock, self._patience = exchange, sock, patience
        self._ahead: list[bytes] = []

    @property
    def response(self) -> Response:
        """Its head."""
        assert self._exchange.response is not None
        return self._exchange.response

    def send_body(self, request: Request, read_at: ReadAt | None, aside: Aside | None = None) -> None:
        """The bytes of the file that the request names, until they are sent or an answer comes."""
        at, stop = request.body or (0, 0)
        slices = Slices()
        while at < stop:
            assert read_at is not None
            if isinstance(read_at, FileBody) and not isinstance(self._sock, ssl.SSLSocket):
                n_bytes = slices.next(stop - at)
                self._exchange.skip(n_bytes)
                read_at.file.seek(at)
                n_sent = self._sock.sendfile(read_at.file, at, n_bytes)
                slices.ended()
                read_at.progress(at + n_sent)
            else:
                data = read_at(at, min(PIECE_BYTES, stop - at))
                n_sent = n_bytes = len(data)
                for part in parts(self._exchange.piece(data)):
                    self._sock.sendall(part)
            if n_sent < n_bytes or not n_sent:
                raise OSError("the file became shorter while it was sent")
            at += n_sent
            if at < stop and self._has_answer():
                return
            if at < stop and aside is not None:
                aside()
        self._sock.sendall(self._exchange.finish())

    def _has_answer(self) -> bool:
        """Whether the server has answered already.  Does not wait."""
        self._sock.setblocking(False)
        try:
            self._ahead += self._exchange.received(self._sock.recv(self._exchange.room))
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        finally:
            self._sock.settimeout(self._patience.idle_seconds)
        return self._exchange.response is not None

    def read_head(self) -> None:
        """Wait for the head of the response, as long as the peer takes what is on its way to it."""
        pace: Pace | None = None
        while self._exchange.response is None:
            if self._exchange.is_over:
                raise ConnectionError("the connection was closed without an answer")
            data = self._first()
            pace = pace or Pace(self._patience)  # a head that has begun must come to its end
            pace.passed(len(data))
            self._ahead += self._exchange.received(data)

    def _first(self) -> bytes:
        queue = Queue(self._sock)
        while True:
            try:
                return self._sock.recv(self._exchange.room)
            except TimeoutError:
                if not queue.has_shrunk():
                    raise

    def body(self) -> Iterator[bytes]:
        """The pieces of its body.  Raises what is in BROKEN, also where the body is shorter than announced."""
        pace = Pace(self._patience)
        while True:
            yield from self._ahead
            self._ahead = []
            if self._exchange.is_over:
                return
            data = self._receive()
            pace.passed(len(data))
            self._ahead = self._exchange.received(data)

    def _receive(self) -> bytes:
        """What has come.  TLS hands it out by the record, of 16 KiB at most: all that are there are taken together."""
        room = self._exchange.room
        data = self._sock.recv(room)
        if not isinstance(self._sock, ssl.SSLSocket) or not data:
            return data
        records, n_bytes = [data], len(data)
        self._sock.setblocking(False)
        try:
            while n_bytes < room and (data := self._sock.recv(room - n_bytes)):
                records.append(data)
                n_bytes += len(data)
        except OSError:  # no more for now; or it is broken, which the next call will find
            pass
        finally:
            self._sock.settimeout(self._patience.idle_seconds)
        return b"".join(records)

    def small(self) -> Response:
        """With its body, as far as a problem document goes."""
        data = b""
        for piece in self.body():
            data += piece
            if not is_small(len(data)):
                break
        return with_body(self.response, data)
