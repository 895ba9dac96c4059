"""Which fields rows have beside their values: the head of a chunk of fields (spec/container.md, section 22).

Owns the types of fields and head <-> bytes.  Knows nothing of the values.
"""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from aeformat.container import canonical, limits

TEXT: Final = "text"
BYTES: Final = "bytes"
BOOL: Final = "bool"
NUMBER_BYTES: Final = {
    "int8": 1, "int16": 2, "int32": 4, "int64": 8, "uint8": 1, "uint16": 2, "uint32": 4, "uint64": 8,
    "float16": 2, "float32": 4, "float64": 8, BOOL: 1,
}  # fmt: skip
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_DEPTH: Final = 2
_MOST_SIZES: Final = 8
_SIZE_END: Final = 1 << 31


class BadFields(ValueError):
    """Fields that break section 22.  rule: "C22-4"."""

    def __init__(self, rule: str, what: str) -> None:
        super().__init__(rule, what)
        self.rule, self.what = rule, what


class FieldType(NamedTuple):
    """The type of a field, by its name in the spec, and the sizes of one row's array; () for one number."""

    name: str
    sizes: tuple[int, ...] = ()

    @property
    def is_variable(self) -> bool:
        """Whether each value has a length of its own."""
        return self.name in (TEXT, BYTES)

    @property
    def row_bytes(self) -> int:
        """Bytes of the numbers of one row; of a variable one, of its length."""
        return 4 if self.is_variable else NUMBER_BYTES[self.name] * math.prod(self.sizes)


FieldTypes = Mapping[str, FieldType]  # by name, in ascending order of the names' UTF-8 bytes


def pack_types(types: FieldTypes) -> bytes:
    """The head of a chunk of fields of these types.  Raises BadFields (C22-3, C22-4)."""
    try:
        head = canonical.pack({name: [of.name, *of.sizes] for name, of in types.items()})
    except (TypeError, ValueError) as error:  # of a name that is no text
        raise BadFields("C22-4", f"fields: {error}") from None
    if len(head) > limits.FIELDS_HEAD_BYTES:
        raise BadFields("C22-3", f"a head of {len(head)} bytes, allowed are 1 to {limits.FIELDS_HEAD_BYTES}")
    parse_types(head)
    return head


def parse_types(head: bytes) -> FieldTypes:
    """The types that a head declares.  Raises BadFields (C22-3, C22-4)."""
    try:
        found = canonical.unpack(head, max_depth=_DEPTH)
    except canonical.NotCanonical as error:
        raise BadFields("C22-3", f"the head of fields: {error.what}") from None
    if not 1 <= len(found) <= limits.FIELD_COUNT:
        raise BadFields("C22-4", f"{len(found)} fields, allowed are 1 to {limits.FIELD_COUNT}")
    return {name: _checked(name, value) for name, value in found.items()}


def _checked(name: str, value: object) -> FieldType:
    n_bytes = len(name.encode("utf-8"))
    if not 1 <= n_bytes <= limits.FIELD_NAME_BYTES or _CONTROL.search(name):
        raise BadFields("C22-4", f"{reprlib.repr(name)} is no name of a field")
    found: list[Any] = value if isinstance(value, list) else []
    if found and isinstance(found[0], str) and _is_type(found[0], found[1:]):
        return FieldType(found[0], tuple(found[1:]))
    raise BadFields("C22-4", f"field {reprlib.repr(name)} has no type that this version knows: {reprlib.repr(value)}")


def _is_type(kind: str, sizes: list[Any]) -> bool:
    if kind in (TEXT, BYTES):
        return not sizes
    are_sizes = all(type(size) is int and 1 <= size < _SIZE_END for size in sizes)
    return kind in NUMBER_BYTES and len(sizes) <= _MOST_SIZES and are_sizes
