"""The rivals on photographs: JPEG, WebP, JPEG XL and AVIF, each at three speeds where it has speeds.

Owns their settings: the best for PSNR of RGB that was found, and qualities that span 0.08 to 1.6 bits a pixel or so.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from tools.rate_distortion.photos import mozjpeg
from tools.rate_distortion.photos.measured import Codec
from tools.rate_distortion.photos.photographs import Pixels
from tools.rate_distortion.picture_codecs import versions

JPEG: Final = "JPEG"
MOZJPEG: Final = "mozjpeg"
WEBP: Final = "WebP"
JPEG_XL: Final = "JPEG XL"
AVIF: Final = "AVIF"

_LIBRARIES: Final = {JPEG: "libjpeg-turbo", WEBP: "libwebp", AVIF: "libavif", JPEG_XL: "pillow-jxl-plugin"}
HIGHEST: Final = 100  # quality of any of them
_AVIF: Final[dict[str, Any]] = {
    "subsampling": "4:4:4",
    "autotiling": False,
    "max_threads": 1,
    "advanced": {"tune": "psnr"},
}


@dataclass(frozen=True, slots=True)
class PillowCodec:
    """A codec that Pillow has, or a plug-in of it.  options: of `save`.  See measured.py, Codec."""

    family: str
    format: str
    setting: str
    steps: tuple[int, ...]
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def qualities(self) -> tuple[str, ...]:
        """Of `save`, as text."""
        return tuple(map(str, self.steps))

    def key(self, quality: str) -> str:
        """Options, quality, version."""
        return f"{self.family} {self.options} q {quality} {versions()[_LIBRARIES[self.family]]}"

    def encode(self, pixels: Pixels, quality: str) -> bytes:
        """See measured.py, Codec."""
        from PIL import Image

        versions()  # registers JPEG XL
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, self.format, quality=int(quality), **self.options)
        return buffer.getvalue()

    def decode(self, data: bytes, quality: str) -> Pixels:
        """See measured.py, Codec."""
        from PIL import Image

        versions()
        with Image.open(io.BytesIO(data), formats=[self.format]) as picture:
            return np.asarray(picture.convert("RGB"))


@dataclass(frozen=True, slots=True)
class Mozjpeg:
    """See mozjpeg.py, and measured.py, Codec."""

    steps: tuple[int, ...]
    family: str = MOZJPEG
    setting: str = "4:2:0, trellis, flat table"

    @property
    def qualities(self) -> tuple[str, ...]:
        """mozjpeg's, as text."""
        return tuple(map(str, self.steps))

    def key(self, quality: str) -> str:
        """Options, quality, version."""
        return f"{self.family} {mozjpeg.OPTIONS} q {quality} {mozjpeg.version()}"

    def encode(self, pixels: Pixels, quality: str) -> bytes:
        """See measured.py, Codec."""
        return mozjpeg.encode(pixels, int(quality))

    def decode(self, data: bytes, quality: str) -> Pixels:
        """With Pillow, as any JPEG."""
        return _PLAIN_JPEG.decode(data, quality)


_PLAIN_JPEG: Final = PillowCodec(
    JPEG, "JPEG", "optimised, progressive, 4:2:0", (3, 5, 8, 12, 18, 25, 35, 50, 65, 77, 86),
    {"optimize": True, "progressive": True, "subsampling": "4:2:0"},
)  # fmt: skip
_WEBP_STEPS: Final = (0, 1, 4, 10, 20, 32, 48, 66, 78, 86, 91)
_JXL_STEPS: Final = (1, 6, 12, 22, 35, 52, 68, 80, 87, 91)
_AVIF_STEPS: Final = (1, 4, 10, 16, 22, 30, 38, 47, 56, 66, 78)

RIVALS: Final[tuple[Codec, ...]] = (
    _PLAIN_JPEG,
    Mozjpeg((3, 6, 10, 15, 21, 29, 39, 52, 66, 78)),
    *(PillowCodec(WEBP, "WEBP", f"method {method}", _WEBP_STEPS, {"method": method}) for method in (6, 4, 0)),
    *(PillowCodec(AVIF, "AVIF", f"4:4:4 for PSNR, speed {speed}", _AVIF_STEPS, {**_AVIF, "speed": speed}) for speed in (8, 6, 4)),
    *(PillowCodec(JPEG_XL, "JXL", f"effort {effort}", _JXL_STEPS, {"effort": effort, "num_threads": 1}) for effort in (3, 7, 9)),
)  # fmt: skip

# The curves that ours is compared with in figures: each as the anchors were made.
ANCHORS: Final = {JPEG: _PLAIN_JPEG.setting, WEBP: "method 6", AVIF: "4:4:4 for PSNR, speed 6"}


def all_versions() -> dict[str, str]:
    """What encodes the rivals' files.  Raises UsageError where something is missing."""
    return {**versions(), "mozjpeg": mozjpeg.version()}
