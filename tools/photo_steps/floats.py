"""The network in floats, from a checkpoint of its training: what the integers and the decoder's inner layers are worth.

Owns the only use of TensorFlow here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from aeformat.backends.runtime import load_tensorflow
from aeformat.training.checkpoint import read_record
from aeformat.training.photo import context, network
from aeformat.training.photo.crops import whole_blocks
from aeformat.training.photo.lapped import BANDS
from aeformat.training.photo.recipe import PhotoRecipe
from aeformat.training.photo.rounding import UNIT
from tools.rate_distortion.photos.photographs import Pixels

_GREY = 128.0


class FloatNetwork:
    """Encoder, decoder and context model of a recipe, with the weights of a checkpoint."""

    def __init__(self, recipe: PhotoRecipe, checkpoint: Path) -> None:
        _, arrays = read_record(checkpoint)
        self._tf, self._recipe = load_tensorflow(), recipe
        self._weights = {key.split(":", 1)[1]: array for key, array in arrays.items() if key.startswith("weights:")}
        n_planes = self._weights["decoder_0"].shape[2]
        linear = self._weights["decoder_2"].copy()
        linear[:, :, n_planes:] = 0
        self._linear = {**self._weights, "decoder_2": linear}

    def measure(self, pixels: Pixels) -> tuple[float, float, float]:
        """Bits by the context model, the squared error of the pixels, and that of the pixels without the two inner layers."""
        tf, parts = self._tf, self._recipe.groups
        padded = tf.constant(whole_blocks(pixels, 2 * BANDS)[None], tf.float32)
        latents = tf.round(self._networks(self._weights).latents((padded - _GREY) / UNIT))
        means, levels = context.statistics(tf, self._weights, parts, latents, rounded=False)
        bits = float(tf.reduce_sum(context.bits(tf, latents, means, levels)))
        error, linear_error = (self._error(pixels, latents, weights) for weights in (self._weights, self._linear))
        return bits, error, linear_error

    def _networks(self, weights: dict[str, Any]) -> network.Networks:
        return network.Networks(self._tf, self._recipe, weights, fast=False, rounded=False)

    def _error(self, pixels: Pixels, latents: Any, weights: dict[str, Any]) -> float:
        height, width = pixels.shape[:2]
        made = np.rint(self._networks(weights).pixels(latents).numpy()[0, :height, :width] * UNIT) + _GREY
        return float(np.square(np.clip(made, 0, 255) - pixels).mean())
