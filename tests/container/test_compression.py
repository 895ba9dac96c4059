"""aeformat.container.compression: zstd frames and the byte shuffle (C6-1 to C6-6).

The frames are made by hand (RFC 8878): the library that reads them would not write most of them.
"""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from aeformat.container import compression, limits
from aeformat.container.compression import BadFrame, compress, compress_rows, decompress, shuffle, unshuffle

MAGIC = b"\x28\xb5\x2f\xfd"
RAW = bytes(range(64)) * 4
MIB = 1 << 20


def _checksum(content: bytes) -> bytes:
    """The four bytes that end a frame of this content; the library knows XXH64."""
    return zstandard.ZstdCompressor(write_checksum=True).compress(content)[-4:]


def _block(kind: int, size: int, data: bytes, *, last: bool = True) -> bytes:
    return (last | kind << 1 | size << 3).to_bytes(3, "little") + data


def _frame(
    content: bytes = RAW,
    *,
    states: int | None = len(RAW),
    window: int | None = None,
    dictionary: bytes = b"",
    flags: int = 0x04,
    blocks: bytes | None = None,
    checksum: bytes | None = None,
) -> bytes:
    """A frame.  window: the descriptor's byte, None for a single segment.  flags: 4 is the checksum's."""
    descriptor = flags | {0: 0, 1: 1, 2: 2, 4: 3}[len(dictionary)]
    head = b""
    if window is None:
        descriptor |= 0x20
    else:
        head = bytes([window])
    head += dictionary
    if states is not None:
        descriptor |= 0x80
        head += states.to_bytes(4, "little")
    data = _block(0, len(content), content) if blocks is None else blocks
    end = (_checksum(content) if checksum is None else checksum) if descriptor & 0x04 else b""
    return MAGIC + bytes([descriptor]) + head + data + end


