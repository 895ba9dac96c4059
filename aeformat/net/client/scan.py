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

from aeformat.container import assigned
from aeformat.container.header import Header, LatentsHeader
from aeformat.container.parser import Parser
from aeformat.container.seeking import Framing
from aeformat.container.wire import TRAILER_BYTES
from aeformat.transport.upload_client import UploadSource

_READ_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class FileScan:
    """The result of scanning a file whose chunk headers are good.

    has_decoder: whether a decoder is embedded.  ends: the offsets where the header and each chunk end.  key: a hash that tells
    the file from others without its digest.  image_bytes: of the images of all rows, as u8.
    """

    header: Header
    size: int
    n_rows: int
    has_decoder: bool
    ends: array[int]
    key: bytes
    image_bytes: int = 0

    def source(self, sha256: bytes | None) -> UploadSource:
        """The file as the source of an upload.  sha256: its digest, None while that is not known."""
        model = None if isinstance(self.header, LatentsHeader) else self.header.model
        return UploadSource(self.size, sha256, self.ends, model)


def scan_file(file: BinaryIO) -> FileScan:
    """Read the header, the chunk headers and the trailer.  Raises FormatError where the server would refuse the file."""
    size = file.seek(0, os.SEEK_END)

    def read(at: int, n_bytes: int) -> bytes:
        file.seek(at)
        return file.read(n_bytes)

    framing = Framing(read, size)
    ends, n_rows, has_decoder, image_bytes = array("Q", [framing.first_chunk_at]), 0, False, 0
    for chunk in framing.scan():
        ends.append(chunk.end)
        n_rows += chunk.header.n_rows if chunk.header.tag == assigned.ROWS else 0
        image_bytes += 0 if chunk.sizes is None else chunk.sizes.image_bytes
        has_decoder = has_decoder or chunk.header.tag == assigned.DECODER
    trailer = read(ends[-1], TRAILER_BYTES)
    key = hashlib.sha256(framing.front + trailer + size.to_bytes(8, "little")).digest()
    return FileScan(framing.header, size, n_rows, has_decoder, ends, key, image_bytes)


def verify(file: BinaryIO) -> None:
    """Read all of a file.  Raises FormatError at the first checksum that does not match."""
    parser = Parser()
    file.seek(0)
    while data := file.read(_READ_BYTES):
        parser.feed(data)
    parser.close()
