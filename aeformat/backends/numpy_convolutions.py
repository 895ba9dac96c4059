"""Convolutions of many small images at once, in NumPy (spec/model.md, section 3).

Owns what conv2d and conv2d_transpose compute where images have one size, on blocks of rows: arrays (n, h, w, channels).  Their
numbers are those of numpy_layers.py, which takes over where one image is too large.  Sums of integers are exact in any
order (section 4), so the order here is the one that moves the fewest numbers:

- A window's columns are laid side by side, its rows are not: in memory a window then lies in one piece, and so the windows of
  one row of pixels, of all images, are a matrix as they stand.  There is a product for each row of pixels.
- Of a transposed convolution the pixels of one row modulo the stride are a convolution of their own, without the rows of the
  kernel that they do not meet.
- Where it makes few channels, each pixel is multiplied by the whole kernel, and the products are added where they belong.

What they return may lie in memory row of pixels by row of pixels, each of all images; the order of its axes is the usual one.
"""

from __future__ import annotations

from math import prod
from typing import Final, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided, sliding_window_view
from numpy.typing import DTypeLike

from aeformat.backends import numpy_layers
from aeformat.backends.numpy_layers import Array, Op, Pad, Scratch
from aeformat.backends.tiled import own_sides
from aeformat.model.memory import UNFOLDED
from aeformat.model.package import Step
from aeformat.model.tiles import Sides

_SHORT: Final = 16  # numbers; a shorter run is not copied as one


def conv2d(step: Step, dtype: DTypeLike) -> Op:
    """Every window of the padded input times the kernel."""
    kernel = step.arrays["weights"]
    kernel_height, kernel_width, n_channels, n_made = kernel.shape
    sh, sw = step.integers("strides")
    height, width, _ = step.made.shape
    top, bottom, _, _ = own_sides(step)
    tall = step.input_shape[0] + top + bottom
    n_at_once = UNFOLDED // (width * tall * kernel_width * n_channels)
    if not n_at_once:
        return numpy_layers.conv2d(step, dtype)
    pad, columns = Pad(dtype), _Columns(kernel_width, sw, width, dtype)
    matrix = np.ascontiguousarray(kernel.reshape(-1, n_made), dtype)
    slot = object()

    def run(x: Array, scratch: Scratch, sides: Sides) -> Array:
        x = pad(x, scratch, sides)
        made = scratch.array(slot, (height, len(x), width, n_made), dtype)
        for i in range(0, len(x), n_at_once):
            unfolded = columns(x[i : i + n_at_once], scratch)
            np.matmul(_windows(unfolded, height, sh, 0, kernel_height), matrix, out=_flat(made[:, i : i + n_at_once]))
        return made.transpose(1, 0, 2, 3)

    return run


def conv2d_transpose(step: Step, dtype: DTypeLike) -> Op:
    """Every pixel times the kernel, added where the kernel's numbers come to lie; then cropped."""
    kernel = step.arrays["weights"]
    crop = own_sides(step)
    strides = step.integers("strides")
    rows, columns = (
        Axis(step.input_shape[i], step.made.shape[i], size=kernel.shape[i], stride=strides[i], before=crop[2 * i])
        for i in range(2)
    )
    is_scattered = prod(kernel.shape[:3]) < columns.n_taps * kernel.shape[3]
    return (_scattered if is_scattered else _gathered)(step, dtype, rows, columns)


class Phase(NamedTuple):
    """The pixels of an output whose number modulo the stride is one and the same, along one axis.

    first, n_taps: the input pixels that pixel 0 of them meets, the first of which may be negative.  kernel: what these are
    multiplied with, in descending order.
    """

    first: int
    n_taps: int
    kernel: slice

    @classmethod
    def of(cls, number: int, *, size: int, stride: int, before: int) -> Phase:
        """size: of the kernel.  before: pixels cropped off."""
        last, start = divmod(number + before, stride)
        n_taps = len(range(start, size, stride))
        end = start + stride * (n_taps - 1)
        return cls(last - n_taps + 1, n_taps, slice(end, start - 1 if start else None, -stride) if n_taps else slice(0))


