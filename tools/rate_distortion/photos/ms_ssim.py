"""MS-SSIM of two photographs (Wang, Simoncelli and Bovik, "Multi-scale structural similarity", 2003).

Owns the formula: five scales, a Gaussian window of 11 x 11 with sigma 1.5 where it fits whole, K1 = 0.01, K2 = 0.03; between
scales the mean of 2 x 2 pixels.  Contrast and structure of every scale, luminance of the last, raised to the paper's weights; each
of the colours R, G, B alone, then their mean, as learned codecs are measured.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tools.rate_distortion.photos.photographs import Pixels

WEIGHTS: Final = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, the finest first
_WINDOW: Final = 11
_SIGMA: Final = 1.5
_C1: Final = (0.01 * 255) ** 2
_C2: Final = (0.03 * 255) ** 2
SMALLEST: Final = _WINDOW * 2 ** (
    len(WEIGHTS) - 1
)  # pixels along a side, so that the window fits in the coarsest scale
_TWO: Final = np.float32(2)

_Planes = NDArray[np.float32]  # (3, h, w)


def ms_ssim(one: Pixels, other: Pixels) -> float | None:
    """From about 0 to 1, which is the same picture; None where a side is shorter than 176 pixels."""
    if min(one.shape[:2]) < SMALLEST:
        return None
    x, y = (pixels.transpose(2, 0, 1).astype(np.float32, order="C") for pixels in (one, other))
    product = np.ones(3)
    for scale, weight in enumerate(WEIGHTS):
        is_last = scale == len(WEIGHTS) - 1
        luminance, structure = _similarity(x, y)
        mean = (luminance * structure if is_last else structure).mean(axis=(1, 2), dtype=np.float64)
        product *= np.maximum(mean, 0) ** weight
        if not is_last:
            x, y = _half(x), _half(y)
    return float(product.mean())


def _similarity(x: _Planes, y: _Planes) -> tuple[_Planes, _Planes]:
    """Luminance, and contrast times structure, around each pixel where the window fits."""
    mean_x, mean_y = _blurred(x), _blurred(y)
    squares, product = mean_x * mean_x + mean_y * mean_y, mean_x * mean_y
    variances, covariance = _blurred(x * x + y * y) - squares, _blurred(x * y) - product
    luminance: _Planes = np.divide(_TWO * product + np.float32(_C1), squares + np.float32(_C1))
    structure: _Planes = np.divide(_TWO * covariance + np.float32(_C2), variances + np.float32(_C2))
    return luminance, structure


def _blurred(planes: _Planes) -> _Planes:
    """Each plane, (h - 10, w - 10), under the Gaussian window."""
    places = np.arange(_WINDOW) - _WINDOW // 2
    bell = np.exp(-(places**2) / (2 * _SIGMA**2))
    window: NDArray[np.float32] = (bell / bell.sum()).astype(np.float32)
    n_rows, n_columns = (length - _WINDOW + 1 for length in planes.shape[1:])
    rows = window[0] * planes[:, :n_rows]
    for at in range(1, _WINDOW):
        rows += window[at] * planes[:, at : at + n_rows]
    made: _Planes = window[0] * rows[:, :, :n_columns]
    for at in range(1, _WINDOW):
        made += window[at] * rows[:, :, at : at + n_columns]
    return made


def _half(planes: _Planes) -> _Planes:
    """The means of 2 x 2 pixels; a last row or column without a neighbour is left out."""
    height, width = (length // 2 * 2 for length in planes.shape[1:])
    even = planes[:, :height, :width]
    made: _Planes = (even[:, ::2, ::2] + even[:, 1::2, ::2] + even[:, ::2, 1::2] + even[:, 1::2, 1::2]) / np.float32(4)
    return made
