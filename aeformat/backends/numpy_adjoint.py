"""Derivatives of what an exact network makes by what goes in, backwards through its layers.

Owns the backward half of each layer of the exact profile, in NumPy.  A lookup counts with the slope of its table, as if it were
not rounded.  Knows nothing of images, of prices, or of what the derivatives are for.

The numbers are the same on every machine and with every BLAS kernel: before each sum of products the derivatives are rounded to
integers on a scale of their own, so small that float32 adds the products without rounding, in any order (spec/model.md,
section 4, has the same for numbers on their way forward).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.backends import numpy_layers
from aeformat.backends.numpy_layers import Array, Op, Scratch
from aeformat.backends.numpy_lookup import Sums, lookup
from aeformat.backends.numpy_pixels import Join
from aeformat.backends.tiled import own_sides
from aeformat.model.bounds import FLOAT32_EXACT
from aeformat.model.step import Step
from aeformat.model.tiles import Sides

SumsOf = Callable[[int], Sums]  # the number of a value -> what a lookup that reads it has to know of it
Backward = Callable[[Array, Sequence[Array], Scratch], Sequence[Array]]
"""(derivative by what a layer makes, its inputs) -> derivatives by its inputs; all (n, h, w, channels) float32."""
_ANY: Final = np.dtype(np.float32)


class Adjoint:
    """The layers of a network, forwards with all values kept, and backwards.

    steps, ops, sides: of each layer, what computes it forwards, and its padding or crop.  n_known: values that are given.
    """

    def __init__(
        self, steps: Sequence[Step], ops: Sequence[Join], sides: Sequence[Sides], *, n_known: int, sums_of: SumsOf
    ) -> None:
        self._steps, self._ops, self._sides, self._n_known = steps, ops, sides, n_known
        self._backward = [_backward(step, sums_of) for step in steps]

    def forward(self, known: Sequence[Array], scratch: Scratch) -> list[Array]:
        """All values, those of the layers behind those that are given.  scratch: one that hands out new memory for values."""
        values = list(known)
        for step, op, sides in zip(self._steps, self._ops, self._sides, strict=True):
            values.append(op([values[number] for number in step.inputs], scratch, sides))
        return values

    def backward(self, values: Sequence[Array], by: Mapping[int, Array], scratch: Scratch) -> dict[int, Array]:
        """Derivatives by the values that are given, as far as there are any.  by: derivatives by some of all values."""
        found = dict(by)
        for number in reversed(range(self._n_known, len(values))):
            mine = found.pop(number, None)
            if mine is None:
                continue
            step = self._steps[number - self._n_known]
            inputs = [values[i] for i in step.inputs]
            made = self._backward[number - self._n_known](mine, inputs, scratch)
            for i, one in zip(step.inputs, made, strict=True):
                found[i] = found[i] + one if i in found else one
        return found


def _backward(step: Step, sums_of: SumsOf) -> Backward:
    match step.kind:
        case "lookup":
            return _lookup(step, sums_of(step.inputs[0]))
        case "conv2d":
            return _conv2d(step)
        case "conv2d_transpose":
            return _conv2d_transpose(step)
        case "affine":
            factors = step.arrays["weights"].astype(_ANY)
            return lambda by, _xs, _scratch: [by * factors]
        case "add":
            return lambda by, xs, _scratch: [by] * len(xs)
        case "concat":
            return _concat(step)
        case "slice":
            return _slice(step)
        case kind:
            assert kind == "upsample"  # the last kind that goes with free sizes and integers
            return _upsample(step)


def _lookup(step: Step, sums: Sums) -> Backward:
    """The slope of the table where it is read, times what one unit of the sum is in entries."""
    arrays = {**step.arrays, "table": slopes(step.arrays["table"])}
    slope = lookup(dataclasses.replace(step, arrays=arrays), sums, _ANY)
    entries = (step.arrays["multiplier"].astype(np.float64) / 2.0 ** step.integer("shift")).astype(_ANY)

    def run(by: Array, xs: Sequence[Array], scratch: Scratch) -> Sequence[Array]:
        made = slope(xs[0], scratch, (0, 0, 0, 0)) * entries
        made *= by
        return [made]

    return run


def slopes(table: NDArray[Any]) -> NDArray[np.float32]:
    """The slope of a table at each entry: between entries that are, on average, two of its steps apart."""
    n, numbers = len(table), table.astype(np.int64)
    change = int(np.abs(np.diff(numbers)).sum())
    reach = max(1, min(n - 1, ceil(n / change))) if change else 1
    places = np.arange(n)
    before, behind = np.maximum(places - reach, 0), np.minimum(places + reach, n - 1)
    made: NDArray[np.float32] = ((numbers[behind] - numbers[before]) / np.maximum(behind - before, 1)).astype(_ANY)
    made[0] = made[-1] = 0  # what lies beyond the table is read there too
    return made


def _conv2d(step: Step) -> Backward:
    op = numpy_layers.conv2d_transpose(step, _ANY)
    most = _most(step.arrays["weights"], (0, 1, 3))
    strides, kernel = step.integers("strides"), step.arrays["weights"].shape[:2]
    padding = own_sides(step)

    def run(by: Array, xs: Sequence[Array], scratch: Scratch) -> Sequence[Array]:
        sizes = xs[0].shape[1:3]
        left = [(n + padding[2 * i] + padding[2 * i + 1] - kernel[i]) % strides[i] for i, n in enumerate(sizes)]
        top, bottom, before, after = padding
        cut = (top, max(bottom - left[0], 0), before, max(after - left[1], 0))
        made = _exactly(op, by, most, scratch, cut)
        if made.shape[1:3] == sizes:
            return [made]
        whole = np.zeros(xs[0].shape, _ANY)  # the last rows that no window reaches
        whole[:, : made.shape[1], : made.shape[2]] = made
        return [whole]

    return run


def _conv2d_transpose(step: Step) -> Backward:
    op, crop = numpy_layers.conv2d(step, _ANY), own_sides(step)
    most = _most(step.arrays["weights"], (0, 1, 2))
    return lambda by, _xs, scratch: [_exactly(op, by, most, scratch, crop)]


def _most(weights: Array, summed: tuple[int, ...]) -> int:
    """The largest integer of which so many products with these weights add up to less than 2^24."""
    largest = int(np.abs(weights.astype(np.int64)).sum(axis=summed).max())
    return max(1, (FLOAT32_EXACT - 1) // max(largest, 1))


def _exactly(op: Op, by: Array, most: int, scratch: Scratch, sides: Sides) -> Array:
    """op(by), of derivatives that are rounded to integers of at most `most`, times a power of two."""
    largest = float(max(by.max(), -by.min()))
    if not largest:
        return op(by, scratch, sides).copy()
    _, exponent = np.frexp(np.float64(largest) / most)  # largest / most < 2^exponent
    made: Array = op(np.rint(np.ldexp(by, -exponent)), scratch, sides)
    return np.ldexp(made, exponent)


def _concat(step: Step) -> Backward:
    axis = step.integer("axis") + 1  # axis 0 is that of the rows

    def run(by: Array, xs: Sequence[Array], _scratch: Scratch) -> Sequence[Array]:
        return np.split(by, np.cumsum([x.shape[axis] for x in xs])[:-1], axis)

    return run


def _slice(step: Step) -> Backward:
    start, stop = step.integer("start"), step.integer("stop")

    def run(by: Array, xs: Sequence[Array], _scratch: Scratch) -> Sequence[Array]:
        made = np.zeros(xs[0].shape, _ANY)
        made[..., start:stop] = by
        return [made]

    return run


def _upsample(step: Step) -> Backward:
    fh, fw = step.integers("factors")

    def run(by: Array, xs: Sequence[Array], _scratch: Scratch) -> Sequence[Array]:
        n, height, width, n_channels = xs[0].shape
        parts = by.reshape(n, height, fh, width, fw, n_channels)
        made = np.zeros(xs[0].shape, _ANY)
        for down in range(fh):  # in this order on every machine
            for across in range(fw):
                made += parts[:, :, down, :, across]
        return [made]

    return run
