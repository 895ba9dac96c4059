"""The linear rival: principal components of the training images, coefficients rounded to int8, static codes.

Owns the transform, its rounding, and two ways to count its bits: the ideal code with one static table a component, counted
on the training images as our own priors are, and zstd over the bytes.  The basis that decodes is rounded to int8 too,
and its size is counted as a decoder's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import zstandard
from numpy.typing import NDArray

from tools.rate_distortion.point import SOLID, Images, Point, measured

SWEEP: Final = (
    (2.0, (8, 16, 28, 44)),
    (1.4, (16, 28, 44, 64)),
    (1.0, (28, 44, 64, 96)),
    (0.8, (44, 64, 96, 128)),
    (0.65, (64, 96, 128, 160)),
    (0.5, (96, 128, 160, 192)),
    (0.4, (128, 160, 192, 256)),
    (0.3, (160, 192, 256)),
    (0.22, (192, 256, 320)),
    (0.15, (256, 320, 400)),
    (0.1, (320, 400)),
)
"""Steps, of pixels in 0..1, each with the numbers of dims that are near the front with it."""
DEAD_ZONES: Final = (0.5, 0.4)  # what is added before rounding down: 0.5 is plain rounding, less favours small numbers
GAINS: Final = (1.0, 1.1, 1.2)  # of the decoder: pixels are mostly black or white, and what overshoots is clipped
ZSTD_LEVEL: Final = 19
ZSTD_DEAD_ZONE: Final = 0.4  # and half of the dims: compressing takes longer than all the rest
_SYMBOLS: Final = 255  # -127..127
_TABLE_BYTES: Final = 2  # a frequency


@dataclass(frozen=True, slots=True)
class Pca:
    """mean: (n_pixels,).  basis: (n_pixels, n_dims), orthonormal columns, the strongest first."""

    mean: NDArray[np.float64]
    basis: NDArray[np.float64]

    @classmethod
    def fit(cls, images: Images, n_dims: int) -> Pca:
        """The components of (n, h, w, c) uint8, pixels in 0..1."""
        pixels = images.reshape(len(images), -1) / 255
        mean = pixels.mean(axis=0)
        covariance = (pixels.T @ pixels) / len(pixels) - np.outer(mean, mean)
        _, vectors = np.linalg.eigh(covariance)
        return cls(mean, vectors[:, ::-1][:, :n_dims].copy())

    def encode(self, images: Images) -> NDArray[np.float64]:
        """(n, n_dims) coefficients."""
        return (images.reshape(len(images), -1) / 255 - self.mean) @ self.basis

    def rounded(self) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
        """The basis as (n_pixels, n_dims) int8 and a scale a column."""
        scale = np.maximum(np.abs(self.basis).max(axis=0), 1e-12) / 127
        return np.rint(self.basis / scale).astype(np.int8), scale


def quantise(coefficients: NDArray[np.float64], step: float, dead_zone: float) -> NDArray[np.int8]:
    """Whole steps as int8; a fraction of 1 - dead_zone or more rounds away from zero."""
    levels = np.sign(coefficients) * np.floor(np.abs(coefficients) / step + dead_zone)
    whole: NDArray[np.int8] = np.clip(levels, -127, 127).astype(np.int8)
    return whole


def histograms(levels: NDArray[np.int8]) -> NDArray[np.int64]:
    """(n_dims, 255) counts of -127..127."""
    n_dims = levels.shape[1]
    places = levels.astype(np.int64) + 127 + _SYMBOLS * np.arange(n_dims)
    return np.bincount(places.ravel(), minlength=_SYMBOLS * n_dims).reshape(n_dims, _SYMBOLS)


def code_lengths(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Ideal bits of each symbol; what was never seen gets half a count, so that it can be coded."""
    smoothed = counts + 0.5
    lengths: NDArray[np.float64] = np.log2(smoothed.sum(axis=1, keepdims=True)) - np.log2(smoothed)
    return lengths


class PcaRival:
    """Fits once, when it is first asked, and measures a step at a time."""

    def __init__(self, train_images: Images, test_images: Images) -> None:
        self._train_images, self._test_images = train_images, test_images

    @cached_property
    def _fitted(self) -> tuple[Pca, NDArray[np.float64], NDArray[np.float64]]:
        """The components, and the coefficients of all images."""
        most = max(dims for _, group in SWEEP for dims in group)
        pca = Pca.fit(self._train_images, min(most, len(self._train_images), self._train_images[0].size))
        return pca, pca.encode(self._train_images), pca.encode(self._test_images)

    @cached_property
    def _basis(self) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """The basis that decodes, (n_pixels, n_dims), as it is stored and as it computes."""
        stored, scale = self._fitted[0].rounded()
        return stored, (stored * scale).astype(np.float32)

    def measure(self, step: float, told: Callable[[int], None] = lambda n: None) -> list[Point]:
        """Every number of dims, dead zone and gain of one step: the ideal code, and for some zstd of the int8 bytes."""
        pca, train, test = self._fitted
        stored, basis = self._basis
        group = [dims for dims in dict(SWEEP)[step] if dims <= stored.shape[1]]
        n_bytes = {dims: _zstd_bytes(stored[:, :dims]) + 4 * (dims + len(pca.mean)) for dims in group}
        points = []
        for dead_zone in DEAD_ZONES:
            levels = quantise(test[:, : max(group)], step, dead_zone)
            seen = histograms(quantise(train[:, : max(group)], step, dead_zone))
            bits = np.cumsum((code_lengths(seen) * histograms(levels)).sum(axis=1)) / len(levels)
            table_bytes = _TABLE_BYTES * np.cumsum((seen > 0).sum(axis=1))
            for dims in group:
                packed = None
                if dead_zone == ZSTD_DEAD_ZONE and dims in group[::2]:
                    packed = 8 * _zstd_bytes(levels[:, :dims].T) / len(levels)
                sums = (levels[:, :dims] * np.float32(step)) @ basis[:, :dims].T
                for gain in GAINS:
                    common: dict[str, Any] = {
                        "kind": "rival", "layout": SOLID, "n_images": len(levels),
                        "setting": f"{dims} dims, step {step:g}, rounded at {dead_zone:g}, gain {gain:g}",
                        "mse": measured(self._test_images, self._pixels(sums, gain)),
                    }  # fmt: skip
                    points.append(Point(family="int8 PCA, ideal code", bits=float(bits[dims - 1]), is_real=False,
                                        decoder_bytes=n_bytes[dims] + int(table_bytes[dims - 1]), **common))  # fmt: skip
                    if packed is not None:
                        points.append(
                            Point(family="int8 PCA, zstd -19", bits=packed, decoder_bytes=n_bytes[dims], **common)
                        )
                told(1)
        return points

    def _pixels(self, sums: NDArray[np.floating[Any]], gain: float) -> Images:
        mean = self._fitted[0].mean.astype(np.float32)
        pixels = np.clip(np.float32(gain) * sums + mean, 0, 1)
        images: Images = np.floor(255 * pixels + 0.5).astype(np.uint8).reshape(self._test_images.shape)
        return images


def _zstd_bytes(array: NDArray[np.int8]) -> int:
    return len(zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(np.ascontiguousarray(array).tobytes()))
