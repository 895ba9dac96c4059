"""Canonical msgpack: the one byte form of a map (spec/container.md, section 3.1).

Owns bytes <-> plain Python objects.  Knows nothing of what the keys mean.  The library alone accepts much that the spec
does not (repeated keys, longer forms, NaN, ext types, depth), so a scan without recursion checks every token
before the library sees the bytes, and the result is encoded again and compared.
"""

from __future__ import annotations

from typing import Any, Final

import msgpack

MAX_INT: Final = 2**53 - 1  # C3-2: what a double holds exactly


class NotCanonical(ValueError):
    """The bytes are not canonical msgpack.  rule: "C3-2".  at: byte in the data."""

    def __init__(self, rule: str, at: int, what: str) -> None:
        super().__init__(rule, at, what)
        self.rule, self.at, self.what = rule, at, what

    def __str__(self) -> str:
        return f"{self.what} (rule {self.rule}, byte {self.at} of the map)"


# First byte -> (bytes of the number or length field, what it is, smallest number this is the shortest form of).
# For the signed forms (0xD0 to 0xD3): the largest number, all of them negative.
_SIZED: Final[dict[int, tuple[int, str, int]]] = {
    0xC2: (0, "bool", 0), 0xC3: (0, "bool", 0),
    0xC4: (1, "bytes", 0), 0xC5: (2, "bytes", 2**8), 0xC6: (4, "bytes", 2**16),
    0xCC: (1, "int", 2**7), 0xCD: (2, "int", 2**8), 0xCE: (4, "int", 2**16), 0xCF: (8, "int", 2**32),
    0xD0: (1, "int", -(2**5) - 1), 0xD1: (2, "int", -(2**7) - 1), 0xD2: (4, "int", -(2**15) - 1),
    0xD3: (8, "int", -(2**31) - 1),
    0xD9: (1, "str", 2**5), 0xDA: (2, "str", 2**8), 0xDB: (4, "str", 2**16),
    0xDC: (2, "list", 2**4), 0xDD: (4, "list", 2**16), 0xDE: (2, "map", 2**4), 0xDF: (4, "map", 2**16),
}  # fmt: skip
_SIGNED: Final = frozenset({0xD0, 0xD1, 0xD2, 0xD3})
_REFUSED: Final = {0xC0: "nil", 0xC1: "an unassigned byte", 0xCA: "a float", 0xCB: "a float"}


def pack(value: object) -> bytes:
    """The canonical bytes of a map of plain objects: dict, list, tuple, str, bytes, bool, int.

    Raises TypeError or ValueError where the caller's value has no canonical form; bad bytes are `unpack`'s business.
    """
    packed = msgpack.packb(_sorted(value), use_bin_type=True)
    assert isinstance(packed, bytes)
    return packed


def _sorted(value: object) -> object:
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("map keys must be strings")
        return {key: _sorted(value[key]) for key in sorted(value, key=lambda k: k.encode("utf-8"))}
    if isinstance(value, (list, tuple)):
        return [_sorted(item) for item in value]
    if isinstance(value, bool | bytes):
        return value
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError("a string must not hold NUL")
        return value
    if isinstance(value, int):
        if abs(value) > MAX_INT:
            raise ValueError(f"{value} is outside -(2^53 - 1) to 2^53 - 1")
        return value
    raise TypeError(f"{type(value).__name__} has no canonical form")


def unpack(data: bytes, *, max_depth: int) -> dict[str, Any]:
    """The map that canonical `data` stands for.  Raises NotCanonical.

    Memory: an empty list of one byte becomes an object of 60, so look at how deep the map nests (`scan`) before a large one.
    """
    scan(data, max_depth)
    return build(data)


def build(data: bytes) -> dict[str, Any]:
    """The map in bytes that `scan` has let through."""
    try:
        value = msgpack.unpackb(data, raw=False, strict_map_key=True)
    except (ValueError, TypeError, msgpack.exceptions.UnpackException) as error:
        raise NotCanonical("C3-1", 0, f"not msgpack: {error}") from None
    if pack(value) != data:  # nothing that the scan lets through is known to come here
        raise NotCanonical("C3-3", 0, "the map does not encode to itself")
    return value  # type: ignore[no-any-return]


