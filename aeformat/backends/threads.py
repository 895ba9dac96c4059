"""Threads that compute side by side, and stay: what each keeps for itself (scratch memory) is there for the next call.

Owns the threads.  Knows nothing of what is computed.  However many callers there are, so many threads compute and no more.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

Task = TypeVar("Task")


class Threads:
    """So many threads; none is started before there are two tasks for them.  They end with this object.

    Threads may share it, and a forked process gets threads of its own.
    """

    def __init__(self, n_threads: int) -> None:
        self._n_threads = n_threads
        self._pid, self._pool = os.getpid(), ThreadPoolExecutor(n_threads, "compute")

    def each(self, function: Callable[[Task], None], tasks: Sequence[Task]) -> None:
        """Call the function with each task.  No call is going on any more when this returns or raises.

        Raises what the first task that failed, in their order, has raised.  A function that calls this again waits for ever.
        """
        if self._n_threads == 1 or len(tasks) == 1:
            for task in tasks:
                function(task)
            return
        if self._pid != os.getpid():  # this process was forked, and threads were not
            self._pid, self._pool = os.getpid(), ThreadPoolExecutor(self._n_threads, "compute")
        futures = [self._pool.submit(function, task) for task in tasks]
        try:
            for future in futures:
                future.result()
        finally:
            for future in futures:
                future.cancel()
            wait(futures)


def n_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
