"""Image files, read and written by Pillow, which is imported on first use.

Owns how a file becomes uint8 without loss:
- grey and 1-bit stay grey; a palette becomes what its colours are; colour profiles and alpha: see colours.py;
- what has more than 8 bits a channel, signed or floating-point numbers, CMYK and animated files are refused;
- EXIF orientation is applied.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import numpy as np

from aeformat.errors import ImageError
from aeformat.images.colours import to_grey_or_rgb
from aeformat.images.exact_read import reason_of
from aeformat.images.fit import MAX_PIXELS, Colour, ImageFit, describe, require_pillow

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from PIL import Image as Images

_FORMATS: Final = ("PNG", "JPEG", "BMP", "DIB", "GIF", "WEBP", "TIFF", "PPM", "AVIF")  # nothing else is even tried
_BROKEN: Final = (  # what Pillow was seen to raise about damaged files, TIFF above all
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    OverflowError,
    EOFError,
    struct.error,
    zlib.error,
)
_BITS_PER_SAMPLE: Final = 258  # tags of TIFF 6.0, with values of the second
_SAMPLE_FORMAT: Final = 339
_UNSIGNED: Final = 1
_UNDEFINED: Final = 4


class FilesInput:
    """Image files with their names, in the order given; each is read when its block is."""

    def __init__(self, files: Sequence[tuple[str, Path]], fit: ImageFit, label: str) -> None:
        require_pillow("image files")
        self.label, self.n_rows = label, len(files)
        self.files: list[str | Path] = [path for _, path in files]
        self.names: list[str] | None = [name for name, _ in files]
        self._paths, self._fit = [path for _, path in files], fit

    def pieces(self, n_rows: int) -> Iterator[NDArray[np.uint8]]:
        if self._fit.takes_any_size:
            for path in self._paths:
                yield load_image(path, self._fit)[np.newaxis]
            return
        for first in range(0, self.n_rows, n_rows):
            yield np.stack([load_image(path, self._fit) for path in self._paths[first : first + n_rows]])


def load_image(path: Path | str, fit: ImageFit, data: bytes | None = None) -> NDArray[np.uint8]:
    """Read one image file: (h, w, c) uint8 as the model takes it.  data: its bytes, where it is elsewhere, at a URL.

    Raises ImageError, naming the file.
    """
    pixels = load_pixels(path, fit.background, data)
    fit.check_image((pixels.shape[0], pixels.shape[1], pixels.shape[2]), str(path))
    converted: NDArray[np.uint8] = fit.convert(pixels[np.newaxis])[0]
    return converted


def load_pixels(path: Path | str, background: Colour | None = None, data: bytes | None = None) -> NDArray[np.uint8]:
    """Read one image file as it is: (h, w, 1) or (h, w, 3) uint8.  background: what transparent pixels are laid on.

    Raises ImageError, naming the file.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # metadata oddities; too many pixels is checked below, before decoding
            with Image.open(path if data is None else io.BytesIO(data), formats=readable_formats()) as picture:
                _check_before_decoding(picture, path)
                picture.load()
                ImageOps.exif_transpose(picture, in_place=True)
                plain = to_grey_or_rgb(picture, path, background)
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{path}: is no image of a kind that is read here ({', '.join(readable_formats())})"
        ) from error
    except (*_BROKEN, Image.DecompressionBombError) as error:
        raise ImageError(f"{path}: is no readable image: {reason_of(error)}") from error
    pixels = np.asarray(plain, dtype=np.uint8)
    return pixels.reshape(*pixels.shape[:2], -1)


def readable_formats() -> list[str]:
    """Those of _FORMATS that this Pillow knows."""
    has_avif = find_spec("PIL.AvifImagePlugin") is not None  # from 11.3 on
    return [name for name in _FORMATS if has_avif or name != "AVIF"]


def save_png(file: BinaryIO | Path, image: NDArray[np.uint8]) -> None:
    """Write one (h, w, c) image as PNG; c is 1 (grey) or 3 (RGB).  Raises OSError."""
    from PIL import Image

    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(file, format="PNG")


def _check_before_decoding(picture: Images.Image, path: Path | str) -> None:
    """Refuse, from the header alone, what is too large or would lose something."""
    if picture.width * picture.height > MAX_PIXELS:
        size = describe((picture.height, picture.width, len(picture.getbands())))
        raise ImageError(f"{path}: is {size}, above the limit of {MAX_PIXELS:,} pixels")
    n_frames = getattr(picture, "n_frames", 1)
    if n_frames > 1 and picture.format != "MPO":  # MPO: a photo with its preview
        raise ImageError(f"{path}: holds {n_frames} frames, expected one image; save them as files of their own")
    if picture.mode.startswith(("I", "F")) or _is_deep(picture):
        raise ImageError(f"{path}: has more than 8 bits a channel, expected 8; convert it first")
    if picture.format == "TIFF" and _is_signed(picture):
        raise ImageError(f"{path}: has signed numbers, expected 0 to 255; convert it first")


def _is_deep(picture: Images.Image) -> bool:
    """Whether Pillow is about to drop low bits: it reads some kinds of 16-bit RGB as mode RGB.

    A TIFF says how many bits it has; of the others only Pillow's raw mode tells (";16" is 565 in a BMP: fewer bits).
    """
    if picture.format == "TIFF":
        return max(_tag(picture, _BITS_PER_SAMPLE, 1)) > 8
    if picture.format in ("BMP", "DIB"):
        return False
    for tile in getattr(picture, "tile", []):
        args = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if tile[0] == "ppm" and any(isinstance(arg, int) and arg > 255 for arg in args):
            return True
        if any(isinstance(arg, str) and ";16" in arg for arg in args):
            return True
    return False


def _is_signed(picture: Images.Image) -> bool:
    return not set(_tag(picture, _SAMPLE_FORMAT, _UNSIGNED)) <= {_UNSIGNED, _UNDEFINED}


def _tag(picture: Images.Image, number: int, default: int) -> tuple[int, ...]:
    """A tag of a TIFF that holds a number, or one for each channel."""
    values = getattr(picture, "tag_v2", {}).get(number, default)
    return values if isinstance(values, tuple) else (values,)
