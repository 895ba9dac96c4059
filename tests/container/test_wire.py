"""aeformat.container.wire: the fixed bytes and their checksums (spec/container.md, sections 2, 4, 8, 9)."""

from __future__ import annotations

import struct
from zlib import crc32

import pytest

from aeformat import errors
from aeformat.container.wire import ChunkHeader, IndexEntry, Preamble, Trailer
from aeformat.errors import FormatError

MAGIC = b"\x89AEF\r\n\x1a\n"
HEADER_CRC = 0x12345678


def _preamble(major=1, minor=0, flags=0, header_len=100, magic=MAGIC):
    front = magic + struct.pack("<BBHII", major, minor, flags, header_len, HEADER_CRC)
    return front + struct.pack("<I", crc32(front))


def _chunk(tag=b"ROWS", n_rows=2, first_row=3, stored=5, raw=7, number=4, header_crc=HEADER_CRC):
    front = tag + struct.pack("<IQIII", n_rows, first_row, stored, raw, 0xABCDEF01)
    return front + struct.pack("<I", crc32(struct.pack("<II", header_crc, number) + front))


def _trailer(n_chunks=9, header_crc=HEADER_CRC):
    front = b"TAIL" + struct.pack("<IQQI", n_chunks, 20, 300, 0xABCDEF01) + bytes(range(32))
    return front + struct.pack("<I", crc32(struct.pack("<II", header_crc, n_chunks) + front))


def _outcome(error: FormatError) -> tuple[str, str, int]:
    return error.code, error.rule, error.at


def test_the_structures_have_the_bytes_of_the_spec():
    """pack writes what section 2, 4, 8 and 9 draw, field by field, and parse reads it back."""
    assert Preamble(100, HEADER_CRC).pack() == _preamble()
    assert Preamble.parse(_preamble()) == Preamble(100, HEADER_CRC)

    header = ChunkHeader(b"ROWS", 2, 3, 5, 7, 0xABCDEF01)
    assert header.pack(HEADER_CRC, 4) == _chunk()
    parsed = ChunkHeader.parse(_chunk(), 0, HEADER_CRC, 4)
    assert parsed.pack(HEADER_CRC, 4) == _chunk()
    assert parsed.chunk_crc == struct.unpack("<I", _chunk()[28:])[0]

    entry = IndexEntry(1, 2, 3, 4)
    assert entry.pack() == struct.pack("<QQII", 1, 2, 3, 4)
    assert IndexEntry.parse_all(entry.pack() * 2, 0) == [entry, entry]

    trailer = Trailer(9, 20, 300, 0xABCDEF01, bytes(range(32)))
    assert trailer.pack(HEADER_CRC) == _trailer()
    assert Trailer.parse(_trailer(), 0, HEADER_CRC) == trailer


def test_any_minor_version_is_read():
    """A minor version only adds what a reader may skip (section 2)."""
    assert Preamble.parse(_preamble(minor=255)).minor == 255


BAD_PREAMBLES = {
    "another-file": (b"PK\x03\x04" + bytes(20), ("not-aef", "C2-1", 0)),
    "7-bit": (_preamble(magic=b"\x09AEF\r\n\x1a\n"), ("not-aef", "C2-1", 0)),
    "crlf-to-lf": (_preamble().replace(b"\r\n", b"\n"), ("not-aef", "C2-1", 0)),
    "lf-to-crlf": (_preamble().replace(b"\n", b"\r\n"), ("not-aef", "C2-1", 0)),
    "no-second-byte": (b"\x89B", ("not-aef", "C2-1", 0)),
    "major-2": (_preamble(major=2), ("unsupported", "C2-2", 8)),
    "major-0": (_preamble(major=0), ("unsupported", "C2-2", 8)),
    "major-2-and-more": (_preamble(major=2, flags=1)[:-1] + b"\0", ("unsupported", "C2-2", 8)),
    "checksum": (_preamble()[:-1] + bytes([_preamble()[-1] ^ 1]), ("checksum", "C2-3", 20)),
    "checksum-before-flags": (_preamble(flags=1)[:-1] + b"\0", ("checksum", "C2-3", 20)),
    "lowest-flag": (_preamble(flags=1), ("unsupported", "C2-4", 10)),
    "highest-flag": (_preamble(flags=1 << 15), ("unsupported", "C2-4", 10)),
    "no-header": (_preamble(header_len=0), ("limit", "C2-5", 12)),
    "long-header": (_preamble(header_len=65_537), ("limit", "C2-5", 12)),
    "empty": (b"", ("truncated", "C2-7", 0)),
    "magic-only": (MAGIC, ("truncated", "C2-7", 8)),
    "cut": (_preamble()[:23], ("truncated", "C2-7", 23)),
    "major-2-cut": (_preamble(major=2)[:23], ("truncated", "C2-7", 23)),
}


