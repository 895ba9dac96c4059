"""The layer kinds without weights that join values or rearrange pixels, in NumPy (spec/model.md, section 3).

Owns add, concat, upsample, slice, the pools, pad and crop, on blocks of rows: arrays (n, *shape), in the type that
the backend chose.  Each function takes a step of the plan and the type of its output, and returns a Join, which computes the
step from all its inputs.  Knows nothing of weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike

from aeformat.backends.numpy_layers import Array, Scratch
from aeformat.model.package import Step
from aeformat.model.tiles import Sides

Join = Callable[[Sequence[Array], Scratch, Sides], Array]


def add(_step: Step, dtype: DTypeLike) -> Join:
    """The sum, in the order of the inputs; of integers it is exact, whatever the order (section 4)."""
    slot = object()

    def run(xs: Sequence[Array], scratch: Scratch, _sides: Sides) -> Array:
        made = scratch.array(slot, xs[0].shape, dtype)
        np.add(xs[0], xs[1], out=made, dtype=dtype)
        for x in xs[2:]:
            made += x
        return made

    return run


def concat(step: Step, dtype: DTypeLike) -> Join:
    """The inputs one after the other along an axis."""
    axis, slot = step.integer("axis") + 1, object()  # axis 0 is that of the rows

    def run(xs: Sequence[Array], scratch: Scratch, _sides: Sides) -> Array:
        shape = list(xs[0].shape)
        shape[axis] = sum(x.shape[axis] for x in xs)
        return np.concatenate(xs, axis, out=scratch.array(slot, tuple(shape), dtype))

    return run


def upsample(step: Step, dtype: DTypeLike) -> Join:
    """Every pixel repeated fh times down and fw times across; of a tile with a crop that leaves what it needs, a view."""
    (fh, fw), slot = step.integers("factors"), object()

    def run(xs: Sequence[Array], scratch: Scratch, sides: Sides) -> Array:
        (x,) = xs
        n, height, width, n_channels = x.shape
        made = scratch.array(slot, (n, height, fh, width, fw, n_channels), dtype)
        made[...] = x[:, :, np.newaxis, :, np.newaxis]
        top, bottom, left, right = sides
        whole = made.reshape(n, height * fh, width * fw, n_channels)
        return whole[:, top : height * fh - bottom, left : width * fw - right]

    return run


def slice_(step: Step, _dtype: DTypeLike) -> Join:
    """Some of the channels; a view, nothing is copied."""
    start, stop = step.integer("start"), step.integer("stop")
    return lambda xs, _scratch, _sides: xs[0][..., start:stop]


def max_pool(step: Step, dtype: DTypeLike) -> Join:
    """The largest number of each window, first along the columns of the image, then along its rows."""
    lowest = -np.inf if np.dtype(dtype).kind == "f" else np.iinfo(np.dtype(dtype)).min
    passes = [_Pass(step, axis, np.maximum, lowest, dtype) for axis in range(2)]
    return lambda xs, scratch, _sides: reduce(lambda x, one: one(x, scratch), passes, xs[0])


def average_pool(step: Step, dtype: DTypeLike) -> Join:
    """The sum of each window, divided by the number of pixels in it; padding does not count."""
    passes = [_Pass(step, axis, np.add, 0, dtype) for axis in range(2)]
    counts = (one.counts for one in passes)
    count = np.multiply.outer(*counts)[..., np.newaxis].astype(np.float32)

    def run(xs: Sequence[Array], scratch: Scratch, _sides: Sides) -> Array:
        sums = reduce(lambda x, one: one(x, scratch), passes, xs[0])
        sums /= count
        return sums

    return run


class _Pass:
    """(n, h, w, c) -> the windows along one axis of the image, 0 or 1, each reduced to one number by `ufunc`.

    counts: how many pixels of the input each window holds on that axis.
    """

    def __init__(self, step: Step, axis: int, ufunc: np.ufunc, start: float, dtype: DTypeLike) -> None:
        self._axis, self._ufunc, self._start, self._dtype = axis, ufunc, start, dtype
        self._slot = object()
        self._n_made = step.made.shape[axis]
        n, size, stride = step.input_shape[axis], step.integers("size")[axis], step.integers("strides")[axis]
        self._parts = list(_parts(n, self._n_made, size, stride, step.integers("padding")[2 * axis]))
        self.counts = np.zeros(self._n_made, np.int64)
        for made, _ in self._parts:
            self.counts[made] += 1

    def __call__(self, x: Array, scratch: Scratch) -> Array:
        shape = list(x.shape)
        shape[self._axis + 1] = self._n_made
        out = scratch.array(self._slot, tuple(shape), self._dtype)
        out.fill(self._start)
        before: Final = (slice(None),) * (self._axis + 1)
        for made, taken in self._parts:
            target = out[(*before, made)]
            self._ufunc(target, x[(*before, taken)], out=target, casting="unsafe")
        return out


def _parts(n: int, n_made: int, size: int, stride: int, padding: int) -> Iterator[tuple[slice, slice]]:
    """For each offset in the window: the windows that have a pixel at it, and those pixels."""
    for offset in range(size):
        first = max(0, -((offset - padding) // stride))  # the first window whose pixel at this offset is no padding
        last = min(n_made - 1, (n - 1 + padding - offset) // stride)
        if first <= last:
            at = first * stride + offset - padding
            yield slice(first, last + 1), slice(at, at + (last - first) * stride + 1, stride)


def pad(step: Step, dtype: DTypeLike) -> Join:
    """The pixels, with rows and columns of one value around them."""
    top, _, left, _ = step.integers("padding")
    height, width, _ = step.input_shape
    value, slot = step.integer("value"), object()

    def run(xs: Sequence[Array], scratch: Scratch, _sides: Sides) -> Array:
        (x,) = xs
        made = scratch.array(slot, (len(x), *step.made.shape), dtype)
        made.fill(value)
        made[:, top : top + height, left : left + width] = x
        return made

    return run


def crop(step: Step, _dtype: DTypeLike) -> Join:
    """The pixels without those at the edges; a view, nothing is copied."""
    top, _, left, _ = step.integers("crop")
    height, width, _ = step.made.shape
    return lambda xs, _scratch, _sides: xs[0][:, top : top + height, left : left + width]


JOINS: Final[dict[str, Callable[[Step, Any], Join]]] = {
    "add": add,
    "concat": concat,
    "upsample": upsample,
    "slice": slice_,
    "max_pool": max_pool,
    "average_pool": average_pool,
    "pad": pad,
    "crop": crop,
}
