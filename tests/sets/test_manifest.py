"""Promise: a manifest is one file byte for byte, and each rule of spec/sets.md refuses what breaks it, at its byte."""

from __future__ import annotations

import hashlib
import struct
from typing import Any
from zlib import crc32

import msgpack
import pytest

from aeformat.container.field_types import FieldType, pack_types
from aeformat.container.header import LatentsHeader, ModelHeader
from aeformat.errors import FormatError, UsageError
from aeformat.sets.manifest import Manifest, Shard, parse_manifest

HEADER = LatentsHeader(bytes(32), (3,), (28, 28, 1), "u8")
SHARDS = [
    {"bytes": 100, "content_id": b"c" * 32, "digest": b"d" * 32, "name": "a.aef", "rows": 5},
    {"bytes": 200, "content_id": b"c" * 32, "digest": b"e" * 32, "name": "b/c.aef", "rows": 7},
]
HEAD = pack_types({"label": FieldType("int64")})
FIELDS: dict[str, Any] = {
    "flags": 0, "generation": 2, "header": HEADER.to_bytes(), "n_rows": 12, "previous": b"p" * 32, "shards": SHARDS,
}  # fmt: skip


def built(data: bytes, **changes: int) -> bytes:
    """A file around a map, written from the page."""
    of = {"major": 1, "minor": 0, "flags": 0, "length": len(data), "crc": crc32(data)} | changes
    front = b"\x89AES\r\n\x1a\n" + struct.pack("<BBHII", of["major"], of["minor"], of["flags"], of["length"], of["crc"])
    return front + struct.pack("<I", crc32(front)) + data


def packed(**changes: Any) -> bytes:
    """The map with other entries; None takes one away."""
    fields = FIELDS | changes
    return msgpack.packb({key: fields[key] for key in sorted(fields) if fields[key] is not None})


GOOD = built(packed())


def shards(number: int, **changes: Any) -> bytes:
    listed = [dict(shard) for shard in SHARDS]
    listed[number] |= changes
    listed[number] = {key: listed[number][key] for key in sorted(listed[number]) if listed[number][key] is not None}
    return built(packed(shards=listed))


def test_a_manifest_is_what_the_page_says():
    manifest = parse_manifest(GOOD)

    assert manifest == Manifest(HEADER, {}, tuple(Shard(**shard) for shard in SHARDS), 2, b"p" * 32)
    assert manifest.n_rows == 12
    assert manifest.to_bytes() == GOOD
    with_fields = built(packed(fields=HEAD))
    assert parse_manifest(with_fields).to_bytes() == with_fields


def test_a_later_minor_version_is_read():
    assert parse_manifest(built(packed(), minor=7)) == parse_manifest(GOOD)


BROKEN = {
    "S1-1 0 not-aef": b"PK" + GOOD[2:],
    "S1-2 23 truncated": GOOD[:23],
    f"S1-2 {len(GOOD) - 1} truncated": GOOD[:-1],
    "S1-2 0 truncated": b"",
    "S1-3 8 unsupported": built(packed(), major=2),
    "S1-3 10 unsupported": built(packed(), flags=1),
    "S1-4 20 checksum": GOOD[:20] + b"\0\0\0\0" + GOOD[24:],
    "S1-5 12 limit": built(packed(), length=0),
    "S1-5 12 limit, too large": built(packed(), length=2**28 + 1),
    "S1-6 24 checksum": GOOD[:-1] + b"\0",
    f"S1-7 {len(GOOD)} set": GOOD + b"\0",
    "S1-8 24 set, a list": built(msgpack.packb([1])),
    "S1-8 24 set, a float": built(packed(n_rows=12.0)),
    "S1-8 24 set, deep": built(packed(shards=[[{"a": 1}], {"a": [1]}])),
    "S2-1 24 set, a key": built(packed(more=1)),
    "S2-1 24 set, no key": built(packed(n_rows=None)),
    "S2-1 24 set, no previous": built(packed(previous=None)),
    "S2-1 24 set, previous of the first": built(packed(generation=1)),
    "S2-1 24 set, previous": built(packed(previous=b"p")),
    "S2-1 24 set, generation": built(packed(generation=0)),
    "S2-1 24 set, flags": built(packed(flags=True)),
    "S2-1 24 set, shards": built(packed(shards={})),
    "S2-1 24 set, header": built(packed(header="x")),
    "S2-1 24 set, fields": built(packed(fields=1)),
    "S2-2 24 set, header": built(packed(header=b"\x80")),
    "S2-2 24 set, model": built(packed(header=ModelHeader(model=bytes(32)).to_bytes())),
    "S2-2 24 set, flags": built(packed(flags=1)),
    "S2-2 24 set, fields": built(packed(fields=b"\x80")),
    "S2-3 24 set, no map": built(packed(shards=[1, 2])),
    "S2-3 24 set, a key": shards(0, more=1),
    "S2-3 24 set, no key": shards(0, rows=None),
    "S2-3 24 set, rows": shards(0, rows=0),
    "S2-3 24 set, bytes": shards(0, bytes="1"),
    "S2-3 24 set, digest": shards(0, digest=b"d"),
    "S2-3 24 set, content id": shards(0, content_id=b"d"),
    "S2-3 24 set, name": shards(1, name=7),
    "S2-3 24 set, unsafe": shards(1, name="../a.aef"),
    "S2-3 24 set, name twice": shards(1, name="a.aef"),
    "S2-3 24 set, digest twice": shards(1, digest=b"d" * 32),
    "S2-4 24 set": built(packed(n_rows=13)),
}


@pytest.mark.parametrize("promised", BROKEN)
def test_what_breaks_a_rule_is_refused_by_it(promised):
    rule, at, code = promised.partition(",")[0].split()

    with pytest.raises(FormatError) as caught:
        parse_manifest(BROKEN[promised])

    assert (caught.value.rule, caught.value.at, caught.value.code) == (rule, int(at), code)


@pytest.mark.parametrize("at", range(len(GOOD)))
def test_no_flipped_byte_goes_unseen(at):
    """But that of the minor version, which a reader does not look at; the checksum does."""
    data = bytearray(GOOD)
    data[at] ^= 0x41
    with pytest.raises(FormatError):
        parse_manifest(bytes(data))


def test_the_next_manifest_names_the_one_before():
    """S4-2: shards stay in their order; one that is there already is not added again."""
    old = parse_manifest(GOOD)
    more = Shard("z.aef", b"z" * 32, 3, b"c" * 32, 9)

    new = old.with_shards([more, old.shards[0], more], GOOD)

    assert (new.generation, new.previous) == (3, hashlib.sha256(GOOD).digest())
    assert new.shards == (*old.shards, more)
    assert parse_manifest(new.to_bytes()) == new
    with pytest.raises(UsageError, match="the name of another one"):
        old.with_shards([more._replace(name="a.aef")], GOOD)


def test_the_first_manifest_has_none_before():
    first = Manifest(HEADER, {}).with_shards([Shard(**SHARDS[0])], None)
    assert (first.generation, first.previous, first.n_rows) == (1, None, 5)
    assert parse_manifest(first.to_bytes()) == first
