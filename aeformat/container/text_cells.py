"""The 27 bytes of a text19 cell <-> its value, many at once (spec/container.md, section 5).

Owns where the characters of a cell stand.  Knows nothing of rows, and refuses nothing.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aeformat.container.assigned import TEXT19_CELL_BYTES
from aeformat.container.decimal_digits import decimal_exponents, digits_of, nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TEXT_BYTES: Final = TEXT19_CELL_BYTES - 1  # characters of a cell without its separator
_MINUS: Final = 4  # the bit of "-" that "+" does not have
_SHORT: Final = TEXT_BYTES - 1  # the same with a two-digit exponent, which is all that "%e" gives most values


class _Texts(NamedTuple):
    """Characters in the order of memory, as integers: they are looked up and stored, never computed with but for `|`."""

    start: NDArray[np.uint32]  # sign, first digit, point: 10 for "+", 10 for "-"
    four: NDArray[np.uint32]  # four digits
    two: NDArray[np.uint64]  # the last two digits, and nothing where the exponent goes
    end: NDArray[np.uint64]  # nothing where the last two digits go, the exponent, a space; for each scale


@cache
def _texts() -> _Texts:
    import numpy as np

    start = b"".join(b"%c%d.\0" % (sign, digit) for sign in b"+-" for digit in range(10))
    four = b"".join(b"%04d" % number for number in range(10_000))
    two = b"".join(b"%02d" % number + bytes(6) for number in range(100))
    end = b"".join(b"\0\0e%+04d " % exponent for exponent in decimal_exponents().tolist())
    return _Texts(
        np.frombuffer(start, np.uint32),
        np.frombuffer(four, np.uint32),
        np.frombuffer(two, np.uint64),
        np.frombuffer(end, np.uint64),
    )


@cache
def _places() -> np.dtype[np.void]:
    """Where `_Texts` are stored in a cell; the fourth byte of the start is overwritten by what follows."""
    import numpy as np

    names = ("start", "1-4", "5-8", "9-12", "13-16", "end")
    formats = ("u4", "u4", "u4", "u4", "u4", "u8")
    return np.dtype(
        {"names": names, "formats": formats, "offsets": (0, 3, 7, 11, 15, 19), "itemsize": TEXT19_CELL_BYTES}
    )


def write_cells(values: NDArray[np.float64], cells: NDArray[np.uint8]) -> None:
    """(n,) finite values -> (n, 27) characters, a space behind each.  `cells` is overwritten; its cells follow one another."""
    import numpy as np

    texts = _texts()
    number, scales, open_ = digits_of(values)
    places = cells.view(_places()).reshape(-1)
    first, number = _divided(number, 10**10)
    second, last = _divided(number, 100)
    _write_first(places, first.astype(np.uint32), np.signbit(values))
    _write_eight(places, ("9-12", "13-16"), second.astype(np.uint32))
    text = texts.end.take(scales)
    text |= texts.two.take(last.view(np.int64))
    places["end"] = text
    if open_.size:
        cells[open_, :TEXT_BYTES] = plain_cells(values[open_])


def _write_first(places: NDArray[Any], number: NDArray[np.uint32], negative: NDArray[np.bool_]) -> None:
    """The first nine digits, and what stands before and between them."""
    import numpy as np

    first, eight = _divided(number, 10**8)
    first += np.multiply(negative, np.uint32(10))
    places["start"] = _texts().start.take(first)
    _write_eight(places, ("1-4", "5-8"), eight)


def _write_eight(places: NDArray[Any], names: tuple[str, str], number: NDArray[np.uint32]) -> None:
    for name, part in zip(names, _divided(number, 10**4), strict=True):
        places[name] = _texts().four.take(part)


def _divided(numbers: NDArray[Any], by: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Quotients and remainders, by a product: NumPy divides slowly unless it knows the divisor beforehand."""
    divisor = numbers.dtype.type(by)
    quotients = numbers // divisor
    return quotients, numbers - quotients * divisor


