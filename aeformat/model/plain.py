"""The layers with weights in plain NumPy, in the type of their arguments.  They are slow, and share no code with a backend.

Owns three functions, written from the table of spec/model.md, section 3.  reference.py computes golden sets with them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Sides = tuple[int, int, int, int]  # top, bottom, left, right


def dense(values: Array, weights: Array) -> Array:
    """(n, n_in) times (n_in, n_out)."""
    made: Array = values @ weights
    return made


def conv2d(values: Array, weights: Array, strides: tuple[int, int], padding: Sides) -> Array:
    """(n, h, w, c) with (kh, kw, c, d) -> (n, h', w', d)."""
    top, bottom, left, right = padding
    padded = np.pad(values, ((0, 0), (top, bottom), (left, right), (0, 0)))
    kernel_height, kernel_width, _, channels = weights.shape
    (sh, sw) = strides
    height, width = (padded.shape[1] - kernel_height) // sh + 1, (padded.shape[2] - kernel_width) // sw + 1
    made = np.zeros((len(values), height, width, channels), np.result_type(values, weights))
    for y in range(kernel_height):
        for x in range(kernel_width):
            seen = padded[:, y : y + (height - 1) * sh + 1 : sh, x : x + (width - 1) * sw + 1 : sw]
            made += seen @ weights[y, x]
    return made


def conv2d_transpose(values: Array, weights: Array, strides: tuple[int, int], crop: Sides) -> Array:
    """(n, h, w, c) with (kh, kw, d, c) -> (n, h', w', d)."""
    kernel_height, kernel_width, channels, _ = weights.shape
    (sh, sw), (top, bottom, left, right) = strides, crop
    n, height, width = values.shape[:3]
    size = (height - 1) * sh + kernel_height, (width - 1) * sw + kernel_width
    full = np.zeros((n, *size, channels), np.result_type(values, weights))
    for y in range(kernel_height):
        for x in range(kernel_width):
            full[:, y : y + (height - 1) * sh + 1 : sh, x : x + (width - 1) * sw + 1 : sw] += values @ weights[y, x].T
    return full[:, top : size[0] - bottom, left : size[1] - right]
