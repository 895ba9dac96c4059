"""The order in which the rows of an epoch come: one for all loaders, whatever reads them, in however many processes.

Owns which rows are a batch, and which batches are whose.  Reads nothing.  The order depends on the number of rows of
each chunk, on batch_size, seed, window, lanes and the epoch, and on nothing else.  It is this, for all time:

- `mix` is the finalizer of SplitMix64 (Steele, Lea, Flood 2014) on 64-bit numbers: mix(x) adds 0x9E3779B97F4A7C15, then
  x ^= x >> 30, x *= 0xBF58476D1CE4E5B9, x ^= x >> 27, x *= 0x94D049BB133111EB, x ^= x >> 31, all modulo 2^64.
- k(i, s) = mix(mix(mix(mix(seed) + epoch) + s) + i).  Chunks are sorted by k(number of the chunk, 1), ties by their
  number.
- The chunk at place p of that order goes to lane p mod lanes, and is the (p div lanes)-th there.  In a lane, `window`
  chunks after one another are a window.  The rows of a window are sorted by k(number of the row, 2), ties by the
  number of the row.
- Each lane is cut into batches of batch_size.  Batches are taken from the lanes in turn: one from lane 0, one from
  lane 1, and so on; a lane that has no whole batch left is passed over.  What is left of all lanes, lane after lane,
  is cut the same way and comes last; at the very end stands a batch that is not full, unless drop_last leaves it out.
- Where rows have shapes of their own, a batch has rows of one shape: a lane is walked through, each shape collects its
  rows, and a batch is made whenever it has batch_size.  Of what is left at the very end, one batch for each shape, in
  the order in which they first appear.
- Without a seed rows come in the order of the file: there is one lane.

Batch b of an epoch is that of rank b mod world_size, and in a rank the workers of a loader take the batches in turn:
with lanes a multiple of world_size times the number of workers, each process has lanes of its own, and reads each of
its chunks once. With another number the order is the same, and some chunks are read by several processes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from aeformat.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Batches = list[NDArray[np.int64]]  # the numbers of the rows of each

Uneven = Literal["pad", "drop", "keep"]

_UNEVEN: Final = ("pad", "drop", "keep")
_SEED_END: Final = 1 << 64
_CHUNKS, _ROWS = 1, 2  # what a key is for


class Order(NamedTuple):
    """What the order depends on, beside the file and the epoch.  seed: None for the order of the file.  window: in
    chunks.
    """

    batch_size: int
    seed: int | None
    window: int
    lanes: int
    drop_last: bool

    def checked(self) -> Order:
        """Itself.  Raises UsageError."""
        for name in ("batch_size", "window", "lanes"):
            _check_number(name, getattr(self, name), 1)
        if self.seed is not None:
            _check_number("shuffle", self.seed, 0)
            if self.seed >= _SEED_END:
                raise UsageError(f"shuffle is {self.seed}, and must be below 2^64")
        return self


class Share(NamedTuple):
    """Which batches are those of one process of many.

    uneven: what is done where ranks do not get equally many.  "pad": those that lack one repeat batches from the
    beginning of the epoch, so that their rows come twice.  "drop": the last, incomplete round is left out.  "keep":
    some ranks have one batch less.
    """

    rank: int
    world_size: int
    uneven: Uneven

    def checked(self) -> Share:
        """Itself.  Raises UsageError."""
        _check_number("world_size", self.world_size, 1)
        _check_number("rank", self.rank, 0)
        if self.rank >= self.world_size:
            raise UsageError(f"rank is {self.rank}, and must be below world_size, {self.world_size}")
        if self.uneven not in _UNEVEN:
            raise UsageError(f"uneven is {self.uneven!r}; there are {', '.join(_UNEVEN)}")
        return self

    def of(self, n_batches: int) -> list[int]:
        """The numbers of this rank's batches, in order."""
        end = {
            "keep": n_batches,
            "pad": math.ceil(n_batches / self.world_size) * self.world_size,
            "drop": n_batches // self.world_size * self.world_size,
        }[self.uneven]
        return [number % n_batches for number in range(self.rank, end, self.world_size)]


