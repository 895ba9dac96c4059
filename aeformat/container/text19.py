"""text19: values as lines of 19-digit decimals (spec/container.md, section 5).

Owns text <-> float64 arrays.  Python's own "%.18e" and float() are correctly rounded on every platform; what is done here
is the fixed width and the refusal of anything else.  The work goes in bulk through NumPy, about as fast as C's printf.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from aeformat.container.assigned import TEXT19_CELL_BYTES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    LineEnds = Callable[[int, int], NDArray[np.bool_]]  # (first cell, how many) -> whether each ends its line
    Lines = int | LineEnds  # cells of every line, or where lines end

_CELL: Final = TEXT19_CELL_BYTES - 1  # characters of a cell without its separator
_SHORT: Final = _CELL - 1  # the same with a two-digit exponent, which is all that "%e" gives most values
_SIGNS: Final = b"+-"
_BLOCK: Final = 65_536  # values formatted or parsed at once, so that temporaries stay small


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


def format_rows(values: NDArray[np.float64], lines: Lines) -> bytes:
    """(n_values,) finite float64 -> lines of cells, 27 bytes a value."""
    import numpy as np

    out = np.empty((values.size, TEXT19_CELL_BYTES), np.uint8)
    for start in range(0, values.size, _BLOCK):
        block = values[start : start + _BLOCK]
        out[start : start + len(block), :_CELL] = _cells(block)
        out[start : start + len(block), _CELL] = _separators(lines, start, len(block))
    return out.tobytes()


def _separators(lines: Lines, first: int, n: int) -> NDArray[np.int64]:
    """What follows each of n cells."""
    import numpy as np

    is_last = np.arange(first + 1, first + 1 + n) % lines == 0 if isinstance(lines, int) else lines(first, n)
    return np.where(is_last, ord("\n"), ord(" "))


def _cells(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """(n,) float64 -> (n, 26) characters."""
    import numpy as np

    text = ("%+.18e" * len(values)) % tuple(values.tolist())
    if len(text) == _SHORT * len(values):  # all exponents have two digits: put a zero in front of each
        short = np.frombuffer(text.encode("ascii"), np.uint8).reshape(-1, _SHORT)
        cells = np.empty((len(values), _CELL), np.uint8)
        cells[:, : _CELL - 3] = short[:, : _SHORT - 2]
        cells[:, _CELL - 3] = ord("0")
        cells[:, _CELL - 2 :] = short[:, _SHORT - 2 :]
        return cells
    padded = b"".join(_pad(b"%+.18e" % value) for value in values.tolist())
    return np.frombuffer(padded, np.uint8).reshape(-1, _CELL)


def _pad(cell: bytes) -> bytes:
    return cell if len(cell) == _CELL else cell[:-2] + b"0" + cell[-2:]


def parse_rows(text: bytes | memoryview, lines: Lines) -> NDArray[np.float64]:
    """Lines of cells -> (n_values,) float64.  len(text) is a multiple of a cell.  Raises BadText."""
    import numpy as np

    cells = np.frombuffer(text, np.uint8).reshape(-1, TEXT19_CELL_BYTES)
    out = np.empty(len(cells), np.float64)
    starts = range(0, len(cells), _BLOCK)
    for start in starts:
        _check_grammar(cells[start : start + _BLOCK], start, lines)
    infinite_at: int | None = None
    for start in starts:
        block = cells[start : start + _BLOCK]
        values = np.array(bytes(block).split(), np.float64)  # each by Python's float()
        finite = np.isfinite(values)
        rounded = _cells(np.where(finite, values, 0.0)) == block[:, :_CELL]
        wrong = np.flatnonzero(finite & ~rounded.all(axis=1))
        if wrong.size:
            index = int(wrong[0])
            cell = bytes(block[index, :_CELL]).decode("ascii")
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
    good[:, _CELL] = cells[:, _CELL] == _separators(lines, first_cell, len(cells))
    bad = np.flatnonzero(~good)
    if bad.size:
        at = int(bad[0])
        character = bytes(cells.reshape(-1)[at : at + 1])
        raise BadText("C5-1", first_cell * TEXT19_CELL_BYTES + at, f"character {character!r} where text19 has another")
