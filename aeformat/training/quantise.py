"""From float weights to the integers of the exact profile (spec/model.md, section 4), and their plain evaluation.

Owns the rounding and the bounds it must stay under.  Knows nothing of TensorFlow, packages, or how weights came about.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aeformat.errors import UsageError
from aeformat.training.loop import TrainedPair
from aeformat.training.network import LEAST_PEAK, RANGES, TrainedDense
from aeformat.training.recipe import Activation

SUM_LIMIT: Final = 2**24  # sums below it are exact in float32 (the spec allows 2^53, by float64)
PRODUCT_LIMIT: Final = 2**53  # M4-4
MULTIPLIER_LIMIT: Final = 2**16  # M4-2 allows 2^24; 16 bits are precise enough and compress better
SHIFT_LIMIT: Final = 40  # M4-2
TABLE_ENTRIES: Final = 4096
ENTRIES_PER_UNIT: Final[dict[Activation, int]] = {"sigmoid": 256, "gelu": 128, "clip": 128}
"""Entries for one unit of an activation's argument: a table reaches 8 (sigmoid) or 16 either side."""


@dataclass(frozen=True, slots=True)
class ExactLayer:
    """A dense layer and the lookup after it, in integers only."""

    weights: NDArray[np.int8]  # (n_in, n_out), -127..127
    bias: NDArray[np.int32]  # (n_out,)
    multiplier: NDArray[np.int32]  # (n_out,), 1..2^16
    shift: int  # 0..40
    table: NDArray[np.uint8]  # (n,), n even


ExactHalf = tuple[ExactLayer, ...]


def quantise_pair(pair: TrainedPair) -> tuple[ExactHalf, ExactHalf]:
    """The encoder and the decoder in integers; the latents between them are u8.  Raises UsageError."""
    latent_low, latent_high = RANGES[pair.encoder[-1].activation]
    return (
        quantise_half(pair.encoder, levels=pair.recipe.weight_levels, low=0, high=1),
        quantise_half(pair.decoder, levels=pair.recipe.weight_levels, low=latent_low, high=latent_high),
    )


def quantise_half(layers: Sequence[TrainedDense], *, levels: int, low: float, high: float) -> ExactHalf:
    """Integers that compute what `layers` compute, for 8-bit inputs that stand for `low` (0) to `high` (255).

    levels: weights become -levels..levels in each output channel.  Raises UsageError where a sum could get too large.
    """
    half = []
    for layer in layers:
        half.append(_quantise_layer(layer, levels, low, high))
        low, high = RANGES[layer.activation]
    check_bounds(half)
    return tuple(half)


def _quantise_layer(layer: TrainedDense, levels: int, low: float, high: float) -> ExactLayer:
    """With input = low + unit * x and weights = step * w:  sum = unit * step * (x @ w + low / unit * sum(w)) + bias."""
    real = layer.weights.astype(np.float64)
    step = np.maximum(np.abs(real).max(axis=0), LEAST_PEAK) / levels
    weights = np.rint(real / step)
    unit = (high - low) / 255
    bias = np.rint(low / unit * weights.sum(axis=0) + layer.bias / (unit * step))
    if not np.abs(bias).max() < SUM_LIMIT:
        raise UsageError(f"no exact form: a bias of {np.abs(bias).max():.0f} is not below 2^24")
    multiplier, shift = fixed_point(unit * step * ENTRIES_PER_UNIT[layer.activation])
    return ExactLayer(
        weights.astype(np.int8), bias.astype(np.int32), multiplier, shift, activation_table(layer.activation)
    )


def fixed_point(factors: NDArray[np.float64]) -> tuple[NDArray[np.int32], int]:
    """multiplier / 2^shift ~ factors, with the largest shift that keeps every multiplier in 1..2^16."""
    shift = min(SHIFT_LIMIT, math.floor(math.log2(MULTIPLIER_LIMIT / factors.max())))
    if shift < 0:
        raise UsageError(f"no exact form: a factor of {factors.max():.3g} is above 2^16")
    return np.maximum(np.rint(factors * 2.0**shift), 1).astype(np.int32), shift


def activation_table(activation: Activation) -> NDArray[np.uint8]:
    """u8 [4096]: the activation at (k - 2048) / ENTRIES_PER_UNIT, its range spread over 0..255 and clamped there."""
    low, high = RANGES[activation]
    arguments = (np.arange(TABLE_ENTRIES) - TABLE_ENTRIES // 2) / ENTRIES_PER_UNIT[activation]
    levels = np.floor(255 * (_FUNCTIONS[activation](arguments) - low) / (high - low) + 0.5)
    return np.clip(levels, 0, 255).astype(np.uint8)


def gelu(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """x (1 + erf(x / sqrt 2)) / 2, elementwise, for a vector."""
    return np.array([value * (1 + math.erf(value / math.sqrt(2))) / 2 for value in x])


_FUNCTIONS: Final[dict[Activation, Callable[[NDArray[np.float64]], NDArray[np.float64]]]] = {
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "gelu": gelu,
    "clip": lambda x: x,  # activation_table clamps
}


def check_bounds(half: Sequence[ExactLayer]) -> None:
    """Refuse integers whose sums or products might not be exact, whatever 8-bit input comes.  Raises UsageError."""
    greatest = 255
    for number, layer in enumerate(half):
        sums = np.abs(layer.weights.astype(np.int64)).sum(axis=0) * greatest
        bound = int((sums + np.abs(layer.bias.astype(np.int64))).max())
        if bound >= SUM_LIMIT:
            raise UsageError(f"no exact form: the sums of layer {number} can reach {bound}, not below 2^24")
        half_unit = 1 << layer.shift >> 1
        if bound * int(layer.multiplier.max()) + half_unit >= PRODUCT_LIMIT:
            raise UsageError(f"no exact form: the products of layer {number} can reach 2^53")
        greatest = int(layer.table.max())


def evaluate(half: Sequence[ExactLayer], rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(n, n_in) -> (n, n_out), both u8, in int64 alone: slow, and what every faster way must agree with."""
    values = rows
    for layer in half:
        sums = values.astype(np.int64) @ layer.weights.astype(np.int64) + layer.bias
        n = len(layer.table)
        half_unit = 1 << layer.shift >> 1
        at = (sums * layer.multiplier.astype(np.int64) + half_unit) >> layer.shift  # >> rounds down, as floor does
        values = layer.table[np.clip(at + n // 2, 0, n - 1)]
    return values
