"""HTTP requests over blocking sockets, each over a connection of its own; aio.async_http_client is the same for asyncio.

Owns timeouts, and responses that come before the request's body is sent: they are noticed at once (T6-4).  An error of the
connection becomes Lost; what follows from it is decided in aeformat.transport.  An error of the file or of a callback does not.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

import h11

from aeformat.net.client.http_messages import PIECE_BYTES, RequestCodec, ServerAddress, fits_short_body, with_body
from aeformat.net.client.local_errors import local, unmarked
from aeformat.net.slices import SliceSizes
from aeformat.transport.messages import Lost, Request, Response

CONNECT_SECONDS: Final = 10.0
CONNECTION_ERRORS: Final = (OSError, h11.RemoteProtocolError)
SEND_BYTES: Final = 1 << 16  # of a body that are sent at a time: idle_seconds is the time that the peer has for them

ReadAt = Callable[[int, int], bytes]  # offset, number of bytes -> the bytes
BetweenPieces = Callable[[], None]  # called between two pieces of a body; an error that it raises ends the request


class FileBody:
    """A file as the body of requests.  progress: called with the offset up to which the file was read or sent."""

    def __init__(self, file: BinaryIO, progress: Callable[[int], None]) -> None:
        self.file, self.progress = file, progress

    def __call__(self, at: int, n_bytes: int) -> bytes:
        """Read n_bytes at offset `at`; fewer at the end of the file."""
        self.file.seek(at)
        data = self.file.read(n_bytes)
        self.progress(at + len(data))
        return data


@dataclass(frozen=True, slots=True)
class Timeouts:
    """When a connection counts as broken.

    idle_seconds: longest wait for one piece to be sent or received.  rate_bytes: least number of bytes a second, measured
    over rate_seconds.
    """

    idle_seconds: float = 30.0
    rate_bytes: int = 1024
    rate_seconds: float = 60.0


DEFAULT_TIMEOUTS: Final = Timeouts()


class RateCheck:
    """Measures how fast bytes arrive, and stops a peer that is too slow."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts, self._since, self._n_bytes = timeouts, time.monotonic(), 0

    def received(self, n_bytes: int) -> None:
        """Count bytes that have arrived.  Raises TimeoutError (an OSError) if they arrive too slowly."""
        self._n_bytes += n_bytes
        elapsed = time.monotonic() - self._since
        if elapsed >= self._timeouts.rate_seconds:
            if self._n_bytes < self._timeouts.rate_bytes * elapsed:
                raise TimeoutError(f"slower than {self._timeouts.rate_bytes} bytes a second")
            self._since, self._n_bytes = time.monotonic(), 0


def error_text(error: Exception) -> str:
    """Describe an error of a connection in a few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not trusted: {error.verify_message}"
    return str(error) or type(error).__name__


def n_unacknowledged(sock: socket.socket) -> int:
    """The number of sent bytes that the peer's machine has not acknowledged yet; 0 where the system does not tell."""
    try:
        import fcntl
        import termios
    except ImportError:  # Windows does not tell
        return 0
    handle = sock.fileno()
    if handle < 0:  # it is closed
        return 0
    try:
        (found,) = struct.unpack("i", fcntl.ioctl(handle, termios.TIOCOUTQ, bytes(4)))
    except OSError:
        return 0
    return int(found)


