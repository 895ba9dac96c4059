"""What was made last, kept for whoever asks again: for several threads, and in a process that forks.

Owns the bound on its memory.  Knows nothing of what is kept.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from types import TracebackType
from typing import Final, Generic, TypeVar
from weakref import WeakSet

V = TypeVar("V")


class ForkLock:
    """A lock for the threads of one process: a child process begins with one that nobody holds."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _locks.add(self)

    def renew(self) -> None:
        """Forget who holds it: a thread of the parent will never let go of it here."""
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()


_locks: Final[WeakSet[ForkLock]] = WeakSet()


def _renew_locks() -> None:
    """In a child process, before anything else runs there."""
    for lock in _locks:
        lock.renew()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_renew_locks)


class Recent(Generic[V]):
    """Values by number; those that were asked for last, as many as make most_bytes together, and always the last one.

    size_of: what a value takes, in bytes.
    """

    def __init__(self, most_bytes: int, size_of: Callable[[V], int]) -> None:
        self._most_bytes, self._size_of = most_bytes, size_of
        self._lock = ForkLock()
        self._kept: OrderedDict[int, tuple[V, int]] = OrderedDict()
        self.n_bytes = 0

    def __contains__(self, number: int) -> bool:
        return number in self._kept

    def get(self, number: int, make: Callable[[int], V]) -> V:
        """The value of that number: the one that is kept, else made.  Two threads may make the same one at once."""
        with self._lock:
            kept = self._kept.get(number)
            if kept is not None:
                self._kept.move_to_end(number)
                return kept[0]
        value = make(number)
        with self._lock:
            self._keep(number, value)
        return value

    def _keep(self, number: int, value: V) -> None:
        _, before = self._kept.pop(number, (None, 0))
        n_bytes = self._size_of(value)
        self._kept[number] = value, n_bytes
        self.n_bytes += n_bytes - before
        while self.n_bytes > self._most_bytes and len(self._kept) > 1:
            _, (_, dropped) = self._kept.popitem(last=False)
            self.n_bytes -= dropped

    def clear(self) -> None:
        """Keep nothing."""
        with self._lock:
            self._kept.clear()
            self.n_bytes = 0
