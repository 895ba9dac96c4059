"""What every backend does before it computes."""

from __future__ import annotations

import numpy as np
import pytest

from aeformat.backends.base import checked_rows, in_blocks, steady_block
from aeformat.errors import ValueInvalid
from aeformat.model.manifest import Endpoint

END = Endpoint((2, 3), "i8", (-5, 7))


@pytest.mark.parametrize("value", [-6, 8, -128, 127])
def test_a_number_outside_the_range_is_named(value: int) -> None:
    rows = np.zeros((4, 2, 3), np.int8)
    rows[2, 1, 0] = value

    with pytest.raises(ValueInvalid, match=f"row 2 holds {value}, the model takes -5 to 7") as caught:
        checked_rows(END, rows)

    assert (caught.value.rule, caught.value.at) == ("M4-7", 2 * 6 + 3)


def test_the_ends_of_the_range_and_no_rows_at_all_are_fine() -> None:
    for rows in (np.full((1, 2, 3), -5, np.int8), np.full((1, 2, 3), 7, np.int8), np.zeros((0, 2, 3), np.int8)):
        assert checked_rows(END, rows) is rows


@pytest.mark.parametrize("n", [0, 1, 4, 5, 8, 9])
@pytest.mark.parametrize("pad", [True, False])
def test_blocks_cover_all_rows_and_are_full_when_padded(n: int, pad: bool) -> None:
    sizes = []

    def run_block(rows: np.ndarray) -> np.ndarray:
        sizes.append(len(rows))
        return rows.sum(axis=(1, 2))[:, np.newaxis]

    rows = np.arange(n * 6, dtype=np.int8).reshape(n, 2, 3)
    made = in_blocks(run_block, rows, 4, Endpoint((1,), "u8"), pad=pad)

    assert made[:, 0].tolist() == (rows.sum(axis=(1, 2)) % 256).tolist()
    assert sizes == ([4] * -(-n // 4) if pad else [min(4, n - start) for start in range(0, n, 4)])


def unsteady_above(limit: int):
    """A product that treats the last row of a block of more than `limit` rows in its own way."""

    def prepare(n_block: int):
        def run_block(rows: np.ndarray) -> np.ndarray:
            assert len(rows) == n_block
            made = rows.astype(np.float32)
            if n_block > limit:
                made[-1] = np.nextafter(made[-1], np.float32(9))
            return made

        return run_block

    return prepare


@pytest.mark.parametrize(("limit", "expected"), [(1, 1), (4, 4), (8, 8), (100, 8)])
def test_the_largest_steady_block_is_taken(limit: int, expected: int) -> None:
    probe = np.ones((2, 3), np.float32)

    assert steady_block([8, 4, 2], unsteady_above(limit), probe) == expected


def test_one_unsteady_row_is_enough() -> None:
    """A network can hide in one row what shows in another."""

    def prepare(n_block: int):
        return lambda rows: rows + np.arange(len(rows))[:, np.newaxis] * (rows == 2)

    assert steady_block([8], prepare, np.array([[1.0], [2.0]])) == 1
    assert steady_block([8], prepare, np.array([[1.0], [3.0]])) == 8
