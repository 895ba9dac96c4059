"""Encodings: from the raw bytes of a `ROWS` payload to numbers (container.md, section 5)."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Context, Decimal
from itertools import accumulate

from .errors import SpecError

Number = int | float

# encoding: (bytes a value, what `values` may be, the encoding's own type first)
ENCODINGS = {
    "text19": (27, ("f64", "f32", "f16", "bf16", "u8", "i8", "u16")),
    "f64le": (8, ("f64", "f32", "f16", "bf16", "u8", "i8", "u16")),
    "f32le": (4, ("f32", "f16", "bf16", "u8", "i8", "u16")),
    "f16le": (2, ("f16", "u8", "i8")),
    "bf16le": (2, ("bf16", "u8", "i8")),
    "u8": (1, ("u8",)),
    "i8": (1, ("i8",)),
    "u16le": (2, ("u16", "u8")),
}
NO_BYTE_ORDER = ("text19", "u8", "i8")  # section 3.2
_TYPES = {"f64": (8, "<d"), "f32": (4, "<f"), "f16": (2, "<e"), "u8": (1, "<B"), "i8": (1, "<b"), "u16": (2, "<H"),
          "i32": (4, "<i")}  # fmt: skip
_INTEGER_RANGES = {"u8": (0, 255), "i8": (-128, 127), "u16": (0, 65_535)}


def unpack(data: bytes, type_: str) -> list[Number]:
    """All values of a binary type, little-endian."""
    if type_ == "bf16":  # the upper half of a binary32
        return [struct.unpack("<f", b"\0\0" + data[at : at + 2])[0] for at in range(0, len(data), 2)]
    return [value for (value,) in struct.iter_unpack(_TYPES[type_][1], data)]


def pack(values: list[Number], type_: str) -> bytes:
    """The little-endian bytes of values that the type can hold."""
    if type_ == "bf16":
        return b"".join(struct.pack("<f", value)[2:] for value in values)
    return b"".join(struct.pack(_TYPES[type_][1], value) for value in values)


def bytes_a_value(type_: str) -> int:
    return 2 if type_ == "bf16" else _TYPES[type_][0]


def read_rows(
    raw: bytes, encoding: str, type_: str, row_values: list[int], where: Callable[[int], int]
) -> list[Number]:
    """The values of a payload, in the type they had.

    row_values: of each row.  where: from an offset in `raw` to the byte of the file.
    """
    size = ENCODINGS[encoding][0]
    if encoding == "text19":
        values: list[Number] = list(_read_text19(raw, row_values, where))
    else:
        values = unpack(raw, ENCODINGS[encoding][1][0])
    for i, value in enumerate(values):
        if not math.isfinite(value):
            raise SpecError("C5-3", where(i * size), f"{value} is not finite")
    for i, value in enumerate(values):
        if not is_representable(value, type_):
            raise SpecError("C5-4", where(i * size), f"{value} is no {type_}")
    return [int(value) for value in values] if type_ in _INTEGER_RANGES else values


# what may stand at each place of a cell; at place 26 stands a space or a line feed
_CELL = {j: {0: b"+-", 2: b".", 21: b"e", 22: b"+-"}.get(j, b"0123456789") for j in range(26)}


def _read_text19(raw: bytes, row_values: list[int], where: Callable[[int], int]) -> list[float]:
    """Cells of 26 characters; a space between two of a row, a line feed after the last."""
    line_ends = set(accumulate(row_values))
    for at, character in enumerate(raw):  # C5-1
        number, j = divmod(at, 27)
        if character not in _CELL.get(j, b"\n" if number + 1 in line_ends else b" "):
            raise SpecError("C5-1", where(at), f"{bytes([character])!r} does not belong there")
    values = []
    for at in range(0, len(raw), 27):  # C5-2
        cell = raw[at : at + 26].decode()
        value = float(cell)  # to the nearest binary64, a tie to the even one
        if math.isfinite(value) and cell != text19_cell(value):  # infinite: C5-3
            raise SpecError("C5-2", where(at), f"{cell} is not the decimal of {value!r}")
        values.append(value)
    return values


def text19_cell(value: float) -> str:
    """The decimal with 19 significant digits that is nearest to the value; of two, the one with the even last digit."""
    sign = "-" if math.copysign(1.0, value) < 0 else "+"
    if value == 0:
        return sign + "0." + "0" * 18 + "e+000"
    rounded = Context(prec=19, rounding=ROUND_HALF_EVEN).create_decimal(Decimal(abs(value)))
    text = "".join(map(str, rounded.as_tuple().digits)).ljust(19, "0")
    return f"{sign}{text[0]}.{text[1:]}e{rounded.adjusted():+04d}"


def is_representable(value: Number, type_: str) -> bool:
    """Is the finite value exactly one of the type, the sign of zero included (C5-4)?"""
    if type_ in _INTEGER_RANGES:
        lo, hi = _INTEGER_RANGES[type_]
        if not lo <= value <= hi or value != int(value):
            return False
        return not (value == 0 and math.copysign(1.0, value) < 0)
    if type_ == "bf16":
        try:
            return struct.pack("<f", value)[:2] == b"\0\0" and is_representable(value, "f32")
        except OverflowError:
            return False
    code = _TYPES[type_][1]
    try:
        return bool(struct.unpack(code, struct.pack(code, value))[0] == value)
    except OverflowError:
        return False