class _Open:
    """A container whose items are being read."""

    __slots__ = ("is_map", "last_key", "n_left")

    def __init__(self, n_left: int, *, is_map: bool) -> None:
        self.n_left = n_left  # items still to come; a map's key and value count as two
        self.is_map = is_map
        self.last_key: bytes | None = None

    @property
    def at_key(self) -> bool:
        return self.is_map and self.n_left % 2 == 0


def scan(data: bytes, max_depth: int) -> int:
    """Walk the tokens once, without recursion, and refuse whatever breaks C3-1 to C3-5; how deep the map nests.

    Raises NotCanonical.  Takes no memory worth counting.
    """
    if not data or not (0x80 <= data[0] <= 0x8F or data[0] in (0xDE, 0xDF)):
        raise NotCanonical("C3-1", 0, "not a msgpack map")
    stack, depth = [_Open(1, is_map=False)], 0
    at, end = 0, len(data)
    while stack:
        top = stack[-1]
        if not top.n_left:
            stack.pop()
            continue
        if at >= end:
            raise NotCanonical("C3-1", at, "the map ends early")
        start = at
        what, number, at = _token(data, at)
        if top.at_key and what != "str":
            raise NotCanonical("C3-4", start, f"a map key is a {what}, not a string")
        if what in ("bytes", "str"):
            if number > end - at:
                raise NotCanonical("C3-1", start, f"{number} bytes announced, {end - at} left")
            text = data[at : at + number]
            at += number
            if what == "str":
                _check_text(text, start)
                if top.at_key:
                    if top.last_key is not None and text <= top.last_key:
                        raise NotCanonical("C3-4", start, "map keys are repeated or out of order")
                    top.last_key = text
        top.n_left -= 1
        if what in ("list", "map"):
            n_items = number * (2 if what == "map" else 1)
            if n_items > end - at:
                raise NotCanonical("C3-1", start, f"{n_items} items announced, {end - at} bytes left")
            if len(stack) > max_depth:
                raise NotCanonical("C3-5", start, f"nested deeper than {max_depth}")
            depth = max(depth, len(stack))
            stack.append(_Open(n_items, is_map=what == "map"))
    if at != end:
        raise NotCanonical("C3-1", at, f"{end - at} bytes after the map")
    return depth


def _token(data: bytes, at: int) -> tuple[str, int, int]:
    """(kind, number or length, where its content begins) of the token at `at`.  Checks C3-2 and C3-3."""
    first = data[at]
    if first <= 0x7F or first >= 0xE0:
        return "int", first if first <= 0x7F else first - 0x100, at + 1
    if first <= 0x8F:
        return "map", first & 0x0F, at + 1
    if first <= 0x9F:
        return "list", first & 0x0F, at + 1
    if first <= 0xBF:
        return "str", first & 0x1F, at + 1
    if first not in _SIZED:
        raise NotCanonical("C3-2", at, f"{_REFUSED.get(first, 'an ext type')} is not allowed")
    size, what, edge = _SIZED[first]
    field = data[at + 1 : at + 1 + size]
    if len(field) < size:
        raise NotCanonical("C3-1", at, "the map ends early")
    number = int.from_bytes(field, "big", signed=first in _SIGNED)
    if number > edge if first in _SIGNED else number < edge:
        raise NotCanonical("C3-3", at, f"{what} {number} is not in its shortest form")
    if what == "int" and abs(number) > MAX_INT:
        raise NotCanonical("C3-2", at, f"integer {number} is outside -(2^53 - 1) to 2^53 - 1")
    return what, number, at + 1 + size


def _check_text(text: bytes, at: int) -> None:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        raise NotCanonical("C3-2", at, "a string is not UTF-8") from None
    if b"\0" in text:
        raise NotCanonical("C3-2", at, "a string holds NUL")
