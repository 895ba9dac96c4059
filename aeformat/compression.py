"""zstd frames and the byte shuffle (spec/container.md, section 6).

Owns raw payload <-> stored payload.  Knows nothing of what the bytes mean.  The zstandard library accepts frames that
the spec refuses (no size, no checksum, a second frame behind the first, a window of gigabytes), so every frame's header is
checked before the library may allocate for it.
"""

from __future__ import annotations

from typing import Final

import zstandard

from aeformat import limits

_FRAME_MAGIC: Final = b"\x28\xb5\x2f\xfd"
DEFAULT_LEVEL: Final = 3
MAX_LEVEL: Final = zstandard.MAX_COMPRESSION_LEVEL


class BadFrame(ValueError):
    """A stored payload that breaks section 6.  rule: "C6-2"."""

    def __init__(self, rule: str, what: str) -> None:
        super().__init__(rule, what)
        self.rule, self.what = rule, what


def compress(raw: bytes | memoryview, *, level: int, value_bytes: int) -> bytes | memoryview:
    """The stored form of a raw payload: shuffled and compressed, or `raw` itself where that is not smaller.

    value_bytes: 1 for no shuffle.
    """
    filtered = shuffle(raw, value_bytes)
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level, source_size=len(raw), window_log=0 if len(raw) <= limits.WINDOW_BYTES else limits.WINDOW_BYTES.bit_length() - 1,
        write_checksum=True, write_content_size=True, write_dict_id=False,
    )  # fmt: skip
    frame = zstandard.ZstdCompressor(compression_params=parameters).compress(filtered)
    return frame if len(frame) < len(raw) else raw


def decompress(stored: bytes | memoryview, *, raw_bytes: int, value_bytes: int) -> bytes | memoryview:
    """The raw payload, raw_bytes long, of a stored one.  Raises BadFrame.  Allocates raw_bytes, twice with a shuffle."""
    if len(stored) == raw_bytes:  # stored as it is: spec/container.md, end of section 4
        return stored
    if bytes(stored[:4]) != _FRAME_MAGIC:
        raise BadFrame("C6-1", "not a zstd frame")
    try:
        frame = zstandard.get_frame_parameters(stored)
    except zstandard.ZstdError as error:
        raise BadFrame("C6-1", f"the header of the zstd frame is broken: {error}") from None
    if frame.content_size != raw_bytes:
        raise BadFrame("C6-2", f"the zstd frame does not state the {raw_bytes} bytes that the chunk header states")
    if not frame.has_checksum:
        raise BadFrame("C6-3", "the zstd frame has no checksum")
    if frame.dict_id:
        raise BadFrame("C6-4", f"the zstd frame needs dictionary {frame.dict_id}")
    if frame.window_size > limits.WINDOW_BYTES:
        raise BadFrame("C6-5", f"a window of {frame.window_size} bytes, allowed are {limits.WINDOW_BYTES}")
    decompressor = zstandard.ZstdDecompressor(max_window_size=limits.WINDOW_BYTES)
    try:
        raw = decompressor.decompress(stored, max_output_size=raw_bytes, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise BadFrame("C6-6", f"the zstd frame does not decompress: {error}") from None
    if len(raw) != raw_bytes:
        raise BadFrame("C6-6", f"the zstd frame gives {len(raw)} bytes, not {raw_bytes}")
    return unshuffle(raw, value_bytes)


def shuffle(raw: bytes | memoryview, value_bytes: int) -> bytes | memoryview:
    """All first bytes of the values, then all second bytes, and so on.  len(raw) is a multiple of value_bytes."""
    if value_bytes == 1:
        return raw
    import numpy as np

    return np.frombuffer(raw, np.uint8).reshape(-1, value_bytes).T.tobytes()


def unshuffle(filtered: bytes | memoryview, value_bytes: int) -> bytes | memoryview:
    """The inverse of `shuffle`."""
    if value_bytes == 1:
        return filtered
    import numpy as np

    return np.frombuffer(filtered, np.uint8).reshape(value_bytes, -1).T.tobytes()