def _check_number(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(f"{name} is {value!r}, and must be a whole number of {least} or more")


def epoch_batches(chunk_rows: NDArray[np.int64], shapes: NDArray[Any] | None, order: Order, epoch: int) -> Batches:
    """The rows of each batch of an epoch.

    chunk_rows: how many rows each chunk has.  shapes: a number for the shape of each row; None where all are the same.
    """
    lanes = _lanes(chunk_rows, order, epoch)
    cut = [_cut(rows, shapes, order.batch_size) for rows in lanes]
    found = _in_turn([whole for whole, _ in cut])
    import numpy as np

    last, rest = _cut(np.concatenate([left for _, left in cut]), shapes, order.batch_size)
    found += last
    if not order.drop_last:
        found += _by_shape(rest, shapes)
    return found


def _lanes(chunk_rows: NDArray[np.int64], order: Order, epoch: int) -> Batches:
    """The rows of each lane, in order."""
    import numpy as np

    n_rows = int(chunk_rows.sum())
    if order.seed is None:
        return [np.arange(n_rows)]
    base = _mix(_mix(np.array([order.seed], np.uint64)) + np.uint64(epoch))
    n_lanes = min(order.lanes, len(chunk_rows))
    places = np.empty(len(chunk_rows), np.int64)
    places[np.argsort(_keys(base, _CHUNKS, len(chunk_rows)), kind="stable")] = np.arange(len(chunk_rows))
    lanes = np.repeat(places % n_lanes, chunk_rows)
    windows = np.repeat(places // n_lanes // order.window, chunk_rows)
    rows = np.lexsort((_keys(base, _ROWS, n_rows), windows, lanes)).astype(np.int64)
    return np.split(rows, np.bincount(lanes, minlength=n_lanes).cumsum()[:-1])


def _keys(base: NDArray[np.uint64], what: int, n: int) -> NDArray[np.uint64]:
    import numpy as np

    numbers: NDArray[np.uint64] = np.arange(n, dtype=np.uint64)
    return _mix(_mix(base + np.uint64(what)) + numbers)


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    import numpy as np

    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _cut(rows: NDArray[np.int64], shapes: NDArray[Any] | None, size: int) -> tuple[Batches, NDArray[np.int64]]:
    """(full batches, the rows that are left, in order)."""
    import numpy as np

    if shapes is None:
        n_full = len(rows) // size * size
        return list(rows[:n_full].reshape(-1, size)), rows[n_full:]
    found: Batches = []
    left = [np.empty(0, np.int64)]
    for places in _of_each_shape(rows, shapes):
        n_full = len(places) // size * size
        found += list(places[:n_full].reshape(-1, size))
        left.append(places[n_full:])
    found.sort(key=lambda places: int(places[-1]))
    return [rows[places] for places in found], rows[np.sort(np.concatenate(left))]


def _of_each_shape(rows: NDArray[np.int64], shapes: NDArray[Any]) -> Batches:
    """The places of the rows of each shape, in order; the shape that appears first comes first."""
    import numpy as np

    if not len(rows):
        return []
    own = shapes[rows]
    by_shape = np.argsort(own, kind="stable")
    groups = np.split(by_shape, np.flatnonzero(np.diff(own[by_shape])) + 1)
    return sorted(groups, key=lambda places: int(places[0]))


def _by_shape(rows: NDArray[np.int64], shapes: NDArray[Any] | None) -> Batches:
    """Fewer rows of each shape than make a batch, each shape as one."""
    if shapes is None:
        return [rows] if len(rows) else []
    return [rows[places] for places in _of_each_shape(rows, shapes)]


def _in_turn(lanes: list[Batches]) -> Batches:
    return [lane[turn] for turn in range(max(map(len, lanes))) for lane in lanes if turn < len(lane)]
