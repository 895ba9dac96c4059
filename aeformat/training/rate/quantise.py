"""From rounded float stacks to the integers of the exact profile (spec/model.md, section 4), and their plain evaluation.

Owns the last rounding, and which latents are left out because they never change.  Knows nothing of TensorFlow, packages,
or how weights came about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.errors import UsageError
from aeformat.model.bounds import channel_bounds
from aeformat.model.layers import KINDS
from aeformat.model.plain import Sides, conv2d, conv2d_transpose, dense
from aeformat.training.quantise import PRODUCT_LIMIT, SUM_LIMIT, fixed_point, gelu
from aeformat.training.rate.stack import (
    GELU_FLOOR,
    LATENT_GAIN,
    Conv,
    Dense,
    Parameters,
    Reshape,
    Shape,
    Stack,
    Weighted,
    channel_axis,
    margins,
    shapes,
)

TABLE_ENTRIES: Final = 16_384
_PER_LATENT: Final = 64  # entries of the table between two integers
_PER_LOGIT: Final = 1024  # entries for one unit of a sigmoid's argument: the table reaches 8 either side
_GELU_FLAT: Final = 5.0  # so far below 0 GELU is 0 to a part in a million
_PIXEL: Final = 1 / 255

Integers = NDArray[Any]


@dataclass(frozen=True, slots=True)
class ExactStep:
    """A layer with weights and the lookup after it, in integers only; or a reshape, with a shape alone."""

    kind: str  # of the registry
    shape: Shape  # of one row, after it
    weights: Integers | None = None  # i8, in the registry's layout
    bias: Integers | None = None  # i32 (channels,)
    multiplier: Integers | None = None  # i32 (channels,), 1..2^16
    shift: int = 0
    table: Integers | None = None  # u8 or i8 (n,)
    strides: tuple[int, int] = (1, 1)
    margins: Sides = (0, 0, 0, 0)  # a convolution's padding, a transposed one's crop


ExactStack = tuple[ExactStep, ...]


def quantise_encoder(stack: Stack, parameters: Sequence[Parameters], shape: Shape, span: tuple[int, int]) -> ExactStack:
    """8-bit pixels of `shape` to latents, which are kept within `span`, both ends included.  Raises UsageError."""
    return _quantise(stack, parameters, shape, _PIXEL, span)


def quantise_decoder(stack: Stack, parameters: Sequence[Parameters], dims: int) -> ExactStack:
    """Latents (dims,) to 8-bit pixels.  Raises UsageError."""
    return _quantise(stack, parameters, (dims,), 1.0, (0, 0))


def drop_constants(
    encoder: Stack, decoder: Stack, parameters: tuple[Sequence[Parameters], Sequence[Parameters]], latents: Integers
) -> tuple[Stack, Stack, list[Parameters], list[Parameters], NDArray[np.intp]]:
    """The same autoencoder without the latents that are the same in all rows (n, dims); last, the numbers of those kept.

    Training for rate switches latents off; what a constant one adds goes into the decoder's first bias.
    """
    kept = np.flatnonzero(latents.min(0) != latents.max(0))
    gone = np.flatnonzero(latents.min(0) == latents.max(0))
    last, first = encoder[-1], decoder[0]
    assert isinstance(last, Dense) and isinstance(first, Dense)
    of_encoder, of_decoder = list(parameters[0]), list(parameters[1])
    end, start = of_encoder[-1], of_decoder[0]
    of_encoder[-1] = replace(end, weights=end.weights[:, kept], bias=end.bias[kept], steps=end.steps[kept])
    constant = latents[0, gone].astype(np.float64) @ _integers(first, start)[gone] * start.steps
    of_decoder[0] = replace(start, weights=start.weights[kept], bias=(start.bias + constant).astype(np.float32))
    return (*encoder[:-1], replace(last, units=len(kept))), decoder, of_encoder, of_decoder, kept


def _quantise(
    stack: Stack, parameters: Sequence[Parameters], shape: Shape, unit: float, span: tuple[int, int]
) -> ExactStack:
    steps: list[ExactStep] = []
    left = iter(parameters)
    greatest = 255 if unit == _PIXEL else 128
    for layer, before, after in zip(stack, shapes(stack, shape), shapes(stack, shape)[1:], strict=False):
        if isinstance(layer, Reshape):
            steps.append(ExactStep("reshape", after))
            continue
        mine = next(left)
        step = _quantise_layer(layer, mine, before, after, unit, span)
        _check_bounds(len(steps), step, greatest)
        steps.append(step)
        unit, greatest = float(mine.unit), 255
    return tuple(steps)


def _quantise_layer(
    layer: Weighted, mine: Parameters, before: Shape, after: Shape, unit: float, span: tuple[int, int]
) -> ExactStep:
    steps = mine.steps.astype(np.float64)
    weights = _integers(layer, mine)
    bias = np.rint(mine.bias / (unit * steps))
    if not np.abs(bias).max() < SUM_LIMIT:
        raise UsageError(f"no exact form: a bias of {np.abs(bias).max():.0f} is not below 2^24")
    per_unit, table = _table(layer, float(mine.unit), span)
    multiplier, shift = fixed_point(unit * steps * per_unit)
    kind, strides, sides = geometry(layer, before, after)
    return ExactStep(
        kind=kind, shape=after, weights=weights.astype(np.int8), bias=bias.astype(np.int32), multiplier=multiplier,
        shift=shift, table=table, strides=strides, margins=sides,
    )  # fmt: skip


def _integers(layer: Weighted, mine: Parameters) -> NDArray[np.float64]:
    """The weights in units of their channels' steps, rounded."""
    shape = [1] * mine.weights.ndim
    shape[channel_axis(layer)] = -1
    rounded: NDArray[np.float64] = np.rint(mine.weights / mine.steps.astype(np.float64).reshape(shape))
    return rounded.clip(-layer.levels, layer.levels)


