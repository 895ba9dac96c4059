"""HTTP/1.1 on one connection of uvicorn's: heads by h11, bodies straight from and to the socket.

Owns the life of a connection: one request at a time, the time a head may take (slowloris), what happens to a body that nobody
wants any more (T6-4), and that a client takes what it asked for (section 7).  Bodies of a stated length are received into
buffers that are handed on as they are, and files are sent by the kernel; h11 sees no byte of either.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, BinaryIO, Final, TypeVar
from urllib.parse import unquote

import h11
from starlette.types import ASGIApp, Message

from aeformat.net.server.request_buffer import Inbox
from aeformat.net.slices import LEAST_BYTES, Slices, Span
from aeformat.transport import draft
from aeformat.transport.transfer_limits import TransferLimits

log = logging.getLogger("aeformat.server")
_T = TypeVar("_T")

SEND_FILE: Final = "aeformat.send_file"  # in scope["extensions"] where the kernel can send files
_MOST_BYTES: Final = 1 << 20  # of a file at a time: for how long a client that takes no more is waited for
_REASONS: Final = {status.value: status.phrase.encode() for status in HTTPStatus}
_SCRATCH = memoryview(bytearray(1 << 16))  # heads pass through it; emptied before it is lent again


class Disconnected(Exception):
    """There is nobody to send to any more."""


class Connection(asyncio.BufferedProtocol):
    """One connection, for one uvicorn server."""

    def __init__(self, config: Any, server_state: Any, app_state: Any, limits: TransferLimits, head_bytes: int) -> None:
        if not config.loaded:
            config.load()
        self._app: ASGIApp = config.loaded_app
        self._state, self._app_state, self._root_path = server_state, app_state, config.root_path
        self._limits, self._head_bytes = limits, head_bytes
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._h11 = self._new()
        self._exchange: Exchange | None = None  # in progress
        self._draining: int | None = None  # bytes of a body that nobody wants; -1: all that comes
        self._must_close = False
        self._n_ahead = 0  # bytes of the body that h11 was given with the head

    def _new(self) -> h11.Connection:
        return h11.Connection(h11.SERVER, max_incomplete_event_size=self._head_bytes)

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a head."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.is_writable = asyncio.Event()
        self.is_writable.set()
        self._state.connections.add(self)
        self._arm(self._limits.header_seconds)
        if len(self._state.connections) > self._limits.connections:
            self._refuse(503)

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits is told."""
        self._state.connections.discard(self)
        self._disarm()
        self.is_writable.set()
        if self._exchange is not None:
            self._exchange.lost()

    def pause_writing(self) -> None:
        """The client does not take what is sent."""
        self.is_writable.clear()

    def resume_writing(self) -> None:
        """It does again."""
        self.is_writable.set()

    def get_buffer(self, sizehint: int) -> memoryview:
        """A body's own piece, or for all else a buffer that is emptied at once."""
        return _SCRATCH if self._inbox is None else self._inbox.room()

    @property
    def _inbox(self) -> Inbox | None:
        """Of a body that comes straight from the socket."""
        exchange = self._exchange
        return exchange.inbox if exchange is not None and exchange.inbox.left else None

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes of a body, of a head, or of something that nobody wants."""
        inbox = self._inbox
        if inbox is not None:
            inbox.take(nbytes)
            self._has_body()
        elif self._draining is None:
            self._received(bytes(_SCRATCH[:nbytes]))
        elif self._draining > 0:
            self._draining = max(0, self._draining - nbytes)
            if not self._draining:
                self.transport.close()

    def shutdown(self) -> None:
        """The server is stopping: finish the request, take no other (T7-2)."""
        self._must_close = True
        if self._exchange is None:
            self.transport.close()

    # Time.

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._timer = self._loop.call_later(seconds, self.transport.abort)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # Requests.

    def _received(self, data: bytes) -> None:
        self._h11.receive_data(data)
        self._events()

    def _events(self) -> None:
        try:
            while True:
                event = self._h11.next_event()
                if event is h11.NEED_DATA:
                    return
                if event is h11.PAUSED:  # the next request came before this one was answered
                    self.transport.pause_reading()
                    return
                if isinstance(event, h11.Request):
                    self._begin(event)
                    if self._inbox is not None or not self._exchange_is_chunked:
                        return
                elif isinstance(event, h11.Data):
                    assert self._exchange is not None
                    self._exchange.inbox.append(event.data)
                    self._has_body()
                elif isinstance(event, h11.EndOfMessage):
                    assert self._exchange is not None
                    self._exchange.inbox.is_over = True
                    self._has_body()
        except h11.RemoteProtocolError as error:
            self._malformed(error)

    @property
    def _exchange_is_chunked(self) -> bool:
        return self._exchange is not None and self._exchange.inbox.left is None

    def _has_body(self) -> None:
        exchange = self._exchange
        assert exchange is not None
        if exchange.inbox.is_full and not exchange.inbox.is_over:
            self.transport.pause_reading()
        exchange.news.set()

    def _begin(self, request: h11.Request) -> None:
        self._disarm()
        headers = [(bytes(name), bytes(text)) for name, text in request.headers]
        path, _, query = bytes(request.target).partition(b"?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": request.http_version.decode("ascii"),
            "server": (self.transport.get_extra_info("sockname") or ("", 0))[:2],
            "client": (self.transport.get_extra_info("peername") or ("", 0))[:2],
            "scheme": "https" if self._tls else "http",
            "method": request.method.decode("ascii"),
            "root_path": self._root_path,
            "path": self._root_path + unquote(path.decode("ascii")),
            "raw_path": self._root_path.encode("ascii") + path,
            "query_string": query,
            "headers": headers,
            "state": self._app_state.copy(),
            "extensions": {},
        }
        named = dict(headers)
        if b"transfer-encoding" in named:
            inbox = Inbox(None, b"")
        else:
            length = int(named.get(b"content-length", b"0"))
            ahead, _ = self._h11.trailing_data
            inbox = Inbox(length, ahead[:length], offset=_offset(named))
            self._n_ahead = min(length, len(ahead))
        exchange = self._exchange = Exchange(self, self._h11, scope, inbox, self._limits.idle_seconds)
        if not self._tls:
            scope["extensions"][SEND_FILE] = exchange.send_file
        task = self._loop.create_task(exchange.run(self._app))
        self._state.tasks.add(task)
        task.add_done_callback(self._ended)
        if inbox.is_over or inbox.is_full:
            self.transport.pause_reading()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._state.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a request failed", exc_info=error)

    @property
    def _tls(self) -> ssl.SSLObject | None:
        found: ssl.SSLObject | None = self.transport.get_extra_info("ssl_object")
        return found

    def _malformed(self, error: h11.RemoteProtocolError) -> None:
        """Section 6, last line; where an answer is under way already, nothing fits but the end of the connection."""
        if self._exchange is not None:
            self.transport.abort()
            return
        self._refuse(431 if error.error_status_hint == 431 else 400)

    def _refuse(self, status: int) -> None:
        """A bare answer, and the end of the connection."""
        named = [("Connection", "close"), ("Content-Length", "0")]
        for event in (h11.Response(status_code=status, headers=named, reason=_REASONS[status]), h11.EndOfMessage()):
            self.transport.write(self._h11.send(event) or b"")
        self._linger(-1)

    # The end of an exchange.

    @property
    def must_close(self) -> bool:
        """Whether this answer is the last one: the server is stopping, or the request's body is not all there."""
        return self._must_close or (self._exchange is not None and not self._exchange.inbox.is_over)

    def finished(self, *, is_last: bool) -> None:
        """The answer is sent."""
        exchange, self._exchange = self._exchange, None
        assert exchange is not None
        self._state.total_requests += 1
        if self.transport.is_closing():
            return
        if not exchange.inbox.is_over:
            self._linger(-1 if exchange.inbox.left is None else exchange.inbox.left)
        elif is_last:
            self._arm(self._limits.idle_seconds)  # for the client to take the rest
            self.transport.close()
        else:
            left = self._h11.trailing_data[0][self._n_ahead :]  # of the next request
            self._h11, self._n_ahead = self._new(), 0
            self._arm(self._limits.header_seconds)
            self.transport.resume_reading()
            if left:
                self._received(left)

    def _linger(self, n_bytes: int) -> None:
        """Drop the rest of a body, so that the client reads the answer; a reset would take it away (T6-4)."""
        self._draining = n_bytes
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._arm(self._limits.header_seconds)
        self.transport.resume_reading()


