"""The layer kinds with weights, and elementwise ones, in NumPy (spec/model.md, section 3).

Owns what each kind computes, on blocks of rows: arrays (n, *shape).  Each function takes a step of the plan and returns an
Op, which computes it; padding and crop come with the rows, since a tile has others than the whole.  Integer sums are
computed in float32 or float64, which is exact below the bounds of section 4.  They do not include the bias: `lookup` adds it.
Knows nothing of networks, block sizes or which layer follows which.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import DTypeLike, NDArray

from aeformat.model.memory import UNFOLDED
from aeformat.model.package import Step
from aeformat.model.tiles import Sides

Array = NDArray[Any]

_TILE: Final = 24 << 10  # elements that go through an elementwise function at a time: its temporaries stay in the cache


class Scratch:
    """Arrays that are allocated once and reused for every block.

    The system hands out fresh memory page by page, which takes longer than the computation itself.  A Scratch belongs to one
    thread.  Layers share the slots of what no layer reads again.
    """

    def __init__(self) -> None:
        self._arrays: dict[object, Array] = {}

    def array(self, slot: object, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """The array of a slot: zeros at first, later the values of its last use.  A later call may ask for fewer rows."""
        n = prod(shape)
        array = self._arrays.get(slot)
        if array is None or array.size < n or array.dtype != dtype:
            array = self._arrays[slot] = np.zeros(n, dtype)
        return array[:n].reshape(shape)


class Fresh(Scratch):
    """Memory that is let go of with the value in it; only what lives within one layer is used again."""

    def array(self, slot: object, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """The array of a slot that has a name; any other is new."""
        if isinstance(slot, (str, tuple)):
            return super().array(slot, shape, dtype)
        return np.empty(prod(shape), dtype).reshape(shape)


Op = Callable[[Array, Scratch, Sides], Array]  # sides: padding or crop, where the kind has one


def dense(step: Step, dtype: DTypeLike) -> Op:
    """The matrix product of the rows and the weights."""
    weights, slot = _contiguous(step.arrays["weights"], dtype), object()

    def run(x: Array, scratch: Scratch, _sides: Sides) -> Array:
        out = scratch.array(slot, (len(x), weights.shape[1]), dtype)
        return np.matmul(x.astype(dtype, copy=False), weights, out=out)

    return run


def conv2d(step: Step, dtype: DTypeLike) -> Op:
    """Every window of the padded input times the kernel."""
    pad = Pad(dtype)
    convolve = _Convolve(_contiguous(step.arrays["weights"], dtype), step.integers("strides"))
    return lambda x, scratch, sides: convolve(pad(x, scratch, sides), scratch)


def conv2d_transpose(step: Step, dtype: DTypeLike) -> Op:
    """A transposed convolution, computed as one ordinary convolution that gives sh * sw output pixels for each window.

    Full output row y = q * sh + p gets input row q - j times kernel row j * sh + p, for j from 0 to tall - 1.  So the
    kernel rows of one p, in reverse order, are an ordinary kernel, and the kernels of all p are its output channels.
    A row that the kernel does not have is 0.  Columns are treated in the same way.  Only the windows that the crop leaves a
    pixel of are computed.
    """
    kernel = step.arrays["weights"]
    kernel_height, kernel_width, n_made, n_channels = kernel.shape
    sh, sw = step.integers("strides")
    tall, wide = -(-kernel_height // sh), -(-kernel_width // sw)
    spread = np.zeros((tall * sh, wide * sw, n_made, n_channels), kernel.dtype)
    spread[:kernel_height, :kernel_width] = kernel
    backwards = spread.reshape(tall, sh, wide, sw, n_made, n_channels)[::-1, :, ::-1]
    weights = backwards.transpose(0, 2, 5, 1, 3, 4).reshape(tall, wide, n_channels, sh * sw * n_made)
    pad = Pad(dtype)
    convolve = _Convolve(_contiguous(weights, dtype), (1, 1))
    full_slot, cut_slot = object(), object()

    def run(x: Array, scratch: Scratch, sides: Sides) -> Array:
        rows, columns = (
            _Windows(n, size, stride, sides[2 * axis], sides[2 * axis + 1])
            for axis, (n, size, stride) in enumerate(
                zip(x.shape[1:3], (kernel_height, kernel_width), (sh, sw), strict=True)
            )
        )
        sums = convolve(pad(x, scratch, (*rows.padding, *columns.padding)), scratch)
        n, n_tall, n_wide, _ = sums.shape
        full = scratch.array(full_slot, (n, n_tall, sh, n_wide, sw, n_made), dtype)
        np.copyto(full, sums.reshape(n, n_tall, n_wide, sh, sw, n_made).transpose(0, 1, 3, 2, 4, 5))
        cut = full.reshape(n, n_tall * sh, n_wide * sw, n_made)[:, rows.kept, columns.kept]
        made = scratch.array(cut_slot, cut.shape, dtype)
        np.copyto(made, cut)
        return made

    return run


def affine(step: Step, dtype: DTypeLike) -> Op:
    """Every channel times its weight."""
    weights, slot = _contiguous(step.arrays["weights"], dtype), object()

    def run(x: Array, scratch: Scratch, _sides: Sides) -> Array:
        return np.multiply(x, weights, out=scratch.array(slot, x.shape, dtype))

    return run


def with_bias(op: Op, step: Step) -> Op:
    """The op of a float32 layer: its sums plus the bias."""
    bias = step.arrays["bias"].astype(np.float32)

    def run(x: Array, scratch: Scratch, sides: Sides) -> Array:
        sums = op(x, scratch, sides)
        sums += bias
        return sums

    return run


def elementwise(function: Callable[[Array, Array], object], dtype: DTypeLike) -> Op:
    """Apply a function of single numbers tile by tile.  function: (numbers, array for the results)."""
    slot = object()

    def run(x: Array, scratch: Scratch, _sides: Sides) -> Array:
        made = scratch.array(slot, x.shape, dtype)
        source, target = x.reshape(-1), made.reshape(-1)
        for start in range(0, source.size, _TILE):
            function(source[start : start + _TILE], target[start : start + _TILE])
        return made

    return run


def _contiguous(weights: Array, dtype: DTypeLike) -> Array:
    return np.ascontiguousarray(weights, dtype=dtype)


class Pad:
    """Put zeros around the pixels, in the type of the product.  A negative number cuts rows or columns off.

    Where there is nothing to do the pixels stay as they are: unfolding converts them, a few at a time.
    """

    def __init__(self, dtype: DTypeLike) -> None:
        self._dtype, self._slot = dtype, object()

    def __call__(self, x: Array, scratch: Scratch, sides: Sides) -> Array:
        if not any(sides):
            return x
        n, height, width, n_channels = x.shape
        x = x[:, max(0, -sides[0]) : height - max(0, -sides[1]), max(0, -sides[2]) : width - max(0, -sides[3])]
        top, bottom, left, right = (max(0, side) for side in sides)
        height, width = x.shape[1:3]
        padded = scratch.array(self._slot, (n, top + height + bottom, left + width + right, n_channels), self._dtype)
        padded[:, :top] = padded[:, top + height :] = 0
        padded[:, :, :left] = padded[:, :, left + width :] = 0
        padded[:, top : top + height, left : left + width] = x
        return padded


class _Windows:
    """Which windows of a transposed convolution leave something behind the crop, on one axis.

    n: pixels of the input.  padding: zeros before and after them, so that just these windows are there.  kept: the pixels of
    those windows that the crop leaves.
    """

    def __init__(self, n: int, size: int, stride: int, before: int, after: int) -> None:
        taps = -(-size // stride)
        n_full = (n - 1) * stride + size
        first, last = before // stride, -(-(n_full - after) // stride)
        self.padding = taps - 1 - first, last - n
        self.kept = slice(before - first * stride, n_full - after - first * stride)


class _Convolve:
    """(n, h, w, c) -> (n, h', w', d) with weights (kh, kw, c, d), in the weights' type, without padding.

    The windows are unfolded into the rows of a matrix, a few images or a few rows of one image at a time.
    """

    def __init__(self, weights: Array, strides: tuple[int, ...]) -> None:
        self._kernel = weights.shape[:2]
        self._matrix = weights.reshape(-1, weights.shape[3])
        self._strides = strides
        self._slot = object()

    def __call__(self, x: Array, scratch: Scratch) -> Array:
        sh, sw = self._strides
        matrix = self._matrix
        windows = sliding_window_view(x, self._kernel, axis=(1, 2))[:, ::sh, ::sw]
        windows = windows.transpose(0, 1, 2, 4, 5, 3)  # n, h', w', kh, kw, c
        n, height, width = windows.shape[:3]
        sums = scratch.array(self._slot, (n, height, width, matrix.shape[1]), matrix.dtype)
        image = height * width * len(matrix)
        n_images = max(1, UNFOLDED // image)
        n_rows = height if image <= UNFOLDED else max(1, UNFOLDED // (width * len(matrix)))
        for i in range(0, n, n_images):
            for y in range(0, height, n_rows):
                part = windows[i : i + n_images, y : y + n_rows]
                unfolded = scratch.array(("unfolded", matrix.dtype), part.shape, matrix.dtype)
                np.copyto(unfolded, part)
                out = sums[i : i + n_images, y : y + n_rows].reshape(-1, matrix.shape[1])  # contiguous: a view
                np.matmul(unfolded.reshape(-1, len(matrix)), matrix, out=out)
        return sums
