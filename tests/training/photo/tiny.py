"""A photograph model with random weights, and a drawn picture for it: no training, no TensorFlow."""

from dataclasses import replace

import numpy as np

from aeformat.training.photo import context, export, network
from aeformat.training.photo.recipe import RECIPES

RECIPE = replace(RECIPES["photo-3"], luma=20, chroma=4, step=40, features=3, hidden=5, encoder_hidden=8, context=6)


def picture(height, width):
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[:height, :width]
    grey = 90 + columns - rows / 2 + 60 * ((rows // 12 + columns // 20) % 2)
    pixels = grey[..., None] + rng.normal(0, 6, (height, width, 3)) + [[(20, -10, -20)]]
    return np.clip(pixels, 0, 255).astype(np.uint8)


def tiny_weights():
    rng = np.random.default_rng(1)
    weights = network.initial_weights(RECIPE, rng)
    spread = np.geomspace(20, 0.5, RECIPE.channels).astype(np.float32)
    weights.update(context.initial_weights(RECIPE.groups, RECIPE.context, spread, rng))
    return weights


def tiny_pair(report):
    """Encoder and decoder; its tables are fitted to one picture.  report: what happens, line by line."""
    return export.packages_of(RECIPE, tiny_weights(), [picture(64, 80)], [picture(17, 33), picture(5, 16)], report)
