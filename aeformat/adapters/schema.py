"""What all rows of a cache have in common: the shape and the type of a latent, and a type for each field.

Owns which type a field gets.  Numbers of one type and one shape in all rows become an array; arrays that differ, or are missing
somewhere, become bytes: each a .safetensors file of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aeformat.adapters.items import Item, Value
from aeformat.adapters.safetensors_files import json_text, packed
from aeformat.adapters.tensors import ENCODINGS, NUMPY_NAMES, Tensor
from aeformat.container.field_types import BadFields, FieldType, pack_types
from aeformat.container.limits import FIELD_COUNT
from aeformat.errors import CacheInvalid

FILE: Final = "cache.file"
KEYS: Final = "cache.keys"
METADATA: Final = "cache.metadata"
OURS: Final = (FILE, KEYS, METADATA)
_MOST_SIZES: Final = 8


class _Seen:
    """What has been seen of one field."""

    def __init__(self, value: Value) -> None:
        self.form = _form(value)
        self.is_tensor = isinstance(value, Tensor)
        self.is_same, self.n = True, 0

    def add(self, value: Value, name: str) -> None:
        if isinstance(value, Tensor) != self.is_tensor or (not self.is_tensor and _form(value) != self.form):
            raise CacheInvalid(f"{name} is an array in some rows, and text or bytes in others")
        self.is_same = self.is_same and _form(value) == self.form
        self.n += 1

    def is_column(self, n_rows: int) -> bool:
        """Whether it can be an array of numbers."""
        kind, shape = self.form
        fits = kind in NUMPY_NAMES and len(shape) <= _MOST_SIZES and all(shape)
        return self.is_tensor and self.is_same and self.n == n_rows and fits


def _check_name(name: str) -> None:
    """That a field can be called so.  Raises CacheInvalid."""
    try:
        pack_types({name: FieldType("bool")})
    except BadFields as error:
        raise CacheInvalid(f"an array is called {name[:80]!r}, which no field can be: {error.what[:200]}") from None


def _form(value: Value) -> tuple[str, tuple[int, ...]]:
    return (value.type, value.shape) if isinstance(value, Tensor) else (type(value).__name__, ())


class Schema:
    """Of the rows that were given to `add`."""

    def __init__(self) -> None:
        self.n_rows = 0
        self._type, self._first = "", ""
        self._shape: tuple[int, ...] = ()
        self._is_free: list[bool] = []
        self._seen: dict[str, _Seen] = {}
        self._has = dict.fromkeys(OURS, False)

    def add(self, item: Item) -> None:
        """Raises CacheInvalid for a row that cannot be one of the same set."""
        latent = item.latent
        if latent.type not in ENCODINGS:
            raise CacheInvalid(f"a latent of type {latent.type}, and a row is one of {', '.join(ENCODINGS)}")
        if not latent.shape or not all(latent.shape):
            raise CacheInvalid(f"a latent of shape {list(latent.shape)}, which is no row")
        if not self.n_rows:
            self._type, self._shape, self._first = latent.type, latent.shape, item.name
            self._is_free = [False] * len(latent.shape)
        if (latent.type, len(latent.shape)) != (self._type, len(self._shape)):
            raise CacheInvalid(
                f"a latent of {latent.type} {list(latent.shape)}, and {self._first} is {self._type} {list(self._shape)}; "
                "import them as sets of their own, by the names of their files"
            )
        self._add_fields(item)
        self._is_free = [
            is_free or a != b for is_free, a, b in zip(self._is_free, self._shape, latent.shape, strict=True)
        ]
        self.n_rows += 1

    def _add_fields(self, item: Item) -> None:
        for name, value in item.extras.items():
            if name in OURS or not name:
                raise CacheInvalid(f"an array is called {name!r}, which has a meaning here")
            if name not in self._seen:
                _check_name(name)
                self._seen[name] = _Seen(value)
            self._seen[name].add(value, name)
        if len(self._seen) > FIELD_COUNT - len(OURS):
            raise CacheInvalid(
                f"more than {FIELD_COUNT - len(OURS)} other arrays; the first are {list(self._seen)[:3]}"
            )
        for field, is_there in ((FILE, item.file != item.name), (KEYS, item.keys), (METADATA, item.metadata)):
            self._has[field] = self._has[field] or bool(is_there)

    def check(self, item: Item) -> None:
        """That a row is as it was when it was given to `add`.  Raises CacheInvalid."""
        sizes = zip(self._is_free, self._shape, item.latent.shape, strict=False)
        columns = (name for name, seen in self._seen.items() if seen.is_column(self.n_rows))
        ours = ((FILE, item.file != item.name), (KEYS, item.keys), (METADATA, item.metadata))
        if not (
            (item.latent.type, len(item.latent.shape)) == (self._type, len(self._shape))
            and all(is_free or own == size for is_free, own, size in sizes)
            and item.extras.keys() <= self._seen.keys()
            and all(name in item.extras and _form(item.extras[name]) == self._seen[name].form for name in columns)
            and all(isinstance(value, Tensor) == self._seen[name].is_tensor for name, value in item.extras.items())
            and all(self._has[field] or not is_there for field, is_there in ours)
        ):
            raise CacheInvalid("the cache was changed while it was read; begin again")

    @property
    def dims(self) -> tuple[int | None, ...]:
        """As aeformat.create takes them."""
        return tuple(None if is_free else size for is_free, size in zip(self._is_free, self._shape, strict=True))

    @property
    def encoding(self) -> str:
        """The name of the spec."""
        return ENCODINGS[self._type]

    @property
    def fields(self) -> dict[str, Any]:
        """As aeformat.create takes them."""
        types: dict[str, Any] = {name: str for name, is_there in self._has.items() if is_there}
        for name, seen in self._seen.items():
            if seen.is_column(self.n_rows):
                types[name] = (NUMPY_NAMES[seen.form[0]], seen.form[1])
            else:
                types[name] = str if seen.form[0] == "str" else bytes
        return types

    @property
    def packed(self) -> list[str]:
        """The fields whose values are files of one tensor."""
        return [name for name, seen in self._seen.items() if seen.is_tensor and not seen.is_column(self.n_rows)]


def field_values(item: Item, types: Mapping[str, Any]) -> dict[str, Any]:
    """The values of one row."""
    ours = {
        FILE: item.file,
        KEYS: json_text(item.keys) if item.keys else None,
        METADATA: None if item.metadata is None else json_text(item.metadata),
    }
    return {name: ours[name] if name in ours else _value(item.extras.get(name), types[name]) for name in types}


def _value(value: Value | None, kind: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    return value.bits() if isinstance(kind, tuple) else packed(value)
