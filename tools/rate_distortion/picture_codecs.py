"""The picture codecs: PNG, JPEG, WebP, JPEG XL and AVIF, a file an image and as sheets of many.

Owns their settings, each the best that was found by trial for these images.  Every file is decoded again.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.errors import UsageError
from aeformat.pipeline.cost import AVIF_OPTIONS, unfiltered_png
from tools.rate_distortion.point import EACH, Images, Point, measured

Progress = Callable[[int], None]  # told of images as they are done

_NEEDED: Final = 'install what the table needs: pip install "aeformat[bench]"'


@dataclass(frozen=True, slots=True)
class PictureCodec:
    """One curve, or one lossless point (qualities is empty).  options: of Pillow's `save`."""

    family: str
    format: str
    layout: str  # EACH, or sheet_layout(side)
    qualities: tuple[int, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    note: str = ""

    def settings(self) -> list[int | None]:
        """One a point."""
        return list(self.qualities) or [None]

    def label(self, quality: int | None) -> str:
        """The setting of a point, for people."""
        return ", ".join(part for part in ("" if quality is None else f"q {quality}", self.note) if part)


def sheet_layout(side: int) -> str:
    """The layout of sheets of side x side images."""
    return f"sheets of {side} x {side}"


_LOSSLESS_WEBP: Final[dict[str, Any]] = {"lossless": True, "quality": 100, "method": 6}


def _codecs() -> Iterator[PictureCodec]:
    """The quick ones and the strongest first.  Sheets of 100 x 100 and of 50 x 50 are both tried where that takes minutes, not hours."""
    yield PictureCodec("PNG", "PNG", EACH, note="smaller of Pillow's and unfiltered")
    yield PictureCodec("JPEG", "JPEG", EACH, (1, 5, 10, 20, 40, 70), {"optimize": True})
    yield PictureCodec("WebP", "WEBP", EACH, (0, 5, 15, 30, 50), {"method": 6})
    for side in (100, 50):
        sheet = sheet_layout(side)
        yield PictureCodec("PNG", "PNG", sheet)
        yield PictureCodec("JPEG", "JPEG", sheet, (3, 6, 10, 15, 20, 30, 40, 55, 70), {"optimize": True})
        yield PictureCodec("WebP", "WEBP", sheet, (0, 1, 2, 4, 6, 10, 15, 20, 30), {"method": 6})
        options, note = {**AVIF_OPTIONS, "speed": 6}, "speed 6, tuned for PSNR"
        yield PictureCodec("AVIF", "AVIF", sheet, (0, 1, 3, 4, 6, 8, 12, 16, 24), options, note)
    options, note = {**AVIF_OPTIONS, "speed": 3}, "speed 3, tuned for PSNR"
    yield PictureCodec("AVIF", "AVIF", sheet_layout(100), (1, 4, 12, 0, 6, 14), options, note)
    yield PictureCodec("JPEG XL lossless", "JXL", EACH, options={"lossless": True, "effort": 7}, note="effort 7")
    yield PictureCodec("WebP lossless", "WEBP", EACH, options=_LOSSLESS_WEBP)
    sheet = sheet_layout(100)
    yield PictureCodec("JPEG XL lossless", "JXL", sheet, options={"lossless": True, "effort": 9}, note="effort 9")
    for side in (100, 50):
        yield PictureCodec("WebP lossless", "WEBP", sheet_layout(side), options=_LOSSLESS_WEBP)
    yield PictureCodec("JPEG XL", "JXL", sheet, (10, 15, 20, 25, 30), {"effort": 9}, "effort 9")
    yield PictureCodec("JPEG XL", "JXL", EACH, (5, 15, 30), {"effort": 7}, "effort 7")
    yield PictureCodec("AVIF", "AVIF", EACH, (0, 6, 16), {**AVIF_OPTIONS, "speed": 6}, "speed 6, tuned for PSNR")


PICTURE_CODECS: Final = tuple(_codecs())


@cache
def versions() -> dict[str, str]:
    """What encodes the pictures.  Raises UsageError where something is missing."""
    try:
        found = {name: version(name) for name in ("pillow", "pillow-jxl-plugin")}
        import pillow_jxl  # noqa: F401 - registers JPEG XL with Pillow
        from PIL import features
    except (ImportError, PackageNotFoundError) as error:
        raise UsageError(f"{error}: {_NEEDED}") from error
    for name in ("jpg", "webp", "avif"):
        if not features.check(name):
            raise UsageError(f"this Pillow cannot write {name}; {_NEEDED}")
    for name, library in (("libjpeg_turbo", "libjpeg-turbo"), ("webp", "libwebp"), ("avif", "libavif")):
        found[library] = str(features.version(name))
    return found


def measure(codec: PictureCodec, quality: int | None, images: Images, progress: Progress) -> Point:
    """Encode all images, decode them again, count bytes and squared errors."""
    versions()
    options = dict(codec.options) if quality is None else {**codec.options, "quality": quality}
    n_bytes, decoded = 0, np.empty_like(images)
    for at, picture in _pictures(codec.layout, images):
        data = encode(picture, codec.format, options)
        n_bytes += len(data)
        n_images = picture.size // images[0].size
        decoded[at : at + n_images] = cut(decode(data), images.shape[1:])
        progress(n_images)
    return Point(
        "rival", codec.family, codec.label(quality), codec.layout, len(images), 8 * n_bytes / len(images),
        measured(images, decoded),
    )  # fmt: skip


def _pictures(layout: str, images: Images) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """(number of the first image, grey picture) for each file."""
    side = 1 if layout == EACH else int(layout.rsplit(" ", 1)[1])
    for at in range(0, len(images), side * side):
        block = images[at : at + side * side]
        columns = next(n for n in range(min(side, len(block)), 0, -1) if len(block) % n == 0)
        yield at, tile(block, columns)


def tile(images: Images, columns: int) -> NDArray[np.uint8]:
    """(n, h, w, 1) -> one picture, row after row of `columns` images; n is a multiple of it."""
    _, height, width, _ = images.shape
    grid = images.reshape(-1, columns, height, width)
    return np.ascontiguousarray(grid.transpose(0, 2, 1, 3).reshape(-1, columns * width))


def cut(picture: NDArray[np.uint8], shape: tuple[int, ...]) -> Images:
    """The images of `shape` (h, w, 1) that `tile` put together."""
    height, width, _ = shape
    grid = picture.reshape(picture.shape[0] // height, height, picture.shape[1] // width, width)
    return grid.transpose(0, 2, 1, 3).reshape(-1, *shape)


def encode(picture: NDArray[np.uint8], format: str, options: dict[str, Any]) -> bytes:
    """A grey picture (h, w) as one file."""
    from PIL import Image

    buffer = io.BytesIO()
    if format == "PNG":
        Image.fromarray(picture).save(buffer, format="PNG", optimize=True)
        return min(buffer.getvalue(), unfiltered_png(picture[:, :, np.newaxis]), key=len)
    Image.fromarray(picture).save(buffer, format=format, **options)
    return buffer.getvalue()


def decode(data: bytes) -> NDArray[np.uint8]:
    """The picture in a file, grey."""
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(data)).convert("L"))
