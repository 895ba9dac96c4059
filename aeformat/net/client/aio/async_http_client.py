"""HTTP requests over asyncio's streams, over kept connections: the counterpart of aeformat.net.client.http_client.

Owns waiting with asyncio.  Sizes, timeouts and the bytes of messages are those of http_client.  Files are read in threads and
written to the stream, where the blocking client lets the kernel send them.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Final

from aeformat.net.client import http_client
from aeformat.net.client.connecting import open_socket
from aeformat.net.client.events import Answered, Asked, Tell, Unanswered
from aeformat.net.client.http_client import (
    REPEATED,
    SEND_BYTES,
    ReadAt,
    error_text,
    may_repeat,
    read_piece,
    send_slices,
)
from aeformat.net.client.http_messages import PIECE_BYTES, RequestCodec, ServerAddress, fits_short_body, with_body
from aeformat.net.client.kept import KeptConnections
from aeformat.net.client.local_errors import local, unmarked
from aeformat.net.client.pace import CONNECT_SECONDS, HeadWait, RateCheck, Timeouts
from aeformat.net.client.rate_limit import RateLimit
from aeformat.transport.messages import Lost, Request, Response

if TYPE_CHECKING:
    from aeformat.net.client.options import Options

CONNECTION_ERRORS: Final = (
    *http_client.CONNECTION_ERRORS,
    asyncio.TimeoutError,  # which is no OSError before Python 3.11
)

AsyncBetweenPieces = Callable[[], Awaitable[None]]  # as BetweenPieces


class Streams:
    """One connection: asyncio's reader and writer.  While it is kept, a task looks whether something comes or it is closed."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._watch: asyncio.Task[bytes] | None = None

    def watch(self) -> None:
        """Begin to look: nothing must come until `is_quiet` is called."""
        self._watch = asyncio.create_task(self.reader.read(1))

    async def is_quiet(self) -> bool:
        """Stop looking.  Whether the connection is open and nothing has come."""
        watch = self._watch
        assert watch is not None
        for _ in range(3):  # turns of the event loop, in which what has arrived reaches the task
            await asyncio.sleep(0)
        has_ended = watch.done()
        watch.cancel()
        await asyncio.wait([watch])
        if not watch.cancelled():
            watch.exception()  # it is of no interest, but asyncio would log it
        return not has_ended

    def close(self) -> None:
        """Close the connection at once."""
        if self._watch is not None:
            self._watch.cancel()
        self.writer.transport.abort()


class AsyncHttpClient:
    """Sends requests to one server, over connections that are kept; in an `async with` block, which closes them.

    limit: on the bytes a second.  tell: called with each request, each answer, each wait.
    """

    def __init__(
        self, address: ServerAddress, timeouts: Timeouts, *, limit: RateLimit | None = None, tell: Tell = lambda _: None
    ) -> None:
        self.address, self.tell = address, tell
        self._timeouts, self._limit = timeouts, limit
        self._tls = address.tls()
        self._kept: KeptConnections[Streams] = KeptConnections()

    @classmethod
    def to(cls, address: ServerAddress, options: Options) -> AsyncHttpClient:
        """A client with what the options say of it."""
        limit = None if options.limit_rate is None else RateLimit(options.limit_rate)
        return cls(address, options.timeouts, limit=limit, tell=options.tell)

    async def __aenter__(self) -> AsyncHttpClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        for streams in self._kept.take_all():
            await streams.is_quiet()
            streams.close()

    async def _connect(self) -> Streams:
        sock = await asyncio.to_thread(open_socket, self.address)
        sock.setblocking(False)
        named = {} if self._tls is None else {"ssl": self._tls, "server_hostname": self.address.host}
        opening = asyncio.open_connection(sock=sock, limit=PIECE_BYTES, **named)  # type: ignore[arg-type]
        reader, writer = await asyncio.wait_for(opening, CONNECT_SECONDS)
        writer.transport.set_write_buffer_limits(SEND_BYTES)  # that of TLS is larger
        return Streams(reader, writer)

    @contextlib.asynccontextmanager
    async def stream(
        self, request: Request, read_at: ReadAt | None = None, between: AsyncBetweenPieces | None = None
    ) -> AsyncIterator[AsyncIncomingResponse]:
        """Send a request and wait for the head of its response; see HttpClient.stream.  Raises as it does."""
        began = time.monotonic()
        start, stop = request.body or (0, 0)
        codec = RequestCodec(self.address, request)
        self.tell(Asked(request.method, codec.target, stop - start))
        incoming = await self._over_kept(request, read_at, between)
        if incoming is None:
            incoming = await self._over(await self._connect(), codec, request, read_at, between)
        try:
            self.tell(Answered(incoming.response.status, time.monotonic() - began))
            yield incoming
        except BaseException:
            incoming.streams.close()
            raise
        if incoming.can_be_followed:
            incoming.streams.watch()
            self._kept.put(incoming.streams)
        else:
            incoming.streams.close()

    async def _over_kept(
        self, request: Request, read_at: ReadAt | None, between: AsyncBetweenPieces | None
    ) -> AsyncIncomingResponse | None:
        """Send a request over a kept connection.  None if there is none that can be used."""
        while (streams := self._kept.take(may_be_sent_twice=request.method in REPEATED)) is not None:
            if not await streams.is_quiet():
                streams.close()
                continue
            codec = RequestCodec(self.address, request)
            try:
                return await self._over(streams, codec, request, read_at, between)
            except CONNECTION_ERRORS as error:
                if not may_repeat(request, codec, error):
                    raise
        return None

    async def _over(
        self,
        streams: Streams,
        codec: RequestCodec,
        request: Request,
        read_at: ReadAt | None,
        between: AsyncBetweenPieces | None,
    ) -> AsyncIncomingResponse:
        """Send a request over this connection, which is closed if that fails."""
        incoming = AsyncIncomingResponse(codec, streams, self._timeouts, self._limit)
        reading = asyncio.create_task(incoming.read_head())
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                await incoming.send(reading, request, read_at, between)
            await self._head_read(streams, reading)
        except BaseException:
            streams.close()
            raise
        finally:
            reading.cancel()
        return incoming

    async def _head_read(self, streams: Streams, reading: asyncio.Task[None]) -> None:
        """Wait for the head of the response, as long as the peer takes the bytes that are on their way to it."""
        wait = HeadWait(streams.writer.get_extra_info("socket"), self._timeouts)
        while not reading.done():
            await asyncio.wait([reading], timeout=wait.left())
        reading.result()

    async def request(
        self, request: Request, read_at: ReadAt | None = None, between: AsyncBetweenPieces | None = None
    ) -> Response | Lost:
        """Send a request and read all of its response, which must be short; see HttpClient.request."""
        with unmarked():
            try:
                async with self.stream(request, read_at, between) as incoming:
                    return await incoming.read_short()
            except CONNECTION_ERRORS as error:
                self.tell(Unanswered(error_text(error)))
                return Lost(error_text(error))