class Axis:
    """A transposed convolution along one axis.  n, n_made: pixels of the input and of the output.  before: pixels cropped off.

    phases: of each pixel modulo the stride.  first, n_taps: of the input pixels that any of them meets.  n_windows: pixels of
    each phase; the last may lie behind the output.  padding: zeros before and behind the input, so that all of these meet some.
    """

    def __init__(self, n: int, n_made: int, *, size: int, stride: int, before: int) -> None:
        self.n, self.n_made, self.stride = n, n_made, stride
        phases = [Phase.of(number, size=size, stride=stride, before=before) for number in range(stride)]
        self.first = min(phase.first for phase in phases if phase.n_taps)
        self.n_taps = max(phase.first + phase.n_taps for phase in phases if phase.n_taps) - self.first
        self.phases = [phase if phase.n_taps else phase._replace(first=self.first) for phase in phases]
        self.n_windows = -(-n_made // stride)
        self.padding = -self.first, self.n_windows + self.n_taps - 1 + self.first - n


def _gathered(step: Step, dtype: DTypeLike, rows: Axis, columns: Axis) -> Op:
    """By windows of the input: a product for each phase of the rows makes the pixels of all phases of the columns."""
    kernel = step.arrays["weights"]
    _, _, n_made, n_channels = kernel.shape
    tall = rows.n_windows + rows.n_taps - 1
    n_at_once = UNFOLDED // (columns.n_windows * tall * columns.n_taps * n_channels)
    if not n_at_once:
        return numpy_layers.conv2d_transpose(step, dtype)
    matrices = [_matrix(kernel, phase, columns, dtype) for phase in rows.phases]
    pad, unfold, slot = Pad(dtype), _Columns(columns.n_taps, 1, columns.n_windows, dtype), object()
    padding = (*rows.padding, *columns.padding)

    def run(x: Array, scratch: Scratch, _sides: Sides) -> Array:
        x = pad(x, scratch, padding)
        shape = rows.n_windows, rows.stride, len(x), columns.n_windows, columns.stride * n_made
        made = scratch.array(slot, shape, dtype)
        for i in range(0, len(x), n_at_once):
            unfolded = unfold(x[i : i + n_at_once], scratch)
            for number, (phase, matrix) in enumerate(zip(rows.phases, matrices, strict=True)):
                windows = _windows(unfolded, rows.n_windows, 1, phase.first - rows.first, phase.n_taps)
                np.matmul(windows, matrix, out=_flat(made[:, number, i : i + n_at_once]))
        pixels = made.reshape(-1, len(x), columns.n_windows * columns.stride, n_made)
        return pixels.transpose(1, 0, 2, 3)[:, : rows.n_made, : columns.n_made]

    return run


def _matrix(kernel: Array, phase: Phase, columns: Axis, dtype: DTypeLike) -> Array:
    """(taps down * taps across * channels, phases of the columns * channels made) for one phase of the rows."""
    _, _, n_made, n_channels = kernel.shape
    matrix = np.zeros((phase.n_taps, columns.n_taps, n_channels, columns.stride, n_made), dtype)
    for number, across in enumerate(columns.phases):
        start = across.first - columns.first
        part = kernel[phase.kernel, across.kernel].transpose(0, 1, 3, 2)
        matrix[:, start : start + across.n_taps, :, number] = part
    return matrix.reshape(-1, columns.stride * n_made)


def _scattered(step: Step, dtype: DTypeLike, rows: Axis, columns: Axis) -> Op:
    """By products of each pixel and the whole kernel, as planes, which are added a whole plane at a time.

    A plane has zeros behind each row of pixels, so that it can be shifted by a few pixels as it lies in memory.
    """
    kernel = step.arrays["weights"]
    kernel_height, kernel_width, n_made, n_channels = kernel.shape
    left = max(columns.padding[0], 0)
    wide = left + columns.n + max(columns.padding[1], 0)
    n_at_once = UNFOLDED // (kernel_height * kernel_width * n_made * rows.n * wide)
    if not n_at_once:
        return numpy_layers.conv2d_transpose(step, dtype)
    matrix = np.ascontiguousarray(kernel.reshape(-1, n_channels), dtype)
    slot, pad_slot, planes_slot, sums_slot = object(), object(), object(), object()
    shape = rows.stride, columns.stride, n_made, rows.n_windows

    def add(x: Array, scratch: Scratch) -> Array:
        """(row phases, column phases, channels made, rows, images, columns) of some images."""
        padded = scratch.array(pad_slot, (rows.n, len(x), wide, n_channels), dtype)
        padded[:, :, :left] = padded[:, :, left + columns.n :] = 0
        padded[:, :, left : left + columns.n] = x.transpose(1, 0, 2, 3)
        planes = scratch.array(planes_slot, (len(matrix), rows.n * len(x) * wide), dtype)
        np.matmul(matrix, padded.reshape(-1, n_channels).T, out=planes)
        products = planes.reshape(kernel_height, kernel_width, n_made, rows.n, -1)
        sums = scratch.array(sums_slot, (*shape, len(x) * wide), dtype)
        sums.fill(0)
        for down, of_rows in zip(rows.phases, sums, strict=True):
            for across, made in zip(columns.phases, of_rows, strict=True):
                _add_taps(made, products[down.kernel, across.kernel], down.first, across.first + left)
        return sums.reshape(*shape, len(x), wide)

    def run(x: Array, scratch: Scratch, _sides: Sides) -> Array:
        made = scratch.array(slot, (len(x), rows.n_made, columns.n_made, n_made), dtype)
        for i in range(0, len(x), n_at_once):
            sums, out = add(x[i : i + n_at_once], scratch), made[i : i + n_at_once]
            for y, of_rows in enumerate(sums):
                for column, of_columns in enumerate(of_rows):
                    target = out[:, y :: rows.stride, column :: columns.stride]
                    pixels = of_columns.transpose(2, 1, 3, 0)
                    target[...] = pixels[:, : target.shape[1], : target.shape[2]]
        return made

    return run


def _add_taps(made: Array, products: Array, top: int, left: int) -> None:
    """made: (channels, rows, pixels of all images).  products: (taps down, taps across, channels, rows of the input, likewise).

    top, left: the row of the input that row 0 meets first, and the pixel that pixel 0 does.
    """
    n_channels, n_windows, n_pixels = made.shape
    n_rows = products.shape[3]
    sums = made.reshape(n_channels, n_windows * n_pixels)
    terms = products.reshape(*products.shape[:3], n_rows * n_pixels)
    for down, of_rows in enumerate(terms, top):
        first, stop = max(0, -down), min(n_windows, n_rows - down)
        for across, plane in enumerate(of_rows, left):
            start, begin = first * n_pixels, (first + down) * n_pixels + across
            n = max(0, min(stop * n_pixels - start, plane.shape[1] - begin))
            sums[:, start : start + n] += plane[:, begin : begin + n]


class _Columns:
    """(n, h, w, c) -> (n, w', h, kernel width * c): the columns of each window side by side, in the type of the product."""

    def __init__(self, kernel_width: int, stride: int, n_made: int, dtype: DTypeLike) -> None:
        self._kernel_width, self._stride, self._n_made, self._dtype = kernel_width, stride, n_made, dtype

    def __call__(self, x: Array, scratch: Scratch) -> Array:
        n, height, _, n_channels = x.shape
        shape = n, self._n_made, height, self._kernel_width, n_channels
        unfolded = scratch.array(("unfolded", np.dtype(self._dtype)), shape, self._dtype)
        if self._kernel_width * n_channels >= _SHORT:
            windows = sliding_window_view(x, self._kernel_width, axis=2)[:, :, :: self._stride]
            np.copyto(unfolded, windows.transpose(0, 2, 1, 4, 3))
        else:
            end = self._stride * (self._n_made - 1) + 1
            for column in range(self._kernel_width):
                taken = x[:, :, column : column + end : self._stride]
                np.copyto(unfolded[:, :, :, column], taken.transpose(0, 2, 1, 3))
        return unfolded.reshape(*shape[:3], -1)


def _windows(unfolded: Array, n_made: int, stride: int, start: int, n_rows: int) -> Array:
    """(n_made, n * w', n_rows * numbers of a row): for each row of pixels its windows, where they lie in (n, w', h, numbers).

    start, stride: the row that the first window begins with, and those between two.
    """
    n, width, height, n_numbers = unfolded.shape
    size = unfolded.itemsize
    windows = as_strided(
        unfolded[:, :, start:],
        (n_made, n * width, n_rows * n_numbers),
        (stride * n_numbers * size, height * n_numbers * size, size),
        writeable=False,
    )
    assert start + stride * (n_made - 1) + n_rows <= height
    return windows


def _flat(made: Array) -> Array:
    """(rows, n, columns, channels) -> (rows, n * columns, channels), in the same memory."""
    n_rows, n, width, n_made = made.shape
    return as_strided(made, (n_rows, n * width, n_made), (made.strides[0], made.strides[2], made.strides[3]))
