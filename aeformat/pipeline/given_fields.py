"""The fields of a file as a caller declares them.

Owns the words for types that Python and NumPy have.  The types themselves are container/field_types.py's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aeformat.container.field_types import (
    BOOL,
    BYTES,
    NUMBER_BYTES,
    TEXT,
    BadFields,
    FieldType,
    FieldTypes,
    pack_types,
    parse_types,
)
from aeformat.errors import UsageError

_PYTHON: Final[dict[object, str]] = {str: TEXT, bytes: BYTES, int: "int64", float: "float64", bool: BOOL}


def given_types(fields: Mapping[str, Any] | None) -> FieldTypes | None:
    """The types of fields, each given as str, bytes, int, float, bool, a NumPy type, or (type, sizes of one row's array).

    Raises UsageError.
    """
    if not fields:
        return None
    try:
        return parse_types(pack_types({name: _type(name, given) for name, given in fields.items()}))
    except BadFields as error:
        raise UsageError(error.what) from None


def _type(name: str, given: Any) -> FieldType:
    import numpy as np

    if isinstance(given, FieldType):
        return given
    kind, sizes = given if isinstance(given, tuple) and len(given) == 2 else (given, ())
    if isinstance(kind, str) and kind in (TEXT, BYTES):
        return FieldType(kind)
    found = _PYTHON.get(kind) if isinstance(kind, type) else None
    try:
        found = found or np.dtype(kind).name
        shape = (int(sizes),) if isinstance(sizes, int) else tuple(int(size) for size in sizes)
    except TypeError:
        raise UsageError(f"field {name}: {given!r} is no type; give str, bytes, or a NumPy type of numbers") from None
    if found not in NUMBER_BYTES and found not in (TEXT, BYTES):
        raise UsageError(f"field {name}: numbers of type {found} cannot be stored; there are {', '.join(NUMBER_BYTES)}")
    return FieldType(found, shape)
