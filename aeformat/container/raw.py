"""A chunk's payload before compression and filter (spec/container.md, section 6).

Owns the step from what is stored to what was meant, for chunks of every kind but coded rows, and where in the file an error is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aeformat.container import compression
from aeformat.container.header import Header
from aeformat.container.parser import ChunkRead
from aeformat.errors import CompressionInvalid

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def raw_payload(chunk: ChunkRead, header: Header, value_bytes: int = 1) -> bytes | memoryview:
    """A chunk's payload before compression and filter.  value_bytes: for the shuffle.  Raises CompressionInvalid."""
    width = value_bytes if header.filter == "shuffle" else 1
    try:
        return compression.decompress(chunk.stored, raw_bytes=chunk.header.raw_bytes, value_bytes=width)
    except compression.BadFrame as error:
        raise _invalid(chunk, error) from None


def raw_payload_into(out: NDArray[np.uint8], chunk: ChunkRead, header: Header, value_bytes: int) -> None:
    """The same into an array of as many bytes, in C order.  Raises CompressionInvalid."""
    width = value_bytes if header.filter == "shuffle" else 1
    try:
        compression.decompress_into(out, chunk.stored, value_bytes=width)
    except compression.BadFrame as error:
        raise _invalid(chunk, error) from None


def filtered_payload(chunk: ChunkRead) -> bytes:
    """What the frame of a compressed chunk holds, before the shuffle is undone.  Raises CompressionInvalid."""
    try:
        return compression.filtered(chunk.stored, chunk.header.raw_bytes)
    except compression.BadFrame as error:
        raise _invalid(chunk, error) from None


def _invalid(chunk: ChunkRead, error: compression.BadFrame) -> CompressionInvalid:
    return CompressionInvalid(error.rule, chunk.payload_at, f"chunk {chunk.number}: {error.what}")
