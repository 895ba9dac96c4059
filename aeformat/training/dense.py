"""An autoencoder of dense layers as arithmetic: initial weights, the forward pass, rounding as the exact profile will do it.

Owns the float network of dense recipes, in TensorFlow.  Knows nothing of schedules or files.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from aeformat.training.recipe import DenseRecipe
from aeformat.training.stack import Activation, Floats

RANGES: Final[dict[Activation, tuple[float, float]]] = {"sigmoid": (0, 1), "gelu": (-0.17, 11.83), "clip": (-8, 8)}
"""Least and greatest value of an activation.  The exact profile spreads its 256 levels over this range."""

LEAST_PEAK: Final = 1 / 16
"""Channels whose weights are all smaller are rounded as if one were this large, so that biases stay in range."""


def initial_parameters(recipe: DenseRecipe, rng: np.random.Generator) -> list[Floats]:
    """Glorot-uniform weights, `gain` times as wide, and zero biases: weights, bias, weights, bias, ..."""
    parameters: list[Floats] = []
    n_in = recipe.n_inputs
    for layer in recipe.layers:
        limit = layer.gain * np.sqrt(6 / (n_in + layer.units))
        parameters.append(rng.uniform(-limit, limit, (n_in, layer.units)).astype(np.float32))
        parameters.append(np.zeros(layer.units, np.float32))
        n_in = layer.units
    return parameters


def forward(tf: Any, recipe: DenseRecipe, parameters: list[Any], pixels: Any, *, rounded: bool) -> tuple[Any, Any]:
    """Pixels (n, n_inputs) in 0..1 -> the last layer before and after its activation, both (n, n_inputs)."""
    before = after = pixels
    for i, layer in enumerate(recipe.layers):
        weights, bias = parameters[2 * i], parameters[2 * i + 1]
        if rounded:
            weights = _round_weights(tf, weights, recipe.weight_levels)
        before = tf.matmul(after, weights) + bias
        after = _activate(tf, layer.activation, before)
        if rounded:
            after = _round_levels(tf, after, *RANGES[layer.activation])
    return before, after


def _activate(tf: Any, activation: Activation, values: Any) -> Any:
    """The activation, kept within its range.  A tenth of the gradient comes through from beyond: units find back."""
    if activation == "sigmoid":
        return tf.sigmoid(values)
    if activation == "gelu":
        values = tf.nn.gelu(values)
    within = tf.clip_by_value(values, *RANGES[activation])
    beyond = 0.1 * (values - within)
    return within + beyond - tf.stop_gradient(beyond)


def _round_weights(tf: Any, weights: Any, levels: int) -> Any:
    """Round to `levels` steps either side of zero in each output channel; gradients pass straight through."""
    step = tf.maximum(tf.reduce_max(tf.abs(weights), axis=0, keepdims=True), LEAST_PEAK) / levels
    return weights + tf.stop_gradient(tf.round(weights / step) * step - weights)


def _round_levels(tf: Any, values: Any, low: float, high: float) -> Any:
    """Round values in low..high to 256 levels; gradients pass straight through."""
    step = (high - low) / 255
    return values + tf.stop_gradient(tf.round((values - low) / step) * step + low - values)
