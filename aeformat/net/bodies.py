"""Bodies of requests: taken in pieces, never whole, and not at any speed (spec/transport.md, section 7).

Owns time limits on a body.  While one piece is worked on, the next is being received: one piece in flight, so that memory
is bounded whatever the length of a body (T7-1).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from starlette.types import Message, Receive

from aeformat.transport.limits import TransferLimits
from aeformat.transport.problems import Problem

_PIECE_BYTES: Final = 1 << 20


class BodyLost(Exception):
    """The connection broke before the body was complete."""


class Body:
    """The body of one request."""

    def __init__(self, receive: Receive, limits: TransferLimits) -> None:
        self._receive, self._limits = receive, limits
        self._since, self._bytes_since = time.monotonic(), 0
        self._is_over = False
        self._broken: BodyLost | Problem | None = None  # found behind bytes that had to be handed out first
        self.n_bytes = 0

    @property
    def is_over(self) -> bool:
        """Whether all of it was handed out."""
        return self._is_over and self._broken is None

    async def piece(self, most: int = _PIECE_BYTES, *, is_wanted: Callable[[], bool] = lambda: False) -> bytes:
        """The next bytes, about `most` of them, fewer as soon as they are wanted; b"" at the end.

        Raises BodyLost, Problem (408).
        """
        if self._broken is not None:
            raise self._broken
        parts: list[bytes] = []
        size = 0
        while size < most and not self._is_over:
            try:
                data = await self._next()
            except (BodyLost, Problem) as error:
                if not size:
                    raise
                self._broken = error
                break
            parts.append(data)
            size += len(data)
            if is_wanted():
                break
        self.n_bytes += size
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _next(self) -> bytes:
        message = await self._message()
        if message["type"] == "http.disconnect":
            raise BodyLost
        data: bytes = message.get("body", b"")
        self._is_over = not message.get("more_body", False)
        self._check_rate(len(data))
        return data

    async def whole(self, most: int) -> bytes:
        """All of a small body.  Raises BodyLost, Problem (408, 413)."""
        data = b""
        while not self._is_over:
            data += await self.piece(most)
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
            if self._bytes_since < self._limits.rate_bytes * elapsed and not self._is_over:
                raise Problem("request-timeout", f"slower than {self._limits.rate_bytes} bytes a second")
            self._since, self._bytes_since = time.monotonic(), 0
