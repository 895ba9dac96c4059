"""Promise: the order of an epoch is the one that its page spells out, and every row is in it once."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from aeformat.errors import UsageError
from aeformat.loading.order import Order, Share, epoch_batches

END = 1 << 64


def mix(x: int) -> int:
    """SplitMix64 by the letter, in whole numbers of Python."""
    x = (x + 0x9E3779B97F4A7C15) % END
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % END
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % END
    return x ^ (x >> 31)


def by_the_letter(chunk_rows, shapes, order: Order, epoch: int) -> list[list[int]]:
    """The docstring of order.py, step for step."""

    def key(i: int, s: int) -> int:
        return mix((mix((mix((mix(order.seed) + epoch) % END) + s) % END) + i) % END)

    starts = [sum(chunk_rows[:i]) for i in range(len(chunk_rows))]
    if order.seed is None:
        lanes = [list(range(sum(chunk_rows)))]
    else:
        chunks = sorted(range(len(chunk_rows)), key=lambda i: (key(i, 1), i))
        lanes = []
        for lane in range(order.lanes):
            own, rows = chunks[lane :: order.lanes], []
            for first in range(0, len(own), order.window):
                window = own[first : first + order.window]
                there = [row for chunk in window for row in range(starts[chunk], starts[chunk] + chunk_rows[chunk])]
                rows += sorted(there, key=lambda row: (key(row, 2), row))
            lanes.append(rows)

    def cut(rows: list[int]) -> tuple[list[list[int]], list[int]]:
        waiting: dict[int, list[int]] = {}
        whole = []
        for row in rows:
            queue = waiting.setdefault(0 if shapes is None else shapes[row], [])
            queue.append(row)
            if len(queue) == order.batch_size:
                whole.append(list(queue))
                queue.clear()
        left = {row for queue in waiting.values() for row in queue}
        return whole, [row for row in rows if row in left]

    parts = [cut(rows) for rows in lanes]
    found = [batch for turn in itertools.zip_longest(*(whole for whole, _ in parts)) for batch in turn if batch]
    last, rest = cut([row for _, left in parts for row in left])
    found += last
    if not order.drop_last:
        groups: dict[int, list[int]] = {}
        for row in rest:
            groups.setdefault(0 if shapes is None else shapes[row], []).append(row)
        found += groups.values()
    return found


CASES = {
    "plain": (Order(8, 0, 2, 3, False), None),
    "dropped": (Order(8, 1, 2, 3, True), None),
    "one lane": (Order(7, 2, 4, 1, False), None),
    "more lanes than chunks": (Order(4, END - 1, 1, 50, False), None),
    "more than there are rows": (Order(5000, 4, 8, 8, False), None),
    "in order": (Order(8, None, 2, 3, False), None),
    "shapes": (Order(4, 5, 2, 3, False), 3),
    "shapes dropped": (Order(4, 6, 2, 2, True), 3),
    "shapes in order": (Order(4, None, 2, 2, False), 5),
}


@pytest.mark.parametrize("epoch", [0, 1, 977])
@pytest.mark.parametrize(("order", "n_shapes"), CASES.values(), ids=CASES)
def test_the_order_is_the_one_that_is_spelled_out(order, n_shapes, epoch):
    chunk_rows = [5, 9, 1, 16, 16, 3, 16, 2, 16, 7, 16, 16, 4]
    shapes = None if n_shapes is None else [row * row % 13 % n_shapes for row in range(sum(chunk_rows))]

    found = epoch_batches(np.array(chunk_rows), None if shapes is None else np.array(shapes), order.checked(), epoch)

    assert [rows.tolist() for rows in found] == by_the_letter(chunk_rows, shapes, order, epoch)
    if not order.drop_last:
        assert sorted(np.concatenate(found).tolist()) == list(range(sum(chunk_rows)))
    if shapes is not None:
        assert all(len({shapes[row] for row in rows}) == 1 for rows in found)


def test_the_order_never_changes():
    """These numbers are a promise: a training that goes on with a later version must see the rows that are left."""
    found = epoch_batches(np.array([3, 3, 3, 3]), None, Order(4, 2024, 2, 2, False), 1)

    assert [rows.tolist() for rows in found] == [[9, 1, 11, 0], [3, 8, 4, 5], [10, 2, 7, 6]]


@pytest.mark.parametrize("n_lanes", [1, 2, 4])
def test_processes_that_share_the_lanes_read_no_chunk_of_another(n_lanes):
    """But for the batches at the end that are made of what is left."""
    chunk_rows = np.full(48, 16)
    found = epoch_batches(chunk_rows, None, Order(8, 0, 3, 4, False), 0)

    chunks = [{int(row) // 16 for rows in found[part::n_lanes] for row in rows} for part in range(n_lanes)]

    assert sum(map(len, chunks)) == 48


@pytest.mark.parametrize("world_size", [1, 2, 3, 7, 20])
def test_ranks_share_all_batches(world_size):
    n = 11
    kept, padded, dropped = (
        [Share(rank, world_size, uneven).checked().of(n) for rank in range(world_size)]
        for uneven in ("keep", "pad", "drop")
    )

    assert sorted(itertools.chain(*kept)) == list(range(n))
    assert {len(own) for own in padded} == {-(-n // world_size)}
    assert set(itertools.chain(*padded)) == set(range(n))
    assert {len(own) for own in dropped} == {n // world_size}
    assert sorted(itertools.chain(*dropped)) == list(range(n // world_size * world_size))


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (Order(0, 0, 1, 1, False), "batch_size is 0"),
        (Order(1, 0, 0, 1, False), "window is 0"),
        (Order(1, 0, 1, 2.0, False), "lanes is 2.0"),
        (Order(1, True, 1, 1, False), "shuffle is True"),
        (Order(1, -1, 1, 1, False), "shuffle is -1"),
        (Order(1, END, 1, 1, False), "below 2"),
        (Share(0, 0, "pad"), "world_size is 0"),
        (Share(2, 2, "pad"), "below world_size"),
        (Share(-1, 2, "pad"), "rank is -1"),
        (Share(0, 2, "maybe"), "there are pad, drop, keep"),
    ],
    ids=lambda made: repr(made) if isinstance(made, tuple) else "",
)
def test_what_makes_no_order_is_refused(made, words):
    with pytest.raises(UsageError, match=words):
        made.checked()
