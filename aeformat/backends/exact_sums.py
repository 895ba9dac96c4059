"""Float sums that do not depend on the order of adding (spec/model.md, M5-3), for both backends.

A float32 matrix product depends on the order in which it adds.  That order depends on the BLAS kernel, on the number of
threads and on the row's place in the block.  So the factors become integers: the numbers of one row are rounded to 24 bits on a
scale that is the row's own, and each weight is cut into slices of a few bits on the scale of its output channel.  Every
product sum is then an integer below 2^53 on that scale, so that float64 adds it exactly, in any order.  The slices are put
together afterwards, always in the same way.

What 24 bits leave of a number is at most 2^(e - 25) for a row whose largest number is below 2^e.  Where that could matter, in
rows of large numbers, a second part of the row holds what the first one left: 48 bits together.  The weights have 26 bits or
more.

Owns the cutting and the scales.  Knows nothing of how a layer is computed.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.model.memory import ROW_BITS, n_slices, slice_bits
from aeformat.model.package import Step

Array = NDArray[Any]

LEAST_EXPONENT: Final = -100  # smaller rows take this one's scale, so that float32 holds 2^(ROW_BITS - e)
SUM_AXIS: Final = {"dense": 1, "conv2d": 3, "conv2d_transpose": 2}  # the axis of weights with the output channels
_ONE_PART_ERROR: Final = -17  # of a sum, as a power of two: an eighth of what M5-2 allows


@dataclass(frozen=True, slots=True, eq=False)
class SlicedStep:
    """A layer of the float32 profile whose weights are cut into slices, which lie beside each other.

    step: the same layer with n_slices times as many output channels, in float64.
    one_part_exponent: rows of this exponent and below do without a second part.
    """

    step: Step
    n_slices: int
    one_part_exponent: int


def slice_weights(step: Step) -> SlicedStep:
    """The layer with its weights cut into slices: the sum of the slices is the weight, to 26 bits of its channel's largest."""
    axis = SUM_AXIS[step.kind]
    weights = step.arrays["weights"].astype(np.float64)
    others = tuple(i for i in range(weights.ndim) if i != axis)
    n_products = weights.size // weights.shape[axis]
    bits, count = slice_bits(n_products), n_slices(n_products)
    _, exponents = np.frexp(np.abs(weights).max(axis=others, keepdims=True))
    slices, rest = [], weights
    for number in range(1, count + 1):
        unit = bits * number - exponents  # of this slice: integers times 2^-unit
        slices.append(np.ldexp(np.rint(np.ldexp(rest, unit)), -unit))
        rest = rest - slices[-1]
    arrays = {**step.arrays, "weights": np.concatenate(slices, axis)}
    return SlicedStep(dataclasses.replace(step, arrays=arrays), count, _one_part_exponent(weights, others))


def _one_part_exponent(weights: Array, others: tuple[int, ...]) -> int:
    """The largest e for which errors of 2^(e - 25) in every number add up, as random ones do, to 2^-17 at most in a sum."""
    norm = float(np.sqrt(np.square(weights).sum(axis=others)).max())
    return math.floor(_ONE_PART_ERROR + ROW_BITS + 1 - math.log2(norm)) if norm else 129


def row_exponents(largest: Array) -> Array:
    """float32, the largest size in each row -> e, int32: all sizes of the row are below 2^e."""
    exponents: Array = np.maximum((largest.view(np.int32) >> 23) - 126, LEAST_EXPONENT)
    return exponents