def plain_cells(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """(n,) finite values -> (n, 26) characters, by Python's own "%.18e", which is correctly rounded on every platform."""
    import numpy as np

    text = ("%+.18e" * len(values)) % tuple(values.tolist())
    if len(text) == _SHORT * len(values):  # all exponents have two digits: put a zero in front of each
        short = np.frombuffer(text.encode("ascii"), np.uint8).reshape(-1, _SHORT)
        cells = np.empty((len(values), TEXT_BYTES), np.uint8)
        cells[:, : TEXT_BYTES - 3] = short[:, : _SHORT - 2]
        cells[:, TEXT_BYTES - 3] = ord("0")
        cells[:, TEXT_BYTES - 2 :] = short[:, _SHORT - 2 :]
        return cells
    padded = b"".join(_pad(b"%+.18e" % value) for value in values.tolist())
    return np.frombuffer(padded, np.uint8).reshape(-1, TEXT_BYTES)


def _pad(cell: bytes) -> bytes:
    return cell if len(cell) == TEXT_BYTES else cell[:-2] + b"0" + cell[-2:]


@cache
def _words() -> np.dtype[np.void]:
    """How the characters of a cell are read: as little-endian integers, so that the first character is the lowest byte."""
    import numpy as np

    names = ("sign", "first", "1-8", "9-16", "17-18", "exponent")
    formats = ("u1", "u1", "<u8", "<u8", "<u2", "<u4")
    return np.dtype(
        {"names": names, "formats": formats, "offsets": (0, 1, 3, 11, 19, 22), "itemsize": TEXT19_CELL_BYTES}
    )


def read_cells(cells: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(n, 27) characters -> (n,) values: right for every cell that `write_cells` makes.  Any other gives any value.

    So a cell is good if and only if `write_cells` makes it of the value that it gives.
    """
    import numpy as np

    words = cells.view(_words()).reshape(-1)
    eights = np.empty((2, len(words)), np.uint64)
    eights[0], eights[1] = words["1-8"], words["9-16"]
    first, second = _eight_digits(eights).view(np.int64).astype(np.float64)
    first += (words["first"] & np.uint8(15)).astype(np.float64) * 1e8
    last = words["17-18"].astype(np.uint16) & np.uint16(0x0F0F)
    second *= 100.0
    second += (last & np.uint16(15)) * np.uint16(10) + (last >> np.uint16(8))
    values = nearest(first, second, _exponents(words["exponent"].astype(np.uint32)))
    bits = values.view(np.uint64)
    bits |= (words["sign"] & np.uint8(_MINUS)).astype(np.uint64) << np.uint64(61)
    return values


def _eight_digits(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Eight digits in eight bytes -> the number: neighbours are joined, then pairs, then fours.  Overwrites."""
    import numpy as np

    words &= np.uint64(0x0F0F_0F0F_0F0F_0F0F)
    for bits, mask in ((8, 0x00FF_00FF_00FF_00FF), (16, 0x0000_FFFF_0000_FFFF), (32, 0xFFFF_FFFF)):
        right = words >> np.uint64(bits)
        words *= np.uint64(10 ** (bits // 8))
        words += right
        words &= np.uint64(mask)
    return words


def _exponents(words: NDArray[np.uint32]) -> NDArray[np.int64]:
    """A sign and three digits in four bytes -> 0 to 999, or with "-" 1000 to 1999; other characters give at most 2665."""
    import numpy as np

    digits = words & np.uint32(0x0F0F_0F00)
    number = (((digits >> np.uint32(8)) + digits * np.uint32(10)) >> np.uint32(8)) & np.uint32(255)
    number = number * np.uint32(10) + (digits >> np.uint32(24))
    number += ((words >> np.uint32(2)) & np.uint32(1)) * np.uint32(1000)
    known: NDArray[np.int64] = np.minimum(number, np.uint32(1999)).astype(np.int64)
    return known
