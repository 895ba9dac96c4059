"""text19: values as lines of 19-digit decimals (spec/container.md, section 5).

Owns text <-> float64 arrays, and the refusal of anything else.  Text is read twice if need be: in bulk by text_cells.py,
and where that does not give back the very bytes, cell by cell by Python's float() and "%.18e", which are correctly rounded on
every platform.  The second way alone says what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from aeformat.container.assigned import TEXT19_CELL_BYTES
from aeformat.container.text_cells import TEXT_BYTES, plain_cells, read_cells, write_cells

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    LineEnds = Callable[[int, int], NDArray[np.bool_]]  # (first cell, how many) -> whether each ends its line
    Lines = int | LineEnds  # cells of every line, or where lines end

_SIGNS: Final = b"+-"
_BLOCK: Final = 8_192  # values formatted or parsed at once, so that temporaries stay in the cache of a core
_PLAIN_BLOCK: Final = 65_536


class BadText(ValueError):
    """Text that breaks C5-1 to C5-3.  at: byte offset in the text."""

    def __init__(self, rule: str, at: int, what: str) -> None:
        super().__init__(rule, at, what)
        self.rule, self.at, self.what = rule, at, what


def lines_until(ends: NDArray[np.int64]) -> LineEnds:
    """Lines that end behind so many cells each, counted from the first line's first cell, ascending."""
    import numpy as np

    def is_last(first: int, n: int) -> NDArray[np.bool_]:
        last = np.zeros(n, np.bool_)
        last[ends[np.searchsorted(ends, first, "right") : np.searchsorted(ends, first + n, "right")] - first - 1] = True
        return last

    return is_last


def format_rows(values: NDArray[np.float64], lines: Lines) -> memoryview:
    """(n_values,) finite float64 -> lines of cells, 27 bytes a value."""
    import numpy as np

    out = np.empty((values.size, TEXT19_CELL_BYTES), np.uint8)
    for start in range(0, values.size, _BLOCK):
        _format(values[start : start + _BLOCK], start, lines, out[start : start + _BLOCK])
    return out.reshape(-1).data


def _format(values: NDArray[np.float64], first_cell: int, lines: Lines, cells: NDArray[np.uint8]) -> None:
    write_cells(values, cells)
    cells[_line_ends(lines, first_cell, len(cells)), TEXT_BYTES] = ord("\n")


def _line_ends(lines: Lines, first: int, n: int) -> slice | NDArray[np.bool_]:
    """Which of n cells end their line."""
    return slice(-(first + 1) % lines, None, lines) if isinstance(lines, int) else lines(first, n)


def parse_rows(text: bytes | memoryview, lines: Lines) -> NDArray[np.float64]:
    """Lines of cells -> (n_values,) float64.  len(text) is a multiple of a cell.  Raises BadText."""
    import numpy as np

    cells = np.frombuffer(text, np.uint8).reshape(-1, TEXT19_CELL_BYTES)
    out = np.empty(len(cells), np.float64)
    again = np.empty((min(_BLOCK, len(cells)), TEXT19_CELL_BYTES), np.uint8)
    for start in range(0, len(cells), _BLOCK):
        block = cells[start : start + _BLOCK]
        values = read_cells(block)
        if not np.isfinite(values).all():
            return _parse_plainly(cells, lines)
        _format(values, start, lines, again[: len(block)])
        if not np.array_equal(again[: len(block)], block):
            return _parse_plainly(cells, lines)
        out[start : start + len(block)] = values
    return out


def _parse_plainly(cells: NDArray[np.uint8], lines: Lines) -> NDArray[np.float64]:
    """The same from (n_values, 27) characters, cell by cell, with one rule after the other for all of them."""
    import numpy as np

    out = np.empty(len(cells), np.float64)
    starts = range(0, len(cells), _PLAIN_BLOCK)
    for start in starts:
        _check_grammar(cells[start : start + _PLAIN_BLOCK], start, lines)
    infinite_at: int | None = None
    for start in starts:
        block = cells[start : start + _PLAIN_BLOCK]
        values = np.array(bytes(block).split(), np.float64)  # each by Python's float()
        finite = np.isfinite(values)
        rounded = plain_cells(np.where(finite, values, 0.0)) == block[:, :TEXT_BYTES]
        wrong = np.flatnonzero(finite & ~rounded.all(axis=1))
        if wrong.size:
            index = int(wrong[0])
            cell = bytes(block[index, :TEXT_BYTES]).decode("ascii")
            at = (start + index) * TEXT19_CELL_BYTES
            raise BadText("C5-2", at, f"text cell {cell} is not a correctly rounded binary64")
        if infinite_at is None and not finite.all():
            infinite_at = (start + int(np.flatnonzero(~finite)[0])) * TEXT19_CELL_BYTES
        out[start : start + len(block)] = values
    if infinite_at is not None:
        raise BadText("C5-3", infinite_at, "a text cell is beyond the largest binary64")
    return out


def _check_grammar(cells: NDArray[np.uint8], first_cell: int, lines: Lines) -> None:
    """C5-1 for cells of 27 characters, the first of which is cell `first_cell` of the text."""
    import numpy as np

    good = (cells >= ord("0")) & (cells <= ord("9"))
    for column in (0, 22):
        good[:, column] = np.isin(cells[:, column], list(_SIGNS))
    good[:, 2] = cells[:, 2] == ord(".")
    good[:, 21] = cells[:, 21] == ord("e")
    good[:, TEXT_BYTES] = cells[:, TEXT_BYTES] == ord(" ")
    ends = _line_ends(lines, first_cell, len(cells))
    good[ends, TEXT_BYTES] = cells[ends, TEXT_BYTES] == ord("\n")
    bad = np.flatnonzero(~good)
    if bad.size:
        at = int(bad[0])
        character = bytes(cells.reshape(-1)[at : at + 1])
        raise BadText("C5-1", first_cell * TEXT19_CELL_BYTES + at, f"character {character!r} where text19 has another")
