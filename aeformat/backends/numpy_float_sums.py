"""The layers of the float32 profile that make sums, in NumPy, on integers in float64 (exact_sums.py).

Owns rows -> integers -> sums -> float32.  The products are those of numpy_layers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from aeformat.backends.exact_sums import row_exponents, slice_weights
from aeformat.backends.numpy_layers import Array, Op, Scratch, affine, conv2d, conv2d_transpose, dense, with_bias
from aeformat.model.memory import ROW_BITS
from aeformat.model.package import Step
from aeformat.model.reference import value_of
from aeformat.model.tiles import Sides

_NO_BIAS: Final = np.zeros(1, np.float32)
_MAKERS: Final = {"dense": dense, "conv2d": conv2d, "conv2d_transpose": conv2d_transpose}


def float_sums(step: Step) -> Op:
    """The op of a float32 layer: sums that are the same in any order, plus the bias, rounded once to float32."""
    if step.kind == "affine":  # one product: there is nothing to add up
        return with_bias(affine(step, np.float32), step)
    return _FloatSums(step)


class _FloatSums:
    """A layer that adds products up.  Called with (n, *shape) rows and scratch memory, it returns float32 in that memory."""

    def __init__(self, step: Step) -> None:
        self._step, self._sliced = step, slice_weights(step)
        self._op = _MAKERS[step.kind](self._sliced.step, np.float64)
        self._bias = step.arrays["bias"].astype(np.float64)
        self._integers_slot, self._sums_slot, self._slot = object(), object(), object()

    def __call__(self, x: Array, scratch: Scratch, sides: Sides) -> Array:
        x = x.astype(np.float32, copy=False)
        largest = _largest(x)
        is_finite = bool(np.isfinite(largest).all())
        finite = x if is_finite else np.where(np.isfinite(x), x, np.float32(0))
        exponents = row_exponents(largest if is_finite else _largest(finite))
        integers = scratch.array(self._integers_slot, x.shape, np.float32)
        np.multiply(finite, _power(ROW_BITS - exponents, x.ndim).astype(np.float32), out=integers)
        np.rint(integers, out=integers)
        sums = self._sums(integers, exponents - ROW_BITS, scratch, sides)
        rows = np.flatnonzero(exponents > self._sliced.one_part_exponent)
        if rows.size:
            sums[rows] += self._second_part(finite[rows], integers[rows], exponents[rows], sides)
        sums += self._bias
        with np.errstate(over="ignore", invalid="ignore"):
            if not is_finite:
                self._add_infinities(sums, x)
            made = scratch.array(self._slot, sums.shape, np.float32)
            np.copyto(made, sums, casting="same_kind")
        return made

    def _sums(self, integers: Array, exponents: Array, scratch: Scratch, sides: Sides) -> Array:
        """The sums of the products of these integers times 2^exponents, one exponent a row."""
        slices = self._op(integers, scratch, sides)
        slices = slices.reshape(*slices.shape[:-1], self._sliced.n_slices, len(self._bias))
        sums = scratch.array(self._sums_slot, (*slices.shape[:-2], len(self._bias)), np.float64)
        np.copyto(sums, slices[..., 0, :])
        for number in range(1, self._sliced.n_slices):
            sums += slices[..., number, :]
        sums *= _power(exponents, sums.ndim)
        return sums

    def _second_part(self, x: Array, integers: Array, exponents: Array, sides: Sides) -> Array:
        """The sums of what the integers leave of x."""
        rest = x - integers * _power(exponents - ROW_BITS, x.ndim)
        rest *= _power(2 * ROW_BITS - exponents, x.ndim)
        return self._sums(np.rint(rest), exponents - 2 * ROW_BITS, Scratch(), sides)

    def _add_infinities(self, sums: Array, x: Array) -> None:
        """Add the products of infinity and NaN alone: what they make of a sum does not depend on the order."""
        rows = np.flatnonzero(~np.isfinite(_largest(x)))
        infinities = np.where(np.isfinite(x[rows]), 0, x[rows]).astype(np.float64)
        sums[rows] += value_of(replace(self._step, arrays={**self._step.arrays, "bias": _NO_BIAS}), [infinities])


def _largest(x: Array) -> Array:
    """The largest size in each row, (n,); NaN where there is one."""
    axes = tuple(range(1, x.ndim))
    largest: Array = np.maximum(x.max(axis=axes), -x.min(axis=axes))
    return largest


def _power(exponents: Array, ndim: int) -> Array:
    """2^exponents, one a row, in float64, to be multiplied with arrays of ndim axes."""
    powers: Array = np.ldexp(1.0, exponents).reshape(-1, *(1,) * (ndim - 1))
    return powers
