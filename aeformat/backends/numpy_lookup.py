"""`lookup` in NumPy: from integer sums to 8-bit values (spec/model.md, section 4).

Owns the proof that its results are the spec's integers.  Exact networks spend most of their time here, so it works on
small tiles that stay in the cache, with as few passes over them as the numbers allow, in the order in which they lie in memory.

The spec's index, min(max(floor((a m + h) / 2^s) + n/2, 0), n - 1) with a = p + b (sum of products plus bias), is

    clip(floor(z))   z = p * slope + offset   slope = m / 2^s   offset = (b m + h + 2^s n/2) / 2^s

z, slope, offset and p * slope are all integers divided by 2^s.  If 2^k divides each channel's m and its offset's
numerator, they are integers times 2^(k - s); where those integers are below 2^24 (2^53), each of them is a float32
(float64), so product and sum are exact.  |p m| and |p m + b m| are at most bound * m, so all of them are at most

    (bound * m + h + 2^s n/2) / 2^k

The conversion to an integer rounds towards zero, not down; the two differ only below zero, where clip makes both 0.
A multiplier that is a power of two makes k large and so the cheap float32 possible.  If even float64 does not hold the
offset (a huge 2^s n/2), floor comes first and n/2 is added to its result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from aeformat.backends.numpy_layers import Op, Scratch
from aeformat.model.bounds import FLOAT32_EXACT, FLOAT64_EXACT, half_step
from aeformat.model.package import Step
from aeformat.model.tiles import Sides

Array = NDArray[Any]

_TILE: Final = 1 << 13  # elements; what one tile takes is a small part of the cache that the table lies in, too


@dataclass(frozen=True, slots=True)
class Sums:
    """The sums that a lookup reads.  bias: still to be added.  bounds: of the sums with it.  Both have one number a channel."""

    dtype: DTypeLike
    bias: tuple[int, ...]
    bounds: tuple[int, ...]


def lookup(step: Step, sums: Sums, made_dtype: DTypeLike, *, most: int = _TILE) -> Op:
    """The op that turns sums into values of the table, as made_dtype.  most: sums of a block."""
    if np.dtype(sums.dtype).kind == "i":
        return _in_integers(step, sums, made_dtype)
    table = step.arrays["table"].astype(made_dtype)
    shift, middle = step.integer("shift"), len(table) // 2
    bias = sums.bias
    multiplier = [int(m) for m in np.broadcast_to(step.arrays["multiplier"], len(bias))]
    numerators = [b * m + half_step(shift) for b, m in zip(bias, multiplier, strict=True)]
    limits = [bound * m + half_step(shift) for bound, m in zip(sums.bounds, multiplier, strict=True)]
    n_units = [
        (limit + (middle << shift)) >> _common_twos(m, numerator + (middle << shift))
        for limit, m, numerator in zip(limits, multiplier, numerators, strict=True)
    ]
    is_folded = max(n_units) < FLOAT64_EXACT
    if is_folded:
        numerators = [numerator + (middle << shift) for numerator in numerators]
    dtype = np.float32 if max(n_units) < FLOAT32_EXACT and sums.dtype == np.float32 else np.float64
    # Python's true division of integers rounds correctly: a quotient that is a float comes out exact.
    slope = np.array([m / 2**shift for m in multiplier], dtype)
    offset = np.array([numerator / 2**shift for numerator in numerators], dtype)
    n_channels = len(bias)
    tile = max(1, min(_TILE, most) // n_channels) * n_channels
    slopes, offsets = np.tile(slope, tile // n_channels), np.tile(offset, tile // n_channels)
    made_slot = object()

    def run(x: Array, scratch: Scratch, _sides: Sides) -> Array:
        made = scratch.array(made_slot, x.shape, made_dtype)
        axes = memory_order(x)
        in_order = x.transpose(axes)
        source, target = in_order.reshape(-1), made.reshape(-1)
        for start in range(0, source.size, tile):
            part = source[start : start + tile]
            n = part.size
            z = scratch.array(("z", dtype), (n,), dtype)
            np.copyto(z, part)
            z *= slopes[:n]
            z += offsets[:n]
            if not is_folded:
                np.floor(z, out=z)
                z += middle
            index = scratch.array("index", (n,), np.intp)
            np.copyto(index, z, casting="unsafe")
            table.take(index, out=target[start : start + n], mode="clip")
        return made.reshape(in_order.shape).transpose(np.argsort(axes))

    return run


def _in_integers(step: Step, sums: Sums, made_dtype: DTypeLike) -> Op:
    """The spec's formula as it stands.  Sums below 2^31 (M4-1) times multipliers up to 2^24 (M4-2) fit 64 bits."""
    table = step.arrays["table"].astype(made_dtype)
    shift, slot = step.integer("shift"), object()
    bias = np.array(sums.bias, np.int64)
    multiplier = step.arrays["multiplier"].astype(np.int64)

    def run(x: Array, scratch: Scratch, _sides: Sides) -> Array:
        made = scratch.array(slot, x.shape, made_dtype)
        index = (((x + bias) * multiplier + half_step(shift)) >> shift) + len(table) // 2
        return table.take(index, out=made, mode="clip")

    return run


def memory_order(x: Array) -> list[int]:
    """The axes of x in the order in which its numbers lie in memory, the channels last, as they do."""
    return [*sorted(range(x.ndim - 1), key=lambda axis: -x.strides[axis]), x.ndim - 1]


def _common_twos(a: int, b: int) -> int:
    """The largest k such that 2^k divides both.  a > 0."""
    both = a | b
    return (both & -both).bit_length() - 1
