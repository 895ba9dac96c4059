"""Looking through a file before it is sent: what it is, its digest, where its chunks end."""

from __future__ import annotations

import hashlib
from array import array
from dataclasses import dataclass
from typing import BinaryIO, Final

from aeformat import registry
from aeformat.header import Header, LatentsHeader
from aeformat.parser import ChunkRead, HeaderRead, Parser, TrailerRead
from aeformat.transport.upload_client import Parcel

_READ_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Survey:
    """A file whose framing is good."""

    parcel: Parcel
    header: Header
    n_rows: int
    has_decoder: bool  # inside


def survey(file: BinaryIO) -> Survey:
    """Read a file to its end.  Raises FormatError: what the server would refuse is not sent."""
    parser, sha256, ends = Parser(), hashlib.sha256(), array("Q")
    header: Header | None = None
    size = n_rows = 0
    has_decoder = False
    while data := file.read(_READ_BYTES):
        size += len(data)
        sha256.update(data)
        for event in parser.feed(data):
            if isinstance(event, HeaderRead):
                header = event.header
                ends.append(event.end)
            elif isinstance(event, ChunkRead):
                ends.append(event.payload_at + len(event.stored))
                has_decoder = has_decoder or event.header.tag == registry.DECODER
            elif isinstance(event, TrailerRead):
                n_rows = event.trailer.n_rows
    parser.close()
    assert header is not None  # close() has seen the trailer
    digest = sha256.digest()
    if isinstance(header, LatentsHeader):
        parcel = Parcel(size, digest, f"v1/containers/{digest.hex()}", ends)
    else:
        parcel = Parcel(size, digest, f"v1/models/{header.model.hex()}", ends, is_by_digest=False)
    return Survey(parcel, header, n_rows, has_decoder)