def geometry(layer: Weighted, before: Shape, after: Shape) -> tuple[str, tuple[int, int], Sides]:
    """The layer's kind in the registry, its strides, and a convolution's padding or a transposed one's crop."""
    if isinstance(layer, Dense):
        return "dense", (1, 1), (0, 0, 0, 0)
    large = before if isinstance(layer, Conv) else after
    top, bottom = margins(large[0], layer.kernel, layer.stride)
    left, right = margins(large[1], layer.kernel, layer.stride)
    return (
        "conv2d" if isinstance(layer, Conv) else "conv2d_transpose",
        (layer.stride, layer.stride),
        (top, bottom, left, right),
    )


def _table(layer: Weighted, unit: float, span: tuple[int, int]) -> tuple[float, Integers]:
    """Entries for one unit of the activation's argument, and the table."""
    centred = np.arange(TABLE_ENTRIES) - TABLE_ENTRIES // 2
    if layer.activation == "raised_gelu":
        per_unit = (TABLE_ENTRIES // 2 - 1) / max(255 * unit, _GELU_FLAT)
        levels = np.floor((gelu(centred / per_unit) + GELU_FLOOR) / unit + 0.5)
        return per_unit, np.clip(levels, 0, 255).astype(np.uint8)
    if layer.activation == "sigmoid":
        return _PER_LOGIT, np.floor(255 / (1 + np.exp(-centred / _PER_LOGIT)) + 0.5).astype(np.uint8)
    if layer.activation == "latent":
        return _PER_LATENT * LATENT_GAIN, np.clip(np.floor(centred / _PER_LATENT + 0.5), *span).astype(np.int8)
    raise UsageError(f"no exact form of the activation {layer.activation!r}")


def _check_bounds(number: int, step: ExactStep, greatest: int) -> None:
    """Refuse integers whose products might not be exact, whatever comes in (M4-1, M4-4).  Raises UsageError."""
    assert step.weights is not None and step.bias is not None and step.multiplier is not None
    axis = KINDS[step.kind].channel_axis
    assert axis is not None
    bound = max(channel_bounds(step.weights, step.bias, axis, greatest))
    if bound >= 2**31 or bound * int(step.multiplier.max()) + (1 << step.shift >> 1) >= PRODUCT_LIMIT:
        raise UsageError(f"no exact form: the sums of layer {number} can reach {bound}")


def evaluate(stack: ExactStack, rows: Integers) -> Integers:
    """(n, ...) integers -> (n, ...), in int64 alone: slow, and what every faster way must agree with."""
    values = rows.astype(np.int64)
    for step in stack:
        if step.weights is None:
            values = values.reshape(len(values), *step.shape)
            continue
        assert step.bias is not None and step.multiplier is not None and step.table is not None
        sums = linear(step.kind, values, step.weights.astype(np.int64), step.strides, step.margins)
        sums = sums + step.bias
        n = len(step.table)
        at = (sums * step.multiplier.astype(np.int64) + (1 << step.shift >> 1)) >> step.shift  # floors
        values = step.table[np.clip(at + n // 2, 0, n - 1)].astype(np.int64)
    last = [step.table for step in stack if step.table is not None][-1]
    return values.astype(last.dtype)


def linear(kind: str, values: Integers, weights: Integers, strides: tuple[int, int], sides: Sides) -> Integers:
    """What a layer of that kind sums up, without the bias, in the type of its operands."""
    if kind == "dense":
        return dense(values, weights)
    return (conv2d if kind == "conv2d" else conv2d_transpose)(values, weights, strides, sides)
