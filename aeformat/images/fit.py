"""The shape of images: of the input, of the model, and the conversions between them.

Owns ImageBlock, ImageFit, the reading of an array's shape as a batch of images, and the conversions of arrays (resize,
grayscale, rgb).  An image is converted only if the caller allows it.  Knows nothing of files.
"""

from __future__ import annotations

import importlib.util
import math
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aeformat.errors import Hint, ImageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

MAX_PIXELS: Final = 89_478_485  # of one image; Pillow's own default bound against decompression bombs
MAX_SIDE: Final = 65_535  # height or width of an image (spec/container.md, C3-8 and C5-7)
Shape = tuple[int, int, int]  # height, width, channels
Colour = tuple[int, int, int]  # red, green, blue, 0 to 255 each
_CONVERSIONS: Final = {  # (size, channels to): a conversion is needed and is not allowed
    (True, None): Hint.RESIZE,
    (False, 1): Hint.GRAYSCALE,
    (True, 1): Hint.RESIZE_AND_GRAYSCALE,
    (False, 3): Hint.RGB,
    (True, 3): Hint.RESIZE_AND_RGB,
}


@dataclass(frozen=True, slots=True)
class ImageBlock:
    """Some consecutive images, and their names where the input has names."""

    images: NDArray[np.uint8]  # (n, h, w, c)
    names: list[str] | None  # one per image, relative POSIX paths
    paths: list[Path] | None = None  # of the files, where each image is a file of its own
    digests: list[bytes] | None = None  # SHA-256 of the files, where they are known already