class SendQueue:
    """The kernel's queue of bytes for a peer.  As long as it becomes shorter, the peer is alive."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock, self._n_bytes = sock, n_unacknowledged(sock)

    def has_shrunk(self) -> bool:
        """Whether the queue is shorter than at the last call; at the first call, than when this object was made."""
        n_before, self._n_bytes = self._n_bytes, n_unacknowledged(self._sock)
        return self._n_bytes < n_before


def became_shorter() -> OSError:
    """The error for a file that has fewer bytes than when it was scanned."""
    return OSError(errno.EIO, "the file became shorter while it was sent; send it again")


def read_piece(read_at: ReadAt, at: int, n_bytes: int) -> bytes:
    """Read a piece of a body, at least one byte.  Raises LocalError."""
    with local():
        data = read_at(at, n_bytes)
        if not data:
            raise became_shorter()
    return data


def send_slices(pieces: list[bytes]) -> Iterator[memoryview]:
    """Split pieces into slices of at most SEND_BYTES, because a timeout counts for a whole slice."""
    for piece in pieces:
        for at in range(0, len(piece), SEND_BYTES):
            yield memoryview(piece)[at : at + SEND_BYTES]


class HttpClient:
    """Sends requests to one server, each over a new connection."""

    def __init__(self, address: ServerAddress, timeouts: Timeouts) -> None:
        self.address, self._timeouts = address, timeouts
        self._tls = address.tls()

    @contextlib.contextmanager
    def stream(
        self, request: Request, read_at: ReadAt | None = None, between: BetweenPieces | None = None
    ) -> Iterator[IncomingResponse]:
        """Send a request and wait for the head of its response; the caller reads the body in the `with` block.

        read_at: reads the request's body.  between: called between two pieces of that body.  Raises CONNECTION_ERRORS;
        LocalError for what these two raise.
        """
        codec = RequestCodec(self.address, request)
        head = codec.head()
        with contextlib.ExitStack() as stack:
            sock = stack.enter_context(
                socket.create_connection((self.address.host, self.address.port), CONNECT_SECONDS)
            )
            if self._tls is not None:
                sock = stack.enter_context(self._tls.wrap_socket(sock, server_hostname=self.address.host))
            sock.settimeout(self._timeouts.idle_seconds)
            incoming = IncomingResponse(codec, sock, self._timeouts)
            sock.sendall(head)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # there may be a response all the same
                incoming.send_body(request, read_at, between)
            incoming.read_head()
            yield incoming

    def request(
        self, request: Request, read_at: ReadAt | None = None, between: BetweenPieces | None = None
    ) -> Response | Lost:
        """Send a request and read all of its response, which must be short; see `stream`.

        Raises what read_at and `between` raise; OSError if the file of a FileBody cannot be read, or became shorter.
        """
        with unmarked():
            try:
                with self.stream(request, read_at, between) as incoming:
                    return incoming.read_short()
            except CONNECTION_ERRORS as error:
                return Lost(error_text(error))


class IncomingResponse:
    """The response to one request, read from a socket piece by piece.  It also sends the request's body."""

    def __init__(self, codec: RequestCodec, sock: socket.socket, timeouts: Timeouts) -> None:
        self._codec, self._sock, self._timeouts = codec, sock, timeouts
        self._received: list[bytes] = []  # pieces of the body that are not handed out yet

    @property
    def response(self) -> Response:
        """The head of the response.  It must have been read."""
        assert self._codec.response is not None
        return self._codec.response

    def send_body(self, request: Request, read_at: ReadAt | None, between: BetweenPieces | None = None) -> None:
        """Send the request's body, until all of it is sent or the response begins."""
        at, stop = request.body or (0, 0)
        sizes = SliceSizes()
        while at < stop:
            assert read_at is not None
            if isinstance(read_at, FileBody) and not isinstance(self._sock, ssl.SSLSocket):
                at += self._send_from_file(read_at, at, sizes.next(stop - at))
                sizes.finished()
            else:
                at += self._send_piece(read_at, at, min(PIECE_BYTES, stop - at))
            if at < stop and self._has_begun():
                return
            if at < stop and between is not None:
                with local():
                    between()
        self._sock.sendall(self._codec.finish())

    def _send_piece(self, read_at: ReadAt, at: int, n_bytes: int) -> int:
        """Read a piece of the body and send it.  Return its size.  Raises LocalError, OSError of the connection."""
        data = read_piece(read_at, at, n_bytes)
        for part in send_slices(self._codec.piece(data)):
            self._sock.sendall(part)
        return len(data)

    def _send_from_file(self, body: FileBody, at: int, n_bytes: int) -> int:
        """Have the kernel send n_bytes of a file.  Return n_bytes.  Raises LocalError, OSError of the connection."""
        self._codec.skip(n_bytes)
        with local():
            body.file.seek(at)
        try:
            n_sent = self._sock.sendfile(body.file, at, n_bytes)
        except OSError:  # of the file or of the connection: of the file, if reading alone fails too
            with local():
                body.file.seek(at)
                body.file.read(n_bytes)
            raise
        with local():
            body.progress(at + n_sent)
            if n_sent < n_bytes:
                raise became_shorter()
        return n_sent

    def _has_begun(self) -> bool:
        """Whether the head of the response is there already.  Does not wait."""
        self._sock.setblocking(False)
        try:
            self._received += self._codec.received(self._sock.recv(self._codec.receive_bytes))
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        finally:
            self._sock.settimeout(self._timeouts.idle_seconds)
        return self._codec.response is not None

    def read_head(self) -> None:
        """Wait for the head of the response, as long as the peer takes the bytes that are on their way to it."""
        rate: RateCheck | None = None
        while self._codec.response is None:
            if self._codec.is_over:
                raise ConnectionError("the connection was closed without an answer")
            data = self._receive_first()
            rate = rate or RateCheck(self._timeouts)  # once the head has begun, the rest must come in time
            rate.received(len(data))
            self._received += self._codec.received(data)

    def _receive_first(self) -> bytes:
        queue = SendQueue(self._sock)
        while True:
            try:
                return self._sock.recv(self._codec.receive_bytes)
            except TimeoutError:
                if not queue.has_shrunk():
                    raise

    def body(self) -> Iterator[bytes]:
        """Read the pieces of the body.  Raises CONNECTION_ERRORS, also if the body is shorter than announced."""
        rate = RateCheck(self._timeouts)
        while True:
            yield from self._received
            self._received = []
            if self._codec.is_over:
                return
            data = self._receive()
            rate.received(len(data))
            self._received = self._codec.received(data)

    def _receive(self) -> bytes:
        """Receive the bytes that have arrived.

        TLS returns at most one record of 16 KiB at a time: all records that have arrived are joined.
        """
        most = self._codec.receive_bytes
        data = self._sock.recv(most)
        if not isinstance(self._sock, ssl.SSLSocket) or not data:
            return data
        records, n_bytes = [data], len(data)
        self._sock.setblocking(False)
        try:
            while n_bytes < most and (data := self._sock.recv(most - n_bytes)):
                records.append(data)
                n_bytes += len(data)
        except OSError:  # no more for now; or the connection is broken, which the next call will find
            pass
        finally:
            self._sock.settimeout(self._timeouts.idle_seconds)
        return b"".join(records)

    def read_short(self) -> Response:
        """Read a short body.  Return the response with it; bytes beyond the limit of a short body are dropped."""
        data = b""
        for piece in self.body():
            data += piece
            if not fits_short_body(len(data)):
                break
        return with_body(self.response, data)
