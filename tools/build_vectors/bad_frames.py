"""Invalid: zstd frames (section 6).  Every checksum of the container is right; the error is at the payload."""

from __future__ import annotations

from collections.abc import Iterator

from tools.build_vectors.case import Case, bad
from tools.build_vectors.frames import LIBRARY_FRAMES, MAGIC, block, frame
from tools.build_vectors.latents import Latents

_N = 300
_RAW = bytes(_N)
_GOOD = frame(_RAW)
_ZEROS = Latents(blocks=[[[0] * _N]], dims=[_N], codec="zstd")
_SKIPPABLE = b"\x50\x2a\x4d\x18\x04\0\0\0skip"


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _headers()
    yield from _windows()
    yield from _contents()


def _frame(number: int, name: str, stored: bytes, rule: str, why: str, base: Latents = _ZEROS) -> Case:
    file = base.with_(frames={0: stored}).draft.build()
    assert len(stored) < len(base.blocks[0][0]) * 4
    return bad(number, f"zstd-{name}", file, rule, file.payload_at[0], why)


def _headers() -> Iterator[Case]:
    for number, name, stored, rule, why in (
        (430, "skippable-frame-first", _SKIPPABLE + _GOOD, "C6-1", "A skippable frame in front."),
        (431, "skippable-frame-only", _SKIPPABLE, "C6-1", "A skippable frame and nothing else."),
        (432, "magic-of-0.7", b"\x27" + _GOOD[1:], "C6-1", "The magic of an old zstd, which some builds still read."),
        (433, "gzip", b"\x1f\x8b\x08\0" + _GOOD[4:], "C6-1", "gzip's magic."),
        (434, "magic-only", MAGIC, "C6-1", "The frame header is missing."),
        (435, "header-cut", _GOOD[:6], "C6-1", "The payload ends inside the frame header."),
        (436, "reserved-bit", frame(_RAW, reserved=1), "C6-1", "The reserved bit of the frame header is set."),
        (440, "no-content-size", frame(_RAW, size_bytes=0, window=0), "C6-2", "The content size is not stated."),
        (441, "content-size-smaller", frame(_RAW, stated_size=_N - 1), "C6-2", "The stated size is one short."),
        (442, "content-size-larger", frame(_RAW, stated_size=_N + 1), "C6-2", "The stated size is one too large."),
        (443, "content-size-0", frame(b"", stated_size=0, size_bytes=1, blocks=b"garbage"), "C6-2",
         "The stated size is 0, and garbage follows: some decoders return nothing, without an error."),
        (444, "content-size-2-to-64", frame(_RAW, stated_size=2**64 - 1, size_bytes=8), "C6-2",
         "The largest size, which some libraries use to say: not stated."),
        (445, "bomb", frame(_RAW, stated_size=2**28, blocks=block(1, 1 << 17, b"\0") * 40), "C6-2",
         "The frame states 256 MiB where the chunk states 300 bytes."),
        (450, "no-checksum", frame(_RAW, checksum=b""), "C6-3", "The frame has no content checksum."),
        (451, "dictionary-1-byte", frame(_RAW, dictionary=b"\x01"), "C6-4", "Dictionary 1."),
        (452, "dictionary-2-bytes", frame(_RAW, dictionary=b"\0\x80"), "C6-4", "Dictionary 32,768."),
        (453, "dictionary-4-bytes", frame(_RAW, dictionary=b"\0\0\0\x01"), "C6-4", "Dictionary 2^24."),
    ):  # fmt: skip
        yield _frame(number, name, stored, rule, why)


