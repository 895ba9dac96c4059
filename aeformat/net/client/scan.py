"""A scan of a file before it is sent: its header, and where its chunks end.

Owns the pass over the chunk headers alone.  It is fast, and finds a file that was cut off.  The server verifies the contents
in any case (T4-2).
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
from aeformat.transport.upload_client import UploadSource

_READ_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class FileScan:
    """The result of scanning a file whose chunk headers are good.

    has_decoder: whether a decoder is embedded.  ends: the offsets where the header and each chunk end.  key: a hash that tells
    the file from others without its digest.
    """

    header: Header
    size: int
    n_rows: int
    has_decoder: bool
    ends: array[int]
    key: bytes

    def source(self, sha256: bytes | None) -> UploadSource:
        """The file as the source of an upload.  sha256: its digest, None while that is not known."""
        model = None if isinstance(self.header, LatentsHeader) else self.header.model
        return UploadSource(self.size, sha256, self.ends, model)


def scan_file(file: BinaryIO) -> FileScan:
    """Read the header, the chunk headers and the trailer.  Raises FormatError where the server would refuse the file."""
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
    return FileScan(header, size, trailer.n_rows, has_decoder, ends, key)


def verify(file: BinaryIO) -> None:
    """Read all of a file.  Raises FormatError at the first checksum that does not match."""
    parser = Parser()
    file.seek(0)
    while data := file.read(_READ_BYTES):
        parser.feed(data)
    parser.close()
