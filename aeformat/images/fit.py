"""The shape of images: of the input, of the model, and the conversions between them.

Owns ImageBlock, ImageFit, the reading of an array's shape as a batch of images, and the two conversions (resize, grayscale).
An image is converted only if the caller allows it.  Knows nothing of files.
"""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aeformat.errors import Hint, ImageError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_PIXELS: Final = 89_478_485  # of one image; Pillow's own default bound against decompression bombs
Shape = tuple[int, int, int]  # height, width, channels
_CONVERSIONS: Final = {  # (size, colour): a conversion is needed and is not allowed
    (False, False): None,
    (True, False): Hint.RESIZE,
    (False, True): Hint.GRAYSCALE,
    (True, True): Hint.RESIZE_AND_GRAYSCALE,
}


@dataclass(frozen=True, slots=True)
class ImageBlock:
    """Some consecutive images, and their names where the input has names."""

    images: NDArray[np.uint8]  # (n, h, w, c)
    names: list[str] | None  # one per image, relative POSIX paths


@dataclass(frozen=True, slots=True)
class ImageFit:
    """The image shape that a model takes, and the conversions that are allowed.

    resize: Pillow's LANCZOS to exactly h x w; the aspect ratio is not kept.
    grayscale: three channels become one by Pillow's "L" (ITU-R 601-2 luma).  It comes before the resizing.
    """

    shape: Shape  # h, w, c
    resize: bool = False
    grayscale: bool = False

    def check(self) -> None:
        """Raises UsageError where the options contradict the model, or Pillow is missing for them."""
        if self.grayscale and self.shape[2] != 1:
            raise UsageError(f"grayscale makes one channel, and the model takes {self.shape[2]}")
        if self.resize or self.grayscale:
            require_pillow("resizing and grayscale")

    def check_image(self, found: Shape, label: str) -> None:
        """Raises ImageError unless an image of this shape fits, as it is or by the conversions allowed."""
        is_size_off, is_colour_off = found[:2] != self.shape[:2], found[2] != self.shape[2]
        wrong = f"{label}: images are {describe(found)} (h x w x channels), the model takes {describe(self.shape)}"
        if min(found) < 1:
            raise ImageError(wrong)
        if is_colour_off and (found[2], self.shape[2]) != (3, 1):
            raise ImageError(wrong)
        hint = _CONVERSIONS[is_size_off and not self.resize, is_colour_off and not self.grayscale]
        if hint is not None:
            raise ImageError(wrong, hint=hint)
        if (is_size_off or is_colour_off) and found[2] not in (1, 3):
            raise ImageError(f"{wrong}; only images of 1 or 3 channels can be resized")
        if found[0] * found[1] > MAX_PIXELS:
            raise ImageError(f"{label}: images are {describe(found)}, above the limit of {MAX_PIXELS:,} pixels")

    def convert(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(n, any h, any w, c) that passed `check_image` -> (n, h, w, c) as the model takes them."""
        if images.shape[1:] == self.shape:
            return images
        return np.stack([self._convert_one(image) for image in images])

    def _convert_one(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        from PIL import Image

        height, width, channels = self.shape
        picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
        if image.shape[2] != channels:
            picture = picture.convert("L")
        if picture.size != (width, height):
            picture = picture.resize((width, height), Image.Resampling.LANCZOS)
        return np.asarray(picture, dtype=np.uint8).reshape(self.shape)


@dataclass(frozen=True, slots=True)
class Layout:
    """An array read as images: n_rows of them, each of this shape, one after the other in C order."""

    n_rows: int
    image: Shape

    @property
    def image_bytes(self) -> int:
        return math.prod(self.image)


def layout_of(shape: tuple[int, ...], fit: ImageFit, label: str) -> Layout:
    """Read an array's shape as images.

    (n, h, w), (n, h, w, c), flat rows (n, h*w*c), and one image alone: (h, w) or (h, w, c), the last three only where
    they match the model exactly, since they could mean something else.  Raises ImageError.
    """
    height, width, channels = fit.shape
    if len(shape) == 4:
        layout = Layout(shape[0], (shape[1], shape[2], shape[3]))
    elif len(shape) == 2 and shape[1] == height * width * channels:
        layout = Layout(shape[0], fit.shape)
    elif shape == fit.shape or (len(shape) == 2 and shape == (height, width) and channels == 1):
        layout = Layout(1, fit.shape)
    elif len(shape) == 3 and not (fit.resize and shape[2] in (1, 3, 4)):
        layout = Layout(shape[0], (shape[1], shape[2], 1))
    else:
        raise ImageError(
            f"{label}: the array has shape {shape}, expected (n, {height}, {width}, {channels})"
            f"{f' or (n, {height}, {width})' if channels == 1 else ''}; for one image, add a first axis of 1"
        )
    if layout.n_rows == 0:
        raise ImageError(f"{label}: holds no image (shape {shape})")
    fit.check_image(layout.image, label)
    return layout


def check_dtype(dtype: np.dtype[Any], label: str) -> None:
    """Raises ImageError unless the array holds uint8; the message says how to convert it."""
    if dtype == np.uint8:
        return
    how = {
        "f": "if they are in 0..1, save (x * 255).round().astype('uint8')",
        "b": "save x.astype('uint8') * 255",
        "i": "if they are in 0..255, save x.astype('uint8')",
        "u": "if they are in 0..255, save x.astype('uint8')",
    }.get(dtype.kind, "save the images as an array of uint8")
    raise ImageError(f"{label}: values are {dtype}, expected uint8 (0..255); {how}")


def describe(shape: Shape) -> str:
    """(28, 28, 1) -> "28x28x1"."""
    return "x".join(map(str, shape))


def require_pillow(what: str) -> None:
    """Raises UsageError where Pillow is not installed; the message says how to install it."""
    if importlib.util.find_spec("PIL") is None:
        raise UsageError(f'{what} need Pillow: pip install "aeformat[images]"')