def _windows() -> Iterator[Case]:
    for number, name, descriptor, why in (
        (455, "8-mib-and-an-eighth", 13 << 3 | 1, "9 MiB."),
        (456, "16-mib", 14 << 3, "16 MiB."),
        (457, "2-gib", 21 << 3, "2 GiB: the largest that common builds accept."),
        (458, "3-tib", 31 << 3 | 7, "3.75 TiB: the largest there is, which common builds do not even parse."),
    ):
        yield _frame(number, f"window-{name}", frame(_RAW, window=descriptor), "C6-5", why)
    n = (1 << 23) + 1
    huge = frame(
        b"", stated_size=n, blocks=block(1, 1 << 17, b"\0") * 64 + block(1, 1, b"\0", is_last=True), checksum=bytes(4)
    )
    base = _ZEROS.with_(dims=[n], frames={0: huge})
    draft = base.draft.chunk(0, raw_len=n)
    file = draft.build()
    yield bad(459, "zstd-single-segment-over-8-mib", file, "C6-5", file.payload_at[0],
              "A single segment of 8 MiB and one byte: its window is its content.")  # fmt: skip


def _contents() -> Iterator[Case]:
    last = block(1, _N, b"\0", is_last=True)
    for number, name, stored, why in (
        (460, "checksum-wrong", _GOOD[:-1] + bytes([_GOOD[-1] ^ 1]), "A bit of the content checksum is flipped."),
        (
            461,
            "content-flipped",
            frame(_RAW, blocks=block(1, _N, b"\1", is_last=True)),
            "Other content under the same checksum.",
        ),
        (462, "cut-in-checksum", _GOOD[:-1], "The frame's last byte is missing."),
        (463, "cut-before-checksum", _GOOD[:-4], "The checksum is missing, although the header announces it."),
        (464, "cut-in-block", frame(_RAW, blocks=block(0, 100, bytes(100)))[:60], "The payload ends inside a block."),
        (465, "no-last-block", frame(_RAW, blocks=block(1, _N, b"\0")), "No block says that it is the last."),
        (466, "trailing-byte", _GOOD + b"\0", "A byte follows the frame."),
        (467, "second-frame", _GOOD + _GOOD, "A second frame follows: some decoders return the first and say nothing."),
        (468, "skippable-frame-behind", _GOOD + _SKIPPABLE, "A skippable frame follows."),
        (
            469,
            "content-too-short",
            frame(_RAW, blocks=block(1, _N - 1, b"\0", is_last=True)),
            "One byte less than stated.",
        ),
        (
            470,
            "content-too-long",
            frame(_RAW, blocks=block(1, _N + 1, b"\0", is_last=True)),
            "One byte more than stated.",
        ),
        (
            471,
            "content-far-too-long",
            frame(_RAW, blocks=block(1, 1 << 17, b"\0") * 20 + last),
            "2.5 MiB where 300 bytes are stated.",
        ),
        (
            472,
            "reserved-block",
            frame(_RAW, blocks=block(3, 4, b"abcd", is_last=True)),
            "A block of the reserved kind.",
        ),
        (
            473,
            "garbage-block",
            frame(_RAW, blocks=block(2, 20, b"\xff" * 20, is_last=True)),
            "A compressed block of 0xFF.",
        ),
        (474, "empty", frame(_RAW, blocks=block(0, 0, b"", is_last=True)), "One empty block."),
    ):
        yield _frame(number, name, stored, "C6-6", why)
    rows = [[(i * 37 + j * 11) % 101 / 8 - 6 for j in range(4)] for i in range(16)]
    real = LIBRARY_FRAMES["f32"]
    damaged = real[:30] + bytes([real[30] ^ 0x10]) + real[31:]
    base = Latents(blocks=[rows], dims=[4], encoding="f32le", codec="zstd", frames={0: damaged})
    file = base.draft.build()
    yield bad(475, "zstd-real-frame-flipped", file, "C6-6", file.payload_at[0], "A bit inside a frame that zstd made.")
    names = Latents(blocks=[[[i] for i in range(30)]], dims=[1], codec="zstd", names=[{"labels": [0] * 30}]).draft
    file = names.chunk(0, payload=names.chunks[0].payload + b"\0").build()
    yield bad(
        476, "zstd-names-trailing-byte", file, "C6-6", file.payload_at[0], "Row names are held to the same rules."
    )
