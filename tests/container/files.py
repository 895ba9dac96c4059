"""Small files to try things on, and a way to take one apart and put it together wrong, checksums in order.

`join` knows the layout of spec/container.md by itself and uses nothing of the package, so that a bad file is as bad as it
is meant to be.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from aeformat.container.assigned import ENCODINGS, VALUE_TYPES
from aeformat.container.encodings import array_type
from aeformat.container.header import LatentsHeader
from aeformat.container.names import RowNames
from aeformat.container.ragged import RaggedRows, join_rows
from aeformat.container.writer import LatentsWriter
from aeformat.reader import stream_latents

Array = NDArray[Any]

DECODER = bytes(range(32))
ENCODER = bytes(range(32, 64))
PAIRS = [(encoding, values) for encoding, spec in ENCODINGS.items() for values in spec.holds]

FEEDS: dict[str, Callable[[bytes], list[bytes]]] = {
    "whole": lambda d: [d],
    "bytes": lambda d: [d[i : i + 1] for i in range(len(d))],
    "halves": lambda d: [d[: len(d) // 2], d[len(d) // 2 :]],
}

# The smallest and largest of everything, both zeros, and some of the middle, as bits.
EDGES = {
    "f64": [0, 1 << 63, 1, (1 << 63) | 1, 0x000FFFFFFFFFFFFF, 0x0010000000000000, 0x7FEFFFFFFFFFFFFF, 0xFFEFFFFFFFFFFFFF,
            0x3FF0000000000000, 0x3FB999999999999A, 0xBFD5555555555555, 0x3E30000000000000],
    "f32": [0, 1 << 31, 1, 0x80000001, 0x007FFFFF, 0x00800000, 0x7F7FFFFF, 0xFF7FFFFF, 0x3F800000, 0x3DCCCCCD, 0xBEAAAAAB],
    "f16": [0, 1 << 15, 1, 0x8001, 0x03FF, 0x0400, 0x7BFF, 0xFBFF, 0x3C00, 0x2E66, 0xB555],
    "bf16": [0, 1 << 15, 1, 0x8001, 0x007F, 0x0080, 0x7F7F, 0xFF7F, 0x3F80, 0x3DCD, 0xBEAB],
    "u8": [0, 1, 127, 128, 255],
    "i8": [0, 1, 127, 128, 255],
    "u16": [0, 1, 255, 256, 32768, 65535],
}  # fmt: skip


def from_bits(bits: Iterable[int], values: str) -> Array:
    """(n,) values of that type, as the reader hands them out, from their bits; what is not finite becomes 0."""
    whole = np.array(list(bits), f"u{VALUE_TYPES[values].n_bytes}")
    if values == "bf16":
        whole = whole.astype(np.uint32) << 16
    made = whole.view(array_type(values))
    return np.where(np.isfinite(made), made, made.dtype.type(0))


def edges(values: str, n_rows: int, dims: tuple[int, ...] = (3,)) -> Array:
    """(n_rows, *dims) values of that type with every edge in them, if there is room."""
    size = n_rows * int(np.prod(dims))
    return np.resize(from_bits(EDGES[values], values), size).reshape(n_rows, *dims)


def header(encoding: str = "f32le", dims: tuple[int, ...] = (3,), **more: Any) -> LatentsHeader:
    """A header for small files."""
    return LatentsHeader(DECODER, dims, (28, 28, 1), encoding, **more)


def row_names(n_rows: int, first: int = 0) -> RowNames:
    """Names, labels and sources of n_rows rows."""
    rows = range(first, first + n_rows)
    return RowNames(
        names=tuple(f"digits/{row}.png" for row in rows),
        labels=tuple(row % 10 for row in rows),
        sources=tuple(bytes([row % 256]) * 32 for row in rows),
    )


def sized_header(
    encoding: str = "f32le", dims: tuple[int, ...] = (0, 0, 2), image: tuple[int, int, int] = (0, 0, 3), **more: Any
) -> LatentsHeader:
    """A header for rows of their own size."""
    return LatentsHeader(DECODER, dims, image, encoding, **more)


def sized_rows(head: LatentsHeader, sizes: Iterable[tuple[int, ...]]) -> RaggedRows:
    """Rows with these free sizes; their values are the edges of their type, again and again."""
    listed, form = list(sizes), head.form
    counts = [form.values_of(of_row) for of_row in listed]
    flat = edges(head.values, sum(counts), (1,)).reshape(-1)
    ends = np.cumsum(counts)
    rows = [flat[end - n : end].reshape(form.dims_of(s)) for end, n, s in zip(ends, counts, listed, strict=True)]
    images = [form.image_of(s)[:2] for s in listed] if form.has_free_image else None
    return RaggedRows.of(form, rows, images)


def write(values: Array | RaggedRows, head: LatentsHeader, names: RowNames | None = None, **more: Any) -> bytes:
    """A whole file."""
    sink = io.BytesIO()
    with LatentsWriter(sink, head, **more) as writer:
        writer.write(values, names)
    return sink.getvalue()


class Stream:
    """A binary stream that hands out the pieces it was given, one a call, as a socket does."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = [piece for piece in pieces if piece]

    def read(self, n_bytes: int) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""


def read(pieces: Iterable[bytes], **more: Any) -> Array:
    """All values of a file, read forward."""
    return np.concatenate([block.values for block in stream_latents(Stream(pieces), **more)])


def read_sized(pieces: Iterable[bytes], **more: Any) -> RaggedRows:
    """The same for rows of their own size."""
    return join_rows([block.values for block in stream_latents(Stream(pieces), **more)])


