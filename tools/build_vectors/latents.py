"""Latents files in one call (spec/container.md, sections 3.2, 5 and 9), to be used whole or made wrong afterwards."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tools.build_vectors import frames
from tools.build_vectors.case import Case
from tools.build_vectors.emit import Token, emit
from tools.build_vectors.framing import Chunk, Draft, Trailer
from tools.build_vectors.numbers import OWN_TYPE, VALUE_BYTES, Number, encode, pack, shuffle

DECODER_ID = bytes(range(32))
IMAGE = [28, 28, 1, "u8"]
UNKNOWN = 2  # the flag bit of latents whose decoder is no package, or not known
DESCRIBED = 16  # the one of a header that says what the latents are
Row = Sequence[Number]
_HEX_LIMIT = 512  # bytes of values that the JSON spells out


@dataclass(frozen=True, slots=True)
class Latents:
    """A file of latents.  blocks: rows by chunk.  names: row names by chunk, None for a chunk without.

    header: keys to change; None takes one away.  frames: stored payloads of ROWS chunks, where not the builder's own.
    before: chunks by number of the block that they stand in front of (len(blocks): at the end).
    """

    blocks: Sequence[Sequence[Row]]
    dims: Sequence[int]
    encoding: str = "u8"
    codec: str = "none"
    filter: str = "shuffle"
    values: str | None = None
    image: Sequence[object] | None = tuple(IMAGE)
    encoder: bytes | None = None
    decoder: bytes | None = DECODER_ID  # None: no package, or not known (flag bit 1)
    foreign_decoder: bytes | None = None
    described: dict[str, Any] | None = None
    ext: dict[str, Any] | None = None
    header: dict[str, Any] = field(default_factory=dict)
    names: Sequence[dict[str, Any] | None] = ()
    before: dict[int, list[Chunk]] = field(default_factory=dict)
    frames: dict[int, bytes] = field(default_factory=dict)
    index: bool = False

    @property
    def value_type(self) -> str:
        """The type that values are handed out in."""
        return self.values or OWN_TYPE[self.encoding]

    @property
    def header_bytes(self) -> bytes:
        """The header."""
        binary = self.encoding != "text19" and VALUE_BYTES[self.encoding] > 1
        fields: dict[str, Any] = {
            "byte_order": "little" if binary else "none",
            "codec": self.codec,
            "decoder": self.decoder,
            "described": self.described,
            "dims": list(self.dims),
            "encoding": self.encoding,
            "image": self.image and list(self.image),
            "kind": "latents",
            "filter": self.filter if self.codec == "zstd" else None,
            "encoder": self.encoder,
            "ext": self.ext,
            "foreign_decoder": self.foreign_decoder,
            "values": self.values,
        }
        fields.update(self.header)
        return emit({key: value for key, value in fields.items() if value is not None})

    @property
    def values_bytes(self) -> bytes:
        """All values in their type: what the content id is made of, and what a reader hands out."""
        return b"".join(pack(row, self.value_type) for rows in self.blocks for row in rows)

    @property
    def content_id(self) -> bytes:
        """SHA-256 of the logical content (section 9)."""
        return hashlib.sha256(self.content_head + self.values_bytes).digest()

    @property
    def content_head(self) -> bytes:
        """What stands in front of the values."""
        head = {"decoder": self.decoder, "dims": list(self.dims), "image": self.image and list(self.image)}
        head |= {"foreign_decoder": self.foreign_decoder} | self._described_content
        return emit({key: value for key, value in (head | {"values": self.value_type}).items() if value is not None})

    @property
    def _described_content(self) -> dict[str, Any]:
        """Scale and shift, and their axis where one of them is a list."""
        described = self.described or {}
        found: dict[str, Any] = {key: described[key] for key in ("scale", "shift") if key in described}
        if any(len(numbers) > 8 for numbers in found.values()):
            found["axis"] = described.get("axis")
        return found

    def payload(self, number: int) -> tuple[bytes, bytes]:
        """(as stored, raw) of a block of rows."""
        rows = self.blocks[number]
        raw = encode(rows, self.encoding)
        if self.codec == "rans":
            return self.frames.get(number, raw), raw
        return self.frames.get(number) or self.store(raw, VALUE_BYTES[self.encoding]), raw

    def store(self, raw: bytes, value_bytes: int) -> bytes:
        """The stored form of a raw payload: compressed if that makes it smaller."""
        if self.codec == "none":
            return raw
        width = value_bytes if self.codec == "zstd" and self.filter == "shuffle" and self.encoding != "text19" else 1
        frame = frames.frame(shuffle(raw, width))
        return frame if len(frame) < len(raw) else raw

    @property
    def draft(self) -> Draft:
        """The file, not yet built."""
        chunks: list[Chunk] = []
        first_row = 0
        for number, rows in enumerate(self.blocks):
            chunks += self.before.get(number, [])
            names = self.names[number] if number < len(self.names) else None
            if names is not None:
                raw = emit(names)
                chunks.append(_chunk(b"nAMe", self.store(raw, 1), raw, len(rows), first_row))
            stored, raw = self.payload(number)
            chunks.append(_chunk(b"ROWS", stored, raw, len(rows), first_row))
            first_row += len(rows)
        chunks += self.before.get(len(self.blocks), [])
        aligned = self.codec == "none" and self.encoding != "text19" and VALUE_BYTES[self.encoding] > 1
        return Draft(
            header=self.header_bytes,
            chunks=tuple(chunks),
            trailer=Trailer(self.content_id),
            aligned=frozenset({b"ROWS"} if aligned else ()),
            has_index=self.index,
            minor=1 if self.described or not self.decoder else 0,
            flags=(0 if self.decoder else UNKNOWN) | (DESCRIBED if self.described else 0),
        )

    def with_(self, **changes: Any) -> Latents:
        """The same with other fields."""
        return replace(self, **changes)

    def good(self, number: int, name: str, about: str, rules: str = "", **draft: Any) -> Case:
        """The vector of this file, valid.  rules: those it shows, by a blank.  draft: other fields of the framing."""
        made = replace(self.draft, **draft)
        data = made.build().data
        expected: dict[str, Any] = {
            "about": about,
            "rules": rules.split(),
            "kind": "latents",
            "dims": list(self.dims),
            "image": self.image and list(self.image),
            "encoding": self.encoding,
            "codec": self.codec,
            "filter": self.filter if self.codec == "zstd" else "none",
            "values": self.value_type,
            "decoder": self.decoder and self.decoder.hex(),
            "encoder": None if self.encoder is None else self.encoder.hex(),
            "ext": plain(self.ext or {}),
            "n_rows": sum(map(len, self.blocks)),
            "n_chunks": len(made.chunks) + made.has_index,
            "has_index": made.has_index,
            "content_id": self.content_id.hex(),
            "values_sha256": hashlib.sha256(self.values_bytes).hexdigest(),
        }
        if self.described is not None:
            expected["described"] = plain(self.described)
        if self.foreign_decoder is not None:
            expected["foreign_decoder"] = self.foreign_decoder.hex()
        if len(self.values_bytes) <= _HEX_LIMIT:
            expected["values_hex"] = self.values_bytes.hex()
        if any(names is not None for names in self.names):
            expected["names"] = [None if names is None else plain(names) for names in self.names]
        return Case("container/valid", number, name, data, expected)


def _chunk(tag: bytes, stored: bytes, raw: bytes, n_rows: int, first_row: int) -> Chunk:
    raw_len = None if len(stored) == len(raw) else len(raw)
    return Chunk(tag, stored, n_rows, first_row, raw_len)


def plain(value: object) -> object:
    """For JSON: bytes become {"hex": ...}."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    assert not isinstance(value, Token)
    return {"hex": value.hex()} if isinstance(value, bytes) else value


SMALL = Latents(blocks=[[[7, 42, 255]]], dims=[3])
