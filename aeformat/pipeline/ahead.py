"""Work that goes on while its results are used: a bounded queue in front of a few threads.

Owns the order, and what becomes of errors: whoever takes the results sees what a plain loop would show, result by result, and
an error in its turn.  Knows nothing of what is computed.  NumPy, TensorFlow, zstd and SHA-256 let other threads run while they
compute, so reading, computing, compressing and writing overlap.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Generic, TypeVar

from aeformat.container.threads import n_processors
from aeformat.errors import AeformatError

Item = TypeVar("Item")
Made = TypeVar("Made")

_MOST_THREADS: Final = 4  # each holds a batch on its way through the network
_HELD_BYTES: Final = 32 << 20  # of the items that were read and not yet used; one alone may be larger


def computed_ahead(
    function: Callable[[Item], Made], items: Iterable[Item], bytes_of: Callable[[Item], int]
) -> Iterator[tuple[Item, Made]]:
    """Each item and what `function` makes of it, in order; the next ones are read and computed meanwhile.

    bytes_of: about the size of an item and its result: only a few large ones are in memory.  Items are read in the caller's
    thread.  Raises what reading and `function` raise, after the results before it.
    """
    n_threads = min(_MOST_THREADS, n_processors())
    held: deque[tuple[Item, Future[Made]]] = deque()
    reader = _Reader(items)
    with ThreadPoolExecutor(n_threads, "ahead") as pool:
        try:
            while True:
                while len(held) <= n_threads and sum(bytes_of(item) for item, _ in held) < _HELD_BYTES:
                    found = reader.next()
                    if not found:
                        break
                    held.append((found[0], pool.submit(function, found.pop())))
                if not held:
                    break
                item, future = held.popleft()
                yield item, future.result()
                del item, future  # large: only the caller holds them
            reader.raise_failure()
        finally:
            for _, future in held:
                future.cancel()


class _Reader(Generic[Item]):
    """Items one by one.  What is wrong with the input ends them, and is raised in its turn."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = iter(items)
        self._failure: AeformatError | OSError | None = None

    def next(self) -> list[Item]:
        """The next item; none at the end."""
        try:
            return [next(self._items)]
        except StopIteration:
            return []
        except (AeformatError, OSError) as error:
            self._failure, self._items = error, iter(())
            return []

    def raise_failure(self) -> None:
        """Raise what reading raised, if it did."""
        if self._failure is not None:
            raise self._failure
