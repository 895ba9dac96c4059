"""Sizes that the format allows, and the lower ones that a reader may set (spec/container.md, section 12)."""

from __future__ import annotations

from typing import Final, NamedTuple

HEADER_BYTES: Final = 65_536  # C2-5
CHUNK_BYTES: Final = 268_435_456  # C4-4, raw
ROW_BYTES: Final = 268_435_456  # C3-13, C5-8, raw
IMAGE_ELEMENTS: Final = 1_073_741_824  # C5-8: of a row whose image has a size of its own
MANIFEST_BYTES: Final = 1_048_576  # M1-1
HEADER_DEPTH: Final = 4  # C3-5
MANIFEST_DEPTH: Final = 6  # spec/model.md, section 2
WINDOW_BYTES: Final = 8_388_608  # C6-5
BLOCK_BYTES: Final = 131_072  # C6-6: the largest block of a zstd frame, whatever its window
RANS_STEPS: Final = 1_048_576  # C6-8: of one chunk, and of a file beside those that its bytes allow
RANS_STEPS_A_BYTE: Final = 16  # C6-8
PASS_ELEMENTS: Final = 1 << 29  # C6-8, that the layers of passes make for one row
NAME_BYTES: Final = 1_024  # C7-2
FIELDS_HEAD_BYTES: Final = 65_536  # C22-3
FIELD_COUNT: Final = 256  # C22-4
FIELD_NAME_BYTES: Final = 256  # C22-4
DESCRIBED_NUMBERS: Final = 2_048  # C3-22, of one list
DESCRIBED_TEXT_BYTES: Final = 1_024  # C3-22
ALIGNMENT: Final = 64  # C4-9
RECEIPT_ROWS: Final = 64  # C4-8: rows that one digest is for
RECEIPT_PIXELS: Final = 1_048_576  # C4-8: of such rows together, where their images have sizes of their own
WORK: Final = 1_073_741_824  # C13-1, in its units: what any file may cost a validator
WORK_A_BYTE: Final = 16_384  # and what each byte of the file pays for beside that
MEMORY_BYTES: Final = 268_435_456  # C13-1: what proving a package may take
MEMORY_BYTES_A_BYTE: Final = 8  # and what each byte of its file pays for beside that
WRITER_CHUNK_BYTES: Final = 131_072  # what a writer aims at: a random row costs its chunk; section 12
WRITER_LARGE_ROW_BYTES: Final = 16_384  # a row that takes this much does without many beside it: half of that
WRITER_LARGE_CHUNK_BYTES: Final = (
    1_048_576  # likewise of bytes, text, codec rans and fields, which lose more by small chunks
)
WRITER_CHUNK_ROWS: Final = 4_096  # and at most this many rows, because a chunk is what a cut file loses
WRITER_RANS_ROWS: Final = 16_384  # of codec rans, which pays for each chunk some bytes a lane


class Limits(NamedTuple):
    """What one reader accepts; lower these to bound memory further.

    chunk_bytes: of any chunk, raw; the format's own limit.  names_bytes: of a nAMe chunk, raw; a name of 3 bytes becomes a
    Python object of 60.  package_bytes: all tensors of one model package together; a few hundred bytes of zstd can stand
    for each.  rans_steps: of all rows of codec rans in a file, beside 16 for each byte of it; the format's own limit.
    work: what a validator does for one file, in the units of C13-1, beside 16,384 for each of its
    bytes.  memory_bytes: what proving a package may take, beside 8 for each byte of its file.
    """

    chunk_bytes: int = CHUNK_BYTES
    names_bytes: int = 33_554_432
    package_bytes: int = 1_073_741_824
    rans_steps: int = RANS_STEPS
    work: int = WORK
    memory_bytes: int = MEMORY_BYTES


DEFAULT: Final = Limits()
