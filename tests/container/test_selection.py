"""Rows of a file are picked as from an array: a number, a slice, a list, a mask; a mistake says which it is."""

from __future__ import annotations

import numpy as np
import pytest

from aeformat.reader import open_latents

from .files import edges, header, write

N_ROWS = 11


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A file of 11 rows in chunks of 4, and the array that it holds."""
    path = tmp_path_factory.mktemp("selection") / "x.aef"
    values = edges("f32", N_ROWS)
    path.write_bytes(write(values, header(), chunk_rows=4))
    with open_latents(path) as latents:
        yield latents, values


PICKS = {
    "a number": 7,
    "from the end": -1,
    "a NumPy number": np.int64(3),
    "a slice": slice(2, 5),
    "a slice over chunks": slice(1, 10),
    "a slice beyond the end": slice(8, 99),
    "everything": slice(None),
    "a slice backwards": slice(None, None, -1),
    "every third": slice(1, None, 3),
    "an empty slice": slice(5, 5),
    "a range": range(3, 9),
    "a range backwards": range(9, 2, -2),
    "a range from the end": range(-3, 0),
    "an empty range": range(0),
    "a list": [1, 5],
    "a list out of order, with repeats": [10, 0, -1, 5, 5, 3],
    "an empty list": [],
    "an array": np.array([4, 2], np.uint8),
    "a mask": np.arange(N_ROWS) % 3 == 0,
    "a mask as a list": [True, False] * 5 + [True],
    "a mask of nothing": np.zeros(N_ROWS, bool),
}


@pytest.mark.parametrize("rows", PICKS.values(), ids=PICKS)
def test_rows_are_picked_as_from_an_array(file, rows):
    """The same values, shape and type that NumPy gives."""
    latents, values = file
    expected = values[:0] if _is_empty(rows) else values[rows]

    found = latents[rows]

    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    assert found.tobytes() == expected.tobytes()


def _is_empty(rows: object) -> bool:
    """NumPy reads an empty list as floats, and refuses it."""
    return isinstance(rows, (list, range)) and not len(rows)


MISTAKES = {
    "no such row": (N_ROWS, IndexError, "row 11 of a file of 11 rows"),
    "no such row from the end": (-12, IndexError, "row -12 of"),
    "one of a list": ([0, 11], IndexError, "row 11 of"),
    "one of a range": (range(9, 13), IndexError, "row 12 of"),
    "a short mask": (np.ones(10, bool), IndexError, "a mask of 10 values for 11 rows"),
    "a fraction": (1.5, TypeError, "1.5 does not select rows"),
    "fractions": ([0.5, 1.5], TypeError, "row numbers are integers, not float64"),
    "a second axis": ((0, 1), TypeError, "index what comes back"),
    "a table": ([[1, 2]], TypeError, "not by 2 axes"),
    "nothing": (None, TypeError, "None does not select rows"),
    "a truth value": (True, TypeError, "True does not select rows"),
    "a word": ("7", KeyError, "no row is called '7'"),
}


@pytest.mark.parametrize(("rows", "kind", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_says_which_it_is(file, rows, kind, words):
    """By the row, the length or the type that is wrong."""
    with pytest.raises(kind) as caught:
        file[0][rows]

    assert words in str(caught.value)
