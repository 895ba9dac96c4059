"""msgpack, canonical or deliberately not (spec/container.md, section 3.1).

Owns values -> bytes.  `Token` stands for bytes that no canonical emitter would write.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sized
from dataclasses import dataclass

Value = object


@dataclass(frozen=True, slots=True)
class Token:
    """Bytes to be put in the place of a value or a key as they are."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Pairs:
    """A map whose entries stay in this order, whatever the keys are."""

    entries: tuple[tuple[Value, Value], ...]


def emit(value: Value) -> bytes:
    """The shortest form; maps with sorted keys."""
    if isinstance(value, Token):
        return value.data
    if isinstance(value, Pairs):
        return _map(value.entries)
    if isinstance(value, dict):
        return _map((key, value[key]) for key in sorted(value, key=lambda key: str(key).encode()))
    if isinstance(value, (list, tuple)):
        return head(value, 0x90, 16, ((0xDC, ">H"), (0xDD, ">I"))) + b"".join(map(emit, value))
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return integer(value)
    if isinstance(value, bytes):
        return head(value, None, 0, ((0xC4, ">B"), (0xC5, ">H"), (0xC6, ">I"))) + value
    assert isinstance(value, str), value
    data = value.encode("utf-8")
    return head(data, 0xA0, 32, ((0xD9, ">B"), (0xDA, ">H"), (0xDB, ">I"))) + data


def _map(entries: Iterable[tuple[Value, Value]]) -> bytes:
    listed = list(entries)
    return head(listed, 0x80, 16, ((0xDE, ">H"), (0xDF, ">I"))) + b"".join(emit(k) + emit(v) for k, v in listed)


def head(items: Sized, fix: int | None, fix_end: int, forms: tuple[tuple[int, str], ...]) -> bytes:
    """First byte and count: in the first byte itself below fix_end, else in the first form that holds it."""
    count = len(items)
    if fix is not None and count < fix_end:
        return bytes([fix | count])
    first, code = next(form for form in forms if count < 1 << 8 * struct.calcsize(form[1]))
    return bytes([first]) + struct.pack(code, count)


def integer(value: int) -> bytes:
    """The shortest form of an integer; unsigned if it is not negative."""
    if -32 <= value <= 127:
        return struct.pack(">b", value)
    if value > 0:
        first, code = next(
            f
            for f in ((0xCC, ">B"), (0xCD, ">H"), (0xCE, ">I"), (0xCF, ">Q"))
            if value >> 8 * struct.calcsize(f[1]) == 0
        )
    else:
        first, code = next(
            f
            for f in ((0xD0, ">b"), (0xD1, ">h"), (0xD2, ">i"), (0xD3, ">q"))
            if value >= -1 << 8 * struct.calcsize(f[1]) - 1
        )
    return bytes([first]) + struct.pack(code, value)


def inside(outer: bytes, piece: bytes) -> int:
    """Where in `outer` the one occurrence of `piece` begins."""
    assert outer.count(piece) == 1, (outer.count(piece), piece)
    return outer.index(piece)
