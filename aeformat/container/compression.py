"""zstd frames and the byte shuffle (spec/container.md, section 6).

Owns raw payload <-> stored payload.  Knows nothing of what the bytes mean.  The zstandard library accepts frames that
the spec refuses (no size, no checksum, a second frame behind the first, a window of gigabytes), so every frame's header is
checked before the library may allocate for it.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import zstandard

from aeformat.container import limits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FRAME_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_FRAME_HEADER_MAX: Final = 18  # magic included
_REPEATED: Final = 1  # the kind of block that stores one byte
DEFAULT_LEVEL: Final = 3
_PLANES_LEVEL: Final = 1  # the default of what is stored by planes: a higher level finds less there, and takes longer
# Of that level: a match of fewer bytes takes more bits than the bytes it stands for, which have codes of their own.
_PLANES_MATCH: Final = {"min_match": 7, "hash_log": 8}
_LEAST_WINDOW: Final = 1 << 10  # bytes; zstd has no smaller one
_LEAST_BLOCK: Final = 1 << 14  # bytes, of which a plane may have several: each has a header and mostly codes of its own
_WORDS: Final = {4: "<u4", 8: "<u8"}
MAX_LEVEL: Final = zstandard.MAX_COMPRESSION_LEVEL


_own = threading.local()


class BadFrame(ValueError):
    """A stored payload that breaks section 6.  rule: "C6-2"."""

    def __init__(self, rule: str, what: str) -> None:
        super().__init__(rule, what)
        self.rule, self.what = rule, what


def compress(raw: bytes | memoryview, *, level: int | None, value_bytes: int) -> bytes | memoryview:
    """The stored form of a raw payload: shuffled and compressed, or `raw` itself where that is not smaller.

    level: zstd's; None for the default.  value_bytes: 1 for no shuffle.
    """
    return _in_one_call(raw, value_bytes, _parameters(DEFAULT_LEVEL if level is None else level, len(raw)))


def _in_one_call(
    raw: bytes | memoryview, value_bytes: int, parameters: zstandard.ZstdCompressionParameters
) -> bytes | memoryview:
    frame = zstandard.ZstdCompressor(compression_params=parameters).compress(shuffle(raw, value_bytes))
    return frame if len(frame) < len(raw) else raw


def compress_rows(raw: bytes | memoryview, *, level: int | None, value_bytes: int) -> bytes | memoryview:
    """As `compress`, for rows: a block of the frame ends where the first bytes of all values end, the second bytes, and so on.

    The bytes of one plane are alike, those of another are not: blocks that have both take up to a sixth more.
    """
    if value_bytes == 1:
        return compress(raw, level=level, value_bytes=1)
    plane = len(raw) // value_bytes
    level = _PLANES_LEVEL if level is None else level
    more = dict(_PLANES_MATCH) if level == _PLANES_LEVEL else {}
    block = min(plane & -plane, limits.WINDOW_BYTES)  # a power of two
    if level == _PLANES_LEVEL and (block >= _LEAST_BLOCK or _LEAST_WINDOW <= block == plane):
        # No block of zstd is larger than the window.  One call lets other threads run all the time.
        more["window_log"] = block.bit_length() - 1
        return _in_one_call(raw, value_bytes, _parameters(level, len(raw), **more))
    parameters = _parameters(level, len(raw), **more)
    out = zstandard.ZstdCompressor(compression_params=parameters).compressobj(size=len(raw))
    filtered = memoryview(shuffle(raw, value_bytes))
    pieces: list[bytes] = []
    for start in range(0, len(raw), plane):
        pieces += out.compress(filtered[start : start + plane]), out.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    frame = b"".join((*pieces, out.flush()))
    return frame if len(frame) < len(raw) else raw


@lru_cache(maxsize=64)
def _parameters(level: int, raw_bytes: int, **more: int) -> zstandard.ZstdCompressionParameters:
    """Of a frame as section 6 wants it."""
    if raw_bytes > limits.WINDOW_BYTES:
        more.setdefault("window_log", limits.WINDOW_BYTES.bit_length() - 1)
    return zstandard.ZstdCompressionParameters.from_level(
        level, source_size=raw_bytes, write_checksum=True, write_content_size=True, write_dict_id=False, **more
    )


def decompress(stored: bytes | memoryview, *, raw_bytes: int, value_bytes: int) -> bytes | memoryview:
    """The raw payload, raw_bytes long, of a stored one.  Raises BadFrame.  Allocates raw_bytes, twice with a shuffle."""
    if len(stored) == raw_bytes:  # stored as it is: spec/container.md, end of section 4
        return stored
    return unshuffle(filtered(stored, raw_bytes), value_bytes)


def decompress_into(out: NDArray[np.uint8], stored: bytes | memoryview, *, value_bytes: int) -> None:
    """The raw payload of a stored one, out.size bytes, in C order.  Raises BadFrame.  value_bytes: as in `decompress`."""
    import numpy as np

    if len(stored) == out.size:
        out[:] = np.frombuffer(stored, np.uint8)
    else:
        unshuffle_into(out, np.frombuffer(filtered(stored, out.size), np.uint8).reshape(value_bytes, -1))


def filtered(stored: bytes | memoryview, raw_bytes: int) -> bytes:
    """What a frame holds: raw_bytes before the shuffle is undone.  Raises BadFrame."""
    frame = _FrameHeader.parse(bytes(stored[:_FRAME_HEADER_MAX]))
    if frame.content_bytes != raw_bytes:
        raise BadFrame("C6-2", f"the zstd frame does not state the {raw_bytes} bytes that the chunk header states")
    if not frame.has_checksum:
        raise BadFrame("C6-3", "the zstd frame has no checksum")
    if frame.dictionary:
        raise BadFrame("C6-4", f"the zstd frame needs dictionary {frame.dictionary}")
    if frame.window_bytes > limits.WINDOW_BYTES:
        raise BadFrame("C6-5", f"a window of {frame.window_bytes} bytes, allowed are {limits.WINDOW_BYTES}")
    _check_blocks(stored, frame.blocks_at, min(frame.window_bytes, limits.BLOCK_BYTES))
    try:
        raw = _decompressor().decompress(stored, max_output_size=raw_bytes, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise BadFrame("C6-6", f"the zstd frame does not decompress: {error}") from None
    if len(raw) != raw_bytes:
        raise BadFrame("C6-6", f"the zstd frame gives {len(raw)} bytes, not {raw_bytes}")
    return raw


def _decompressor() -> zstandard.ZstdDecompressor:
    """One for each thread: making one takes as long as a few kilobytes."""
    found: zstandard.ZstdDecompressor | None = getattr(_own, "decompressor", None)
    if found is None:
        found = _own.decompressor = zstandard.ZstdDecompressor(max_window_size=limits.WINDOW_BYTES)
    return found


def _check_blocks(stored: bytes | memoryview, at: int, most_bytes: int) -> None:
    """C6-6 for the size that each block states (RFC 8878, section 3.1.1.2): libzstd takes larger raw and repeated blocks.

    A frame that ends early, or a reserved block, is left to libzstd.  Raises BadFrame.
    """
    end, is_last = len(stored) - 3, 0
    while not is_last and at <= end:
        head = int.from_bytes(stored[at : at + 3], "little")
        is_last, kind, n_bytes = head & 1, head >> 1 & 3, head >> 3
        if n_bytes > most_bytes:
            raise BadFrame("C6-6", f"the zstd frame has a block of {n_bytes} bytes, allowed are {most_bytes}")
        at += 3 + (1 if kind == _REPEATED else n_bytes)


class _FrameHeader(NamedTuple):
    """What a frame says of itself (RFC 8878, section 3.1.1.1).  The library's own parser does not tell a broken header
    from a window that is too large for this build, and they break different rules.
    """

    content_bytes: int | None  # None: not stated
    window_bytes: int
    dictionary: int
    has_checksum: bool
    blocks_at: int  # where the first block begins

    @classmethod
    def parse(cls, front: bytes) -> _FrameHeader:
        """From the first bytes of a frame, all of them if it has fewer than 18.  Raises BadFrame (C6-1)."""
        if front[:4] != _FRAME_MAGIC:
            raise BadFrame("C6-1", "not a zstd frame")
        descriptor = front[4] if len(front) > 4 else 0
        is_single_segment = bool(descriptor & 0x20)
        n_window = 0 if is_single_segment else 1
        n_dictionary = (0, 1, 2, 4)[descriptor & 3]
        n_content = (1 if is_single_segment else 0, 2, 4, 8)[descriptor >> 6]
        at_dictionary = 5 + n_window
        at_content = at_dictionary + n_dictionary
        if len(front) < at_content + n_content or descriptor & 0x08:
            raise BadFrame("C6-1", "the header of the zstd frame is broken")
        content: int | None = int.from_bytes(front[at_content : at_content + n_content], "little")
        if n_content == 2:
            content = (content or 0) + 256
        if n_content == 0:
            content = None
        if is_single_segment:
            window = content or 0
        else:
            base = 1 << (10 + (front[5] >> 3))
            window = base + base // 8 * (front[5] & 7)
        dictionary = int.from_bytes(front[at_dictionary:at_content], "little")
        return cls(content, window, dictionary, bool(descriptor & 0x04), at_content + n_content)


def shuffle(raw: bytes | memoryview, value_bytes: int) -> bytes | memoryview:
    """All first bytes of the values, then all second bytes, and so on.  len(raw) is a multiple of value_bytes."""
    if value_bytes == 1:
        return raw
    import numpy as np

    return np.frombuffer(raw, np.uint8).reshape(-1, value_bytes).T.tobytes()


def unshuffle(shuffled: bytes | memoryview, value_bytes: int) -> bytes | memoryview:
    """The inverse of `shuffle`."""
    if value_bytes == 1:
        return shuffled
    import numpy as np

    out = np.empty(len(shuffled), np.uint8)
    unshuffle_into(out, np.frombuffer(shuffled, np.uint8).reshape(value_bytes, -1))
    return _read_only(out)


def unshuffle_into(out: NDArray[np.uint8], planes: NDArray[np.uint8]) -> None:
    """The same, into an array of as many bytes, in C order.  planes: (value_bytes, n), the bytes that belong together."""
    import numpy as np

    value_bytes = len(planes)
    if value_bytes == 2:  # whole numbers are put together several times faster than bytes that lie apart
        pairs = out.view("<u2")
        pairs[:] = planes[1]
        pairs <<= 8
        pairs |= planes[0]
        return
    values = out.reshape(-1, value_bytes)
    equal = {i: plane[0] for i, plane in enumerate(planes) if _is_of_one_byte(plane)} if value_bytes in _WORDS else {}
    if equal:  # one pass for all such planes: those of float64 that were born float32
        word = bytes(equal.get(i, 0) for i in range(value_bytes))
        out.view(_WORDS[value_bytes])[:] = np.frombuffer(word, _WORDS[value_bytes])
    for i, plane in enumerate(planes):  # several times faster than one transposed copy
        if i not in equal:
            values[:, i] = plane


def _is_of_one_byte(plane: NDArray[np.uint8]) -> bool:
    """Whether all bytes of a plane are equal."""
    n_bytes = len(plane)
    if n_bytes == 0 or not plane[0] == plane[n_bytes // 2] == plane[n_bytes - 1]:
        return False
    return bytes(plane) == bytes(plane[:1]) * n_bytes


def _read_only(array: NDArray[np.uint8]) -> memoryview:
    array.setflags(write=False)
    return array.data
