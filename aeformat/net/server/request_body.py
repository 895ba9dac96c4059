"""The body of a request as the application reads it: in pieces, with time limits (spec/transport.md, section 7)."""

from __future__ import annotations

import asyncio
import time

from starlette.types import Message, Receive

from aeformat.transport.problems import Problem
from aeformat.transport.transfer_limits import TransferLimits


class BodyLost(Exception):
    """The connection broke before the body was complete."""


class RequestBody:
    """The body of one request.  is_over: whether all of it was read.  n_bytes: the number of bytes that were read."""

    def __init__(self, receive: Receive, limits: TransferLimits) -> None:
        self._receive, self._limits = receive, limits
        self._since, self._bytes_since = time.monotonic(), 0
        self.is_over = False
        self.n_bytes = 0

    async def piece(self) -> bytes | memoryview:
        """Wait for the next bytes and return those that have arrived; empty at the end.  Raises BodyLost, Problem (408)."""
        message = await self._message()
        if message["type"] == "http.disconnect":
            raise BodyLost
        data: bytes | memoryview = message.get("body", b"")
        self.is_over = not message.get("more_body", False)
        self.n_bytes += len(data)
        self._check_rate(len(data))
        return data

    async def read_all(self, most: int) -> bytes:
        """Read all of a body of at most `most` bytes.  Raises BodyLost, Problem (408, 413)."""
        data = b""
        while not self.is_over:
            data += await self.piece()
            if len(data) > most:
                raise Problem("too-large", f"this request takes at most {most} bytes")
        return data

    async def _message(self) -> Message:
        try:
            return await asyncio.wait_for(self._receive(), self._limits.idle_seconds)
        except asyncio.TimeoutError:
            raise Problem("request-timeout", f"nothing came for {self._limits.idle_seconds:g} seconds") from None

    def _check_rate(self, n_bytes: int) -> None:
        self._bytes_since += n_bytes
        elapsed = time.monotonic() - self._since
        if elapsed >= self._limits.rate_seconds:
            if self._bytes_since < self._limits.rate_bytes * elapsed and not self.is_over:
                raise Problem("request-timeout", f"slower than {self._limits.rate_bytes} bytes a second")
            self._since, self._bytes_since = time.monotonic(), 0
