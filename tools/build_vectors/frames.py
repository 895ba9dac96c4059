"""zstd frames put together by hand (RFC 8878, section 3.1.1), right or wrong.

Raw and repeated blocks need no compressor, so their bytes depend on no release of zstd.  LIBRARY_FRAMES are a few that
zstd made, kept as they came.
"""

from __future__ import annotations

import struct

MAGIC = b"\x28\xb5\x2f\xfd"
_MASK = (1 << 64) - 1
_P1, _P2, _P3, _P4, _P5 = (
    0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5,
)  # fmt: skip
_MAX_BLOCK = 1 << 17


def xxh64(data: bytes) -> int:
    """XXH64 with seed 0: the content checksum is its lower 4 bytes."""
    at = 0
    if len(data) >= 32:
        lanes = [(_P1 + _P2) & _MASK, _P2, 0, -_P1 & _MASK]
        while at + 32 <= len(data):
            words = struct.unpack_from("<4Q", data, at)
            lanes = [_round(lane, word) for lane, word in zip(lanes, words, strict=True)]
            at += 32
        total = sum(_rotate(lane, n) for lane, n in zip(lanes, (1, 7, 12, 18), strict=True)) & _MASK
        for lane in lanes:
            total = ((total ^ _round(0, lane)) * _P1 + _P4) & _MASK
    else:
        total = _P5
    total = (total + len(data)) & _MASK
    while at + 8 <= len(data):
        total = (_rotate(total ^ _round(0, *struct.unpack_from("<Q", data, at)), 27) * _P1 + _P4) & _MASK
        at += 8
    if at + 4 <= len(data):
        total = (_rotate(total ^ struct.unpack_from("<I", data, at)[0] * _P1 & _MASK, 23) * _P2 + _P3) & _MASK
        at += 4
    for byte in data[at:]:
        total = _rotate(total ^ byte * _P5 & _MASK, 11) * _P1 & _MASK
    total = (total ^ total >> 33) * _P2 & _MASK
    total = (total ^ total >> 29) * _P3 & _MASK
    return total ^ total >> 32


def _rotate(word: int, n: int) -> int:
    return (word << n | word >> 64 - n) & _MASK


def _round(lane: int, word: int) -> int:
    return _rotate((lane + word * _P2) & _MASK, 31) * _P1 & _MASK


def block(kind: int, size: int, body: bytes, *, is_last: bool = False) -> bytes:
    """A block.  kind 0: raw, 1: one byte repeated `size` times, 2: compressed, 3: reserved."""
    return struct.pack("<I", size << 3 | kind << 1 | is_last)[:3] + body


def blocks_of(content: bytes) -> bytes:
    """Runs of one byte as repeated blocks, all else as raw ones."""
    runs: list[tuple[int, bytes]] = []
    at = 0
    while at < len(content):
        end = at + 1
        while end < len(content) and content[end] == content[at] and end - at < _MAX_BLOCK:
            end += 1
        if end - at > 8:
            runs.append((1, content[at:end]))
        elif runs and runs[-1][0] == 0:
            runs[-1] = 0, runs[-1][1] + content[at:end]
        else:
            runs.append((0, content[at:end]))
        at = end
    out = b""
    for number, (kind, run) in enumerate(runs):
        out += block(kind, len(run), run[:1] if kind else run, is_last=number == len(runs) - 1)
    return out


def frame(
    content: bytes,
    *,
    blocks: bytes | None = None,
    size_bytes: int | None = None,
    stated_size: int | None = None,
    window: int | None = None,
    dictionary: bytes = b"",
    checksum: bytes | None = None,
    reserved: int = 0,
) -> bytes:
    """A frame of `content`.

    size_bytes: of the content size field; 0 leaves it out.  window: the descriptor byte of a frame that is not a single
    segment.  dictionary: the id field.  checksum: b"" leaves it out.
    """
    stated = len(content) if stated_size is None else stated_size
    if size_bytes is None:
        size_bytes = 1 if window is None and stated < 256 else 2 if 256 <= stated < 65_792 else 4
    size_flag = {0: 0, 1: 0, 2: 1, 4: 2, 8: 3}[size_bytes]
    has_checksum = checksum != b""
    descriptor = (
        size_flag << 6
        | (window is None) << 5
        | reserved << 3
        | has_checksum << 2
        | {0: 0, 1: 1, 2: 2, 4: 3}[len(dictionary)]
    )
    field = (stated - 256 if size_bytes == 2 else stated).to_bytes(8, "little")[:size_bytes]
    head = MAGIC + bytes([descriptor]) + (b"" if window is None else bytes([window])) + dictionary + field
    if checksum is None:
        checksum = struct.pack("<Q", xxh64(content))[:4]
    return head + (blocks_of(content) if blocks is None else blocks) + checksum


# Made by zstd 1.5.7 (python-zstandard 0.25) with a content checksum: its level, and what it holds, are said where it is used.
LIBRARY_FRAMES = {
    "f32": bytes.fromhex(
        "28b52ffd6400003d0300540500c09450f0b000b0305094c0a89858002000a0288090bcac8060084020902078a8b8b08430106000f01870a4d0"
        "b48838c080c0e04868a0cc9c8c40d08080d0408cc0c0c0bfbf003f40c0bfbe3fbfbf3ebe3e3f40400620b0d301c59cae37043004089e3e36b3"
        "d5df71"
    ),
    "text19": bytes.fromhex(
        "28b52ffd24d8050300f2040e10b0b50d0c0327b4b4d2769a76e316610cc136033a9b53d866e07ed4d95aee41358623376e2d0a625462a072a4"
        "3a14b781608e6e55867a060e0054e8386e8eacae96c2c15911a4e7119f57b98a89cf36290e48f5884f41f33c2945390215f62ffe"
    ),
    "u8": bytes.fromhex(
        "28b52ffd642c000d020074030000000102030507090b0e0104080c0004090e03090f050b0209000800080009020b050f09030e0904000c0804"
        "010e0b090705030201000200eead089c05a0e4c304c9"
    ),
}
