"""Rounding as the integers of the exact profile will do it, in training: forward a rounded number, backward as if it were not.

Owns what 8-bit numbers stand for, how many integers a weight is rounded to, and the rounded view of all weights.  Knows nothing
of what the networks compute.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.training.photo.order import PHASES, Group, known_neighbours, numbers, sources

GREATEST: Final = 127
"""Magnitude of latents, of weights and of activations."""
UNIT: Final = 64.0
"""Grey levels in a unit of the networks' numbers."""
PLANE_UNIT: Final = 3.5 / GREATEST
"""What 1 stands for in all planes of the decoder: white and black, 128 / UNIT * sqrt(3) away from grey, fit."""
FEATURE_UNIT: Final = 1 / 16
"""Of the context model's features and hidden numbers, and of the encoder's hidden numbers."""
LOG_UNIT: Final = 1 / 25
"""Of the logarithms of latents that the encoder's small network sees."""
MAGNITUDE_UNIT: Final = 1 / 16
VALUE_UNIT: Final = 1 / 8
"""Of a latent's magnitude's logarithm, and its number, as the context model sees them."""
CONTEXT_LEVELS: Final = 31
SYNTHESIS_LEVELS: Final = 120
"""The largest integer weight of the synthesis: a multiple of every grain."""
GRAINS: Final = {"luma": ((0, 1), (20, 4), (92, 8)), "chroma": ((0, 1), (4, 4)), "features": ((0, 4),)}
"""What the weights of a part of the synthesis are multiples of: (from which channel on, grain).

The latents of the first channels are large and need all of a weight's 8 bits; coarser weights take less to store.
"""
_LEAST: Final = 1e-6

Floats = NDArray[np.float32]


def kept(tf: Any, values: Any, unit: float, *, rounded: bool) -> Any:
    """Values within what an i8 number of that unit can say, and rounded to it."""
    values = tf.clip_by_value(values, -GREATEST * unit, GREATEST * unit)
    return to_whole(tf, values / unit) * unit if rounded else values


def to_whole(tf: Any, values: Any) -> Any:
    """The nearest integers, with the gradient of the values themselves."""
    return values + tf.stop_gradient(tf.round(values) - values)


def grains(name: str, n: int) -> Floats:
    """(n,): what the integer weights of each channel of a part of the synthesis are multiples of."""
    made = np.ones(n, np.float32)
    for first, grain in GRAINS[name]:
        made[first:] = grain
    return made


def rounded_weights(tf: Any, weights: Mapping[str, Any], parts: tuple[Group, ...]) -> dict[str, Any]:
    """All weights: those of the decoder, the context model and the encoder's small network rounded, the others as they are."""
    made = dict(weights)
    steps = tf.exp(tf.stop_gradient(weights["steps"]))
    for name, runs in sources(parts).items():
        mine = tf.gather(steps, numbers(runs))
        grain = grains(name, len(numbers(runs)))
        whole = weights[f"synthesis_{name}"] * mine  # for latents, which are in steps
        unit = _unit(tf, [whole], (0, 1, 3), SYNTHESIS_LEVELS) * grain
        made[f"synthesis_{name}"] = to_whole(tf, whole / unit) * unit / mine
    for name in ("decoder_0", "decoder_1", "encoder_0", "encoder_1", "encoder_2", "encoder_3"):
        made[name] = rounded(tf, [weights[name]], GREATEST)[0]
    made["decoder_2"] = _rounded_by_colour(tf, weights["decoder_2"])
    for number in range(len(parts)):
        round_context(tf, made, number)
    return made


def _rounded_by_colour(tf: Any, kernel: Any) -> Any:
    """(3, 3, c, 12): the four places of a colour share their unit, being one channel of a transposed convolution."""
    height, width, channels, _ = kernel.shape
    colours = tf.reshape(kernel, (height, width, channels * 4, 3))
    return tf.reshape(rounded(tf, [colours], GREATEST)[0], kernel.shape)


def round_context(tf: Any, made: dict[str, Any], number: int) -> None:
    """The layers of one group.  Sums that are added share their unit."""
    for name in (f"context/features_{number}", f"context/out_{number}"):
        made[name] = rounded(tf, [made[name]], CONTEXT_LEVELS)[0]
    names = [f"context/own_{number}_{phase}" for phase in range(1, len(PHASES))]
    added = [made[name] * known_neighbours(phase)[..., None, None] for phase, name in enumerate(names, start=1)]
    if number:
        names.append(f"context/before_{number}")
        added.append(made[names[-1]])
    made.update(zip(names, rounded(tf, added, CONTEXT_LEVELS), strict=True))


def rounded(tf: Any, kernels: list[Any], levels: int) -> list[Any]:
    axes = tuple(range(len(kernels[0].shape) - 1))
    unit = _unit(tf, kernels, axes, levels)
    return [to_whole(tf, kernel / unit) * unit for kernel in kernels]


def _unit(tf: Any, kernels: list[Any], axes: tuple[int, ...], levels: int) -> Any:
    """What the integer 1 stands for in each output channel: the largest weight of all these kernels becomes `levels`."""
    largest = [tf.reduce_max(tf.abs(kernel), axes, keepdims=True) for kernel in kernels]
    unit = largest[0]
    for other in largest[1:]:
        unit = tf.maximum(unit, other)
    return tf.stop_gradient(tf.maximum(unit, _LEAST) / levels)
