"""Turns of bounded work: who may work next (spec/transport.md, T7-7).

Owns the order of those who wait.  Knows nothing of what they do.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from typing import Final


class Turns:
    """At most `most` turns at a time, at most `each` of one tenant; the tenants that wait are served in rotation."""

    def __init__(self, most: int, each: int) -> None:
        self._most: Final = most
        self._each: Final = each
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()  # the tenant that is next first
        self._working: Counter[str] = Counter()

    @contextlib.asynccontextmanager
    async def turn(self, tenant: str) -> AsyncIterator[None]:
        """Wait for a turn, and have it in the `async with` block.  Who is cancelled while waiting gets none."""
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant, deque()).append(mine)
        self._grant()
        try:
            await mine
        except asyncio.CancelledError:
            if not mine.cancelled():  # the turn was granted in the same moment
                self._end(tenant)
            raise
        try:
            yield
        finally:
            self._end(tenant)

    def _end(self, tenant: str) -> None:
        self._working[tenant] -= 1
        if not self._working[tenant]:
            del self._working[tenant]
        self._grant()

    def _grant(self) -> None:
        """Grant as many turns as may be."""
        while self._working.total() < self._most and (tenant := self._next()) is not None:
            waiting = self._waiting.pop(tenant)
            mine = waiting.popleft()
            if waiting:
                self._waiting[tenant] = waiting  # behind all others
            if not mine.cancelled():
                self._working[tenant] += 1
                mine.set_result(None)

    def _next(self) -> str | None:
        return next((tenant for tenant in self._waiting if self._working[tenant] < self._each), None)
