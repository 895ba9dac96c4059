"""HTTP requests over asyncio's streams, each over a connection of its own: the counterpart of aeformat.net.client.http_client.

Owns waiting with asyncio.  Sizes, timeouts and the bytes of messages are those of http_client.  Files are read in threads and
written to the stream, where the blocking client lets the kernel send them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from aeformat.net.client import http_client
from aeformat.net.client.http_client import (
    CONNECT_SECONDS,
    SEND_BYTES,
    RateCheck,
    ReadAt,
    SendQueue,
    Timeouts,
    error_text,
    read_piece,
    send_slices,
)
from aeformat.net.client.http_messages import PIECE_BYTES, RequestCodec, ServerAddress, fits_short_body, with_body
from aeformat.net.client.local_errors import local, unmarked
from aeformat.transport.messages import Lost, Request, Response

CONNECTION_ERRORS: Final = (
    *http_client.CONNECTION_ERRORS,
    asyncio.TimeoutError,  # which is no OSError before Python 3.11
)

AsyncBetweenPieces = Callable[[], Awaitable[None]]  # as BetweenPieces


class AsyncHttpClient:
    """Sends requests to one server, each over a new connection."""

    def __init__(self, address: ServerAddress, timeouts: Timeouts) -> None:
        self.address, self._timeouts = address, timeouts
        self._tls = address.tls()

    @contextlib.asynccontextmanager
    async def stream(
        self, request: Request, read_at: ReadAt | None = None, between: AsyncBetweenPieces | None = None
    ) -> AsyncIterator[AsyncIncomingResponse]:
        """Send a request and wait for the head of its response; see HttpClient.stream.  Raises as it does."""
        codec = RequestCodec(self.address, request)
        head = codec.head()
        opening = asyncio.open_connection(self.address.host, self.address.port, ssl=self._tls, limit=PIECE_BYTES)
        reader, writer = await asyncio.wait_for(opening, CONNECT_SECONDS)
        writer.transport.set_write_buffer_limits(SEND_BYTES)  # that of TLS is larger
        incoming = AsyncIncomingResponse(codec, reader, self._timeouts)
        try:
            writer.write(head)
            reading = asyncio.create_task(incoming.read_head())
            try:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    await self._send_body(codec, writer, reading, request, read_at, between)
                await self._head_read(writer, reading)
            finally:
                reading.cancel()
            yield incoming
        finally:
            writer.transport.abort()

    async def _head_read(self, writer: asyncio.StreamWriter, reading: asyncio.Task[None]) -> None:
        """Wait for the head of the response, as long as the peer takes the bytes that are on their way to it."""
        queue = SendQueue(writer.get_extra_info("socket"))
        while True:
            try:
                return await asyncio.wait_for(asyncio.shield(reading), self._timeouts.idle_seconds)
            except asyncio.TimeoutError:
                if not queue.has_shrunk():
                    raise

    async def _send_body(
        self,
        codec: RequestCodec,
        writer: asyncio.StreamWriter,
        reading: asyncio.Task[None],
        request: Request,
        read_at: ReadAt | None,
        between: AsyncBetweenPieces | None,
    ) -> None:
        """Send the request's body, until all of it is sent or the response begins.  reading: waits for the response."""
        at, stop = request.body or (0, 0)
        while at < stop:
            assert read_at is not None
            data = await asyncio.to_thread(read_piece, read_at, at, min(PIECE_BYTES, stop - at))
            for part in send_slices(codec.piece(data)):
                writer.write(part)
                await asyncio.wait_for(writer.drain(), self._timeouts.idle_seconds)
            at += len(data)
            if reading.done():
                return
            if at < stop and between is not None:
                with local():
                    await between()
        writer.write(codec.finish())

    async def request(
        self, request: Request, read_at: ReadAt | None = None, between: AsyncBetweenPieces | None = None
    ) -> Response | Lost:
        """Send a request and read all of its response, which must be short; see HttpClient.request."""
        with unmarked():
            try:
                async with self.stream(request, read_at, between) as incoming:
                    return await incoming.read_short()
            except CONNECTION_ERRORS as error:
                return Lost(error_text(error))


class AsyncIncomingResponse:
    """The response to one request, read from a stream of asyncio piece by piece."""

    def __init__(self, codec: RequestCodec, reader: asyncio.StreamReader, timeouts: Timeouts) -> None:
        self._codec, self._reader, self._timeouts = codec, reader, timeouts
        self._received: list[bytes] = []  # pieces of the body that are not handed out yet

    @property
    def response(self) -> Response:
        """The head of the response.  It must have been read."""
        assert self._codec.response is not None
        return self._codec.response

    async def read_head(self) -> None:
        """Wait for the head of the response, however long sending the request's body takes."""
        rate: RateCheck | None = None
        while self._codec.response is None:
            if self._codec.is_over:
                raise ConnectionError("the connection was closed without an answer")
            data = await self._reader.read(self._codec.receive_bytes)
            rate = rate or RateCheck(self._timeouts)
            rate.received(len(data))
            self._received += self._codec.received(data)

    async def body(self) -> AsyncIterator[bytes]:
        """Read the pieces of the body; see IncomingResponse.body."""
        rate = RateCheck(self._timeouts)
        while True:
            for piece in self._received:
                yield piece
            self._received = []
            if self._codec.is_over:
                return
            reading = self._reader.read(self._codec.receive_bytes)
            data = await asyncio.wait_for(reading, self._timeouts.idle_seconds)
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
