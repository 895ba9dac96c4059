"""Looking through a file before it is sent: what it is, and where its chunks end.

Owns the pass over the chunk headers alone, which takes no time and shows a cut file.  The server verifies it in any case
(T4-2).
"""

from __future__ import annotations

import hashlib
import os
from array import array
from dataclasses import dataclass
from typing import BinaryIO, Final
from zlib import crc32

from aeformat.container import assigned
from aeformat.container.header import Header, LatentsHeader, parse_header
from aeformat.container.limits import DEFAULT
from aeformat.container.parser import Parser
from aeformat.container.sequence import ChunkSequence, most_bytes, padding_bytes, raise_first
from aeformat.container.wire import (
    CHUNK_HEADER_BYTES,
    PREAMBLE_BYTES,
    TRAILER_BYTES,
    ChunkHeader,
    Preamble,
    Trailer,
    incomplete,
)
from aeformat.errors import ChecksumMismatch, StructureInvalid, Truncated
from aeformat.transport.upload_client import Parcel

_READ_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Survey:
    """A file whose chunk headers are good.  key: tells it from other files without its digest."""

    header: Header
    size: int
    n_rows: int
    has_decoder: bool  # inside
    ends: array[int]  # of the header and the chunks
    key: bytes

    def parcel(self, sha256: bytes | None) -> Parcel:
        """It, to be sent."""
        model = None if isinstance(self.header, LatentsHeader) else self.header.model
        return Parcel(self.size, sha256, self.ends, model)


def survey(file: BinaryIO) -> Survey:
    """Read header, chunk headers and trailer.  Raises FormatError: what the server would refuse is not sent."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    preamble = Preamble.parse(front := file.read(PREAMBLE_BYTES))
    data = file.read(preamble.header_bytes)
    if len(data) < preamble.header_bytes:
        raise Truncated("C2-7", size, "the file ends inside its header")
    if crc32(data) != preamble.header_crc:
        raise ChecksumMismatch("C2-6", PREAMBLE_BYTES, "the header's checksum does not match")
    header = parse_header(data, PREAMBLE_BYTES)
    sequence, at = ChunkSequence(header), PREAMBLE_BYTES + len(data)
    ends, has_decoder = array("Q", [at]), False
    while True:
        file.seek(at)
        found = file.read(TRAILER_BYTES)
        if assigned.TRAILER.startswith(found[:4]):
            break
        chunk = ChunkHeader.parse(found[:CHUNK_HEADER_BYTES], at, preamble.header_crc, sequence.n_chunks)
        chunk.check_sizes(at, most_bytes(chunk.tag, DEFAULT))
        raise_first(sequence.check(chunk, at))
        has_decoder = has_decoder or chunk.tag == assigned.DECODER
        at += CHUNK_HEADER_BYTES
        at += padding_bytes(header, chunk.tag, at) + chunk.stored_bytes
        if at > size:
            raise Truncated("C4-10", size, f"the file ends inside chunk {sequence.n_chunks - 1}")
        ends.append(at)
    if len(found) < TRAILER_BYTES:
        raise incomplete(size)
    trailer = Trailer.parse(found, at, preamble.header_crc)
    raise_first(sequence.check_trailer(trailer, at))
    if at + TRAILER_BYTES < size:
        raise StructureInvalid("C9-7", at + TRAILER_BYTES, "there are bytes after the trailer")
    key = hashlib.sha256(front + data + found + size.to_bytes(8, "little")).digest()
    return Survey(header, size, trailer.n_rows, has_decoder, ends, key)


def verify(file: BinaryIO) -> None:
    """Read all of it.  Raises FormatError at the first checksum that does not hold."""
    parser = Parser()
    file.seek(0)
    while data := file.read(_READ_BYTES):
        parser.feed(data)
    parser.close()
