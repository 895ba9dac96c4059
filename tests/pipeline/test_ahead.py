"""Work ahead of its use: the order, the errors and the memory of a plain loop."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import aeformat
from aeformat.errors import UsageError
from aeformat.images import demo_digits
from aeformat.pipeline import ahead
from aeformat.pipeline.ahead import computed_ahead

WAIT = 60  # seconds, for what happens at once


@pytest.fixture(autouse=True)
def _four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "n_processors", lambda: 4)


def no_bytes(_item: int) -> int:
    return 0


def test_results_come_in_the_order_of_the_items_however_long_each_takes() -> None:
    later = [threading.Event() for _ in range(9)]

    def slow_first(item: int) -> int:
        if item % 3 == 0:
            assert later[item + 1].wait(WAIT)  # the one behind it is done first
        later[item].set()
        return item * item

    assert list(computed_ahead(slow_first, range(9), no_bytes)) == [(item, item * item) for item in range(9)]


def test_the_next_items_are_computed_while_a_result_is_used() -> None:
    computed = [threading.Event() for _ in range(8)]
    pairs = computed_ahead(lambda item: computed[item].set(), range(8), no_bytes)

    next(pairs)

    assert all(computed[item].wait(WAIT) for item in range(5))
    pairs.close()  # type: ignore[attr-defined]


def test_only_a_few_items_are_read_before_they_are_used() -> None:
    read = []

    def items() -> Iterator[int]:
        for item in range(1000):
            read.append(item)
            yield item

    used = 0
    for item, _ in computed_ahead(lambda item: item, items(), no_bytes):
        used = item + 1
        assert len(read) <= used + 4
    assert used == 1000


def test_large_items_are_read_one_by_one() -> None:
    read = []

    def items() -> Iterator[int]:
        for item in range(10):
            read.append(item)
            yield item

    for item, _ in computed_ahead(lambda item: item, items(), lambda _: 32 << 20):
        assert len(read) == item + 1


def test_an_error_of_an_item_comes_after_the_results_before_it_and_ends_all() -> None:
    def function(item: int) -> int:
        if item == 5:
            raise UsageError("the fifth")
        return item

    pairs = computed_ahead(function, range(100), no_bytes)
    assert [next(pairs)[1] for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(UsageError, match="the fifth"):
        next(pairs)
    assert not any(thread.name.startswith("ahead") for thread in threading.enumerate())


@pytest.mark.parametrize("error", [UsageError("the input ends"), OSError("the disk is gone")], ids=["usage", "os"])
def test_an_error_of_reading_comes_after_the_results_before_it(error: Exception) -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise error

    pairs = computed_ahead(lambda item: -item, items(), no_bytes)

    assert [next(pairs) for _ in range(3)] == [(0, 0), (1, -1), (2, -2)]
    with pytest.raises(type(error)):
        next(pairs)


def test_an_error_of_a_result_hides_the_later_one_of_reading() -> None:
    def items() -> Iterator[int]:
        yield from range(2)
        raise OSError("later")

    def function(_item: int) -> int:
        raise UsageError("first")

    with pytest.raises(UsageError, match="first"):
        list(computed_ahead(function, items(), no_bytes))


def test_whoever_stops_in_between_leaves_no_thread_behind() -> None:
    pairs = computed_ahead(lambda item: np.zeros(10) + item, iter(range(10**9)), no_bytes)
    next(pairs)

    pairs.close()  # type: ignore[attr-defined]

    assert not any(thread.name.startswith("ahead") for thread in threading.enumerate())


def test_no_items_give_no_results() -> None:
    assert list(computed_ahead(lambda item: item, [], no_bytes)) == []


@pytest.mark.parametrize("receipts", [False, True], ids=["plain", "receipts"])
def test_files_and_images_are_the_same_with_one_thread_and_with_four(
    receipts: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = np.tile(demo_digits(), (55, 1, 1, 1))  # more rows than a chunk of mnist-exact has
    images[:, 0, 0, 0] = np.arange(len(images)) % 251
    for n_threads in (1, 4):
        monkeypatch.setattr(ahead, "n_processors", lambda n=n_threads: n)
        file, out = tmp_path / f"{n_threads}.aef", tmp_path / f"{n_threads}.npy"
        aeformat.pack(images, file, model="mnist-exact", receipts=receipts, backend="numpy")
        aeformat.unpack(file, out, backend="numpy")

    assert (tmp_path / "1.aef").read_bytes() == (tmp_path / "4.aef").read_bytes()
    assert (tmp_path / "1.npy").read_bytes() == (tmp_path / "4.npy").read_bytes()
