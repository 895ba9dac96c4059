"""HTTP requests over blocking sockets, one after another over kept connections; aio.async_http_client is the same for asyncio.

Owns timeouts, and responses that come before the request's body is sent: they are noticed at once (T6-4).  An error of the
connection becomes Lost; what follows from it is decided in aeformat.transport.  An error of the file or of a callback does not.
"""

from __future__ import annotations

import contextlib
import copy
import errno
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO, Final

import h11

from aeformat.net.client.connecting import connect
from aeformat.net.client.events import Answered, Asked, Tell, Unanswered
from aeformat.net.client.http_messages import PIECE_BYTES, RequestCodec, ServerAddress, fits_short_body, with_body
from aeformat.net.client.kept import KeptConnections
from aeformat.net.client.local_errors import local, unmarked
from aeformat.net.client.pace import HeadWait, RateCheck, Timeouts
from aeformat.net.client.rate_limit import RateLimit
from aeformat.net.slices import SliceSizes
from aeformat.transport.messages import Lost, Request, Response

if TYPE_CHECKING:
    from aeformat.net.client.options import Options

CONNECTION_ERRORS: Final = (OSError, h11.RemoteProtocolError)
SEND_BYTES: Final = 1 << 16  # of a body that are sent at a time: idle_seconds is the time that the peer has for them
REPEATED: Final = ("HEAD", "GET", "DELETE")  # what may be done twice (T5-16)

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


def error_text(error: Exception) -> str:
    """Describe an error of a connection in a few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not trusted: {error.verify_message}"
    return str(error) or type(error).__name__


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


def send_slices(pieces: list[bytes], limit: RateLimit | None) -> Iterator[memoryview]:
    """Split pieces into slices of at most SEND_BYTES, because a timeout counts for a whole slice, and a limit's own size."""
    n_bytes = SEND_BYTES if limit is None else limit.slice_bytes
    for piece in pieces:
        for at in range(0, len(piece), n_bytes):
            yield memoryview(piece)[at : at + n_bytes]


def may_repeat(request: Request, codec: RequestCodec, error: Exception) -> bool:
    """Whether a request that failed with this error on a kept connection is sent again at once over a new one (T5-16)."""
    return request.method in REPEATED and not codec.has_begun and not isinstance(error, TimeoutError)


