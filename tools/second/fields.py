"""Fields of rows (container.md, section 22)."""

from __future__ import annotations

import struct
from typing import Any

from . import msgpack
from .errors import SpecError
from .sizes import count

_FORMS = {
    "int8": "b", "int16": "h", "int32": "i", "int64": "q", "uint8": "B", "uint16": "H", "uint32": "I", "uint64": "Q",
    "float16": "e", "float32": "f", "float64": "d", "bool": "B",
}  # fmt: skip
_NOTHING = 0xFFFFFFFF


class Order:
    """Where an fLDs may stand, and what the fields of the rows are.  of_rows: of each ROWS, None where it has none."""

    def __init__(self) -> None:
        self.waiting: Any = None  # the fLDs whose ROWS is still to come
        self.begun = False  # the first chunk of that ROWS has come
        self.head: bytes | None = None
        self.values: dict[str, Any] | None = None
        self.of_rows: list[dict[str, Any] | None] = []

    def check(self, chunk: Any, of_rows: bool, n_rows: int) -> None:
        """C22-1, C22-2.  of_rows: the tag is one that belongs to rows.  n_rows: rows before the chunk."""
        if chunk.tag == b"fLDs":
            if self.waiting or (self.of_rows and self.of_rows[0] is None):
                raise SpecError("C22-1", chunk.at, "an fLDs where none may stand")
            if chunk.n_rows == 0:
                raise SpecError("C22-2", chunk.at + 4, "fields of no rows")
            if chunk.first_row != n_rows:
                raise SpecError("C22-2", chunk.at + 8, f"fields of row {chunk.first_row}")
            self.waiting = chunk
            return
        if not of_rows:
            if self.waiting and not self.begun:
                raise SpecError("C22-1", chunk.at, f"{chunk.tag!r} after an fLDs")
            return
        if not self.begun and not self.waiting and self.of_rows and self.of_rows[0] is not None:
            raise SpecError("C22-1", chunk.at, "every ROWS has an fLDs, or none")
        self.begun = chunk.tag != b"ROWS"
        if chunk.tag == b"ROWS":
            if self.waiting and self.waiting.n_rows != chunk.n_rows:
                raise SpecError("C22-2", self.waiting.at + 4, f"fields of {self.waiting.n_rows} rows")
            self.of_rows.append(self.values)
            self.waiting = self.values = None

    def may_end(self, at: int) -> None:
        """C22-1."""
        if self.waiting:
            raise SpecError("C22-1", at, "the file ends after an fLDs")

    def take(self, raw: bytes, n_rows: int, at: int) -> None:
        """C22-3 to C22-7.  at: the payload, the byte of every error."""
        # C22-3
        head_len = int.from_bytes(raw[:4], "little")
        head = raw[4 : 4 + head_len]
        if len(raw) < 4 or not 1 <= head_len <= 65_536 or len(head) < head_len:
            raise SpecError("C22-3", at, f"a head of {head_len} bytes", "fields")
        try:
            root = msgpack.read_canonical(head, 2, lambda offset: at)
        except SpecError as error:
            raise SpecError("C22-3", at, error.what, "fields") from None
        # C22-4
        entries = [(key.text(), value) for key, value in root.items()]
        if not 1 <= len(entries) <= 256:
            raise SpecError("C22-4", at, f"{len(entries)} fields", "fields")
        for name, value in entries:
            if (
                not 1 <= len(name.encode()) <= 256
                or any(ord(c) < 32 or ord(c) == 127 for c in name)
                or not is_type(value)
            ):
                raise SpecError("C22-4", at, f"the field {name!r}", "fields")
        # C22-5
        if self.head not in (None, head):
            raise SpecError("C22-5", at, "another head than before", "fields")
        self.head = head
        # C22-6: where each column begins
        place = 4 + head_len
        columns: list[Any] = []
        for name, value in entries:
            parts = [child.value if child.kind == "int" else child.text() for child in value.children]
            kind, sizes = parts[0], parts[1:]
            n_bytes = (
                4 * n_rows
                if kind not in _FORMS
                else n_rows * count([int(n) for n in sizes]) * struct.calcsize(_FORMS[kind])
            )
            if place + n_bytes > len(raw):
                raise SpecError("C22-6", at, f"the column {name!r} is not all there", "fields")
            lengths = struct.unpack_from(f"<{n_rows}I", raw, place) if kind not in _FORMS else ()
            columns.append((name, kind, sizes, place, lengths))
            place += n_bytes + sum(n for n in lengths if n != _NOTHING)
            if place > len(raw):
                raise SpecError("C22-6", at, f"the column {name!r} is not all there", "fields")
        if place != len(raw):
            raise SpecError("C22-6", at, "bytes behind the last column", "fields")
        # C22-7
        self.values = {name: read_column(raw, n_rows, at, *rest) for name, *rest in columns}


def is_type(node: Any) -> bool:
    """A type and its sizes?"""
    if node.kind != "array" or not node.children or node.children[0].kind != "str":
        return False
    kind, sizes = node.children[0].text(), node.children[1:]
    if kind in ("text", "bytes"):
        return not sizes
    return kind in _FORMS and len(sizes) <= 8 and all(n.kind == "int" and 1 <= n.value < 2**31 for n in sizes)


def read_column(
    raw: bytes, n_rows: int, at: int, kind: str, sizes: list[int], place: int, lengths: tuple[int, ...]
) -> list[Any]:
    """The values of the rows: texts, bytes, or for each row a flat list of its numbers."""
    if kind in _FORMS:
        n = count(sizes)
        numbers = struct.unpack_from(f"<{n_rows * n}{_FORMS[kind]}", raw, place)
        if kind == "bool" and not set(numbers) <= {0, 1}:
            raise SpecError("C22-7", at, "a bool that is neither 0 nor 1", "fields")
        return [list(numbers[n * row : n * row + n]) for row in range(n_rows)]
    found: list[Any] = []
    place += 4 * n_rows
    for length in lengths:
        value = None if length == _NOTHING else raw[place : place + length]
        place += 0 if value is None else length
        try:
            found.append(value.decode() if value is not None and kind == "text" else value)
        except UnicodeDecodeError:
            raise SpecError("C22-7", at, "a text that is not UTF-8", "fields") from None
    return found