class Exchange:
    """One request and its answer: what the application sees."""

    def __init__(
        self, connection: Connection, protocol: h11.Connection, scope: dict[str, Any], inbox: Inbox, patience: float
    ) -> None:
        """patience: seconds that the client has for each slice of the answer."""
        self._connection, self._h11, self._scope, self.inbox = connection, protocol, scope, inbox
        self._patience = patience
        self.news = asyncio.Event()  # more of the body, or the end
        self._is_lost = self._is_begun = self._is_complete = self._is_received = False
        if not inbox.is_empty or inbox.is_over:
            self.news.set()

    def lost(self) -> None:
        """The connection is gone."""
        self._is_lost = True
        self.news.set()

    async def run(self, app: ASGIApp) -> None:
        """Call the application; whatever it does, the client gets an answer or the end of the connection."""
        try:
            with contextlib.suppress(Disconnected):
                await app(self._scope, self.receive, self.send)
        finally:
            if not self._is_complete:
                self._connection.transport.abort()

    async def receive(self) -> Message:
        """ASGI.  A body comes in pieces of what has arrived, to be kept or written over as the receiver likes."""
        connection = self._connection
        if self._h11.they_are_waiting_for_100_continue and not self._is_begun:
            continued = h11.InformationalResponse(status_code=100, headers=[], reason=_REASONS[100])
            connection.transport.write(self._h11.send(continued) or b"")
        while not self._is_lost and not self._is_complete and (self._is_received or not self._has_news):
            self.news.clear()
            await self.news.wait()
        if self._is_lost or self._is_complete:
            return {"type": "http.disconnect"}
        is_over, data = self.inbox.is_over, self.inbox.hand_over()
        self._is_received = is_over
        if not is_over:
            connection.transport.resume_reading()
        return {"type": "http.request", "body": data, "more_body": not is_over}

    @property
    def _has_news(self) -> bool:
        return self.inbox.is_over or not self.inbox.is_empty

    async def send(self, message: Message) -> None:
        """ASGI.  Raises Disconnected, also for a client that does not take a slice in idle_seconds."""
        if self._is_lost:
            raise Disconnected
        if message["type"] == "http.response.start":
            self._is_begun = True
            headers = list(message.get("headers", ()))
            if self._connection.must_close:
                headers.append((b"connection", b"close"))
            self._write(
                h11.Response(status_code=message["status"], headers=headers, reason=_REASONS[message["status"]])
            )
            return
        body = memoryview(b"" if self._scope["method"] == "HEAD" else message.get("body", b""))
        for at in range(0, len(body), LEAST_BYTES):
            self._write(h11.Data(data=body[at : at + LEAST_BYTES]))  # type: ignore[arg-type]
            await self._in_time(self._connection.is_writable.wait())
        if not message.get("more_body", False):
            self._complete()

    async def send_file(self, file: BinaryIO, at: int, stop: int, sent: Callable[[int], None]) -> None:
        """The rest of the answer is these bytes of a file.  sent: told of each slice.  Raises Disconnected."""
        slices, loop = Slices(_MOST_BYTES), asyncio.get_running_loop()
        while at < stop:
            n_bytes = slices.next(stop - at)
            self._h11.send_with_data_passthrough(h11.Data(data=Span(n_bytes)))  # type: ignore[arg-type]
            sending = loop.sendfile(self._connection.transport, file, at, n_bytes)
            n_sent = await self._in_time(sending, max(1.0, n_bytes / LEAST_BYTES))
            if n_sent < n_bytes:
                raise OSError(f"{file.name} is shorter than it was")
            slices.ended()
            at += n_bytes
            sent(n_bytes)
        self._complete()

    async def _in_time(self, waiting: Awaitable[_T], n_slices: float = 1.0) -> _T:
        try:
            found = await asyncio.wait_for(waiting, self._patience * n_slices)
        except (
            asyncio.TimeoutError,
            OSError,
            RuntimeError,
        ) as error:  # RuntimeError: asyncio's, for a closed transport
            self._connection.transport.abort()
            raise Disconnected from error
        if self._is_lost:
            raise Disconnected
        return found

    def _write(self, event: h11.Event) -> None:
        for data in self._h11.send_with_data_passthrough(event) or ():
            self._connection.transport.write(data)

    def _complete(self) -> None:
        self._write(h11.EndOfMessage())
        self._is_complete = True
        self.news.set()
        self._connection.finished(is_last=self._h11.our_state is not h11.DONE)


def _offset(named: dict[bytes, bytes]) -> int:
    """Where in a file the body goes; what is no number the application refuses."""
    try:
        return draft.integer(draft.OFFSET, named.get(draft.OFFSET.lower().encode("ascii"), b"0").decode("latin-1"))
    except draft.BadField:
        return 0


def connections(limits: TransferLimits, head_bytes: int) -> Callable[..., asyncio.BufferedProtocol]:
    """What uvicorn is to call for each new connection.  head_bytes: most of a request line with its header."""

    def connect(config: Any, server_state: Any, app_state: Any, _loop: object = None) -> asyncio.BufferedProtocol:
        return Connection(config, server_state, app_state, limits, head_bytes)

    return connect
