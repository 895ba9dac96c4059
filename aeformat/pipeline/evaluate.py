"""Evaluation: the error of decoded images against the originals.

Pixels are divided by 255 first, as in the literature on MNIST.  MSE is over all pixels of all images;
RMSE is its square root; PSNR is 10 log10(1 / MSE) dB.  The mean PSNR, as in the literature on photographs, is that of the PSNR
of each image.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aeformat.errors import ImageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


_AT_ONCE: Final = 1 << 20  # numbers whose differences are in memory at a time


@dataclass(frozen=True, slots=True)
class Fidelity:
    """mse, rmse: of pixels in 0..1.  psnr: dB, infinite where all pixels are equal.

    mean_psnr: the mean of the images' own, infinite where one has only equal pixels.  n_pixels: height times width of all.
    """

    n_rows: int
    mse: float
    mean_psnr: float = math.nan
    n_pixels: int = 0

    @property
    def rmse(self) -> float:
        """Square root of mse."""
        return math.sqrt(self.mse)

    @property
    def psnr(self) -> float:
        """Peak signal-to-noise ratio in dB."""
        return _decibels(self.mse)


def _decibels(mse: float) -> float:
    return math.inf if mse == 0 else -10 * math.log10(mse)


class ErrorSum:
    """Adds up squared errors exactly, as integers."""

    def __init__(self) -> None:
        self._sum = 0
        self._n_numbers = self._n_pixels = 0
        self._n_rows = 0
        self._decibels = 0.0

    def add(self, originals: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> None:
        """Two (n, h, w, c) uint8 of the same shape, or (n, pixels) of grey ones.  Raises ImageError if the shapes differ."""
        if originals.shape != decoded.shape:
            raise ImageError(f"images of shape {originals.shape[1:]} against decoded ones of {decoded.shape[1:]}")
        n_numbers = originals[0].size
        for total in _squared_errors(originals, decoded):
            self._sum += total
            self._decibels += _decibels(total / n_numbers / 255**2)
        self._n_numbers += originals.size
        self._n_pixels += originals.size // (originals.shape[3] if originals.ndim == 4 else 1)
        self._n_rows += len(originals)

    def result(self) -> Fidelity:
        """The fidelity of all images added so far; there must be at least one."""
        mse = self._sum / self._n_numbers / 255**2
        return Fidelity(self._n_rows, mse, self._decibels / self._n_rows, self._n_pixels)


def _squared_errors(originals: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> Iterator[int]:
    """The sum of squared differences of each image."""
    import numpy as np

    left, right = (images.reshape(len(images), -1) for images in (originals, decoded))
    n_rows = max(1, _AT_ONCE // left.shape[1])
    for first in range(0, len(left), n_rows):
        rows = slice(first, first + n_rows)
        sums = np.zeros(len(left[rows]), np.int64)
        for start in range(0, left.shape[1], _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            difference = left[rows, part].astype(np.int32) - right[rows, part]
            sums += np.sum(difference * difference, axis=1, dtype=np.int64)
        yield from sums.tolist()


def compare(originals: Iterable[NDArray[np.uint8]], decoded: Iterable[NDArray[np.uint8]]) -> Fidelity:
    """Compare two streams of images, each in blocks of any size.  Raises ImageError if one has more images."""
    total = ErrorSum()
    left, right = _Rows(originals), _Rows(decoded)
    while True:
        n_rows = min(left.ready(), right.ready())
        if not n_rows:
            break
        total.add(left.take(n_rows), right.take(n_rows))
    if left.ready() or right.ready():
        more = "originals" if left.ready() else "decoded images"
        raise ImageError(f"there are more {more} than the other side has; give the input that was packed")
    return total.result()


class _Rows:
    """A stream of blocks that is read in blocks of other sizes."""

    def __init__(self, blocks: Iterable[NDArray[np.uint8]]) -> None:
        self._blocks: Iterator[NDArray[np.uint8]] = iter(blocks)
        self._block: NDArray[np.uint8] | None = None

    def ready(self) -> int:
        """Rows that can be taken now; 0 at the end."""
        while self._block is None or not len(self._block):
            self._block = next(self._blocks, None)
            if self._block is None:
                return 0
        return len(self._block)

    def take(self, n_rows: int) -> NDArray[np.uint8]:
        """The next n_rows, at most as many as are ready."""
        assert self._block is not None
        rows, self._block = self._block[:n_rows], self._block[n_rows:]
        return rows