@dataclass(frozen=True, slots=True)
class ImageFit:
    """The image shape that a model takes, and the conversions that are allowed.

    shape: (h, w, c); h and w are 0 for a model that takes any size.
    resize: Pillow's LANCZOS to exactly h x w; the aspect ratio is not kept.
    grayscale: three channels become one by Pillow's "L" (ITU-R 601-2 luma).  It comes before the resizing.
    rgb: one channel is repeated into three.
    background: the colour that takes the place of what is transparent in an image file.
    """

    shape: Shape  # h, w, c
    resize: bool = False
    grayscale: bool = False
    rgb: bool = False
    background: Colour | None = None

    @property
    def takes_any_size(self) -> bool:
        """Whether each image may have a size of its own."""
        return 0 in self.shape

    def check(self) -> None:
        """Raises UsageError where the options contradict the model, or Pillow is missing for them."""
        if self.grayscale and self.shape[2] != 1:
            raise UsageError(f"grayscale makes one channel, and the model takes {self.shape[2]}")
        if self.rgb and self.shape[2] != 3:
            raise UsageError(f"rgb makes three channels, and the model takes {self.shape[2]}")
        if self.resize and self.takes_any_size:
            raise UsageError("this model takes images of any size, so none is resized; leave resize out")
        if self.resize or self.grayscale:
            require_pillow("resizing and grayscale")

    def check_image(self, found: Shape, label: str) -> None:
        """Raises ImageError unless an image of this shape fits, as it is or by the conversions allowed."""
        is_size_off = not self.takes_any_size and found[:2] != self.shape[:2]
        channels_to = None if found[2] == self.shape[2] else self.shape[2]
        wrong = f"{label}: images are {describe(found)} (h x w x channels), the model takes {describe(self.shape)}"
        if min(found) < 1:
            raise ImageError(wrong)
        if channels_to and (found[2], channels_to) not in ((3, 1), (1, 3)):
            raise ImageError(wrong)
        is_allowed = (channels_to == 1 and self.grayscale) or (channels_to == 3 and self.rgb)
        missing = is_size_off and not self.resize, None if is_allowed else channels_to
        if missing != (False, None):
            raise ImageError(wrong, hint=_CONVERSIONS[missing])
        if (is_size_off or channels_to) and found[2] not in (1, 3):
            raise ImageError(f"{wrong}; only images of 1 or 3 channels can be resized")
        if found[0] * found[1] > MAX_PIXELS:
            raise ImageError(f"{label}: images are {describe(found)}, above the limit of {MAX_PIXELS:,} pixels")
        if self.takes_any_size and max(found[:2]) > MAX_SIDE:
            raise ImageError(f"{label}: images are {describe(found)}, a side has at most {MAX_SIDE:,} pixels")

    def convert(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(n, any h, any w, c) that passed `check_image` -> (n, h, w, c) as the model takes them."""
        if images.shape[1:] == self.shape or (self.takes_any_size and images.shape[3] == self.shape[2]):
            return images
        return np.stack([self._convert_one(image) for image in images])

    def _convert_one(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        height, width, channels = self.shape
        if image.shape[2] == 1 and channels == 3:
            image = np.repeat(image, 3, axis=2)
        if image.shape[2] == channels and (self.takes_any_size or image.shape[:2] == (height, width)):
            return image
        from PIL import Image

        picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
        if image.shape[2] != channels:
            picture = picture.convert("L")
        if not self.takes_any_size and picture.size != (width, height):
            picture = picture.resize((width, height), Image.Resampling.LANCZOS)
        return np.asarray(picture, dtype=np.uint8).reshape(picture.height, picture.width, channels)


@contextmanager
def as_they_are() -> Iterator[None]:
    """For who takes images and offers none of these conversions: an ImageError offers none."""
    try:
        yield
    except ImageError as error:
        if error.hint not in (*_CONVERSIONS.values(), Hint.SET_BACKGROUND):
            raise
        raise ImageError(f"{error.sentence}; images are taken as they are here: give images that fit") from None


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
    layout = _any_size_layout(shape, fit) if fit.takes_any_size else _one_size_layout(shape, fit)
    if layout is None:
        height, width, channels = (str(n or name) for n, name in zip(fit.shape, "hwc", strict=True))
        raise ImageError(
            f"{label}: the array has shape {shape}, expected (n, {height}, {width}, {channels})"
            f"{f' or (n, {height}, {width})' if channels == '1' else ''}; for one image, add a first axis of 1"
        )
    if layout.n_rows == 0:
        raise ImageError(f"{label}: holds no image (shape {shape})")
    fit.check_image(layout.image, label)
    return layout


def _one_size_layout(shape: tuple[int, ...], fit: ImageFit) -> Layout | None:
    height, width, channels = fit.shape
    if len(shape) == 4:
        return Layout(shape[0], (shape[1], shape[2], shape[3]))
    if len(shape) == 2 and shape[1] == height * width * channels:
        return Layout(shape[0], fit.shape)
    if shape == fit.shape or (len(shape) == 2 and shape == (height, width) and channels == 1):
        return Layout(1, fit.shape)
    if len(shape) == 3 and not (fit.resize and shape[2] in (1, 3, 4)):
        return Layout(shape[0], (shape[1], shape[2], 1))
    return None


def _any_size_layout(shape: tuple[int, ...], fit: ImageFit) -> Layout | None:
    """One image of three axes is one of the model's channels, of two axes a grey one."""
    if len(shape) == 4:
        return Layout(shape[0], (shape[1], shape[2], shape[3]))
    if len(shape) == 3 and shape[2] == fit.shape[2] and fit.shape[2] in (3, 4) and not fit.rgb:
        return Layout(1, (shape[0], shape[1], shape[2]))
    if len(shape) == 3 and shape[2] not in (1, 3, 4):
        return Layout(shape[0], (shape[1], shape[2], 1))
    if len(shape) == 2:
        return Layout(1, (shape[0], shape[1], 1))
    return None


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


def check_images(images: NDArray[np.uint8], shape: Shape) -> None:
    """That a sink for images of this shape takes these.  Raises ValueError."""
    expected = (*images.shape[1:3], shape[2]) if 0 in shape else shape
    if images.shape[1:] != expected or images.dtype != np.uint8:
        raise ValueError(f"expected (n, *{shape}) of uint8, not {images.shape} of {images.dtype}")


def describe(shape: Shape) -> str:
    """(28, 28, 1) -> "28x28x1"; (0, 0, 3) -> "any size x3"."""
    height, width, channels = shape
    return f"{height}x{width}x{channels}" if height else f"any size x{channels}"


def require_pillow(what: str) -> None:
    """Raises UsageError where Pillow is not installed; the message says how to install it."""
    if importlib.util.find_spec("PIL") is None:
        raise UsageError(f'{what} need Pillow: pip install "aeformat[images]"')
