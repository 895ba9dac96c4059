"""Containers whose every field can be made wrong (spec/container.md, sections 2, 4, 8 and 9).

Owns the fixed structures and their checksums.  A field left None gets the value that the spec demands; a field that is
set is written as it is, and the checksums over it are right unless they are set too.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from typing import Any
from zlib import crc32

MAGIC = b"\x89AEF\r\n\x1a\n"
PREAMBLE_BYTES = 24
CHUNK_HEADER_BYTES = 32
TRAILER_BYTES = 64


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk.  payload: as stored.  number and header_crc: what its checksums are bound to."""

    tag: bytes
    payload: bytes
    n_rows: int = 0
    first_row: int = 0
    raw_len: int | None = None
    stored_len: int | None = None
    padding: bytes | None = None
    number: int | None = None
    header_crc: int | None = None
    payload_crc: int | None = None
    chunk_crc: int | None = None


@dataclass(frozen=True, slots=True)
class Trailer:
    """The last 64 bytes."""

    content_id: bytes
    n_chunks: int | None = None
    n_rows: int | None = None
    index_at: int | None = None
    chain_crc: int | None = None
    header_crc: int | None = None
    trailer_crc: int | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A file to be built.  aligned: tags whose payloads begin at a multiple of 64 (C4-9)."""

    header: bytes
    chunks: tuple[Chunk, ...]
    trailer: Trailer | None
    aligned: frozenset[bytes] = frozenset()
    has_index: bool = False
    magic: bytes = MAGIC
    major: int = 1
    minor: int = 0
    flags: int = 0
    header_len: int | None = None
    header_crc: int | None = None
    preamble_crc: int | None = None

    def chunk(self, which: int, /, **changes: Any) -> Draft:
        """The same file with other fields in one chunk."""
        chunks = list(self.chunks)
        chunks[which] = replace(chunks[which], **changes)
        return replace(self, chunks=tuple(chunks))

    def end(self, **changes: Any) -> Draft:
        """The same file with other fields in its trailer."""
        assert self.trailer is not None
        return replace(self, trailer=replace(self.trailer, **changes))

    def build(self) -> File:
        """The bytes."""
        return _build(self)


@dataclass(frozen=True, slots=True)
class File:
    """A built file, and where in it everything begins."""

    data: bytes
    chunk_at: list[int] = field(default_factory=list)
    payload_at: list[int] = field(default_factory=list)
    trailer_at: int = 0

    def flip(self, at: int, mask: int = 1) -> File:
        """The same file with bits of one byte inverted."""
        data = bytearray(self.data)
        data[at] ^= mask
        return replace(self, data=bytes(data))

    def cut(self, n_bytes: int) -> File:
        """The first n_bytes of it."""
        return replace(self, data=self.data[:n_bytes])


def bound_crc(header_crc: int, number: int, data: bytes) -> int:
    """crc32(header_crc | number | data)."""
    return crc32(struct.pack("<II", header_crc, number) + data)


def preamble(draft: Draft) -> bytes:
    """24 bytes."""
    length = len(draft.header) if draft.header_len is None else draft.header_len
    crc = crc32(draft.header) if draft.header_crc is None else draft.header_crc
    front = draft.magic + struct.pack("<BBHII", draft.major, draft.minor, draft.flags, length, crc)
    return front + struct.pack("<I", crc32(front) if draft.preamble_crc is None else draft.preamble_crc)


def chunk_header(chunk: Chunk, number: int, header_crc: int) -> bytes:
    """32 bytes, for the chunk with this number in the file with this header_crc."""
    number = number if chunk.number is None else chunk.number
    header_crc = header_crc if chunk.header_crc is None else chunk.header_crc
    stored = len(chunk.payload) if chunk.stored_len is None else chunk.stored_len
    raw = stored if chunk.raw_len is None else chunk.raw_len
    payload_crc = bound_crc(header_crc, number, chunk.payload) if chunk.payload_crc is None else chunk.payload_crc
    front = chunk.tag + struct.pack("<IQIII", chunk.n_rows, chunk.first_row, stored, raw, payload_crc)
    return front + struct.pack(
        "<I", bound_crc(header_crc, number, front) if chunk.chunk_crc is None else chunk.chunk_crc
    )


def index_entry(at: int, first_row: int, n_rows: int, number: int) -> bytes:
    """24 bytes."""
    return struct.pack("<QQII", at, first_row, n_rows, number)


def _build(draft: Draft) -> File:
    header_crc = crc32(draft.header) if draft.header_crc is None else draft.header_crc
    out = bytearray(preamble(draft) + draft.header)
    chunk_at, payload_at, chain, index, index_at = [], [], b"", b"", 0
    chunks = list(draft.chunks)
    if draft.has_index:
        chunks.append(Chunk(b"iNDX", b""))
    for number, chunk in enumerate(chunks):
        at = len(out)
        if chunk.tag == b"iNDX":
            index_at = at
            chunk = replace(chunk, payload=chunk.payload or index)
        if chunk.tag == b"ROWS":
            index += index_entry(at, chunk.first_row, chunk.n_rows, number)
        head = chunk_header(chunk, number, header_crc)
        out += head
        padding = chunk.padding
        if padding is None:
            padding = bytes(-len(out) % 64) if chunk.tag in draft.aligned else b""
        out += padding
        chunk_at.append(at)
        payload_at.append(len(out))
        out += chunk.payload
        chain += head[28:]
    trailer_at = len(out)
    if draft.trailer is not None:
        out += _trailer(draft.trailer, chunks, index_at, crc32(chain), header_crc)
    return File(bytes(out), chunk_at, payload_at, trailer_at)


def _trailer(trailer: Trailer, chunks: list[Chunk], index_at: int, chain_crc: int, header_crc: int) -> bytes:
    n_chunks = len(chunks) if trailer.n_chunks is None else trailer.n_chunks
    n_rows = sum(c.n_rows for c in chunks if c.tag == b"ROWS") if trailer.n_rows is None else trailer.n_rows
    index_at = index_at if trailer.index_at is None else trailer.index_at
    chain_crc = chain_crc if trailer.chain_crc is None else trailer.chain_crc
    header_crc = header_crc if trailer.header_crc is None else trailer.header_crc
    front = b"TAIL" + struct.pack("<IQQI", n_chunks, n_rows, index_at, chain_crc) + trailer.content_id
    crc = bound_crc(header_crc, n_chunks, front) if trailer.trailer_crc is None else trailer.trailer_crc
    return front + struct.pack("<I", crc)
