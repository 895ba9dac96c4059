"""From float weights to the integers of the exact profile (spec/model.md, section 4).

Owns the rounding, the bounds it must stay under, and which latents are left out because they never change.  Knows nothing of
TensorFlow, packages, or how weights came about.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.errors import UsageError
from aeformat.model.bounds import channel_bounds, half_step
from aeformat.model.graph import Graph
from aeformat.model.layers import KINDS
from aeformat.model.reference import gelu
from aeformat.model.values import EXACT, Value
from aeformat.training.dense import LEAST_PEAK, RANGES
from aeformat.training.recipe import DenseRecipe
from aeformat.training.stack import (
    GELU_FLOOR,
    LATENT_GAIN,
    Activation,
    Dense,
    Parameters,
    Reshape,
    Shape,
    Stack,
    Weighted,
    channel_axis,
    registry_form,
    walk,
)

SUM_LIMIT: Final = 2**24  # sums below it are exact in float32 (the spec allows 2^31)
CONV_SUM_LIMIT: Final = 2**31  # M4-1; sums of 2^24 and more are computed in float64
PRODUCT_LIMIT: Final = 2**53  # M4-4
MULTIPLIER_LIMIT: Final = 2**16  # M4-2 allows 2^24; 16 bits are precise enough and compress better
SHIFT_LIMIT: Final = 40  # M4-2
TABLE_ENTRIES: Final = 4096
ENTRIES_PER_UNIT: Final[dict[Activation, int]] = {"sigmoid": 256, "gelu": 128, "clip": 128}
"""Entries for one unit of an activation's argument: a table reaches 8 (sigmoid) or 16 either side.  Dense recipes."""
_CONV_TABLE_ENTRIES: Final = 16_384
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
    shift: int = 0  # 0..40
    table: Integers | None = None  # u8 or i8 (n,), n even
    params: Mapping[str, Any] = field(default_factory=dict)  # the layer's others, as the registry names them


ExactStack = tuple[ExactStep, ...]


def exact_graph(start: Value, steps: Sequence[ExactStep]) -> Graph:
    """The steps as layers of the registry, for rows like `start`; a dense layer that comes first takes images as flat rows."""
    graph = Graph(start, EXACT)
    if steps[0].kind == "dense" and len(start.shape) > 1:
        graph.add("flatten")
    for step in steps:
        if step.weights is None:
            graph.add("reshape", shape=step.shape)
            continue
        assert step.bias is not None and step.multiplier is not None and step.table is not None
        graph.add(step.kind, weights=step.weights, bias=step.bias, **step.params)
        graph.add("lookup", multiplier=step.multiplier, shift=step.shift, table=step.table)
    return graph


# Dense recipes: latents are u8, and every activation has a range of its own that 256 levels are spread over.


def quantise_pair(
    recipe: DenseRecipe, encoder: Sequence[Parameters], decoder: Sequence[Parameters]
) -> tuple[ExactStack, ExactStack]:
    """The encoder and the decoder in integers; the latents between them are u8.  Raises UsageError."""
    low, high = RANGES[recipe.encoder[-1].activation]
    return (
        quantise_half(recipe.encoder, encoder, levels=recipe.weight_levels, low=0, high=1),
        quantise_half(recipe.decoder, decoder, levels=recipe.weight_levels, low=low, high=high),
    )


def quantise_half(
    layers: Sequence[Dense], parameters: Sequence[Parameters], *, levels: int, low: float, high: float
) -> ExactStack:
    """Integers that compute what `layers` compute, for 8-bit inputs that stand for `low` (0) to `high` (255).

    levels: weights become -levels..levels in each output channel.  Raises UsageError where a sum could get too large.
    """
    half = []
    for layer, mine in zip(layers, parameters, strict=True):
        half.append(_quantise_dense(layer, mine, levels, low, high))
        low, high = RANGES[layer.activation]
    check_bounds(half)
    return tuple(half)


def _quantise_dense(layer: Dense, mine: Parameters, levels: int, low: float, high: float) -> ExactStep:
    """With input = low + unit * x and weights = step * w:  sum = unit * step * (x @ w + low / unit * sum(w)) + bias."""
    real = mine.weights.astype(np.float64)
    step = np.maximum(np.abs(real).max(axis=0), LEAST_PEAK) / levels
    weights = np.rint(real / step)
    unit = (high - low) / 255
    bias = _whole_bias(low / unit * weights.sum(axis=0) + mine.bias / (unit * step))
    multiplier, shift = fixed_point(unit * step * ENTRIES_PER_UNIT[layer.activation])
    table = activation_table(layer.activation)
    return ExactStep("dense", (layer.units,), weights.astype(np.int8), bias, multiplier, shift, table)


