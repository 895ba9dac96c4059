"""One exchange over asyncio's streams: the twin of aeformat.net.client.http_client, see there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from aeformat.net.client import http_client
from aeformat.net.client.http_client import CONNECT_SECONDS, PATIENCE_BYTES, Pace, Patience, Queue, ReadAt, parts, why
from aeformat.net.client.http_messages import PIECE_BYTES, Base, Exchange, is_small, with_body
from aeformat.transport.messages import Lost, Request, Response

BROKEN: Final = (*http_client.BROKEN, asyncio.TimeoutError)  # which is no OSError before Python 3.11

AsyncAside = Callable[[], Awaitable[None]]


class AsyncLine:
    """Exchanges with one server."""

    def __init__(self, base: Base, patience: Patience) -> None:
        self.base, self._patience = base, patience
        self._tls = base.tls()

    @contextlib.asynccontextmanager
    async def exchange(
        self, request: Request, read_at: ReadAt | None = None, aside: AsyncAside | None = None
    ) -> AsyncIterator[AsyncAnswering]:
        """Send a request.  Raises what is in BROKEN."""
        exchange = Exchange(self.base, request)
        head = exchange.head()
        opening = asyncio.open_connection(self.base.host, self.base.port, ssl=self._tls, limit=PIECE_BYTES)
        reader, writer = await asyncio.wait_for(opening, CONNECT_SECONDS)
        writer.transport.set_write_buffer_limits(PATIENCE_BYTES)  # that of TLS is larger
        answering = AsyncAnswering(exchange, reader, self._patience)
        try:
            writer.write(head)
            reading = asyncio.create_task(answering.read_head())
            try:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    await self._send_body(exchange, writer, reading, request, read_at, aside)
                await self._answered(writer, reading)
            finally:
                reading.cancel()
            yield answering
        finally:
            writer.transport.abort()

    async def _answered(self, writer: asyncio.StreamWriter, reading: asyncio.Task[None]) -> None:
        """Wait as long as the peer takes what is on its way to it."""
        queue = Queue(writer.get_extra_info("socket"))
        while True:
            try:
                return await asyncio.wait_for(asyncio.shield(reading), self._patience.idle_seconds)
            except asyncio.TimeoutError:
                if not queue.has_shrunk():
                    raise

    async def _send_body(
        self,
        exchange: Exchange,
        writer: asyncio.StreamWriter,
        reading: asyncio.Task[None],
        request: Request,
        read_at: ReadAt | None,
        aside: AsyncAside | None,
    ) -> None:
        at, stop = request.body or (0, 0)
        while at < stop:
            assert read_at is not None
            data = await asyncio.to_thread(read_at, at, min(PIECE_BYTES, stop - at))
            if not data:
                raise OSError("the file became shorter while it was sent")
            for part in parts(exchange.piece(data)):
                writer.write(part)
                await asyncio.wait_for(writer.drain(), self._patience.idle_seconds)
            at += len(data)
            if reading.done():
                return
            if at < stop and aside is not None:
                await aside()
        writer.write(exchange.finish())

    async def ask(
        self, request: Request, read_at: ReadAt | None = None, aside: AsyncAside | None = None
    ) -> Response | Lost:
        """A request whose answer is small."""
        try:
            async with self.exchange(request, read_at, aside) as answering:
                return await answering.small()
        except BROKEN as error:
            return Lost(why(error))


class AsyncAnswering:
    """A response as it comes, over asyncio's streams."""

    def __init__(self, exchange: Exchange, reader: asyncio.StreamReader, patience: Patience) -> None:
        self._exchange, self._reader, self._patience = exchange, reader, patience
        self._ahead: list[bytes] = []

    @property
    def response(self) -> Response:
        """Its head."""
        assert self._exchange.response is not None
        return self._exchange.response

    async def read_head(self) -> None:
        """Wait for the head of the response, however long the body takes to send."""
        pace: Pace | None = None
        while self._exchange.response is None:
            if self._exchange.is_over:
                raise ConnectionError("the connection was closed without an answer")
            data = await self._reader.read(self._exchange.room)
            pace = pace or Pace(self._patience)
            pace.passed(len(data))
            self._ahead += self._exchange.received(data)

    async def body(self) -> AsyncIterator[bytes]:
        """See Answering.body."""
        pace = Pace(self._patience)
        while True:
            for piece in self._ahead:
                yield piece
            self._ahead = []
            if self._exchange.is_over:
                return
            data = await asyncio.wait_for(self._reader.read(self._exchange.room), self._patience.idle_seconds)
            pace.passed(len(data))
            self._ahead = self._exchange.received(data)

    async def small(self) -> Response:
        """See Answering.small."""
        data = b""
        async for piece in self.body():
            data += piece
            if not is_small(len(data)):
                break
        return with_body(self.response, data)