@pytest.mark.parametrize(("data", "expected"), BAD_PREAMBLES.values(), ids=BAD_PREAMBLES)
def test_a_bad_preamble_is_refused_by_its_rule(data, expected):
    """Every field of the preamble has a rule of its own, and the first broken one is named."""
    with pytest.raises(FormatError) as caught:
        Preamble.parse(data)

    assert _outcome(caught.value) == expected


BAD_CHUNKS = {
    "cut": (_chunk()[:31], ("truncated", "C4-1", 1000)),
    "another-place": (_chunk(number=5), ("checksum", "C4-2", 1028)),
    "another-file": (_chunk(header_crc=1), ("checksum", "C4-2", 1028)),
    "digit-in-tag": (_chunk(tag=b"ROW5"), ("structure", "C4-3", 1000)),
    "high-letter-in-tag": (_chunk(tag=b"RO\xc4S"), ("structure", "C4-3", 1000)),
    "reserved-letter-small": (_chunk(tag=b"ROwS"), ("structure", "C4-3", 1000)),
    "empty": (_chunk(raw=0, stored=0), ("structure", "C4-4", 1020)),
    "too-large": (_chunk(raw=2**28 + 1), ("limit", "C4-4", 1020)),
    "nothing-stored": (_chunk(stored=0), ("structure", "C4-4", 1016)),
    "stored-above-raw": (_chunk(stored=8), ("structure", "C4-4", 1016)),
}


@pytest.mark.parametrize(("data", "expected"), BAD_CHUNKS.values(), ids=BAD_CHUNKS)
def test_a_bad_chunk_header_is_refused_by_its_rule(data, expected):
    """Chunk headers are bound to their file and place, and their sizes are within the format's."""
    with pytest.raises(FormatError) as caught:
        ChunkHeader.parse(data, 1000, HEADER_CRC, 4).check_sizes(1000, 2**28)

    assert _outcome(caught.value) == expected


@pytest.mark.parametrize("header_len", [1, 65_536])
def test_a_header_of_the_smallest_and_the_largest_size_is_allowed(header_len):
    """The limits themselves are within them."""
    assert Preamble.parse(_preamble(header_len=header_len)).header_bytes == header_len


@pytest.mark.parametrize(("tag", "is_critical"), [(b"ROWS", True), (b"XxXx", True), (b"nAMe", False), (b"xxXX", False)])
def test_the_first_letter_says_whether_a_chunk_may_be_skipped(tag, is_critical):
    """A capital is critical, whatever the other letters."""
    assert ChunkHeader.parse(_chunk(tag=tag), 0, HEADER_CRC, 4).is_critical == is_critical


def test_the_largest_chunk_is_allowed():
    """The limit itself is not above the limit."""
    ChunkHeader.parse(_chunk(raw=2**28, stored=2**28), 0, HEADER_CRC, 4).check_sizes(0, 2**28)


@pytest.mark.parametrize("at", range(32))
@pytest.mark.parametrize("bit", range(8))
def test_every_bit_of_a_chunk_header_is_under_its_checksum(at, bit):
    """One flipped bit is C4-2, wherever it is."""
    data = bytearray(_chunk())
    data[at] ^= 1 << bit

    with pytest.raises(errors.ChecksumMismatch):
        ChunkHeader.parse(bytes(data), 0, HEADER_CRC, 4)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (_trailer()[:63], ("truncated", "C9-1", 1000)),
        (_trailer(header_crc=1), ("checksum", "C9-2", 1060)),
        (_trailer()[:-1] + bytes([_trailer()[-1] ^ 0x80]), ("checksum", "C9-2", 1060)),
        (_trailer().replace(b"\x09", b"\x08", 1), ("checksum", "C9-2", 1060)),
    ],
    ids=["cut", "another-file", "checksum", "n-chunks"],
)
def test_a_bad_trailer_is_refused_by_its_rule(data, expected):
    """The trailer is bound to its file, and a cut one is no damage but the end of a cut file."""
    with pytest.raises(FormatError) as caught:
        Trailer.parse(data, 1000, HEADER_CRC)

    assert _outcome(caught.value) == expected


def test_an_index_is_made_of_whole_entries():
    """24 bytes an entry, nothing left over (C8-1)."""
    with pytest.raises(errors.StructureInvalid, match="C8-1"):
        IndexEntry.parse_all(bytes(25), 1000)
