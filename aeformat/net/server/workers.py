"""Workers: each does its work items in a thread, one after the other, while more items are added.

Owns the hand-over between the event loop and threads.  A worker occupies a thread only while it has items, so that a slow
peer occupies none.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")


async def thread_result(working: asyncio.Future[_T]) -> _T:
    """Wait for the result of work in a thread.  If this is cancelled, it still waits for the thread to end."""
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait([working])
        raise


class Worker(Generic[_T]):
    """Calls `work` with each item, in a thread.  It stops for good when `work` raises or returns False.

    is_over: whether it has stopped; items that are still in the queue are dropped then.
    """

    def __init__(self, work: Callable[[_T], bool]) -> None:
        self._work, self._loop = work, asyncio.get_running_loop()
        self._lock = threading.Lock()  # protects the next three, and is_over
        self._items: deque[_T] = deque()  # the item that is being worked on is the first one
        self._is_running = False
        self._awaited: int | None = None  # wake the event loop when at most so many items are left; waking is expensive
        self._future: asyncio.Future[None] | None = None
        self._progress = asyncio.Event()
        self.is_over = False

    def put(self, item: _T) -> None:
        """Add an item to the queue.  Does nothing if the worker has stopped."""
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
        """Whether no item is waiting or being worked on."""
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
            self._loop.call_soon_threadsafe(self._progress.set)

    async def wait_for_queue(self, n_items: int) -> None:
        """Wait until at most n_items are in the queue, or the worker has stopped.  Only one task may wait at a time."""
        while True:
            with self._lock:
                if len(self._items) <= n_items:
                    return
                self._awaited = n_items
                self._progress.clear()
            await self._progress.wait()

    async def finish(self) -> None:
        """Wait until the thread has ended, even if this is cancelled.  Raises the error that `work` raised."""
        if self._future is not None:
            await thread_result(self._future)


async def in_thread(work: Callable[[], _T]) -> _T:
    """Run `work` in a thread and wait for its result, even if this is cancelled."""
    return await thread_result(asyncio.get_running_loop().run_in_executor(None, work))
