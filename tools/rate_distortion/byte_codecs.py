"""The general compressors, over the raw pixels of all images as they lie: lossless.

Owns their settings.  What they wrote is read back and compared.
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable
from typing import Final

import zstandard

from tools.rate_distortion.point import EACH, SOLID, Images, Point


def _deflate(data: bytes) -> bytes:
    """Without zlib's own header and checksum, which a rival would not need."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


def _inflate(data: bytes) -> bytes:
    return zlib.decompress(data, -zlib.MAX_WBITS)


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=19).compress(data)


def _unzstd(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(data)


def _same(data: bytes) -> bytes:
    return data


def _xz(data: bytes) -> bytes:
    return lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)


_Coder = Callable[[bytes], bytes]

BYTE_CODECS: Final[tuple[tuple[str, str, str, _Coder, _Coder], ...]] = (
    ("raw pixels", "", EACH, _same, _same),
    ("zlib", "-9, raw deflate", EACH, _deflate, _inflate),
    ("zlib", "-9, raw deflate", SOLID, _deflate, _inflate),
    ("zstd", "-19", SOLID, _zstd, _unzstd),
    ("xz", "-9e", SOLID, _xz, lzma.decompress),
)
"""Family, setting, layout, compress, decompress."""


def measure(number: int, images: Images) -> Point:
    """Compress and decompress with codec `number`.  Raises AssertionError if a byte differs: that would be our mistake."""
    family, setting, layout, compress, decompress = BYTE_CODECS[number]
    n_bytes = 0
    for data in [image.tobytes() for image in images] if layout == EACH else [images.tobytes()]:
        stored = compress(data)
        assert decompress(stored) == data
        n_bytes += len(stored)
    return Point("rival", family, setting, layout, len(images), 8 * n_bytes / len(images), 0.0)