def _run(n_bytes: int) -> bytes:
    """A frame of n_bytes zeros, as runs of up to 128 KiB: 4 bytes a block."""
    sizes = [131_072] * (n_bytes // 131_072) + ([n_bytes % 131_072] if n_bytes % 131_072 else [])
    blocks = b"".join(_block(1, size, b"\0", last=i == len(sizes) - 1) for i, size in enumerate(sizes))
    return _frame(bytes(n_bytes), states=n_bytes, window=0x68, blocks=blocks)


def _refused(stored: bytes, raw_bytes: int = len(RAW)) -> str:
    with pytest.raises(BadFrame) as caught:
        decompress(stored, raw_bytes=raw_bytes, value_bytes=1)
    return caught.value.rule


GOOD = {
    "single-segment": (_frame(), RAW),
    "with-window": (_frame(window=0x68), RAW),
    "window-of-8-MiB": (_frame(window=13 << 3), RAW),
    "dictionary-id-0": (_frame(dictionary=b"\0"), RAW),
    "dictionary-id-0-in-4-bytes": (_frame(dictionary=bytes(4)), RAW),
    "unused-bit": (_frame(flags=0x14), RAW),
    "run": (_run(300_000), bytes(300_000)),
    "two-blocks": (_frame(blocks=_block(0, 4, RAW[:4], last=False) + _block(0, len(RAW) - 4, RAW[4:])), RAW),
}


@pytest.mark.parametrize(("frame", "raw"), GOOD.values(), ids=GOOD)
def test_a_frame_that_keeps_the_rules_is_read(frame, raw):
    """What section 6 allows, whoever wrote it."""
    assert len(frame) != len(raw)  # that would be a payload stored as it is
    assert bytes(decompress(frame, raw_bytes=len(raw), value_bytes=1)) == raw


BAD = {
    "no-frame": (RAW[:100], "C6-1"),
    "empty": (b"", "C6-1"),
    "magic-only": (MAGIC, "C6-1"),
    "old-magic": (b"\x27" + _frame()[1:], "C6-1"),
    "skippable": (b"\x50\x2a\x4d\x18\x04\0\0\0abcd", "C6-1"),
    "skippable-first": (b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + _frame(), "C6-1"),
    "reserved-bit": (_frame(flags=0x0C), "C6-1"),
    "header-cut": (_frame()[:8], "C6-1"),
    "no-size": (_frame(states=None, window=0x68), "C6-2"),
    "size-0-and-garbage": (_frame(b"", states=0, blocks=b"garbage"), "C6-2"),
    "smaller-size": (_frame(states=255), "C6-2"),
    "larger-size": (_frame(states=257), "C6-2"),
    "size-bomb": (_frame(states=2**32 - 1), "C6-2"),
    "no-checksum": (_frame(flags=0), "C6-3"),
    "dictionary": (_frame(dictionary=b"\x01"), "C6-4"),
    "dictionary-in-2-bytes": (_frame(dictionary=b"\0\x01"), "C6-4"),
    "dictionary-in-4-bytes": (_frame(dictionary=b"\0\0\0\x80"), "C6-4"),
    "window-above-8-MiB": (_frame(window=13 << 3 | 1), "C6-5"),
    "window-of-16-MiB": (_frame(window=14 << 3), "C6-5"),
    "window-of-terabytes": (_frame(window=0xFF), "C6-5"),
    "wrong-checksum": (_frame(checksum=b"abcd"), "C6-6"),
    "checksum-cut": (_frame()[:-1], "C6-6"),
    "cut": (_frame()[:-10], "C6-6"),
    "block-cut": (_frame()[:11], "C6-6"),
    "no-block": (_frame(blocks=b""), "C6-6"),
    "two-frames": (
        _frame(RAW[:128], states=256, checksum=_checksum(RAW[:128])) + _frame(RAW[128:], states=128),
        "C6-6",
    ),
    "second-frame": (_frame() + _frame(), "C6-6"),
    "empty-second-frame": (_frame() + _frame(b"", states=0), "C6-6"),
    "garbage-behind": (_frame() + b"\0", "C6-6"),
    "magic-behind": (_frame() + MAGIC, "C6-6"),
    "skippable-behind": (_frame() + b"\x50\x2a\x4d\x18\x04\0\0\0abcd", "C6-6"),
    "less-than-stated": (_frame(RAW[:-1]), "C6-6"),
    "more-than-stated": (_frame(RAW + b"x"), "C6-6"),
    "run-beyond-its-size": (_frame(blocks=_block(1, 131_072, b"\0")), "C6-6"),
    "reserved-block-type": (_frame(blocks=_block(3, 0, b"")), "C6-6"),
    "no-last-block": (_frame(blocks=_block(0, len(RAW), RAW, last=False)), "C6-6"),
}


@pytest.mark.parametrize(("frame", "rule"), BAD.values(), ids=BAD)
def test_a_hostile_frame_is_refused_by_its_rule(frame, rule):
    """The library accepts many of these: no size, no checksum, a second frame, garbage behind the first."""
    assert _refused(frame) == rule


def test_a_single_segment_is_its_own_window():
    """A frame of one segment above 8 MiB breaks C6-5, and one of exactly 8 MiB does not."""
    assert _refused(_frame(states=8 * MIB + 1), 8 * MIB + 1) == "C6-5"
    assert _refused(_frame(states=8 * MIB), 8 * MIB) == "C6-6"  # read, and found too short


@pytest.mark.parametrize("frame", [_frame(states=2**28), _frame(states=2**28, window=0x68)], ids=["segment", "window"])
def test_a_stated_size_costs_nothing_before_it_is_checked(frame):
    """A frame of 300 bytes that states 256 MiB, where the chunk header says otherwise."""
    tracemalloc.start()
    assert _refused(frame) == "C6-2"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 100_000


@pytest.mark.parametrize("at", range(len(_frame())))
def test_every_byte_of_a_frame_matters(at):
    """One flipped bit is refused or changes nothing: bits that RFC 8878 leaves unused."""
    for bit in range(8):
        frame = bytearray(_frame())
        frame[at] ^= 1 << bit
        try:
            raw = decompress(bytes(frame), raw_bytes=len(RAW), value_bytes=1)
        except BadFrame:
            continue
        assert raw == RAW
        assert (at, bit) == (4, 4)  # the unused bit of the descriptor


@pytest.mark.parametrize("level", [-7, -1, 1, 3, 12, 19, 22])
@pytest.mark.parametrize("raw", [b"\0" * 300_000, RAW * 500, b"\0" * (8 * MIB + 1)], ids=["zeros", "pattern", "8MiB"])
def test_what_is_compressed_here_is_read_here(raw, level):
    """At every level the window, the size and the checksum are as section 6 wants them."""
    stored = compress(raw, level=level, value_bytes=1)

    assert len(stored) < len(raw)
    assert decompress(stored, raw_bytes=len(raw), value_bytes=1) == raw


def test_what_does_not_shrink_is_stored_as_it_is():
    """Neither filtered nor compressed (end of section 4)."""
    raw = bytes((i * i * 7 + (i >> 3) * 13) % 251 for i in range(64))

    assert compress(raw, level=3, value_bytes=8) is raw
    assert decompress(raw, raw_bytes=64, value_bytes=8) is raw


def test_a_frame_as_long_as_its_payload_is_not_stored():
    """stored_len equal to raw_len says "not compressed": around that length the payload itself comes back."""
    noise = bytes((i * i * 7 + (i >> 3) * 13) % 251 for i in range(64))
    smaller = []
    for n_zeros in range(80):
        raw = noise + bytes(n_zeros)
        stored = compress(raw, level=3, value_bytes=1)
        assert decompress(stored, raw_bytes=len(raw), value_bytes=1) == raw
        assert len(stored) < len(raw) or stored is raw
        smaller.append(len(raw) - len(stored))
    assert smaller[0] == 0
    assert 1 in smaller  # a frame one byte shorter; one as long was among those tried


@given(st.sampled_from([1, 2, 4, 8]), st.binary(max_size=50))
def test_shuffle_is_the_loop_of_the_spec(width, data):
    """All first bytes, then all second bytes, and so on; unshuffle undoes it."""
    raw = data[: len(data) // width * width] or bytes(width)
    expected = b"".join(raw[i::width] for i in range(width))

    assert bytes(shuffle(raw, width)) == expected
    assert bytes(unshuffle(expected, width)) == raw


def test_a_decoder_of_frames_that_gives_less_is_not_believed(monkeypatch):
    """C6-6, should a release of libzstd not see it by itself."""

    class Short:
        def __init__(self, **_options):
            pass

        def decompress(self, *_arguments, **_options):
            return bytes(99)

    frame = compress(bytes(100), level=1, value_bytes=1)
    monkeypatch.setattr(compression, "_decompressor", Short)
    with pytest.raises(BadFrame) as caught:
        decompress(frame, raw_bytes=100, value_bytes=1)

    assert caught.value.rule == "C6-6" and "99 bytes, not 100" in caught.value.what


def _ends_of_blocks(frame: bytes) -> list[int]:
    """Where in the content each block of a frame ends, found by decompressing the frame up to there."""
    ends, at = [], compression._FrameHeader.parse(frame[:18]).blocks_at
    while True:
        head = int.from_bytes(frame[at : at + 3], "little")
        at += 3 + (1 if head >> 1 & 3 == 1 else head >> 3)
        ends.append(len(zstandard.ZstdDecompressor().decompressobj().decompress(frame[:at])))
        if head & 1:
            return ends


@pytest.mark.parametrize("level", [None, 1, 3, 19])
@pytest.mark.parametrize("value_bytes", [2, 4, 8])
@pytest.mark.parametrize(
    "plane", [512, 1_024, 2_000, 4_096, 3 * 4_096, 3 << 14, 1 << 18]
)  # powers of two: by the window
def test_a_block_ends_where_a_plane_ends(level, value_bytes, plane):
    """A plain frame for every reader, whose blocks hold bytes of one plane each."""
    values = np.random.default_rng(5).normal(size=plane).astype(f"f{value_bytes}")
    values[0] = 0  # so that a frame is smaller, though half of its bytes are noise
    values[plane // 20 : plane // 2] = values[0]
    raw = values.tobytes()
    stored = bytes(compress_rows(raw, level=level, value_bytes=value_bytes))
    assert zstandard.ZstdDecompressor().decompress(stored, allow_extra_data=False) == shuffle(raw, value_bytes)
    assert bytes(decompress(stored, raw_bytes=len(raw), value_bytes=value_bytes)) == raw
    ends = _ends_of_blocks(stored)
    assert set(range(plane, len(raw) + 1, plane)) <= set(ends) and len(stored) < len(raw)


@pytest.mark.parametrize(
    ("plane", "window"), [((1 << 20) + (1 << 14), 1 << 14), (1 << 24, limits.WINDOW_BYTES)], ids=["less", "the largest"]
)
def test_the_window_is_a_part_of_a_plane_and_no_larger_than_allowed(plane, window):
    """In frames of more than the largest window, too: planes of these are whole numbers of windows, so blocks end with them."""
    raw = bytes(8 * plane)
    stored = bytes(compress_rows(raw, level=None, value_bytes=8))
    assert compression._FrameHeader.parse(stored[:18]).window_bytes == window
    assert decompress(stored, raw_bytes=len(raw), value_bytes=8) == raw


def test_planes_in_blocks_of_their_own_take_less():
    """Numbers as a sigmoid layer makes them, widened: 128 rows of 64."""
    values = 1 / (1 + np.exp(-np.random.default_rng(6).normal(size=(128, 64)).astype(np.float32)))
    raw = values.astype(np.float64).tobytes()
    assert len(compress_rows(raw, level=None, value_bytes=8)) < 0.9 * len(compress(raw, level=3, value_bytes=8))


def test_bytes_have_no_planes():
    """Where a value is one byte, rows are compressed as all else is."""
    raw = bytes(range(64)) * 50
    assert compress_rows(raw, level=None, value_bytes=1) == compress(raw, level=None, value_bytes=1)
    assert compress(raw, level=None, value_bytes=1) == compress(raw, level=3, value_bytes=1)


def test_what_does_not_get_smaller_is_stored_as_it_is():
    """Noise in all planes."""
    raw = np.random.default_rng(7).bytes(4_000)
    assert compress_rows(raw, level=None, value_bytes=4) is raw
