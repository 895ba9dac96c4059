"""The bytes of pictures: PNG and npy (spec/transport.md, T2-7)."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Final

from aeformat.transport.problems import Problem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_COLOUR_TYPES: Final = {1: 0, 2: 4, 3: 2, 4: 6}  # channels -> PNG, 11.2.2


def png(images: NDArray[np.uint8]) -> bytes:
    """Write images (n, h, w, c) as one PNG (ISO 15948), one below the other.  Raises Problem (406)."""
    n_images, height, width, channels = images.shape
    if channels not in _COLOUR_TYPES:
        raise Problem("not-acceptable", f"images of {channels} channels do not go into a PNG; ask for npy")
    lines = images.reshape(n_images * height, width * channels)
    raw = b"".join(b"\0" + line.tobytes() for line in lines)
    size = struct.pack(">IIBBBBB", width, n_images * height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    parts = ((b"IHDR", size), (b"IDAT", zlib.compress(raw)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data)) for tag, data in parts
    )


def npy(images: NDArray[np.uint8]) -> bytes:
    """Write images (n, h, w, c) as an npy file; without the last axis if it is 1."""
    import numpy as np

    sink = io.BytesIO()
    np.save(sink, images[:, :, :, 0] if images.shape[3] == 1 else images)
    return sink.getvalue()
