"""What a format is, and what one row of a cache is, whatever tool has made it.

Owns the words that all formats share.  A format that has one file for each row, or for a few, is a FileFormat.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from aeformat.adapters.tensors import Tensor
from aeformat.errors import CacheInvalid, UsageError

LATENT: Final = ""  # its place among the keys of an item
Value = Tensor | str | bytes
USUAL_KEYS: Final = ("latents", "latent")


class Item(NamedTuple):
    """One row.  file: where it comes from, relative.  name: of the row.

    keys: what stands in the file, in its order: the name of the field, "" for the latent -> the key in the file.
    extras: the values of the fields.  metadata: what the file says beside its arrays.  lost: what of it cannot be kept.
    """

    file: str
    name: str
    latent: Tensor
    keys: Mapping[str, str] = {}
    extras: Mapping[str, Value] = {}
    metadata: Mapping[str, Any] | None = None
    lost: Sequence[str] = ()


class Contents(NamedTuple):
    """What one file holds: arrays by key, in its order, and metadata that is text, numbers, lists and maps."""

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, Any] | None = None
    lost: Sequence[str] = ()


class CacheFormat:
    """A format.  name: what it is called.  suffix: of its files.

    many: whether one file has so many rows that they are taken one by one.
    """

    name: str
    suffix: str
    many = False

    def why_not(self, name: str) -> str | None:
        """Why a file is none of this format, in words; None if it is, "" if it is part of another one."""
        return None if name.endswith(self.suffix) else f"not {self.suffix}"

    def why_not_below(self, folder: str) -> str | None:
        """Why nothing in a folder of that name, below the one that was asked for, is of this format; None if it may be."""
        return None

    def file_name(self, name: str) -> str:
        """The file of a row that comes from another format, or from none."""
        return name if name.endswith(self.suffix) else name + self.suffix

    def items(self, path: Path, file: str, key: str | None) -> Iterator[Item]:
        """The rows of a file; their arrays can be read until the next is asked for.

        Raises CacheInvalid, UsageError, OSError.
        """
        raise NotImplementedError

    def write(self, path: Path, items: Iterable[Item]) -> list[str]:
        """A new file of these rows; returns what could not be written, in words.  Raises UsageError, OSError."""
        raise NotImplementedError


class FileFormat(CacheFormat):
    """A format with one file for each row, or for a few: arrays by key."""

    def load(self, path: Path) -> Iterator[Contents]:
        """What a file holds, once; the file is open until the generator goes on."""
        raise NotImplementedError

    def kept_metadata(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """What of it this format has room for: here nothing."""
        return {}

    def save(self, path: Path, contents: Contents) -> None:
        """Write a file."""
        raise NotImplementedError

    def rows(self, contents: Contents, key: str | None) -> list[dict[str, str]]:
        """Of each row of a file its keys, as Item has them."""
        chosen = chosen_key(list(contents.tensors), key)
        return [{LATENT if name == chosen else name: name for name in contents.tensors}]

    def items(self, path: Path, file: str, key: str | None) -> Iterator[Item]:
        """As CacheFormat's."""
        for contents in self.load(path):
            rows = self.rows(contents, key)
            for keys in rows:
                name = file if len(rows) == 1 else f"{file}/{keys[LATENT]}"
                extras = {field: contents.tensors[own] for field, own in keys.items() if field != LATENT}
                yield Item(file, name, contents.tensors[keys[LATENT]], keys, extras, contents.metadata, contents.lost)

    def write(self, path: Path, items: Iterable[Item]) -> list[str]:
        """As CacheFormat's."""
        tensors: dict[str, Tensor] = {}
        metadata: dict[str, Any] = {}
        lost = []
        for item in items:
            for field, key in (item.keys or {name: name for name in (LATENT, *item.extras)}).items():
                value = item.latent if field == LATENT else item.extras.get(field)
                if isinstance(value, Tensor):
                    tensors[key or USUAL_KEYS[0]] = value
                elif value is not None:
                    lost.append(f"field {field}: {type(value).__name__} in a file of arrays")
            metadata.update(item.metadata or {})
        kept = self.kept_metadata(metadata)
        if gone := metadata.keys() - kept.keys():
            lost.append(f"metadata {', '.join(sorted(gone))}")
        self.save(path, Contents(tensors, kept or None))
        return lost


def value_of(item: Item, field: str) -> Value:
    """What stands under a key of an item.  Raises CacheInvalid where there is nothing."""
    value = item.latent if field == LATENT else item.extras.get(field)
    if value is None:
        raise CacheInvalid(f"row {item.name} has no field {field!r}, which its keys name")
    return value


def chosen_key(keys: Sequence[str], asked: str | None) -> str:
    """Which array of a file is the latent.  Raises UsageError."""
    if asked is not None:
        if asked not in keys:
            raise CacheInvalid(f"it has no array {asked!r}; there are {', '.join(keys) or 'none'}")
        return asked
    if len(keys) == 1:
        return keys[0]
    for usual in USUAL_KEYS:
        if usual in keys:
            return usual
    if not keys:
        raise CacheInvalid("it has no array")
    raise UsageError(f"say by its key which array is the latent: {', '.join(keys)}")
