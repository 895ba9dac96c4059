"""Rows of their own size in memory: a sequence of arrays, and no copy where none is asked for."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from aeformat.container.ragged import RaggedRows, join_rows
from aeformat.container.sizes import BadSizes, RowForm

from .files import same_rows, sized_header, sized_rows

FORM = RowForm((0, 2), (0, 0, 3))
ARRAYS = [np.arange(2 * n, dtype=np.float32).reshape(n, 2) for n in (1, 3, 3, 2, 5)]
IMAGES = [(8, 8), (20, 24), (20, 24), (9, 16), (40, 1)]
ROWS = RaggedRows.of(FORM, ARRAYS, IMAGES)


def test_it_is_a_sequence_of_arrays():
    """By number, from the end, one after the other, backwards."""
    assert len(ROWS) == 5
    assert same_rows(ROWS, ARRAYS) and same_rows([ROWS[i] for i in range(-5, 5)], ARRAYS * 2)
    assert same_rows(list(reversed(ROWS)), ARRAYS[::-1])
    assert same_rows([ROWS[np.int64(1)]], [ARRAYS[1]])
    assert ROWS.tobytes() == b"".join(array.tobytes() for array in ARRAYS)
    assert ROWS.shapes == [array.shape for array in ARRAYS] and ROWS.image_sizes == IMAGES
    assert (ROWS.dtype, ROWS.itemsize) == (np.float32, 4)
    assert repr(ROWS) == "<5 rows of (0, 2), float32>"


@pytest.mark.parametrize(
    "rows",
    [slice(1, 3), slice(None), slice(-2, None), slice(None, None, -2), slice(4, 1), [4, 0, 0], [], [-1], (1, 3), range(2, 4),
     np.array([3, 1]), np.array([2]), np.array([], np.int64)],
    ids=str,
)  # fmt: skip
def test_some_rows_are_picked_as_from_a_list(rows):
    """What comes out has its sizes too."""
    numbers = range(5)[rows] if isinstance(rows, slice) else [int(row) for row in rows]

    picked = ROWS[rows]

    assert isinstance(picked, RaggedRows)
    assert same_rows(picked, [ARRAYS[number] for number in numbers])
    assert picked.image_sizes == [IMAGES[number] for number in numbers]


@pytest.mark.parametrize("rows", [5, -6, [5], [0, -6]])
def test_there_is_no_row_beyond_the_last(rows):
    """Nor before the first."""
    with pytest.raises(IndexError):
        ROWS[rows]


def test_a_row_and_a_run_of_rows_are_views():
    """A copy has values of its own."""
    rows = RaggedRows.of(FORM, ARRAYS, IMAGES)

    assert np.shares_memory(rows[2], rows.flat) and np.shares_memory(rows[1:3].flat, rows.flat)
    assert not np.shares_memory(rows.copy().flat, rows.flat) and same_rows(rows.copy(), ARRAYS)
    rows.setflags(write=False)
    with pytest.raises(ValueError, match="read-only"):
        rows[0][0, 0] = 1


def test_parts_are_joined():
    """One part is itself."""
    assert join_rows([ROWS]) is ROWS
    assert same_rows(join_rows([ROWS[:2], ROWS[2:]]), ARRAYS)


def test_it_pickles():
    """For workers."""
    again = pickle.loads(pickle.dumps(ROWS))

    assert same_rows(again, ARRAYS) and again.sizes == ROWS.sizes


@pytest.mark.parametrize(
    ("rows", "images", "what"),
    [
        (ARRAYS, IMAGES[:4], "sizes of 4 images"), ([], [], "no rows"), (ARRAYS, None, "have sizes of their own"),
        ([np.zeros((2, 3), np.float32)], [(1, 1)], "shape"), ([ARRAYS[0], ARRAYS[1].astype(np.float64)], IMAGES[:2], "one type"),
        ([ARRAYS[0]], [(1, 2, 3)], "unpack"),
    ],
)  # fmt: skip
def test_what_is_no_rows_of_the_form_is_refused(rows, images, what):
    """Counts, shapes, types."""
    with pytest.raises(ValueError, match=what):
        RaggedRows.of(FORM, rows, images)


def test_a_row_without_a_value_is_refused():
    """C5-7: before anything is written."""
    with pytest.raises(BadSizes, match="C5-7"):
        RaggedRows.of(FORM, [np.zeros((0, 2), np.float32)], [(1, 1)])


def test_images_of_one_size_are_not_stated():
    """`image_sizes` has them all the same."""
    rows = sized_rows(sized_header("u8", (0,), (28, 30, 1)), [(1,), (2,)])

    assert rows.image_sizes == [(28, 30), (28, 30)]
