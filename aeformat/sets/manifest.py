"""The manifest of a set: bytes <-> which shards there are (spec/sets.md, sections 1 and 2).

Owns the form of a manifest, and what the next one is.  Does no I/O: a folder and an object store commit the same bytes.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from typing import Any, Final, NamedTuple
from zlib import crc32

from aeformat.container import canonical, wire
from aeformat.container.field_types import BadFields, FieldTypes, pack_types, parse_types
from aeformat.container.header import LatentsHeader, parse_header
from aeformat.container.names import BadNames, check_name
from aeformat.errors import (
    ChecksumMismatch,
    FormatError,
    LimitExceeded,
    NotAef,
    SetInvalid,
    Truncated,
    Unsupported,
    UsageError,
)
from aeformat.sets.opening import MANIFEST_NAME

NAME: Final = MANIFEST_NAME
MAGIC: Final = b"\x89AES\r\n\x1a\n"
_MAJOR: Final = 1
_PREAMBLE = struct.Struct("<8sBBHII")  # without its checksum
_MAP_AT: Final = 24
_MOST_BYTES: Final = 1 << 28
_DEPTH: Final = 3
_DIGEST_BYTES: Final = 32
_SHARD_KEYS: Final = {"bytes", "content_id", "digest", "name", "rows"}
_KEYS: Final = {"flags", "generation", "header", "n_rows", "shards"}
_OPTIONAL: Final = {"fields", "previous"}


class Shard(NamedTuple):
    """One file of a set.  name: relative to the manifest.  digest: SHA-256 of the file."""

    name: str
    digest: bytes
    rows: int
    content_id: bytes
    bytes: int


class Manifest(NamedTuple):
    """What a set is.  header: of every shard.  fields: types of what all rows have.  previous: digest of the one replaced."""

    header: LatentsHeader
    field_types: FieldTypes
    shards: tuple[Shard, ...] = ()
    generation: int = 1
    previous: bytes | None = None

    @property
    def n_rows(self) -> int:
        """Rows of all shards."""
        return sum(shard.rows for shard in self.shards)

    def to_bytes(self) -> bytes:
        """The file."""
        fields: dict[str, object] = {
            "flags": self.header.flags,
            "generation": self.generation,
            "header": self.header.to_bytes(),
            "n_rows": self.n_rows,
            "shards": [shard._asdict() for shard in self.shards],
        }
        if self.field_types:
            fields["fields"] = pack_types(self.field_types)
        if self.previous is not None:
            fields["previous"] = self.previous
        return manifest_file(canonical.pack(fields))

    def with_shards(self, shards: Iterable[Shard], replaced: bytes | None) -> Manifest:
        """The manifest that follows (S4-2).  replaced: the bytes of this one; None if it has not been written yet.

        Raises UsageError for a shard that has the name of another.
        """
        listed = {shard.digest: shard for shard in self.shards}
        for shard in shards:
            listed.setdefault(shard.digest, shard)
        if len({shard.name for shard in listed.values()}) < len(listed):
            raise UsageError("a shard has the name of another one in the set")
        made = self._replace(shards=tuple(listed.values()))
        if replaced is None:
            return made
        return made._replace(generation=self.generation + 1, previous=hashlib.sha256(replaced).digest())


def manifest_file(data: bytes) -> bytes:
    """The file around a map."""
    front = _PREAMBLE.pack(MAGIC, _MAJOR, 0, 0, len(data), crc32(data))
    return front + wire.crc_field(crc32(front)) + data


def parse_manifest(data: bytes) -> Manifest:
    """The manifest in a file.  Raises FormatError (S1-1 to S2-4)."""
    if not MAGIC.startswith(data[: len(MAGIC)]):
        raise NotAef("S1-1", 0, "not the manifest of a set")
    if len(data) < _MAP_AT:
        raise Truncated("S1-2", len(data), "the manifest ends inside its first bytes")
    _, major, _minor, flags, n_bytes, map_crc = _PREAMBLE.unpack_from(data)
    if major != _MAJOR:
        raise Unsupported("S1-3", 8, f"a set of version {major}, this reader knows {_MAJOR}")
    if flags:
        raise Unsupported("S1-3", 10, f"flags 0x{flags:04x} of a set, which this reader does not know")
    if wire.crc_field(crc32(data[: _PREAMBLE.size])) != data[_PREAMBLE.size : _MAP_AT]:
        raise ChecksumMismatch("S1-4", _PREAMBLE.size, "the checksum of the manifest's first bytes does not match")
    if not 1 <= n_bytes <= _MOST_BYTES:
        raise LimitExceeded("S1-5", 12, f"a manifest of {n_bytes} bytes, allowed are 1 to {_MOST_BYTES}")
    found = data[_MAP_AT : _MAP_AT + n_bytes]
    if len(found) < n_bytes:
        raise Truncated("S1-2", len(data), "the manifest ends inside its map")
    if crc32(found) != map_crc:
        raise ChecksumMismatch("S1-6", _MAP_AT, "the manifest's checksum does not match")
    if len(data) > _MAP_AT + n_bytes:
        raise SetInvalid("S1-7", _MAP_AT + n_bytes, "there are bytes behind the manifest")
    try:
        fields = canonical.unpack(found, max_depth=_DEPTH)
    except canonical.NotCanonical as error:
        raise SetInvalid("S1-8", _MAP_AT, f"the manifest: {error.what}") from None
    return _manifest(fields)


def _manifest(fields: dict[str, Any]) -> Manifest:
    if not _KEYS <= fields.keys() <= _KEYS | _OPTIONAL:
        raise _bad("S2-1", f"keys {', '.join(sorted(fields.keys() ^ _KEYS))} are missing or too many")
    generation, previous, shards = fields["generation"], fields.get("previous"), fields["shards"]
    if not all(_is_count(fields[key], 0) for key in ("flags", "n_rows")) or not _is_count(generation, 1):
        raise _bad("S2-1", "a count is not an integer of its range")
    if not isinstance(shards, list) or not isinstance(fields["header"], bytes):
        raise _bad("S2-1", "header or shards are of another type")
    if (previous is not None and not _is_digest(previous)) or (previous is None) != (generation == 1):
        raise _bad("S2-1", "previous is not the digest of a manifest, or does not go with the generation")
    header, types = _header(fields["header"], fields["flags"]), _types(fields.get("fields"))
    made = Manifest(header, types, tuple(map(_shard, shards)), generation, previous)
    for key in ("name", "digest"):
        if len({getattr(shard, key) for shard in made.shards}) < len(made.shards):
            raise _bad("S2-3", f"two shards have one {key}")
    if made.n_rows != fields["n_rows"]:
        raise _bad("S2-4", f"{fields['n_rows']} rows stated, the shards have {made.n_rows}")
    return made


def _header(data: bytes, flags: int) -> LatentsHeader:
    try:
        header = parse_header(data, 0, flags)
    except FormatError as error:
        raise _bad("S2-2", f"its header breaks {error.rule}: {error.what}") from None
    if not isinstance(header, LatentsHeader):
        raise _bad("S2-2", "its header is that of a model")
    return header


def _types(head: object) -> FieldTypes:
    if head is None:
        return {}
    if not isinstance(head, bytes):
        raise _bad("S2-1", "fields are of another type")
    try:
        return parse_types(head)
    except BadFields as error:
        raise _bad("S2-2", error.what) from None


def _shard(found: object) -> Shard:
    if not isinstance(found, dict) or found.keys() != _SHARD_KEYS:
        raise _bad("S2-3", "a shard has other keys")
    shard = Shard(**found)
    are_digests = _is_digest(shard.digest) and _is_digest(shard.content_id)
    if not are_digests or not _is_count(shard.rows, 1) or not _is_count(shard.bytes, 1) or type(shard.name) is not str:
        raise _bad("S2-3", "a shard has a value of another type or range")
    try:
        check_name(shard.name)
    except BadNames as error:
        raise _bad("S2-3", f"a shard: {error.what}") from None
    return shard


def _is_count(value: object, least: int) -> bool:
    return type(value) is int and value >= least


def _is_digest(value: object) -> bool:
    return type(value) is bytes and len(value) == _DIGEST_BYTES


def _bad(rule: str, what: str) -> SetInvalid:
    return SetInvalid(rule, _MAP_AT, f"the manifest: {what}")
