"""One zstd frame (container.md, section 6; RFC 8878, section 3.1.1).

The frame header and the blocks are walked here; only the decompression itself is the library's.
"""

from __future__ import annotations

import zstandard

from .errors import SpecError

MAX_WINDOW = 8_388_608  # C6-5
MAX_BLOCK = 131_072  # C6-6
_MAGIC = b"\x28\xb5\x2f\xfd"


def read_frame(data: bytes, raw_len: int, at: int) -> bytes:
    """The content of the frame that `data` MUST be.  at: its first byte in the file, the byte of every error here."""
    # C6-1
    if data[:4] != _MAGIC:
        raise SpecError("C6-1", at, "not a zstd frame")

    # 3.1.1.1.1, frame header descriptor: size flag (2 bits), single segment, unused, reserved, checksum, dictionary (2)
    if len(data) < 5:
        raise SpecError("C6-1", at, "the frame header is cut")
    descriptor = data[4]
    size_flag, single_segment = descriptor >> 6, descriptor >> 5 & 1
    reserved, checksum, dictionary_flag = descriptor >> 3 & 1, descriptor >> 2 & 1, descriptor & 3
    window_bytes = 0 if single_segment else 1
    dictionary_bytes = (0, 1, 2, 4)[dictionary_flag]
    size_bytes = (1 if single_segment else 0, 2, 4, 8)[size_flag]
    dictionary_at = 5 + window_bytes
    size_at = dictionary_at + dictionary_bytes
    blocks_at = size_at + size_bytes
    if len(data) < blocks_at:
        raise SpecError("C6-1", at, "the frame header is cut")
    if reserved:
        raise SpecError("C6-1", at, "reserved bit of the frame header is set")

    # C6-2; 3.1.1.1.4: the two-byte form counts from 256
    if size_bytes == 0:
        raise SpecError("C6-2", at, "the frame header states no content size")
    content_size = int.from_bytes(data[size_at:blocks_at], "little") + (256 if size_bytes == 2 else 0)
    if content_size != raw_len:
        raise SpecError("C6-2", at, f"content size {content_size}, raw_len {raw_len}")

    # C6-3
    if not checksum:
        raise SpecError("C6-3", at, "no content checksum")

    # C6-4; 3.1.1.1.3: an id of 0 is the same as none
    if int.from_bytes(data[dictionary_at:size_at], "little") != 0:
        raise SpecError("C6-4", at, "the frame uses a dictionary")

    # C6-5; 3.1.1.1.2: a single segment's window is its content
    window = content_size
    if not single_segment:
        exponent, mantissa = data[5] >> 3, data[5] & 7
        window = (1 << (10 + exponent)) // 8 * (8 + mantissa)
    if window > MAX_WINDOW:
        raise SpecError("C6-5", at, f"window of {window} bytes")

    # C6-6
    if _end_of_frame(data, blocks_at, at, min(window, MAX_BLOCK)) != len(data):
        raise SpecError("C6-6", at, "the payload is not exactly one frame")
    try:
        raw = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).decompress(data, max_output_size=raw_len)
    except zstandard.ZstdError as error:
        raise SpecError("C6-6", at, str(error)) from None
    if len(raw) != raw_len:
        raise SpecError("C6-6", at, f"{len(raw)} bytes come out, raw_len {raw_len}")
    return raw


def _end_of_frame(data: bytes, at: int, payload_at: int, largest: int) -> int:
    """Where the frame ends whose blocks begin at `at` (RFC 8878, 3.1.1.2); beyond the data if it is cut."""
    while True:
        head = int.from_bytes(data[at : at + 3], "little")
        last, kind, size = head & 1, head >> 1 & 3, head >> 3
        if size > largest:
            raise SpecError("C6-6", payload_at, f"a block of {size} bytes")
        at += 3 + (1 if kind == 1 else size)  # 1: one byte, repeated
        if at > len(data):
            return at
        if last:
            return at + 4  # the content checksum
