"""Stored payloads -> what they mean: raw bytes, rows of values, row names (spec/container.md, sections 5 to 7).

Owns the step from a chunk whose framing is good to its content, and the file offset of an error inside it.  Knows nothing
of where chunks come from.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

from aeformat import compression, registry
from aeformat.encodings import BadValue, content_bytes, decode
from aeformat.errors import CompressionInvalid, ContentMismatch, NamesInvalid, ValueInvalid
from aeformat.header import Header, LatentsHeader
from aeformat.names import BadNames, RowNames, parse_names
from aeformat.parser import ChunkRead, TrailerRead
from aeformat.receipts import Receipts

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Block(NamedTuple):
    """Rows that came together.  values: (n, *dims) in the header's value type.  names, receipts: of the same rows, if any."""

    first_row: int
    values: NDArray[Any]
    names: RowNames | None = None
    receipts: Receipts | None = None

    def slice(self, start: int, stop: int) -> Block:
        """Rows start to stop - 1, counted from the first here; where there are receipts, both ends are ends of runs."""
        return Block(
            self.first_row + start,
            self.values[start:stop],
            None if self.names is None else self.names.slice(start, stop),
            None if self.receipts is None else self.receipts.slice(start, stop),
        )


def raw_payload(chunk: ChunkRead, header: Header, value_bytes: int = 1) -> bytes | memoryview:
    """A chunk's payload before compression and filter.  Raises CompressionInvalid."""
    width = value_bytes if header.filter == "shuffle" else 1
    try:
        return compression.decompress(chunk.stored, raw_bytes=chunk.header.raw_bytes, value_bytes=width)
    except compression.BadFrame as error:
        raise CompressionInvalid(error.rule, chunk.payload_at, f"chunk {chunk.number}: {error.what}") from None


def raw_rows(chunk: ChunkRead, header: LatentsHeader) -> bytes | memoryview:
    """The raw payload of a ROWS chunk.  Raises CompressionInvalid."""
    spec = header.encoding_spec
    return raw_payload(chunk, header, 1 if spec.is_text else spec.n_bytes)


def rows(chunk: ChunkRead, header: LatentsHeader) -> NDArray[Any]:
    """The values of a ROWS chunk, (n, *dims) in the header's value type.  Raises CompressionInvalid, ValueInvalid."""
    raw = raw_rows(chunk, header)
    try:
        return decode(raw, header)
    except BadValue as error:
        inside = error.at if chunk.header.stored_bytes == chunk.header.raw_bytes else 0
        raise ValueInvalid(error.rule, chunk.payload_at + inside, f"chunk {chunk.number}: {error.what}") from None


def row_names(chunk: ChunkRead, header: Header) -> RowNames:
    """What a nAMe chunk says.  Raises CompressionInvalid, NamesInvalid."""
    raw = bytes(raw_payload(chunk, header))
    try:
        return parse_names(raw, chunk.header.n_rows)
    except BadNames as error:
        raise NamesInvalid(error.rule, chunk.payload_at, error.what) from None


def row_receipts(chunk: ChunkRead) -> Receipts:
    """What a rCPT chunk says; it is never compressed."""
    return Receipts(chunk.header.first_row, chunk.payload_at, chunk.stored)


class RowReader:
    """Turns the chunks of one latents file, in order, into blocks, and proves the content id at the end."""

    def __init__(self, header: LatentsHeader) -> None:
        self._header = header
        self._content = hashlib.sha256(header.content_head)
        self._names: RowNames | None = None
        self._receipts: Receipts | None = None
        self.decoder: bytes | None = None  # the embedded decoder's container, once it came by

    def chunk(self, chunk: ChunkRead) -> Block | None:
        """Take the next chunk; a block if it holds rows.  Raises FormatError."""
        tag = chunk.header.tag
        if tag == registry.NAME:
            self._names = row_names(chunk, self._header)
        elif tag == registry.RECEIPT:
            self._receipts = row_receipts(chunk)
        elif tag == registry.DECODER:
            self.decoder = chunk.stored
        elif tag == registry.ROWS:
            values = rows(chunk, self._header)
            self._content.update(content_bytes(values, self._header))
            block = Block(chunk.header.first_row, values, self._names, self._receipts)
            self._names = self._receipts = None
            return block
        return None

    def trailer(self, event: TrailerRead) -> None:
        """Check the content id (C9-6).  Raises ContentMismatch."""
        if self._content.digest() != event.trailer.content_id:
            raise ContentMismatch("C9-6", event.at + 28, "the content is not the one that the content id names")
