"""Numbers -> bytes in every value type and encoding (spec/container.md, section 5).

text19 is worked out with whole numbers, so that it owes nothing to any printf.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from fractions import Fraction

Number = int | float
_CODES = {"f64": "<d", "f32": "<f", "f16": "<e", "u8": "<B", "i8": "<b", "u16": "<H", "i32": "<i"}
OWN_TYPE = {
    "text19": "f64", "f64le": "f64", "f32le": "f32", "f16le": "f16", "bf16le": "bf16", "u8": "u8", "i8": "i8", "u16le": "u16",
}  # fmt: skip
VALUE_BYTES = {"text19": 27, "f64le": 8, "f32le": 4, "f16le": 2, "bf16le": 2, "u8": 1, "i8": 1, "u16le": 2}


def pack(values: Sequence[Number], type: str) -> bytes:
    """Little-endian bytes of values that the type holds exactly."""
    if type == "bf16":
        return b"".join(_bf16(value) for value in values)
    packed = b"".join(struct.pack(_CODES[type], value) for value in values)
    back = [value for (value,) in struct.iter_unpack(_CODES[type], packed)]
    assert back == list(values), (type, values)
    return packed


def _bf16(value: Number) -> bytes:
    packed = struct.pack("<f", value)
    assert packed[:2] == b"\0\0" and struct.unpack("<f", packed)[0] == value, value
    return packed[2:]


def encode(rows: Sequence[Sequence[Number]], encoding: str) -> bytes:
    """The raw payload of rows."""
    if encoding == "text19":
        return b"".join(b" ".join(cell(value) for value in row) + b"\n" for row in rows)
    return b"".join(pack(row, OWN_TYPE[encoding]) for row in rows)


def cell(value: Number) -> bytes:
    """26 characters: the decimal of 19 digits nearest to the value, ties to the even digit."""
    sign = "-" if math.copysign(1.0, value) < 0 else "+"
    exact = abs(Fraction(value))
    if not exact:
        return f"{sign}0.{'0' * 18}e+000".encode()
    exponent = len(str(exact.numerator)) - len(str(exact.denominator))
    if exact < Fraction(10) ** exponent:
        exponent -= 1
    digits = round(exact / Fraction(10) ** (exponent - 18))  # Fraction rounds half to even
    if digits == 10**19:
        digits, exponent = 10**18, exponent + 1
    text = str(digits)
    return f"{sign}{text[0]}.{text[1:]}e{'-' if exponent < 0 else '+'}{abs(exponent):03d}".encode()


def shuffle(raw: bytes, value_bytes: int) -> bytes:
    """All first bytes, then all second ones, and so on."""
    return b"".join(raw[i::value_bytes] for i in range(value_bytes))
