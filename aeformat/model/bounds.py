"""The largest numbers that a network can compute (spec/model.md, section 4).

Owns intervals and bounds.  They are computed from the weights, in 64-bit and in Python's integers; none is read from the
file.  Both backends rely on them: below these bounds float32 and float64 products of integers are exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.container.fields import Place
from aeformat.model.layers import KINDS
from aeformat.model.values import ACC, EXACT, INTEGER_RANGES, Interval, Number, Value

FLOAT32_EXACT: Final = 2**24  # all integers up to here are float32 numbers
FLOAT64_EXACT: Final = 2**53
ACC_LIMIT: Final = 2**31  # M4-1: a sum fits a 32-bit integer
MAX_MULTIPLIER: Final = 2**24  # M4-2
_BLOCK_WEIGHTS: Final = 1 << 20  # whose absolute values are in memory at a time

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Span:
    """The numbers that one value can hold.  interval: None for f32.  bounds: of sums, one a channel, exact profile."""

    interval: Interval | None
    bounds: tuple[int, ...] | None = None


def span_of(
    place: Place,
    kind: str,
    inputs: Sequence[Span],
    made: Value,
    params: Mapping[str, Number],
    arrays: Arrays,
    *,
    minor: int,
) -> Span:
    """The span of a layer's output: M4-1 to M4-5.  minor: of the manifest's version.  Raises ManifestInvalid."""
    if kind == "lookup":
        return _lookup(place, inputs[0], params["shift"], arrays)
    if kind == "add" and made.type == ACC:
        return _added(place, inputs, made.shape[-1])
    if made.type == ACC:
        by_phase = minor >= 1 and kind == "conv2d_transpose"
        return _sums(place, kind, inputs[0], arrays, params["strides"] if by_phase else None)
    if kind == "to_u8":
        return Span(Interval(*INTEGER_RANGES["u8"]))
    if made.type in INTEGER_RANGES:  # it rearranges numbers, and adds none but a pad's value
        reach = [x.interval for x in inputs if x.interval is not None]
        value = params.get("value")
        if isinstance(value, int):
            reach.append(Interval(value, value))
        return Span(Interval(min(i.lo for i in reach), max(i.hi for i in reach)))
    return Span(None)


def channel_bounds(weights: NDArray[Any], bias: NDArray[Any], channel_axis: int, magnitude: int) -> tuple[int, ...]:
    """For each output channel: the sum of |w| * magnitude, plus |b|."""
    return _bounds(_channel_sums(weights, channel_axis), bias, magnitude)


def phase_bounds(
    weights: NDArray[Any], bias: NDArray[Any], strides: tuple[int, int], magnitude: int
) -> tuple[int, ...]:
    """The same for a transposed convolution, of those weights that meet in a pixel, where they are the most."""
    sh, sw = strides
    phases = [weights[y::sh, x::sw] for y in range(min(sh, len(weights))) for x in range(min(sw, weights.shape[1]))]
    sums = _channel_sums(phases[0], 2)
    for phase in phases[1:]:
        np.maximum(sums, _channel_sums(phase, 2), out=sums)
    return _bounds(sums, bias, magnitude)


def _bounds(sums: NDArray[Any], bias: NDArray[Any], magnitude: int) -> tuple[int, ...]:
    return tuple(int(s) * magnitude + abs(int(b)) for s, b in zip(sums, bias, strict=True))


def _channel_sums(weights: NDArray[Any], channel_axis: int) -> NDArray[Any]:
    """For each output channel: the sum of |w|."""
    other_axes = tuple(axis for axis in range(weights.ndim) if axis != channel_axis)
    # The wider type holds the magnitude of the lowest integer; at most 2^28 weights keep the sum below 2^59.
    wide = np.int16 if weights.dtype == np.int8 else np.int64
    step = max(1, _BLOCK_WEIGHTS * len(weights) // weights.size)
    parts = [
        np.abs(weights[i : i + step], dtype=wide).sum(axis=other_axes, dtype=np.int64)
        for i in range(0, len(weights), step)
    ]
    return np.concatenate(parts) if channel_axis == 0 else np.asarray(np.sum(parts, axis=0))


def half_step(shift: int) -> int:
    """h of section 4: half a step, added so that the shift rounds to nearest."""
    return 1 << (shift - 1) if shift else 0


def _sums(place: Place, kind: str, x: Span, arrays: Arrays, strides: Number | None) -> Span:
    """strides: of a layer whose bound goes by phase."""
    weights, bias = arrays["weights"], arrays["bias"]
    channel_axis = KINDS[kind].channel_axis
    assert channel_axis is not None and x.interval is not None  # M3-6 has been checked
    if isinstance(strides, tuple):
        bounds = phase_bounds(weights, bias, (strides[0], strides[1]), x.interval.magnitude)
    else:
        bounds = channel_bounds(weights, bias, channel_axis, x.interval.magnitude)
    largest = _below_limit(place, max(bounds))
    if weights.dtype == np.int8 and weights.min() == -128:
        raise place.invalid("M4-5", "a weight is -128; they go from -127 to 127")
    return Span(Interval(-largest, largest), bounds)


def _added(place: Place, inputs: Sequence[Span], n_channels: int) -> Span:
    """The bound of each input is the magnitude of its interval, which for sums is their bound."""
    total = _below_limit(place, sum(x.interval.magnitude for x in inputs if x.interval is not None))
    return Span(Interval(-total, total), (total,) * n_channels)


def _below_limit(place: Place, bound: int) -> int:
    if bound >= ACC_LIMIT:
        raise place.invalid("M4-1", f"its sums reach {bound}; they must stay below 2^31")
    return bound


def _lookup(place: Place, x: Span, shift: Number, arrays: Arrays) -> Span:
    assert isinstance(shift, int)
    multiplier, table = arrays["multiplier"], arrays["table"]
    lo, hi = int(multiplier.min()), int(multiplier.max())
    if lo < 1 or hi > MAX_MULTIPLIER:
        raise place.invalid("M4-2", f"multipliers from {lo} to {hi}; they must lie from 1 to 2^24")
    assert x.interval is not None
    product = x.interval.magnitude * hi + half_step(shift)
    if product >= FLOAT64_EXACT:
        raise place.invalid("M4-4", f"sums times multiplier reach {product}; they must stay below 2^53")
    return Span(Interval(int(table.min()), int(table.max())))


def check_output(place: Place, made: Span, allowed: Interval | None, profile: str) -> None:
    """M4-6: the last value stays in the output's range.  Raises ManifestInvalid."""
    if made.interval is None or allowed is None:
        assert profile != EXACT  # M2-7 and M3-8 have been checked
        return
    if not allowed.holds(made.interval):
        raise place.invalid("M4-6", f"the last layer makes {made.interval}, the output's range is {allowed}")
