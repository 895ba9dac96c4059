"""HTTP/1.1 for uvicorn: an asyncio protocol that parses heads with h11 and moves bodies without it.

Owns the life of a connection: one request at a time, the time limit for a head (slowloris), the rest of a body after an early
answer (T6-4).  A body of stated length is received into buffers that are handed over without a copy, and files are sent by the
kernel; h11 sees no byte of either.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar
from urllib.parse import unquote

import h11
from starlette.types import ASGIApp, Scope

from aeformat.net.server import request_context
from aeformat.net.server.json_log import fields
from aeformat.net.server.request_buffer import RequestBuffer
from aeformat.net.server.request_cycle import REASONS, SEND_FILE, RequestCycle
from aeformat.transport import draft
from aeformat.transport.transfer_limits import TransferLimits

log = logging.getLogger("aeformat.server")
_T = TypeVar("_T")

_SCRATCH = memoryview(bytearray(1 << 16))  # receives heads, for all connections; it is read before it is used again


class Connection(asyncio.BufferedProtocol):
    """One connection of a uvicorn server."""

    def __init__(self, config: Any, server_state: Any, app_state: Any, limits: TransferLimits, head_bytes: int) -> None:
        if not config.loaded:
            config.load()
        self._app: ASGIApp = config.loaded_app
        self._state, self._app_state, self._root_path = server_state, app_state, config.root_path
        self._limits, self._head_bytes = limits, head_bytes
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._h11 = self._new_parser()
        self._cycle: RequestCycle | None = None  # the request in progress
        self._draining: int | None = None  # bytes of a body that are still to be dropped; -1: all that come
        self._must_close = False
        self._n_ahead = 0  # bytes of the body that were passed to h11 with the head

    def _new_parser(self) -> h11.Connection:
        return h11.Connection(h11.SERVER, max_incomplete_event_size=self._head_bytes)

    # Callbacks of asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the first request.  If there are too many connections, answer 503."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.is_writable = asyncio.Event()
        self.is_writable.set()
        self._state.connections.add(self)
        self._start_timer(self._limits.header_seconds)
        if len(self._state.connections) > self._limits.connections:
            self._refuse(503)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the request in progress that the connection is gone."""
        self._state.connections.discard(self)
        self._stop_timer()
        self.is_writable.set()
        if self._cycle is not None:
            self._cycle.lost()

    def pause_writing(self) -> None:
        """Stop sending: the client does not receive fast enough."""
        self.is_writable.clear()

    def resume_writing(self) -> None:
        """Go on sending."""
        self.is_writable.set()

    def get_buffer(self, sizehint: int) -> memoryview:
        """The memory for the next bytes: the request's buffer for its body, _SCRATCH for all else."""
        return _SCRATCH if self._buffer is None else self._buffer.space()

    @property
    def _buffer(self) -> RequestBuffer | None:
        """The buffer of a body of stated length that is being received, None if there is none."""
        cycle = self._cycle
        return cycle.buffer if cycle is not None and cycle.buffer.left else None

    def buffer_updated(self, nbytes: int) -> None:
        """Take nbytes that were received: bytes of a body, of a head, or bytes to be dropped."""
        buffer = self._buffer
        if buffer is not None:
            buffer.fill(nbytes)
            self._body_received()
        elif self._draining is None:
            self._head_received(bytes(_SCRATCH[:nbytes]))
        elif self._draining > 0:
            self._draining = max(0, self._draining - nbytes)
            if not self._draining:
                self.transport.close()

    def shutdown(self) -> None:
        """Stop the connection after the request in progress (T7-2)."""
        self._must_close = True
        if self._cycle is None:
            self.transport.close()

    # Time.

    def _start_timer(self, seconds: float) -> None:
        self._stop_timer()
        self._timer = self._loop.call_later(seconds, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # Requests.

    def _head_received(self, data: bytes) -> None:
        self._h11.receive_data(data)
        self._handle_events()

    def _handle_events(self) -> None:
        try:
            while True:
                event = self._h11.next_event()
                if event is h11.NEED_DATA:
                    return
                if event is h11.PAUSED:  # the next request came before this one was answered
                    self.transport.pause_reading()
                    return
                if isinstance(event, h11.Request):
                    self._begin_request(event)
                    if self._buffer is not None or not self._is_chunked:
                        return
                elif isinstance(event, h11.Data):
                    assert self._cycle is not None
                    self._cycle.buffer.append(event.data)
                    self._body_received()
                elif isinstance(event, h11.EndOfMessage):
                    assert self._cycle is not None
                    self._cycle.buffer.is_over = True
                    self._body_received()
        except h11.RemoteProtocolError as error:
            self._malformed(error)

    @property
    def _is_chunked(self) -> bool:
        return self._cycle is not None and self._cycle.buffer.left is None

    def _body_received(self) -> None:
        cycle = self._cycle
        assert cycle is not None
        if cycle.buffer.is_full and not cycle.buffer.is_over:
            self.transport.pause_reading()
        cycle.input_event.set()

    def _begin_request(self, request: h11.Request) -> None:
        self._stop_timer()
        headers = [(bytes(name), bytes(text)) for name, text in request.headers]
        path, _, query = bytes(request.target).partition(b"?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": request.http_version.decode("ascii"),
            "server": _address(self.transport.get_extra_info("sockname")),
            "client": _address(self.transport.get_extra_info("peername")),
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
            buffer = RequestBuffer(None, b"")
        else:
            length = int(named.get(b"content-length", b"0"))
            ahead, _ = self._h11.trailing_data
            buffer = RequestBuffer(length, ahead[:length], offset=_offset(named))
            self._n_ahead = min(length, len(ahead))
        cycle = self._cycle = RequestCycle(self, self._h11, scope, buffer, self._limits.idle_seconds)
        if not self._tls:
            scope["extensions"][SEND_FILE] = cycle.send_file
        task = self._loop.create_task(cycle.run(self._app))
        self._state.tasks.add(task)
        task.add_done_callback(partial(self._request_done, scope))
        if buffer.is_over or buffer.is_full:
            self.transport.pause_reading()

    def _request_done(self, scope: Scope, task: asyncio.Task[None]) -> None:
        self._state.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a request failed", exc_info=error, extra=fields(request_id=scope.get(request_context.KEY)))

    @property
    def _tls(self) -> ssl.SSLObject | None:
        found: ssl.SSLObject | None = self.transport.get_extra_info("ssl_object")
        return found

    def _malformed(self, error: h11.RemoteProtocolError) -> None:
        """Answer a malformed request (section 6, last line).  If an answer is being sent already, close the connection."""
        if self._cycle is not None:
            self.transport.abort()
            return
        self._refuse(431 if error.error_status_hint == 431 else 400)

    def _refuse(self, status: int) -> None:
        """Send an answer without a body, and close the connection."""
        named = [("Connection", "close"), ("Content-Length", "0")]
        for event in (h11.Response(status_code=status, headers=named, reason=REASONS[status]), h11.EndOfMessage()):
            self.transport.write(self._h11.send(event) or b"")
        self._drain(-1)

    # The end of a request.

    @property
    def must_close(self) -> bool:
        """Whether to close the connection after this answer: the server is stopping, or the request's body is incomplete."""
        return self._must_close or (self._cycle is not None and not self._cycle.buffer.is_over)

    def finished(self, *, is_last: bool) -> None:
        """Report that the answer is sent.  is_last: whether HTTP demands that the connection is closed after it."""
        cycle, self._cycle = self._cycle, None
        assert cycle is not None
        self._state.total_requests += 1
        if self.transport.is_closing():
            return
        if not cycle.buffer.is_over:
            self._drain(-1 if cycle.buffer.left is None else cycle.buffer.left)
        elif is_last:
            self._start_timer(self._limits.idle_seconds)  # for the client to receive the rest
            self.transport.close()
        else:
            left = self._h11.trailing_data[0][self._n_ahead :]  # of the next request
            self._h11, self._n_ahead = self._new_parser(), 0
            self._start_timer(self._limits.header_seconds)
            self.transport.resume_reading()
            if left:
                self._head_received(left)

    def _drain(self, n_bytes: int) -> None:
        """Receive and drop the rest of a body, so that the client can read the answer; a reset would discard it (T6-4).

        n_bytes: the number of bytes to drop; -1 for all until the client closes.
        """
        self._draining = n_bytes
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._start_timer(self._limits.header_seconds)
        self.transport.resume_reading()


def _address(name: object) -> tuple[str, int] | None:
    """Host and port of one end of a connection; None for that of a Unix socket."""
    return (name[0], name[1]) if isinstance(name, tuple) else None


def _offset(named: dict[bytes, bytes]) -> int:
    """The offset in a file that the body is for; 0 for a malformed one, which the application refuses later."""
    try:
        return draft.integer(draft.OFFSET, named.get(draft.OFFSET.lower().encode("ascii"), b"0").decode("latin-1"))
    except draft.BadField:
        return 0


def connections(limits: TransferLimits, head_bytes: int) -> Callable[..., asyncio.BufferedProtocol]:
    """Make the function that uvicorn calls for each new connection.

    head_bytes: the largest size of a request line with its header.
    """

    def connect(config: Any, server_state: Any, app_state: Any, _loop: object = None) -> asyncio.BufferedProtocol:
        return Connection(config, server_state, app_state, limits, head_bytes)

    return connect
