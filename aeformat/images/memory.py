"""Images that are already in memory, as a source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aeformat.errors import ImageError
from aeformat.images.fit import ImageBlock, ImageFit, check_dtype

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray


class ArraySource:
    """images: (n, h, w, c) uint8.  label: what a person calls them."""

    def __init__(self, images: NDArray[np.uint8], label: str = "the images") -> None:
        self._images = images
        self.n_rows: int | None = len(images)
        self.label = label
        self.files: Sequence[str | Path] = ()
        self.left_out: Sequence[str] = ()
        self.has_paths = False

    def blocks(self, n_rows: int) -> Iterator[ImageBlock]:
        """Yield blocks of exactly n_rows images; the last may have fewer."""
        for start in range(0, len(self._images), n_rows):
            yield ImageBlock(self._images[start : start + n_rows], None)


class ArraysSource:
    """Images of their own sizes: arrays (h, w, c) or, of one channel, (h, w), of uint8.  Raises ImageError."""

    def __init__(self, images: Sequence[NDArray[np.uint8]], fit: ImageFit, label: str = "the images") -> None:
        fit.check()
        self._images = [one_image(image, fit, f"{label}, number {at}") for at, image in enumerate(images)]
        self.n_rows: int | None = len(images)
        self.label = label
        self.files: Sequence[str | Path] = ()
        self.left_out: Sequence[str] = ()
        self.has_paths = False
        self._fit = fit

    def blocks(self, n_rows: int) -> Iterator[ImageBlock]:
        """Yield the images one by one."""
        for image in self._images:
            yield ImageBlock(self._fit.convert(image), None)


def one_image(image: NDArray[np.uint8], fit: ImageFit, label: str) -> NDArray[np.uint8]:
    """An array as one image, (1, h, w, c), which `fit` can convert.  Raises ImageError."""
    array = np.asarray(image)
    check_dtype(array.dtype, label)
    if array.ndim not in (2, 3):
        raise ImageError(f"{label}: has shape {array.shape}, expected (h, w, c), or (h, w) of one channel")
    height, width = array.shape[:2]
    shape = height, width, array.shape[2] if array.ndim == 3 else 1
    fit.check_image(shape, label)
    return array.reshape(1, *shape)
