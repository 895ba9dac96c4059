"""Which rows a person means: a number, a slice, a list of numbers or a mask, as NumPy reads them.

Owns the words for what is no selection.  Knows nothing of files.  NumPy is imported only for lists and arrays.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, SupportsIndex

if TYPE_CHECKING:
    from types import EllipsisType

    from numpy.typing import NDArray

    Rows = EllipsisType | SupportsIndex | slice | Sequence[int] | Sequence[bool] | NDArray[Any]


def selected_rows(rows: Rows, n_rows: int) -> int | range | NDArray[Any]:
    """The rows of a file of n_rows that are meant: one number for one row, else as many as there are, in that order.

    A range, or int64 from a list and a mask: nothing is done for each row of a slice or a range.

    Negative numbers count from the end; a slice may reach beyond it.  Raises IndexError (no such row, a mask of another
    length), TypeError (what is no selection of rows).
    """
    if rows is Ellipsis:
        return range(n_rows)
    if isinstance(rows, slice):
        return range(*rows.indices(n_rows))
    if isinstance(rows, range):
        return _in_range(rows, n_rows)
    number = _number(rows)
    return _listed(rows, n_rows) if number is None else _row(number, n_rows)


def selected_row(row: SupportsIndex, n_rows: int) -> int:
    """The one row that is meant.  Raises IndexError (no such row), TypeError (no number)."""
    number = _number(row)
    if number is None:
        raise TypeError(f"{row!r} is not the number of a row")
    return _row(number, n_rows)


def _number(rows: object) -> int | None:
    """The row, if it is one number.  Raises TypeError."""
    if rows is None or isinstance(rows, (bool, float, tuple, str, bytes)):
        raise TypeError(
            f"{rows!r} does not select rows; give a number, a slice, a list of numbers or a mask, and index what comes back"
        )
    try:
        return operator.index(rows)  # type: ignore[arg-type]
    except TypeError:
        return None


def _row(row: int, n_rows: int) -> int:
    if not -n_rows <= row < n_rows:
        raise IndexError(f"row {row} of a file of {n_rows} rows")
    return row % n_rows


def _in_range(rows: range, n_rows: int) -> range | NDArray[Any]:
    if not rows:
        return range(0)
    for end in (rows[0], rows[-1]):
        _row(end, n_rows)
    if (rows[0] < 0) != (rows[-1] < 0):
        return _listed(rows, n_rows)
    before = n_rows if rows[0] < 0 else 0
    return range(rows.start + before, rows.stop + before, rows.step)


def _listed(rows: object, n_rows: int) -> NDArray[Any]:
    import numpy as np

    if isinstance(rows, (set, frozenset, dict, Iterator)):
        raise TypeError(f"a {type(rows).__name__} does not select rows; give its numbers as a list")
    array = np.asarray(rows)
    if array.ndim != 1:
        raise TypeError(f"rows are selected by one list of numbers or a mask, not by {array.ndim} axes")
    if array.dtype == np.bool_:
        if len(array) != n_rows:
            raise IndexError(f"a mask of {len(array)} values for {n_rows} rows")
        return np.flatnonzero(array).astype(np.int64)
    if len(array) and array.dtype.kind not in "iu":
        raise TypeError(f"row numbers are integers, not {array.dtype}")
    outside = (array < -n_rows) | (array >= n_rows)
    if outside.any():
        _row(int(array[outside][0]), n_rows)
    numbers: NDArray[Any] = array.astype(np.int64)
    return np.where(numbers < 0, numbers + n_rows, numbers)
