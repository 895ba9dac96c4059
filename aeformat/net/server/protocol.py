"""HTTP/1.1 for uvicorn: an asyncio protocol that parses heads with h11 and moves bodies without it.

Owns the life of a connection: one request at a time, what HTTP/1.1 demands of its form (T2-14), the time limit for a head
(slowloris), the rest of a body after an early answer (T6-4).  A body of stated length is received into buffers that are handed
over without a copy, and files are sent by the kernel; h11 sees no byte of either.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar
from urllib.parse import unquote

import h11
from starlette.types import ASGIApp, Scope

from aeformat.net.server import request_context
from aeformat.net.server.connection_table import ConnectionTable
from aeformat.net.server.json_log import fields
from aeformat.net.server.request_buffer import RequestBuffer
from aeformat.net.server.request_cycle import INTERIM, REASONS, SEND_FILE, WATCH, RequestCycle, date_field
from aeformat.transport import draft
from aeformat.transport.structured import BadField
from aeformat.transport.transfer_limits import TransferLimits

log = logging.getLogger("aeformat.server")
_T = TypeVar("_T")

_ABSOLUTE: Final = re.compile(rb"https?://([^/?#@]+)([/?].*)?", re.IGNORECASE)  # RFC 9112, 3.2.2
_SCRATCH = memoryview(bytearray(1 << 16))  # receives heads, for all connections; it is read before it is used again


class Connection(asyncio.BufferedProtocol):
    """One connection of a uvicorn server."""

    def __init__(
        self,
        config: Any,
        server_state: Any,
        app_state: Any,
        limits: TransferLimits,
        head_bytes: int,
        table: ConnectionTable,
    ) -> None:
        if not config.loaded:
            config.load()
        self._app: ASGIApp = config.loaded_app
        self._state, self._app_state = server_state, app_state
        self._limits, self._head_bytes, self._table = limits, head_bytes, table
        self.transport: asyncio.Transport  # after the TLS handshake
        self.sock: socket.socket | None = None  # as it was accepted, until then
        self.is_refused = False
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._h11 = self._new_parser()
        self._cycle: RequestCycle | None = None  # the request in progress
        self._draining: int | None = None  # bytes of a body that are still to be dropped; -1: all that come
        self._must_close = False
        self._n_ahead = 0  # bytes of the body that were passed to h11 with the head
        self._early = b""  # of the next request, which came before this one was answered

    def _new_parser(self) -> h11.Connection:
        return h11.Connection(h11.SERVER, max_incomplete_event_size=self._head_bytes)

    # Callbacks of asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the first request.  If there are too many connections, answer 503 (T7-3)."""
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.sock = transport, None
        _send_at_once(transport)
        self.is_writable = asyncio.Event()
        self.is_writable.set()
        self._state.connections.add(self)
        self._start_timer(self._limits.header_seconds)
        if self.is_refused:
            self._refuse(503)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the request in progress that the connection is gone."""
        self._state.connections.discard(self)
        self._table.remove(self)
        self._stop_timer()
        self.is_writable.set()
        if self._cycle is not None:
            self._cycle.lost()

    def drop(self) -> None:
        """Close the connection now: another one takes its place (T7-3)."""
        if self.sock is None:
            self.transport.abort()
            return
        with contextlib.suppress(OSError):  # the handshake fails, and closes the socket
            self.sock.shutdown(socket.SHUT_RDWR)

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
        elif self._draining is None and self._cycle is not None and self._cycle.buffer.is_over:
            self._early += _SCRATCH[:nbytes]
            self.transport.pause_reading()
        elif self._draining is None:
            self._head_received(bytes(_SCRATCH[:nbytes]))
        elif self._draining > 0:
            self._draining = max(0, self._draining - nbytes)
            if not self._draining:
                self.transport.close()

    def watch(self) -> None:
        """Receive on, for the rest of a request that has no body: a client that closes the connection is noticed (T7-7).

        What comes is the next request; with its first bytes receiving pauses again.
        """
        self.transport.resume_reading()

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
                    if not _is_well_formed(event):
                        self._refuse(400)
                        return
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
        self._table.begun(self)
        target, headers = _target(request)
        path, _, query = target.partition(b"?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": request.http_version.decode("ascii"),
            "server": _address(self.transport.get_extra_info("sockname")),
            "client": _address(self.transport.get_extra_info("peername")),
            "scheme": "https" if self._tls else "http",
            "method": request.method.decode("ascii"),
            "root_path": "",
            "path": unquote(path.decode("ascii")),
            "raw_path": path,
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
        if buffer.is_over and not self._n_ahead:
            scope["extensions"][WATCH] = self.watch
        if not self._tls:
            scope["extensions"][SEND_FILE] = cycle.send_file
        if request.http_version != b"1.0":  # RFC 9110, 15.2
            scope["extensions"][INTERIM] = cycle.interim
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
        """Answer a malformed request (section 6, last line), or its body: that is left to the application."""
        if self._cycle is not None:
            self.transport.pause_reading()
            self._cycle.malformed()
            return
        self._refuse(431 if error.error_status_hint == 431 else 400)

    def _refuse(self, status: int) -> None:
        """Send an answer without a body, and close the connection."""
        named = [(b"Connection", b"close"), (b"Content-Length", b"0"), date_field()]
        self.transport.write(
            self._h11.send(h11.Response(status_code=status, headers=named, reason=REASONS[status])) or b""
        )
        self._h11.send(h11.EndOfMessage())
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
        if not (cycle.buffer.is_over and is_last):
            self._table.ended(self)
        if not cycle.buffer.is_over:
            self._drain(-1 if cycle.buffer.left is None else cycle.buffer.left)
        elif is_last:
            self._start_timer(self._limits.idle_seconds)  # for the client to receive the rest
            self.transport.close()
        else:
            left = self._h11.trailing_data[0][self._n_ahead :] + self._early  # of the next request
            self._h11, self._n_ahead, self._early = self._new_parser(), 0, b""
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
            with contextlib.suppress(OSError):  # the client has reset the connection: connection_lost comes next
                self.transport.write_eof()
        self._start_timer(self._limits.header_seconds)
        self.transport.resume_reading()


def _address(name: object) -> tuple[str, int] | None:
    """Host and port of one end of a connection; None for that of a Unix socket."""
    return (name[0], name[1]) if isinstance(name, tuple) else None


def _send_at_once(transport: asyncio.Transport) -> None:
    """Have the kernel send what is written at once (TCP_NODELAY), instead of up to 40 ms later on a kept connection.

    asyncio does this itself only for sockets that name their protocol, which those of socket.create_server do not.
    """
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _is_well_formed(request: h11.Request) -> bool:
    """Whether it is clear what a request asks for and where its body ends (T2-14); h11 has checked the rest."""
    names = {name for name, _ in request.headers}
    is_framed = b"transfer-encoding" not in names or (
        b"content-length" not in names and request.http_version != b"1.0"
    )  # RFC 9112, 6.1
    target = bytes(request.target)
    return is_framed and (target[:1] == b"/" or target == b"*" or _ABSOLUTE.fullmatch(target) is not None)


def _target(request: h11.Request) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """The path with the query that a request asks for, and its header fields.

    The host of an absolute form stands above the field Host (RFC 9112, 3.2.2).
    """
    target = bytes(request.target)
    headers = [(bytes(name), bytes(text)) for name, text in request.headers]
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        return target, headers
    host, rest = absolute.groups(b"")
    others = [field for field in headers if field[0] != b"host"]
    return rest if rest[:1] == b"/" else b"/" + rest, [(b"host", host), *others]


def _offset(named: dict[bytes, bytes]) -> int:
    """The offset in a file that the body is for; 0 for a malformed one, which the application refuses later."""
    try:
        return draft.integer(draft.OFFSET, named.get(draft.OFFSET.lower().encode("ascii"), b"0").decode("latin-1"))
    except BadField:
        return 0


def connections(
    limits: TransferLimits, head_bytes: int, table: ConnectionTable
) -> Callable[..., asyncio.BufferedProtocol]:
    """Make the function that uvicorn calls for each new connection.

    head_bytes: the largest size of a request line with its header.  table: where they are counted.
    """

    def connect(config: Any, server_state: Any, app_state: Any, _loop: object = None) -> asyncio.BufferedProtocol:
        return Connection(config, server_state, app_state, limits, head_bytes, table)

    return connect
