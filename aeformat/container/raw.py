"""A chunk's payload before compression and filter (spec/container.md, section 6).

Owns the step from what is stored to what was meant, for chunks of every kind but coded rows, and where in the file an error is.
"""

from __future__ import annotations

from aeformat.container import compression
from aeformat.container.header import Header
from aeformat.container.parser import ChunkRead
from aeformat.errors import CompressionInvalid


def raw_payload(chunk: ChunkRead, header: Header, value_bytes: int = 1) -> bytes | memoryview:
    """A chunk's payload before compression and filter.  value_bytes: for the shuffle.  Raises CompressionInvalid."""
    width = value_bytes if header.filter == "shuffle" else 1
    try:
        return compression.decompress(chunk.stored, raw_bytes=chunk.header.raw_bytes, value_bytes=width)
    except compression.BadFrame as error:
        raise CompressionInvalid(error.rule, chunk.payload_at, f"chunk {chunk.number}: {error.what}") from None
