"""The fixed bytes: preamble, chunk header, index entry, trailer (spec/container.md, sections 2, 4, 8, 9).

Owns bytes <-> these four structs and their checksums.  Knows nothing of files, compression, or what a tag means.
`at` is where in the file the bytes stand; errors need it, and nothing else does.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final, NamedTuple

from aeformat.container import limits
from aeformat.container.assigned import MAGIC, MAJOR, MINOR_OF_FLAG, TRAILER
from aeformat.container.crc import checksum
from aeformat.errors import (
    ChecksumMismatch,
    FormatError,
    LimitExceeded,
    NotAef,
    StructureInvalid,
    Truncated,
    Unsupported,
)

PREAMBLE_BYTES: Final = 24
CHUNK_HEADER_BYTES: Final = 32
INDEX_ENTRY_BYTES: Final = 24
TRAILER_BYTES: Final = 64

_PREAMBLE = struct.Struct("<8sBBHII")  # without its checksum
_CHUNK = struct.Struct("<4sIQIII")  # likewise
_ENTRY = struct.Struct("<QQII")
_TRAILER = struct.Struct("<4sIQQI32s")  # likewise
_PREFIX = struct.Struct("<II")
_CRC = struct.Struct("<I")


def bound_crc(header_crc: int, number: int, data: bytes | memoryview) -> int:
    """crc32(header_crc | number | data): the checksum that binds bytes to a file and a position in it."""
    return checksum(data, zlib.crc32(_PREFIX.pack(header_crc, number)))


def crc_field(crc: int) -> bytes:
    """A checksum as it stands in the file."""
    return _CRC.pack(crc)


class Preamble(NamedTuple):
    """The first 24 bytes."""

    header_bytes: int
    header_crc: int
    minor: int = 0
    flags: int = 0

    @classmethod
    def of(cls, header: bytes, flags: int) -> Preamble:
        """The preamble of a file with this header: of the first minor version that has all its flag bits."""
        minor = max((since for flag, since in MINOR_OF_FLAG.items() if flags & flag), default=0)
        return cls(len(header), zlib.crc32(header), minor, flags)

    def pack(self) -> bytes:
        """24 bytes."""
        front = _PREAMBLE.pack(MAGIC, MAJOR, self.minor, self.flags, self.header_bytes, self.header_crc)
        return front + _CRC.pack(zlib.crc32(front))

    @classmethod
    def parse(cls, buf: bytes) -> Preamble:
        """Read the preamble.  `buf`: the first 24 bytes of the file, fewer if it has fewer.  Raises FormatError."""
        check_magic(buf)
        if len(buf) < PREAMBLE_BYTES:
            raise Truncated("C2-7", len(buf), f"the file ends inside its preamble, after {len(buf)} bytes")
        _magic, major, minor, flags, header_bytes, header_crc = _PREAMBLE.unpack_from(buf)
        if major != MAJOR:
            raise Unsupported("C2-2", 8, f"format version {major}, this reader knows {MAJOR}")
        if zlib.crc32(buf[: _PREAMBLE.size]) != _CRC.unpack_from(buf, _PREAMBLE.size)[0]:
            raise ChecksumMismatch("C2-3", _PREAMBLE.size, "the preamble's checksum does not match")
        known = sum(flag for flag, since in MINOR_OF_FLAG.items() if since <= minor)
        if flags & ~known:
            raise Unsupported(
                "C2-4", 10, f"flags 0x{flags:04x} that this reader does not know in version {major}.{minor}"
            )
        if not 1 <= header_bytes <= limits.HEADER_BYTES:
            raise LimitExceeded("C2-5", 12, f"a header of {header_bytes} bytes, allowed are 1 to {limits.HEADER_BYTES}")
        return cls(header_bytes, header_crc, minor, flags)


def check_magic(buf: bytes) -> None:
    """Refuse bytes that do not begin with the magic, as far as they go (C2-1; a shorter match is C2-7's business)."""
    start = buf[: len(MAGIC)]
    if MAGIC.startswith(start):
        return
    if start[:4] == MAGIC[:4]:
        raise NotAef("C2-1", 0, "the magic is damaged as by a transfer in text mode")
    raise NotAef("C2-1", 0, "not an .aef file")


class ChunkHeader(NamedTuple):
    """The 32 bytes in front of a chunk's payload."""

    tag: bytes  # 4 ASCII letters
    n_rows: int
    first_row: int  # numbered from 0 in this file
    stored_bytes: int  # payload as stored; padding and this header are not counted
    raw_bytes: int
    payload_crc: int
    chunk_crc: int = 0  # of this header; pack() computes it

    def pack(self, header_crc: int, number: int) -> bytes:
        """32 bytes, for chunk `number` of the file with this `header_crc`."""
        front = _CHUNK.pack(self.tag, self.n_rows, self.first_row, self.stored_bytes, self.raw_bytes, self.payload_crc)
        return front + _CRC.pack(bound_crc(header_crc, number, front))

    @classmethod
    def parse(cls, buf: bytes, at: int, header_crc: int, number: int) -> ChunkHeader:
        """Read the header of chunk `number`.  `buf`: its 32 bytes, fewer if the file ends.  Raises FormatError."""
        if len(buf) < CHUNK_HEADER_BYTES:
            raise Truncated("C4-1", at, f"the file ends inside the header of chunk {number}")
        (chunk_crc,) = _CRC.unpack_from(buf, _CHUNK.size)
        if bound_crc(header_crc, number, buf[: _CHUNK.size]) != chunk_crc:
            raise ChecksumMismatch("C4-2", at + _CHUNK.size, f"the checksum of chunk {number}'s header does not match")
        tag, n_rows, first_row, stored, raw, payload_crc = _CHUNK.unpack_from(buf)
        if not (tag.isalpha() and tag.isascii() and tag[2:3].isupper()):
            raise StructureInvalid("C4-3", at, f"chunk tag {tag!r} is not four letters with the third a capital")
        return cls(tag, n_rows, first_row, stored, raw, payload_crc, chunk_crc)

    @property
    def is_critical(self) -> bool:
        """Whether a reader that does not know the tag must refuse the file (C4-5)."""
        return self.tag[:1].isupper()

    def check_sizes(self, at: int, chunk_bytes: int) -> None:
        """C4-4: sizes are positive, stored <= raw <= the limit.  Raises LimitExceeded, StructureInvalid."""
        if not self.raw_bytes:
            raise StructureInvalid("C4-4", at + 20, "a chunk with an empty payload")
        if self.raw_bytes > chunk_bytes:
            raise LimitExceeded("C4-4", at + 20, f"a chunk of {self.raw_bytes} bytes, allowed are {chunk_bytes}")
        if not 1 <= self.stored_bytes <= self.raw_bytes:
            raise StructureInvalid(
                "C4-4", at + 16, f"stored size {self.stored_bytes} is not 1 to the raw size {self.raw_bytes}"
            )


class IndexEntry(NamedTuple):
    """Where one ROWS chunk is."""

    at: int
    first_row: int
    n_rows: int
    number: int  # of the chunk

    def pack(self) -> bytes:
        """24 bytes."""
        return _ENTRY.pack(self.at, self.first_row, self.n_rows, self.number)

    @classmethod
    def parse_all(cls, payload: bytes | memoryview, at: int) -> list[IndexEntry]:
        """The entries of an index whose payload begins at byte `at`.  Raises StructureInvalid (C8-1)."""
        if len(payload) % INDEX_ENTRY_BYTES:
            raise StructureInvalid("C8-1", at, f"an index of {len(payload)} bytes is not made of 24-byte entries")
        return [cls(*fields) for fields in _ENTRY.iter_unpack(payload)]


class Trailer(NamedTuple):
    """The last 64 bytes."""

    n_chunks: int
    n_rows: int
    index_at: int  # 0: the file has no index
    chain_crc: int
    content_id: bytes

    def pack(self, header_crc: int) -> bytes:
        """64 bytes, for the file with this `header_crc`."""
        front = _TRAILER.pack(TRAILER, self.n_chunks, self.n_rows, self.index_at, self.chain_crc, self.content_id)
        return front + _CRC.pack(bound_crc(header_crc, self.n_chunks, front))

    @classmethod
    def parse(cls, buf: bytes, at: int, header_crc: int) -> Trailer:
        """Read the trailer.  `buf`: its 64 bytes, fewer if the file ends.  Raises Truncated, ChecksumMismatch."""
        if len(buf) < TRAILER_BYTES:
            raise incomplete(at)
        _tag, n_chunks, n_rows, index_at, chain_crc, content_id = _TRAILER.unpack_from(buf)
        if bound_crc(header_crc, n_chunks, buf[: _TRAILER.size]) != _CRC.unpack_from(buf, _TRAILER.size)[0]:
            raise ChecksumMismatch("C9-2", at + _TRAILER.size, "the trailer's checksum does not match")
        return cls(n_chunks, n_rows, index_at, chain_crc, content_id)


def incomplete(at: int) -> FormatError:
    """The error for a file that ends where its trailer should be, or inside it."""
    return Truncated("C9-1", at, "the file is incomplete: it ends without a whole trailer")