def same_rows(a: Sequence[Array], b: Sequence[Array]) -> bool:
    """Whether rows are the same to the bit, of the same shapes and in the same order."""
    return len(a) == len(b) and all(same_bits(x, y) for x, y in zip(a, b, strict=True))


def same_bits(a: Array, b: Array) -> bool:
    """Whether two arrays are the same to the bit, which == does not tell of zeros."""
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@dataclass(frozen=True)
class Chunk:
    """One chunk.  number: what its checksums are bound to, if not its place."""

    tag: bytes
    stored: bytes
    n_rows: int = 0
    first_row: int = 0
    raw_len: int | None = None
    number: int | None = None
    padding: bytes | None = None


@dataclass(frozen=True)
class Parts:
    """A file taken apart.  The fields after content_id are left None for what they should be."""

    head: bytes
    chunks: tuple[Chunk, ...]
    content_id: bytes
    is_aligned: bool = False
    index_at: int | None = None
    n_chunks: int | None = None
    n_rows: int | None = None
    minor: int = 0
    flags: int = 0

    def change(self, place: int, **fields: Any) -> Parts:
        """The same with other fields in one chunk."""
        chunks = list(self.chunks)
        chunks[place] = replace(chunks[place], **fields)
        return replace(self, chunks=tuple(chunks))

    def insert(self, number: int, chunk: Chunk) -> Parts:
        """The same with one more chunk, which becomes that number."""
        return replace(self, chunks=(*self.chunks[:number], chunk, *self.chunks[number:]))

    def spoil_padding(self, place: int) -> Parts:
        """The same with a one for the last zero in front of this chunk's payload."""
        zeros = self._padding(self.chunks[place], self.places()[place] + 32)
        return self.change(place, padding=zeros[:-1] + b"\1")

    def places(self) -> list[int]:
        """Byte of each chunk header, and of the trailer."""
        at = 24 + len(self.head)
        places = []
        for chunk in self.chunks:
            places.append(at)
            at += 32 + len(self._padding(chunk, at + 32)) + len(chunk.stored)
        return [*places, at]

    def entries(self) -> list[tuple[int, int, int, int]]:
        """What the index should say: at, first_row, n_rows, number."""
        places = self.places()
        return [
            (places[number], chunk.first_row, chunk.n_rows, number)
            for number, chunk in enumerate(self.chunks)
            if chunk.tag == b"ROWS"
        ]

    def with_index(self, entries: Iterable[tuple[int, int, int, int]]) -> Parts:
        """The same with these entries in its index, which is the last chunk."""
        payload = b"".join(struct.pack("<QQII", *entry) for entry in entries)
        return self.change(-1, stored=payload, raw_len=None)

    def _padding(self, chunk: Chunk, at: int) -> bytes:
        if chunk.padding is not None:
            return chunk.padding
        return bytes(-at % 64) if self.is_aligned and chunk.tag == b"ROWS" else b""

    def join(self) -> bytes:
        """The file, its checksums right."""
        head_crc = crc32(self.head)
        front = b"\x89AEF\r\n\x1a\n" + struct.pack("<BBHII", 1, self.minor, self.flags, len(self.head), head_crc)
        out = front + struct.pack("<I", crc32(front)) + self.head
        chain, index_at, n_rows = b"", 0, 0
        for place, chunk in enumerate(self.chunks):
            bound = struct.pack("<II", head_crc, place if chunk.number is None else chunk.number)
            raw_len = len(chunk.stored) if chunk.raw_len is None else chunk.raw_len
            payload_crc = crc32(bound + chunk.stored)
            front = struct.pack(
                "<4sIQIII", chunk.tag, chunk.n_rows, chunk.first_row, len(chunk.stored), raw_len, payload_crc
            )
            chunk_crc = struct.pack("<I", crc32(bound + front))
            index_at = len(out) if chunk.tag == b"iNDX" else index_at
            n_rows += chunk.n_rows if chunk.tag == b"ROWS" else 0
            out += front + chunk_crc
            out += self._padding(chunk, len(out)) + chunk.stored
            chain += chunk_crc
        n_chunks = len(self.chunks) if self.n_chunks is None else self.n_chunks
        n_rows = n_rows if self.n_rows is None else self.n_rows
        index_at = index_at if self.index_at is None else self.index_at
        front = struct.pack("<4sIQQI32s", b"TAIL", n_chunks, n_rows, index_at, crc32(chain), self.content_id)
        return out + front + struct.pack("<I", crc32(struct.pack("<II", head_crc, n_chunks) + front))


def split(data: bytes) -> Parts:
    """A good latents file taken apart."""
    at = 24 + int.from_bytes(data[12:16], "little")
    head = data[24:at]
    is_aligned = b"codec\xa4none" in head and b"byte_order\xa6little" in head
    chunks = []
    while data[at : at + 4] != b"TAIL":
        tag, n_rows, first_row, stored_len, raw_len = struct.unpack_from("<4sIQII", data, at)
        at += 32
        at += -at % 64 if is_aligned and tag == b"ROWS" else 0
        chunks.append(Chunk(tag, data[at : at + stored_len], n_rows, first_row, raw_len))
        at += stored_len
    flags = int.from_bytes(data[10:12], "little")
    parts = Parts(head, tuple(chunks), data[at + 28 : at + 60], is_aligned, minor=data[9], flags=flags)
    assert parts.join() == data
    return parts
