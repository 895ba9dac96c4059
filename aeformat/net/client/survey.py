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

from aeformat.container import assigned
from aeformat.container.header import Header, LatentsHeader
from aeformat.container.parser import Parser
from aeformat.container.seeking import Framing
from aeformat.container.wire import TRAILER_BYTES
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

    def read(at: int, n_bytes: int) -> bytes:
        file.seek(at)
        return file.read(n_bytes)

    framing = Framing(read, size)
    ends, n_rows, has_decoder = array("Q", [framing.first_chunk_at]), 0, False
    for chunk in framing.scan():
        ends.append(chunk.end)
        n_rows += chunk.header.n_rows if chunk.header.tag == assigned.ROWS else 0
        has_decoder = has_decoder or chunk.header.tag == assigned.DECODER
    trailer = read(ends[-1], TRAILER_BYTES)
    key = hashlib.sha256(framing.front + trailer + size.to_bytes(8, "little")).digest()
    return Survey(framing.header, size, n_rows, has_decoder, ends, key)


def verify(file: BinaryIO) -> None:
    """Read all of it.  Raises FormatError at the first checksum that does not hold."""
    parser = Parser()
    file.seek(0)
    while data := file.read(_READ_BYTES):
        parser.feed(data)
    parser.close()
