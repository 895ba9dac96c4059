"""JPEG as mozjpeg encodes it, by libvips: trellis quantisation, its search for progressive scans, a flat table.

Owns the only use of pyvips.  The flat table is the best for PSNR; mozjpeg's own (3) is 0.3 to 1 dB lower above half a bit a pixel.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import numpy as np

from aeformat.errors import UsageError
from tools.rate_distortion.photos.photographs import Pixels

OPTIONS: Final[dict[str, Any]] = {
    "optimize_coding": True, "interlace": True, "subsample_mode": "on", "keep": "none",
    "trellis_quant": True, "overshoot_deringing": True, "optimize_scans": True, "quant_table": 1,
}  # fmt: skip

_NEEDED: Final = 'install what the table needs: pip install "aeformat[bench]"'


def encode(pixels: Pixels, quality: int) -> bytes:
    """A JPEG file.  quality: 1 to 100."""
    vips = _loaded()
    height, width, channels = pixels.shape
    image = vips.Image.new_from_memory(pixels.tobytes(), width, height, channels, "uchar")
    data: bytes = image.jpegsave_buffer(Q=quality, **OPTIONS)
    return data


def version() -> str:
    """Of libvips, whose packages for Python have mozjpeg 5 since 8.18."""
    return "libvips " + ".".join(str(_loaded().version(part)) for part in range(3))


@cache
def _loaded() -> Any:
    """The library.  Raises UsageError where it is not installed, or has another encoder."""
    try:
        import pyvips
    except (ImportError, OSError) as error:
        raise UsageError(f"{error}: {_NEEDED}") from error
    probe = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    image = pyvips.Image.new_from_memory(probe.tobytes(), 32, 32, 3, "uchar")
    if image.jpegsave_buffer(trellis_quant=True) == image.jpegsave_buffer():
        raise UsageError(f"this libvips comes without mozjpeg; {_NEEDED}")
    return pyvips