class AsyncIncomingResponse:
    """The response to one request, read from a stream of asyncio piece by piece.  It also sends the request."""

    def __init__(
        self, codec: RequestCodec, streams: Streams, timeouts: Timeouts, limit: RateLimit | None = None
    ) -> None:
        self._codec, self.streams, self._timeouts, self._limit = codec, streams, timeouts, limit
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

    async def send(
        self,
        reading: asyncio.Task[None],
        request: Request,
        read_at: ReadAt | None,
        between: AsyncBetweenPieces | None,
    ) -> None:
        """Send a request, until all of it is sent or the response begins.  reading: waits for the response."""
        at, stop = request.body or (0, 0)
        writer = self.streams.writer
        writer.write(self._codec.head())
        while at < stop:
            assert read_at is not None
            data = await asyncio.to_thread(read_piece, read_at, at, min(PIECE_BYTES, stop - at))
            for part in send_slices(self._codec.piece(data), self._limit):
                await self._slow_down(len(part))
                writer.write(part)
                await asyncio.wait_for(writer.drain(), self._timeouts.idle_seconds)
            at += len(data)
            if at < stop and reading.done():
                return
            if at < stop and between is not None:
                with local():
                    await between()
        writer.write(self._codec.finish())

    async def _slow_down(self, n_bytes: int) -> None:
        """Wait as long as the limit of the rate demands for so many bytes."""
        if self._limit is not None:
            await asyncio.sleep(self._limit.count(n_bytes))

    async def read_head(self) -> None:
        """Wait for the head of the response, however long sending the request's body takes."""
        while self._codec.response is None:
            if self._codec.is_over:
                raise ConnectionError("the connection was closed without an answer")
            self._received += self._codec.received(await self.streams.reader.read(self._codec.receive_bytes))

    async def body(self) -> AsyncIterator[bytes]:
        """Read the pieces of the body; see IncomingResponse.body."""
        rate = RateCheck(self._timeouts)
        while True:
            for piece in self._received:
                yield piece
            self._received = []
            if self._codec.is_over:
                return
            most = self._codec.receive_bytes
            if self._limit is not None:
                most = min(most, self._limit.slice_bytes)
            data = await asyncio.wait_for(self.streams.reader.read(most), self._timeouts.idle_seconds)
            await self._slow_down(len(data))
            rate.received(len(data))
            self._received = self._codec.received(data)

    async def read_short(self) -> Response:
        """Read a short body; see IncomingResponse.read_short."""
        data = b""
        async for piece in self.body():
            data += piece
            if not fits_short_body(len(data)):
                break
        return with_body(self.response, data)
