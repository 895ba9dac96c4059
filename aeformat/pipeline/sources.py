"""What rows were made from: the digest of a file, its length, and when it was last changed.

Owns how a file becomes the source of a row (spec/container.md, sections 7 and 22).  What is stale is staleness/'s.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from aeformat.container.field_types import FieldType, FieldTypes
from aeformat.container.names import RowNames
from aeformat.errors import UsageError
from aeformat.paths import checked_path

SOURCE_BYTES: Final = "source_bytes"
SOURCE_MTIME: Final = "source_mtime_ns"
SOURCE_FIELDS: Final[Mapping[str, Any]] = {SOURCE_BYTES: "uint64", SOURCE_MTIME: "int64"}
_DIGEST_BYTES: Final = 32
_READ_BYTES: Final = 1 << 20

AnySource = str | os.PathLike[str] | bytes


class Source(NamedTuple):
    """The file that a row was made from.  digest: SHA-256 of its bytes.  stamp: its length and st_mtime_ns, if known."""

    digest: bytes
    stamp: tuple[int, int] | None = None


def file_digest(path: Path) -> bytes:
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(_READ_BYTES):
            digest.update(data)
    return digest.digest()


def stamp_of(path: Path) -> tuple[int, int]:
    """Length in bytes, and when the file was last changed, in nanoseconds since 1970.  Raises OSError."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def read_source(path: Path) -> Source:
    """A file as a source: it is read.  Raises UsageError where it is changed meanwhile, OSError."""
    before = stamp_of(path)
    digest = file_digest(path)
    if stamp_of(path) != before:
        raise UsageError(f"{path} was changed while it was read; try again")
    return Source(digest, before)


def source_fields(paths: Iterable[str | os.PathLike[str]]) -> dict[str, list[int]]:
    """The values of the fields of SOURCE_FIELDS for these files, which are not read.

    Length in bytes, and when each was last changed, in nanoseconds since 1970.  Raises OSError.
    Source: spec/container.md, section 22.
    """
    stamps = [stamp_of(Path(checked_path(path))) for path in paths]
    return {SOURCE_BYTES: [stamp[0] for stamp in stamps], SOURCE_MTIME: [stamp[1] for stamp in stamps]}


def sources_of(given: Iterable[AnySource]) -> list[Source]:
    """Paths and digests as sources.  Raises UsageError, OSError."""
    if isinstance(given, (str, bytes, os.PathLike)):
        raise UsageError("sources are a list of one for each row, not one path or digest")
    return [_source(source) for source in given]


def _source(given: AnySource) -> Source:
    if not isinstance(given, (bytes, bytearray)):
        return read_source(Path(checked_path(given, instead="; or give the 32 bytes of a SHA-256")))
    if len(given) != _DIGEST_BYTES:
        raise UsageError(
            f"a source is a path or the {_DIGEST_BYTES} bytes of a SHA-256, and this has {len(given)} bytes"
        )
    return Source(bytes(given))


def with_sources(names: RowNames | None, sources: Sequence[Source]) -> RowNames:
    """Names of rows, with the digests of what these rows were made from.  Raises UsageError."""
    digests = tuple(source.digest for source in sources)
    if names is None:
        return RowNames(sources=digests)
    if len(names) != len(digests):
        raise UsageError(f"{len(digests)} sources for {len(names)} names")
    return RowNames(names.names, names.labels, digests)


def source_fields_of(sources: Sequence[Source], types: FieldTypes) -> dict[str, Any]:
    """The fields of SOURCE_FIELDS that a file has, where all these sources know them."""
    stamped = [name for name, kind in SOURCE_FIELDS.items() if types.get(name) == FieldType(kind)]
    stamps = [source.stamp for source in sources if source.stamp is not None]
    if len(stamps) < len(sources):
        return {}
    columns = {SOURCE_BYTES: [stamp[0] for stamp in stamps], SOURCE_MTIME: [stamp[1] for stamp in stamps]}
    return {name: columns[name] for name in stamped}


def keeps_stamps(types: FieldTypes) -> bool:
    """Whether a file has the fields of SOURCE_FIELDS.  (Fields of their names and of another type are something else.)"""
    return all(types.get(name) == FieldType(kind) for name, kind in SOURCE_FIELDS.items())