def activation_table(activation: Activation) -> NDArray[np.uint8]:
    """u8 [4096]: the activation at (k - 2048) / ENTRIES_PER_UNIT, its range spread over 0..255 and clamped there."""
    low, high = RANGES[activation]
    arguments = (np.arange(TABLE_ENTRIES) - TABLE_ENTRIES // 2) / ENTRIES_PER_UNIT[activation]
    levels = np.floor(255 * (_FUNCTIONS[activation](arguments) - low) / (high - low) + 0.5)
    return np.clip(levels, 0, 255).astype(np.uint8)


_FUNCTIONS: Final[dict[Activation, Callable[[NDArray[np.float64]], NDArray[np.float64]]]] = {
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "gelu": gelu,
    "clip": lambda x: x,  # activation_table clamps
}


# Convolutional recipes: latents are i8, and what weights and activations are rounded to was fixed in training.


def quantise_encoder(stack: Stack, parameters: Sequence[Parameters], shape: Shape, span: tuple[int, int]) -> ExactStack:
    """8-bit pixels of `shape` to latents, which are kept within `span`, both ends included.  Raises UsageError."""
    return _quantise_stack(stack, parameters, shape, _PIXEL, 255, span)


def quantise_decoder(stack: Stack, parameters: Sequence[Parameters], dims: int) -> ExactStack:
    """Latents (dims,) to 8-bit pixels.  Raises UsageError."""
    return _quantise_stack(stack, parameters, (dims,), 1.0, 128, (0, 0))


def _quantise_stack(
    stack: Stack, parameters: Sequence[Parameters], shape: Shape, unit: float, greatest: int, span: tuple[int, int]
) -> ExactStack:
    """unit: what the integer 1 stands for in the input.  greatest: its largest magnitude."""
    steps: list[ExactStep] = []
    for layer, before, after, mine in walk(stack, parameters, shape):
        if isinstance(layer, Reshape):
            steps.append(ExactStep("reshape", after))
            continue
        steps.append(_quantise_layer(layer, mine, before, after, unit, span))
        unit = float(mine.unit)
    check_bounds(steps, sum_limit=CONV_SUM_LIMIT, greatest=greatest)
    return tuple(steps)


def _quantise_layer(
    layer: Weighted, mine: Parameters, before: Shape, after: Shape, unit: float, span: tuple[int, int]
) -> ExactStep:
    steps = mine.steps.astype(np.float64)
    bias = _whole_bias(mine.bias / (unit * steps))
    per_unit, table = _table(layer, float(mine.unit), span)
    multiplier, shift = fixed_point(unit * steps * per_unit)
    kind, params = registry_form(layer, before, after)
    weights = _integers(layer, mine).astype(np.int8)
    return ExactStep(kind, after, weights, bias, multiplier, shift, table, params)


def _integers(layer: Weighted, mine: Parameters) -> NDArray[np.float64]:
    """The weights in units of their channels' steps, rounded."""
    shape = [1] * mine.weights.ndim
    shape[channel_axis(layer)] = -1
    rounded: NDArray[np.float64] = np.rint(mine.weights / mine.steps.astype(np.float64).reshape(shape))
    return rounded.clip(-layer.levels, layer.levels)


def _table(layer: Weighted, unit: float, span: tuple[int, int]) -> tuple[float, Integers]:
    """Entries for one unit of the activation's argument, and the table."""
    centred = np.arange(_CONV_TABLE_ENTRIES) - _CONV_TABLE_ENTRIES // 2
    if layer.activation == "raised_gelu":
        per_unit = (_CONV_TABLE_ENTRIES // 2 - 1) / max(255 * unit, _GELU_FLAT)
        levels = np.floor((gelu(centred / per_unit) + GELU_FLOOR) / unit + 0.5)
        return per_unit, np.clip(levels, 0, 255).astype(np.uint8)
    if layer.activation == "sigmoid":
        return _PER_LOGIT, np.floor(255 / (1 + np.exp(-centred / _PER_LOGIT)) + 0.5).astype(np.uint8)
    if layer.activation == "latent":
        return _PER_LATENT * LATENT_GAIN, np.clip(np.floor(centred / _PER_LATENT + 0.5), *span).astype(np.int8)
    raise UsageError(f"no exact form of the activation {layer.activation!r}")


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


# Both kinds.


def _whole_bias(real: NDArray[np.float64]) -> NDArray[np.int32]:
    bias = np.rint(real)
    if not np.abs(bias).max() < SUM_LIMIT:
        raise UsageError(f"no exact form: a bias of {np.abs(bias).max():.0f} is not below 2^24")
    return bias.astype(np.int32)


def fixed_point(factors: NDArray[np.float64]) -> tuple[NDArray[np.int32], int]:
    """multiplier / 2^shift ~ factors, with the largest shift that keeps every multiplier in 1..2^16."""
    shift = min(SHIFT_LIMIT, math.floor(math.log2(MULTIPLIER_LIMIT / factors.max())))
    if shift < 0:
        raise UsageError(f"no exact form: a factor of {factors.max():.3g} is above 2^16")
    return np.maximum(np.rint(factors * 2.0**shift), 1).astype(np.int32), shift


def check_bounds(steps: Sequence[ExactStep], *, sum_limit: int = SUM_LIMIT, greatest: int = 255) -> None:
    """Refuse integers whose sums or products might not be exact, whatever comes in (M4-1, M4-4).  Raises UsageError.

    greatest: the largest magnitude of what comes in.
    """
    for number, step in enumerate(steps):
        if step.weights is None:
            continue
        assert step.bias is not None and step.multiplier is not None and step.table is not None
        axis = KINDS[step.kind].channel_axis
        assert axis is not None
        bound = max(channel_bounds(step.weights, step.bias, axis, greatest))
        if bound >= sum_limit:
            what = f"the sums of layer {number} can reach {bound}, not below 2^{sum_limit.bit_length() - 1}"
            raise UsageError(f"no exact form: {what}")
        if bound * int(step.multiplier.max()) + half_step(step.shift) >= PRODUCT_LIMIT:
            raise UsageError(f"no exact form: the products of layer {number} can reach 2^53")
        greatest = int(np.abs(step.table.astype(np.int64)).max())
