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

DIMS: Final = (8, 16, 22, 28, 36, 44, 54, 64, 80, 96, 128, 160, 192, 256)
STEPS: Final = (0.15, 0.25, 0.35, 0.45, 0.55, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0)  # of pixels in 0..1
DEAD_ZONES: Final = (0.5, 0.4, 0.33)  # what is rounded up from: 0.5 is plain rounding, less favours small numbers
ZSTD_LEVEL: Final = 19
ZSTD_DIMS: Final = (16, 36, 64, 128)  # compressing takes longer than all the rest
ZSTD_DEAD_ZONE: Final = 0.4
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
    """Whole steps; a fraction of 1 - dead_zone or more rounds away from zero."""
    levels = np.sign(coefficients) * np.floor(np.abs(coefficients) / step + dead_zone)
    return np.clip(levels, -127, 127).astype(np.int8)


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


def centroids(coefficients: NDArray[np.float64], levels: NDArray[np.int8], step: float) -> NDArray[np.float64]:
    """(n_dims, 255): the mean coefficient of each level in training, or the level itself where none was seen."""
    n_dims = levels.shape[1]
    places = (levels.astype(np.int64) + 127 + _SYMBOLS * np.arange(n_dims)).ravel()
    counts = np.bincount(places, minlength=_SYMBOLS * n_dims)
    sums = np.bincount(places, weights=coefficients.ravel(), minlength=_SYMBOLS * n_dims)
    plain = np.tile(np.arange(-127, 128) * step, n_dims)
    return np.where(counts > 0, sums / np.maximum(counts, 1), plain).reshape(n_dims, _SYMBOLS)


class PcaRival:
    """Fits once, when it is first asked, and measures a step at a time."""

    def __init__(self, train_images: Images, test_images: Images) -> None:
        self._train_images, self._test_images = train_images, test_images

    @cached_property
    def _fitted(self) -> tuple[Pca, NDArray[np.float64], NDArray[np.float64]]:
        """The components, and the coefficients of all images."""
        pca = Pca.fit(self._train_images, max(dims for dims in DIMS if dims <= self._train_images[0].size))
        return pca, pca.encode(self._train_images), pca.encode(self._test_images)

    @cached_property
    def _basis(self) -> tuple[NDArray[np.float32], dict[int, int]]:
        """The basis that decodes, (n_pixels, n_dims), and its bytes, with mean and scales, by number of dims."""
        pca = self._fitted[0]
        stored, scale = pca.rounded()
        fitting = [dims for dims in DIMS if dims <= stored.shape[1]]
        n_bytes = {dims: _zstd_bytes(stored[:, :dims]) + 4 * (dims + len(pca.mean)) for dims in fitting}
        return (stored * scale).astype(np.float32), n_bytes

    def measure(self, step: float, told: Callable[[int], None] = lambda n: None) -> list[Point]:
        """Every number of dims and dead zone at one step: the ideal code, and for some zstd of the int8 bytes."""
        pca, train, test = self._fitted
        basis, basis_bytes = self._basis
        images = self._test_images
        points = []
        for dead_zone in DEAD_ZONES:
            train_levels, levels = quantise(train, step, dead_zone), quantise(test, step, dead_zone)
            seen = histograms(train_levels)
            bits = np.cumsum((code_lengths(seen) * histograms(levels)).sum(axis=1)) / len(levels)
            table_bytes = _TABLE_BYTES * np.cumsum((seen > 0).sum(axis=1))
            table = centroids(train, train_levels, step)
            values = table[np.arange(levels.shape[1]), levels.astype(np.int64) + 127].astype(np.float32)
            for dims, n_bytes in basis_bytes.items():
                decoded = _decode(pca.mean, basis[:, :dims], values[:, :dims], images.shape)
                tables = int(table_bytes[dims - 1])
                common: dict[str, Any] = {
                    "kind": "rival", "setting": f"{dims} dims, step {step:g}, dead zone {dead_zone:g}", "layout": SOLID,
                    "n_images": len(levels), "mse": measured(images, decoded),
                }  # fmt: skip
                points.append(Point(family="int8 PCA, ideal code", bits=float(bits[dims - 1]), is_real=False,
                                    decoder_bytes=n_bytes + 2 * tables, **common))  # fmt: skip
                if dead_zone == ZSTD_DEAD_ZONE and dims in ZSTD_DIMS:
                    packed = 8 * _zstd_bytes(levels[:, :dims].T) / len(levels)
                    points.append(
                        Point(family="int8 PCA, zstd -19", bits=packed, decoder_bytes=n_bytes + tables, **common)
                    )
                told(1)
        return points


def _decode(
    mean: NDArray[np.float64], basis: NDArray[np.float32], values: NDArray[np.float32], shape: tuple[int, ...]
) -> Images:
    pixels = np.clip(values @ basis.T + mean.astype(np.float32), 0, 1)
    return np.floor(255 * pixels + 0.5).astype(np.uint8).reshape(shape)


def _zstd_bytes(array: NDArray[np.int8]) -> int:
    return len(zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(np.ascontiguousarray(array).tobytes()))
