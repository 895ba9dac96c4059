"""Canonical msgpack (container.md, section 3.1).

`read_canonical` gives nodes that remember where they stood, so that later errors can name a byte.  No recursion: how
deep a map nests is the file's choice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .errors import SpecError

MAX_INTEGER = 2**53 - 1  # C3-2


@dataclass
class Node:
    """One msgpack object.  kind: map, array, str, bin, bool, int."""

    kind: str
    at: int  # first byte, counted from the start of the msgpack
    value: Any  # int, bool, or bytes (of a str too); what maps and arrays hold are children
    children: list[Node] = field(default_factory=list)  # a map's: key, value, key, value, ...

    def items(self) -> Iterator[tuple[Node, Node]]:
        """The pairs of a map."""
        return zip(self.children[::2], self.children[1::2], strict=True)

    def get(self, key: str) -> Node | None:
        """The value a map has under `key`."""
        return next((value for name, value in self.items() if name.text() == key), None)

    def text(self) -> str:
        """A checked string."""
        return str(self.value, "utf-8")

    def plain(self) -> Any:
        """The object as dict, list, str, bytes, bool and int."""
        if self.kind == "map":
            return {name.text(): value.plain() for name, value in self.items()}
        if self.kind == "array":
            return [child.plain() for child in self.children]
        return self.text() if self.kind == "str" else self.value


# first byte: (kind, size of the number that follows, the smallest number that needs this form)
_INTEGERS = {0xCC: (1, 0x80), 0xCD: (2, 1 << 8), 0xCE: (4, 1 << 16), 0xCF: (8, 1 << 32)}
_NEGATIVE = {0xD0: (1, -0x20), 0xD1: (2, -(1 << 7)), 0xD2: (4, -(1 << 15)), 0xD3: (8, -(1 << 31))}
_LENGTHS = {
    0xC4: ("bin", 1, 0), 0xC5: ("bin", 2, 1 << 8), 0xC6: ("bin", 4, 1 << 16),
    0xD9: ("str", 1, 1 << 5), 0xDA: ("str", 2, 1 << 8), 0xDB: ("str", 4, 1 << 16),
    0xDC: ("array", 2, 1 << 4), 0xDD: ("array", 4, 1 << 16),
    0xDE: ("map", 2, 1 << 4), 0xDF: ("map", 4, 1 << 16),
}  # fmt: skip
# C3-2: nil, never assigned, float, ext
_FORBIDDEN = {0xC0, 0xC1, 0xCA, 0xCB, *range(0xC7, 0xCA), *range(0xD4, 0xD9)}


class _Open:
    """A map or array whose items are still to come."""

    def __init__(self, node: Node, wanted: int) -> None:
        self.node, self.wanted = node, wanted

    def expects_key(self) -> bool:
        return self.node.kind == "map" and len(self.node.children) % 2 == 0


def read_canonical(
    data: bytes, deepest: int, where: Callable[[int], int], rule: str | None = None, code: str | None = None
) -> Node:
    """The one canonical map in `data`: one walk over its tokens (C3-1 to C3-5).

    where: from an offset in `data` to the byte of the file.  rule, code: what to report instead of C3-1 to C3-5, "header".
    """
    at = 0
    outer: list[_Open] = []  # the maps and arrays around the next token, outermost first
    root: Node | None = None

    def fail(broken: str, at: int, what: str) -> SpecError:
        return SpecError(rule or broken, where(at), what, code)

    while root is None or outer:
        # the first token breaks C3-1 if it is not a map
        if root is None and data and not (0x80 <= data[0] <= 0x8F or data[0] in (0xDE, 0xDF)):
            raise fail("C3-1", 0, "not a map")
        start = at
        is_key = bool(outer) and outer[-1].expects_key()
        # 1
        if at == len(data):
            raise fail("C3-1", start, "an object is missing")
        first = data[at]
        at += 1
        # 2
        if first in _FORBIDDEN:
            raise fail("C3-2", start, f"first byte 0x{first:02X}: nil, float, ext, or never assigned")
        # 3
        kind, field_bytes, signed, has_shorter = _first_byte(first)
        if at + field_bytes > len(data):
            raise fail("C3-1", start, "the number or length is cut")
        number = int.from_bytes(data[at : at + field_bytes], "big", signed=signed)
        at += field_bytes
        if field_bytes == 0:
            number = _number_in(first)
        # 4
        if has_shorter(number):
            raise fail("C3-3", start, f"{number} has a shorter form")
        # 5
        if kind == "int" and abs(number) > MAX_INTEGER:
            raise fail("C3-2", start, f"{number} is beyond 2^53 - 1")
        # 6
        if is_key and kind != "str":
            raise fail("C3-4", start, "a map key is not a string")
        node = Node(kind, start, number)
        if kind in ("str", "bin"):
            # 7
            if at + number > len(data):
                raise fail("C3-1", start, "a string is cut")
            node.value = data[at : at + number]
            at += number
        if kind == "str":
            # 8
            try:
                text = str(node.value, "utf-8")
            except UnicodeDecodeError:
                raise fail("C3-2", start, "a string is not UTF-8") from None
            if "\0" in text:
                raise fail("C3-2", start, "a string has a NUL")
        # 9
        if is_key and outer[-1].node.children and node.value <= outer[-1].node.children[-2].value:
            raise fail("C3-4", start, "map keys are not unique and ascending")
        if kind == "bool":
            node.value = number == 1
        items = number * {"map": 2, "array": 1}.get(kind, 0)
        # 10
        if items > len(data) - at:
            raise fail("C3-1", start, f"{number} items are announced, {len(data) - at} bytes are left")
        # 11
        if kind in ("map", "array") and len(outer) + 1 > deepest:
            raise fail("C3-5", start, f"nested deeper than {deepest}")

        if outer:
            outer[-1].node.children.append(node)
        else:
            root = node
        if kind in ("map", "array"):
            outer.append(_Open(node, items))
        while outer and len(outer[-1].node.children) == outer[-1].wanted:
            outer.pop()
    if at != len(data):
        raise fail("C3-1", at, "something follows the map")
    return root


def _first_byte(first: int) -> tuple[str, int, bool, Callable[[int], bool]]:
    """Of a token: kind, size of its number or length field, is it signed, has a number of it a shorter form."""
    if first in _INTEGERS:
        size, smallest = _INTEGERS[first]
        return "int", size, False, lambda n: n < smallest
    if first in _NEGATIVE:
        size, bound = _NEGATIVE[first]
        return "int", size, True, lambda n: n >= bound  # so a non-negative one always has (C3-3)
    if first in _LENGTHS:
        kind, size, smallest = _LENGTHS[first]
        return kind, size, False, lambda n: n < smallest
    kind = "int"
    if 0x80 <= first <= 0xBF:
        kind = "map" if first <= 0x8F else "array" if first <= 0x9F else "str"
    elif first in (0xC2, 0xC3):
        kind = "bool"
    return kind, 0, False, lambda n: False


def _number_in(first: int) -> int:
    """The number, length or count that a first byte holds itself."""
    if first <= 0x7F:
        return first
    if first >= 0xE0:
        return first - 0x100
    if first in (0xC2, 0xC3):
        return first & 1
    return first & (0x1F if first >= 0xA0 else 0x0F)


def pack(value: Any) -> bytes:
    """The canonical msgpack of a value; for the content id (container.md, section 9)."""
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        if value >= 0:
            if value <= 0x7F:
                return bytes([value])
            first, size = next((f, n) for f, (n, _) in _INTEGERS.items() if value < 1 << (8 * n))
            return bytes([first]) + value.to_bytes(size, "big")
        if value >= -0x20:
            return bytes([value + 0x100])
        first, size = next((f, n) for f, (n, _) in _NEGATIVE.items() if value >= -(1 << (8 * n - 1)))
        return bytes([first]) + value.to_bytes(size, "big", signed=True)
    if isinstance(value, bytes):
        return _head("bin", len(value), None, 0) + value
    if isinstance(value, str):
        data = value.encode()
        return _head("str", len(data), 0xA0, 31) + data
    if isinstance(value, list):
        return _head("array", len(value), 0x90, 15) + b"".join(map(pack, value))
    pairs = sorted((key.encode(), pack(key) + pack(inner)) for key, inner in value.items())
    return _head("map", len(pairs), 0x80, 15) + b"".join(pair for _, pair in pairs)


def _head(kind: str, n: int, fix: int | None, fix_max: int) -> bytes:
    if fix is not None and n <= fix_max:
        return bytes([fix | n])
    first, size = next((f, s) for f, (k, s, _) in _LENGTHS.items() if k == kind and n < 1 << (8 * s))
    return bytes([first]) + n.to_bytes(size, "big")
