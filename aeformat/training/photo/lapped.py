"""Where the photograph models start: a lapped transform of 16 bands, nearly the answer before anything is learned.

Owns the transform (the optimal lapped orthogonal transform of H. Malvar, "Signal Processing with Lapped Transforms", 1992,
section 4.3), the three colours it is applied to, the order of frequencies, and what the analysis needs at an image's borders.
Pure NumPy; knows nothing of training.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BANDS: Final = 16
"""Rows and columns of pixels that share one latent: the scale of a photograph's latents."""
TAPS: Final = 2 * BANDS
OVERLAP: Final = BANDS // 2
"""How far a basis function reaches beyond its own pixels, on each side."""
_CORRELATION: Final = 0.95  # of neighbouring pixels, in the model that the transform is optimal for

COLOURS: Final[Floats] = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])
"""(3, 3): luma and two chroma as sums of red, green and blue.  Orthonormal, so an error weighs the same in all."""


@cache
def transform() -> Floats:
    """(TAPS, BANDS): the basis functions, by rising frequency; shifted by multiples of BANDS they are orthonormal."""
    places = np.arange(BANDS)
    cosines = np.cos(np.pi * (2 * places + 1) * places[:, None] / (2 * BANDS)) * np.sqrt(2 / BANDS)
    cosines[0] /= np.sqrt(2)
    even, odd = cosines[0::2].T, cosines[1::2].T
    half = (even - odd) / 2
    start = np.block([[half, half], [half[::-1], -half[::-1]]])
    distance = np.abs(np.subtract.outer(np.arange(TAPS), np.arange(TAPS)))
    _, rotation = np.linalg.eigh(start.T @ _CORRELATION**distance @ start)
    basis = start @ rotation
    basis = basis[:, np.argsort(_centroids(basis), kind="stable")]
    signs: Floats = np.sign(basis[:BANDS].sum(axis=0))
    turned: Floats = basis * signs
    return turned


def _centroids(basis: Floats) -> Floats:
    """(BANDS,): the mean frequency of each function, weighted by its power there."""
    power = np.abs(np.fft.rfft(basis, 256, axis=0)) ** 2
    mean: Floats = (power * np.arange(len(power))[:, None]).sum(axis=0) / power.sum(axis=0)
    return mean


@cache
def frequencies(n: int) -> tuple[tuple[int, int], ...]:
    """The n lowest pairs (vertical band, horizontal band)."""
    pairs = [(i, j) for i in range(BANDS) for j in range(BANDS)]
    return tuple(sorted(pairs, key=lambda pair: (pair[0] ** 2 + pair[1] ** 2, sum(pair), pair))[:n])


def basis_images(n: int) -> Floats:
    """(n, TAPS, TAPS): the basis functions of the n lowest frequencies, as pictures of unit energy."""
    basis = transform()
    return np.stack([np.outer(basis[:, i], basis[:, j]) for i, j in frequencies(n)])


def border_corrections(n: int) -> Floats:
    """(4, n, n): what the coefficients of blocks at the left, right, top and bottom border lack, as matrices to apply to them.

    Beyond the image there are zeros and no blocks, so there products with the basis are not yet the coefficients that give
    the image back: c + c @ correction are.  In a corner one correction is applied after the other.
    """
    basis = transform()
    left, right = basis.copy(), basis.copy()
    left[:OVERLAP], right[-OVERLAP:] = 0, 0
    sides = [(1, left.T @ basis), (1, right.T @ basis), (0, left.T @ basis), (0, right.T @ basis)]
    return np.stack([_correction(products, axis, n) for axis, products in sides])


def _correction(products: Floats, axis: int, n: int) -> Floats:
    """The inverse of what a border does to n coefficients, less the identity.

    products: (BANDS, BANDS), of each two functions where they are inside.  axis: 0, a border above or below; 1, at a side.
    """
    pairs = np.array(frequencies(n))
    same = pairs[:, None, 1 - axis] == pairs[None, :, 1 - axis]
    mixed = np.where(same, products[pairs[:, None, axis], pairs[None, :, axis]], 0.0)
    correction: Floats = np.linalg.inv(mixed).T - np.eye(n)
    return correction
