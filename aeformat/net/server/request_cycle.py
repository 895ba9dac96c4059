"""One request and its answer, between the HTTP protocol and the ASGI application.

Owns the ASGI messages of one request, and the time limit for a client that does not receive the answer (section 7 of
spec/transport.md).  The head of an answer leaves with the first bytes of its body, in one piece.  Large files are sent by the
kernel.
"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import functools
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, BinaryIO, Final, Protocol, TypeVar

import h11
from starlette.types import ASGIApp, Message

from aeformat.net.server.request_buffer import RequestBuffer
from aeformat.net.slices import LEAST_BYTES, SkippedBytes, SliceSizes

_T = TypeVar("_T")

SEND_FILE: Final = "aeformat.send_file"  # key in scope["extensions"], if the kernel can send files
INTERIM: Final = "aeformat.interim"  # key in scope["extensions"], if interim answers can be sent
WATCH: Final = (
    "aeformat.watch"  # key in scope["extensions"], if a request without a body can be watched: see Connection.watch
)
REASONS: Final = {status.value: status.phrase.encode() for status in HTTPStatus} | {104: b"Upload Resumption Supported"}
_MOST_BYTES: Final = 1 << 20  # of a file in one slice: it bounds the wait for a client that receives nothing
_SMALL_BYTES: Final = 1 << 16  # a body up to this size is sent together with the head


def date_field() -> tuple[bytes, bytes]:
    """The field Date, which every answer has (T2-13)."""
    return b"date", _date(int(time.time()))


@functools.lru_cache(maxsize=1)
def _date(seconds: int) -> bytes:
    return email.utils.formatdate(seconds, usegmt=True).encode("ascii")


class Disconnected(Exception):
    """The connection to the client is gone, so that nothing can be sent."""


class ClientConnection(Protocol):
    """The connection that a request came on.  is_writable: is cleared while the client does not receive fast enough."""

    transport: asyncio.Transport
    is_writable: asyncio.Event

    @property
    def must_close(self) -> bool:
        """Whether to close the connection after this answer."""

    def finished(self, *, is_last: bool) -> None:
        """Report that the answer is sent.  is_last: whether HTTP demands that the connection is closed after it."""


class RequestCycle:
    """One request and its answer, as the ASGI application sees them.

    input_event: is set when there is more of the body to receive, or the request has ended.
    """

    def __init__(
        self,
        connection: ClientConnection,
        protocol: h11.Connection,
        scope: dict[str, Any],
        buffer: RequestBuffer,
        seconds_a_slice: float,
    ) -> None:
        """Begin a request.  seconds_a_slice: the time that the client has to receive one slice of the answer."""
        self._connection, self._h11, self._scope, self.buffer = connection, protocol, scope, buffer
        self._seconds_a_slice = seconds_a_slice
        self.input_event = asyncio.Event()
        self._is_lost = self._is_begun = self._is_complete = self._is_received = self._is_malformed = False
        self._is_expecting = protocol.they_are_waiting_for_100_continue
        self._head: list[bytes] = []  # of the answer, until its first bytes are sent
        if not buffer.is_empty or buffer.is_over:
            self.input_event.set()

    def lost(self) -> None:
        """Report that the connection is gone."""
        self._is_lost = True
        self.input_event.set()

    def malformed(self) -> None:
        """Report that the rest of the body cannot be found, because its framing is broken.  It can still be answered."""
        self._is_malformed = True
        self.input_event.set()

    async def run(self, app: ASGIApp) -> None:
        """Call the application.  If it does not complete an answer, the connection is aborted."""
        try:
            with contextlib.suppress(Disconnected):
                await app(self._scope, self.receive, self.send)
        finally:
            if not self._is_complete:
                self._connection.transport.abort()

    async def receive(self) -> Message:
        """Wait for the next piece of the body (ASGI).  The receiver owns its memory: it may keep it or change it."""
        connection = self._connection
        if self._is_expecting and not self._is_begun:
            self._is_expecting = False
            self._interim(100, {})
        while not self._is_over and (self._is_received or not self._has_input):
            self.input_event.clear()
            await self.input_event.wait()
        if self._is_over:
            return {"type": "http.disconnect"}
        is_over, data = self.buffer.is_over, self.buffer.take()
        self._is_received = is_over
        if not is_over and not self._is_malformed:
            connection.transport.resume_reading()
        return {"type": "http.request", "body": data, "more_body": not is_over}

    @property
    def _is_over(self) -> bool:
        """Whether nothing can be received any more."""
        return self._is_lost or self._is_complete or (self._is_malformed and self.buffer.is_empty)

    async def interim(self, status: int, fields: Mapping[str, str]) -> None:
        """Send an interim answer, before the final one.  If the connection is gone, nothing happens."""
        if not self._is_lost:
            self._interim(status, fields)

    def _interim(self, status: int, fields: Mapping[str, str]) -> None:
        event = h11.InformationalResponse(status_code=status, headers=list(fields.items()), reason=REASONS[status])
        self._connection.transport.write(self._h11.send(event) or b"")

    @property
    def _has_input(self) -> bool:
        return self.buffer.is_over or not self.buffer.is_empty

    async def send(self, message: Message) -> None:
        """Send a part of the answer (ASGI).  Raises Disconnected, also if the client does not receive a slice in time."""
        if self._is_lost:
            raise Disconnected
        if message["type"] == "http.response.start":
            self._is_begun = True
            headers = [*message.get("headers", ()), date_field()]
            if self._connection.must_close:
                headers.append((b"connection", b"close"))
            status = message["status"]
            self._head = self._encoded(h11.Response(status_code=status, headers=headers, reason=REASONS[status]))
            return
        body = memoryview(b"" if self._scope["method"] == "HEAD" else message.get("body", b""))
        for at in range(0, len(body), LEAST_BYTES):
            self._write(self._encoded(h11.Data(data=body[at : at + LEAST_BYTES])))  # type: ignore[arg-type]
            await self._before_timeout(self._connection.is_writable.wait())
        if not message.get("more_body", False):
            self._complete()

    async def send_file(self, file: BinaryIO, at: int, stop: int, sent: Callable[[int], None]) -> None:
        """Send bytes at to stop - 1 of a file as the body of the answer, and complete it.

        sent: called with the size of each slice that was sent.  Raises Disconnected.
        """
        if stop - at <= _SMALL_BYTES:
            await self._send_small_file(file, at, stop)
            sent(stop - at)
        else:
            await self._send_large_file(file, at, stop, sent)
        self._complete()

    async def _send_small_file(self, file: BinaryIO, at: int, stop: int) -> None:
        data = os.pread(file.fileno(), stop - at, at)
        if len(data) < stop - at:
            raise _became_shorter(file)
        self._write(self._encoded(h11.Data(data=data)))
        await self._before_timeout(self._connection.is_writable.wait())

    async def _send_large_file(self, file: BinaryIO, at: int, stop: int, sent: Callable[[int], None]) -> None:
        sizes, loop = SliceSizes(_MOST_BYTES), asyncio.get_running_loop()
        self._write([])
        while at < stop:
            n_bytes = sizes.next(stop - at)
            self._encoded(h11.Data(data=SkippedBytes(n_bytes)))  # type: ignore[arg-type]
            sending = loop.sendfile(self._connection.transport, file, at, n_bytes)
            n_sent = await self._before_timeout(sending, max(1.0, n_bytes / LEAST_BYTES))
            if n_sent < n_bytes:
                raise _became_shorter(file)
            sizes.finished()
            at += n_bytes
            sent(n_bytes)

    async def _before_timeout(self, waiting: Awaitable[_T], n_slices: float = 1.0) -> _T:
        try:
            found = await asyncio.wait_for(waiting, self._seconds_a_slice * n_slices)
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

    def _encoded(self, event: h11.Event) -> list[bytes]:
        return self._h11.send_with_data_passthrough(event) or []

    def _write(self, pieces: list[bytes]) -> None:
        """Send the head, if it is still unsent, and these pieces: in one write if they are small."""
        unsent, self._head = self._head, []
        if sum(map(len, pieces)) <= _SMALL_BYTES:
            unsent, pieces = [b"".join([*unsent, *pieces])], []
        for piece in (*unsent, *pieces):
            if piece:
                self._connection.transport.write(piece)

    def _complete(self) -> None:
        self._write(self._encoded(h11.EndOfMessage()))
        self._is_complete = True
        self.input_event.set()
        self._connection.finished(is_last=self._h11.our_state is not h11.DONE)


def _became_shorter(file: BinaryIO) -> OSError:
    return OSError(f"{file.name} is shorter than it was")
