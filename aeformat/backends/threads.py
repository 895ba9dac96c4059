"""Threads that compute side by side, and stay: what each keeps for itself (scratch memory) is there for the next call.

Owns the threads.  Knows nothing of what is computed.  However many callers there are, so many threads compute and no more.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Task = TypeVar("Task")


class Threads:
    """So many threads; none is started before there are two tasks for them.  They end with this object.

    Threads may share it, and a forked process gets threads of its own.
    """

    def __init__(self, n_threads: int) -> None:
        self._n_threads = n_threads
        self._pid, self._pool = os.getpid(), self._new_pool()

    def each(self, function: Callable[[Task], None], tasks: Sequence[Task]) -> None:
        """Call the function with each task.  No call is going on any more when this returns or raises.

        Raises what the first task that failed, in their order, has raised.  A function that calls this again waits for ever.
        """
        if self._n_threads == 1 or len(tasks) == 1:
            for task in tasks:
                function(task)
            return
        if self._pid != os.getpid():  # this process was forked, and threads were not
            self._pid, self._pool = os.getpid(), self._new_pool()
        calls, futures = _Calls(function), list[Future[None]]()
        try:
            for task in tasks:
                futures.append(self._pool.submit(calls, task))
            for number in range(len(futures)):
                futures[number].result()
        except (KeyboardInterrupt, SystemExit):
            self._pool = self._new_pool()  # it may have come in the middle of `submit`
            raise
        finally:
            calls.stop()
            for future in futures:
                future.cancel()
            futures.clear()  # an error holds this frame, which would hold the error

    def _new_pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._n_threads, "compute")


class _Calls(Generic[Task]):
    """Calls of a function that can be ended from outside: what waits in a queue then does nothing."""

    def __init__(self, function: Callable[[Task], None]) -> None:
        self._function = function
        self._changed = threading.Condition()
        self._n_going_on, self._is_stopped = 0, False

    def __call__(self, task: Task) -> None:
        with self._changed:
            if self._is_stopped:
                return
            self._n_going_on += 1
        try:
            self._function(task)
        finally:
            with self._changed:
                self._n_going_on -= 1
                self._changed.notify_all()

    def stop(self) -> None:
        """No call is begun any more; returns when none is going on."""
        with self._changed:
            self._is_stopped = True
            while self._n_going_on:
                self._changed.wait()
