"""The context model: what is known of a photograph's latents says how probable the next ones are.  In TensorFlow.

For each group of channels and phase of the lattice (order.py) a small network sees the groups decoded before, at the position
and its eight neighbours, and of its own group the neighbours of earlier phases.  It gives a mean and a scale for every latent.
Owns these networks and the bits of a latent under a mean and a scale.  Knows nothing of images.

The networks see features of a group: of each channel's number and of its magnitude's logarithm some sums, rectified.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.training.photo.order import PHASES, Group, known_neighbours
from aeformat.training.photo.rounding import FEATURE_UNIT, MAGNITUDE_UNIT, VALUE_UNIT, kept

Floats = NDArray[np.float32]

LEAST_LEVEL: Final = -4.5
MOST_LEVEL: Final = 6.5
"""Scales are 2^level steps of the latents."""
_OUTLIERS: Final = 2e-4  # the part of the probability that is spread over what the scale does not expect
_LEAST_PROBABILITY: Final = 2e-6


def initial_weights(parts: Sequence[Group], hidden: int, spread: Floats, rng: np.random.Generator) -> dict[str, Floats]:
    """Random weights, but scales as `spread` (channels,) says, whatever is seen; `parts` are all groups, in order."""

    def normal(*shape: int, deviation: float) -> Floats:
        return (rng.standard_normal(shape) * deviation).astype(np.float32)

    made: dict[str, Floats] = {}
    seen = 0
    for number, group in enumerate(parts):
        n, own = group.size, group.features
        made[f"context/features_{number}"] = normal(2 * n, own, deviation=(2 * n) ** -0.5)
        made[f"context/features_bias_{number}"] = np.zeros(own, np.float32)
        if seen:
            made[f"context/before_{number}"] = normal(3, 3, seen, hidden, deviation=(9 * seen) ** -0.5)
        made[f"context/out_{number}"] = normal(hidden, 2 * n, deviation=0.1 * hidden**-0.5)
        levels = np.log2(spread[group.channels])
        for phase in range(len(PHASES)):
            if phase:
                made[f"context/own_{number}_{phase}"] = normal(3, 3, own, hidden, deviation=(4 * own) ** -0.5)
            made[f"context/bias_{number}_{phase}"] = np.zeros(hidden, np.float32)
            made[f"context/out_bias_{number}_{phase}"] = np.concatenate([np.zeros(n), levels]).astype(np.float32)
        seen += own
    return made


def statistics(
    tf: Any, weights: Mapping[str, Any], parts: Sequence[Group], latents: Any, *, rounded: bool
) -> tuple[Any, Any]:
    """Latents (n, h, w, channels), h and w even, as the decoder knows them -> means and levels of the same shape.

    Each number depends on those alone that are decoded before it.  rounded: all numbers between, as 8 bits hold them.
    """
    features: list[Any] = []
    means, levels = [], []
    for number, group in enumerate(parts):
        mine = _features(tf, weights, number, latents[..., group.channels], rounded)
        before = tf.concat(features, -1) if features else None
        outputs = [_output(tf, weights, number, phase, before, mine, rounded) for phase in range(len(PHASES))]
        whole = _interleaved(tf, outputs)
        means.append(whole[..., : group.size])
        levels.append(whole[..., group.size :])
        features.append(mine)
    return tf.concat(means, -1), tf.concat(levels, -1)


def _features(tf: Any, weights: Mapping[str, Any], number: int, latents: Any, rounded: bool) -> Any:
    magnitudes = kept(tf, tf.math.log1p(tf.abs(latents)) / np.log(2), MAGNITUDE_UNIT, rounded=rounded)
    sums = tf.tensordot(tf.concat([magnitudes, latents * VALUE_UNIT], -1), weights[f"context/features_{number}"], 1)
    return kept(tf, tf.nn.gelu(sums + weights[f"context/features_bias_{number}"]), FEATURE_UNIT, rounded=rounded)


def _output(tf: Any, weights: Mapping[str, Any], number: int, phase: int, before: Any, mine: Any, rounded: bool) -> Any:
    """(n, h / 2, w / 2, 2 * size): means, then levels, at the positions of this phase."""
    sums = weights[f"context/bias_{number}_{phase}"]
    if before is not None:
        sums = sums + _around(tf, before, weights[f"context/before_{number}"], phase)
    if phase:
        known = known_neighbours(phase)[:, :, None, None]
        sums = sums + _around(tf, mine, weights[f"context/own_{number}_{phase}"] * known, phase)
    if len(sums.shape) == 1:  # the first pass of all sees nothing
        n, height, width = mine.shape[:3]
        sums = tf.broadcast_to(sums, (n, height // 2, width // 2, sums.shape[0]))
    hidden = kept(tf, tf.nn.gelu(sums), FEATURE_UNIT, rounded=rounded)
    return tf.tensordot(hidden, weights[f"context/out_{number}"], 1) + weights[f"context/out_bias_{number}_{phase}"]


def _around(tf: Any, values: Any, kernel: Any, phase: int) -> Any:
    """A convolution at the positions of a phase alone."""
    row, column = PHASES[phase]
    padded = tf.pad(values, [[0, 0], [1 - row, 1], [1 - column, 1], [0, 0]])
    return tf.nn.conv2d(padded, kernel, 2, "VALID")


def _interleaved(tf: Any, outputs: Sequence[Any]) -> Any:
    """(n, h / 2, w / 2, c) of each phase -> (n, h, w, c)."""
    at = dict(zip(PHASES, outputs, strict=True))
    rows = [tf.stack([at[row, 0], at[row, 1]], 3) for row in (0, 1)]
    n, height, width, _, channels = rows[0].shape
    return tf.reshape(tf.stack(rows, 2), (n, 2 * height, 2 * width, channels))


def bits(tf: Any, latents: Any, means: Any, levels: Any) -> Any:
    """What each latent is taken to cost: logistic distributions, in intervals of width 1 around it."""
    per_scale = tf.exp(-np.log(2) * tf.clip_by_value(levels, LEAST_LEVEL, MOST_LEVEL))
    away = tf.abs(latents - means)  # the same on either side: take the tail that floats resolve
    inside = tf.sigmoid((0.5 - away) * per_scale) - tf.sigmoid((-0.5 - away) * per_scale)
    return -tf.math.log(inside * (1 - _OUTLIERS) + _LEAST_PROBABILITY) / np.log(2)
