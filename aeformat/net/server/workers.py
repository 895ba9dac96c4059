"""Work in threads, in order, while more of it arrives.

Owns the hand-over between the event loop and threads: a lane carries one item after the other to its end, and takes a thread
only while it has something to do, so that a slow peer holds none.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")


async def settled(working: asyncio.Future[_T]) -> _T:
    """What a thread's work comes to.  This is not left before the thread is, also where nobody wants its result any more."""
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait([working])
        raise


class Lane(Generic[_T]):
    """Calls `work` with each item, in a thread.  When it raises, or returns False, the lane is over."""

    def __init__(self, work: Callable[[_T], bool]) -> None:
        self._work, self._loop = work, asyncio.get_running_loop()
        self._lock = threading.Lock()  # of the next three
        self._items: deque[_T] = deque()  # the first one counts until it is done
        self._is_running = False
        self._awaited: int | None = None  # the loop is woken only when so few are left: that costs both threads
        self._future: asyncio.Future[None] | None = None
        self._news = asyncio.Event()
        self.is_over = False

    def put(self, item: _T) -> None:
        """Add an item; nothing, where the lane is over."""
        with self._lock:
            if self.is_over:
                return
            self._items.append(item)
            if self._is_running:
                return
            self._is_running = True
        self._future = self._loop.run_in_executor(None, self._run)

    @property
    def is_idle(self) -> bool:
        """Whether everything is done."""
        return not self._is_running

    def _run(self) -> None:
        is_good = False
        try:
            while self._work(self._items[0]):
                with self._lock:
                    self._items.popleft()
                    self._wake()
                    if not self._items:
                        self._is_running = False
                        is_good = True
                        return
        finally:
            if not is_good:
                with self._lock:
                    self.is_over, self._is_running = True, False
                    self._items.clear()
                    self._wake()

    def _wake(self) -> None:
        if self._awaited is not None and len(self._items) <= self._awaited:
            self._awaited = None
            self._loop.call_soon_threadsafe(self._news.set)

    async def shrink(self, n_items: int) -> None:
        """Wait until at most so many items are left, or the lane is over.  One waits at a time."""
        while True:
            with self._lock:
                if len(self._items) <= n_items:
                    return
                self._awaited = n_items
                self._news.clear()
            await self._news.wait()

    async def finish(self) -> None:
        """Wait until no thread is at work, also where nobody wants its result any more.  Raises what `work` raised."""
        if self._future is not None:
            await settled(self._future)