class HttpClient:
    """Sends requests to one server, over connections that are kept; in a `with` block, which closes them.

    limit: on the bytes a second.  tell: called with each request, each answer, each wait.  sleep: waits between tries.
    """

    def __init__(
        self, address: ServerAddress, timeouts: Timeouts, *, limit: RateLimit | None = None,
        tell: Tell = lambda _: None, sleep: Callable[[float], None] | None = None,
    ) -> None:  # fmt: skip
        self.address, self.tell, self.sleep = address, tell, sleep or time.sleep
        self._timeouts, self._limit = timeouts, limit
        self._tls = address.tls()
        self._kept: KeptConnections[socket.socket] = KeptConnections()

    @classmethod
    def to(
        cls, address: ServerAddress, options: Options, sleep: Callable[[float], None] | None = None
    ) -> HttpClient:  # fmt: skip
        """A client with what the options say of it."""
        limit = None if options.limit_rate is None else RateLimit(options.limit_rate)
        return cls(address, options.timeouts, limit=limit, tell=options.tell, sleep=sleep)

    def twin(self) -> HttpClient:
        """Another client of the same server, for another thread: with connections of its own, within the same limit."""
        found = copy.copy(self)
        found._kept = KeptConnections()
        return found

    def __enter__(self) -> HttpClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the kept connections."""
        for sock in self._kept.take_all():
            sock.close()

    @contextlib.contextmanager
    def stream(
        self, request: Request, read_at: ReadAt | None = None, between: BetweenPieces | None = None
    ) -> Iterator[IncomingResponse]:
        """Send a request and wait for the head of its response; the caller reads the body in the `with` block.

        read_at: reads the request's body.  between: called between two pieces of that body.  Raises CONNECTION_ERRORS;
        LocalError for what these two raise; TransferFailed for a path on another server (T5-8), and if a proxy refuses.
        """
        began = time.monotonic()
        start, stop = request.body or (0, 0)
        codec = RequestCodec(self.address, request)
        self.tell(Asked(request.method, codec.target, stop - start))
        incoming = self._over_kept(request, read_at, between)
        if incoming is None:
            incoming = self._over(connect(self.address, self._tls), codec, request, read_at, between)
        try:
            self.tell(Answered(incoming.response.status, time.monotonic() - began))
            yield incoming
        except BaseException:
            incoming.sock.close()
            raise
        if incoming.can_be_followed:
            self._kept.put(incoming.sock)
        else:
            incoming.sock.close()

    def _over_kept(
        self, request: Request, read_at: ReadAt | None, between: BetweenPieces | None
    ) -> IncomingResponse | None:
        """Send a request over a kept connection.  None if there is none that can be used."""
        while (sock := self._kept.take(may_be_sent_twice=request.method in REPEATED)) is not None:
            if not _is_quiet(sock):
                sock.close()
                continue
            codec = RequestCodec(self.address, request)
            try:
                return self._over(sock, codec, request, read_at, between)
            except CONNECTION_ERRORS as error:
                if not may_repeat(request, codec, error):
                    raise
        return None

    def _over(
        self,
        sock: socket.socket,
        codec: RequestCodec,
        request: Request,
        read_at: ReadAt | None,
        between: BetweenPieces | None,
    ) -> IncomingResponse:
        """Send a request over this connection, which is closed if that fails."""
        try:
            sock.settimeout(self._timeouts.idle_seconds)
            incoming = IncomingResponse(codec, sock, self._timeouts, self._limit)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # there may be a response all the same
                incoming.send(request, read_at, between)
            incoming.read_head()
        except BaseException:
            sock.close()
            raise
        return incoming

    def request(
        self, request: Request, read_at: ReadAt | None = None, between: BetweenPieces | None = None
    ) -> Response | Lost:
        """Send a request and read all of its response, which must be short; see `stream`.

        Raises what read_at and `between` raise; OSError if the file of a FileBody cannot be read, or became shorter;
        TransferFailed as `stream` does.
        """
        with unmarked():
            try:
                with self.stream(request, read_at, between) as incoming:
                    return incoming.read_short()
            except CONNECTION_ERRORS as error:
                self.tell(Unanswered(error_text(error)))
                return Lost(error_text(error))


def _is_quiet(sock: socket.socket) -> bool:
    """Whether a kept connection is open, and nothing has come over it that nobody asked for."""
    sock.setblocking(False)
    try:
        sock.recv(1)
    except (BlockingIOError, ssl.SSLWantReadError):
        return True
    except OSError:
        pass
    return False


class IncomingResponse:
    """The response to one request, read from a socket piece by piece.  It also sends the request's body."""

    def __init__(
        self, codec: RequestCodec, sock: socket.socket, timeouts: Timeouts, limit: RateLimit | None = None
    ) -> None:
        self._codec, self.sock, self._timeouts, self._limit = codec, sock, timeouts, limit
        self._received: list[bytes] = []  # pieces of the body that are not handed out yet

    @property
    def response(self) -> Response:
        """The head of the response.  It must have been read."""
        assert self._codec.response is not None
        return self._codec.response

    @property
    def can_be_followed(self) -> bool:
        """Whether another request can be sent over the same connection."""
        return self._codec.can_be_followed and not self._received

    def send(self, request: Request, read_at: ReadAt | None, between: BetweenPieces | None = None) -> None:
        """Send a request: a short body along with the head, of a longer one as much as is sent until the response begins."""
        at, stop = request.body or (0, 0)
        if stop - at > SEND_BYTES or self._limit is not None:
            self.sock.sendall(self._codec.head())
            self._send_body(at, stop, read_at, between)
            return
        parts = [self._codec.head()]
        if at < stop:
            assert read_at is not None
            parts += self._codec.piece(read_piece(read_at, at, stop - at))
        self.sock.sendall(b"".join([*parts, self._codec.finish()]))

    def _send_body(self, at: int, stop: int, read_at: ReadAt | None, between: BetweenPieces | None) -> None:
        sizes = SliceSizes()
        while at < stop:
            assert read_at is not None
            if isinstance(read_at, FileBody) and not isinstance(self.sock, ssl.SSLSocket):
                n_bytes = sizes.next(stop - at)
                if self._limit is not None:
                    n_bytes = min(n_bytes, self._limit.slice_bytes)
                    self._slow_down(n_bytes)
                at += self._send_from_file(read_at, at, n_bytes)
                sizes.finished()
            else:
                at += self._send_piece(read_at, at, min(PIECE_BYTES, stop - at))
            if at < stop and self._has_begun():
                return
            if at < stop and between is not None:
                with local():
                    between()
        self.sock.sendall(self._codec.finish())

    def _slow_down(self, n_bytes: int) -> None:
        """Wait as long as the limit of the rate demands for so many bytes."""
        if self._limit is not None:
            time.sleep(self._limit.count(n_bytes))

    def _send_piece(self, read_at: ReadAt, at: int, n_bytes: int) -> int:
        """Read a piece of the body and send it.  Return its size.  Raises LocalError, OSError of the connection."""
        data = read_piece(read_at, at, n_bytes)
        for part in send_slices(self._codec.piece(data), self._limit):
            self._slow_down(len(part))
            self.sock.sendall(part)
        return len(data)

    def _send_from_file(self, body: FileBody, at: int, n_bytes: int) -> int:
        """Have the kernel send n_bytes of a file.  Return n_bytes.  Raises LocalError, OSError of the connection."""
        self._codec.skip(n_bytes)
        with local():
            body.file.seek(at)
        try:
            n_sent = self.sock.sendfile(body.file, at, n_bytes)
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
        self.sock.setblocking(False)
        try:
            self._received += self._codec.received(self.sock.recv(self._codec.receive_bytes))
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        finally:
            self.sock.settimeout(self._timeouts.idle_seconds)
        return self._codec.response is not None

    def read_head(self) -> None:
        """Wait for the head of the response, as long as the peer takes the bytes that are on their way to it."""
        wait = HeadWait(self.sock, self._timeouts)
        while self._codec.response is None:
            if self._codec.is_over:
                raise ConnectionError("the connection was closed without an answer")
            self.sock.settimeout(wait.left())
            with contextlib.suppress(TimeoutError):
                self._received += self._codec.received(self.sock.recv(self._codec.receive_bytes))
        self.sock.settimeout(self._timeouts.idle_seconds)

    def body(self) -> Iterator[bytes]:
        """Read the pieces of the body.  Raises CONNECTION_ERRORS, also if the body is shorter than announced."""
        rate = RateCheck(self._timeouts)
        while True:
            yield from self._received
            self._received = []
            if self._codec.is_over:
                return
            data = self._receive()
            self._slow_down(len(data))
            rate.received(len(data))
            self._received = self._codec.received(data)

    def _receive(self) -> bytes:
        """Receive the bytes that have arrived.

        TLS returns at most one record of 16 KiB at a time: all records that have arrived are joined.
        """
        most = self._codec.receive_bytes
        if self._limit is not None:
            most = min(most, self._limit.slice_bytes)
        data = self.sock.recv(most)
        if not isinstance(self.sock, ssl.SSLSocket) or not data:
            return data
        records, n_bytes = [data], len(data)
        self.sock.setblocking(False)
        try:
            while n_bytes < most and (data := self.sock.recv(most - n_bytes)):
                records.append(data)
                n_bytes += len(data)
        except OSError:  # no more for now; or the connection is broken, which the next call will find
            pass
        finally:
            self.sock.settimeout(self._timeouts.idle_seconds)
        return b"".join(records)

    def read_short(self) -> Response:
        """Read a short body.  Return the response with it; bytes beyond the limit of a short body are dropped."""
        data = b""
        for piece in self.body():
            data += piece
            if not fits_short_body(len(data)):
                break
        return with_body(self.response, data)
