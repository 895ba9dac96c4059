"""The networks before training: the lapped transform and its inverse, with nothing on top yet."""

from dataclasses import replace

import numpy as np
import pytest

from aeformat.backends.runtime import load_tensorflow
from aeformat.training.photo import context
from aeformat.training.photo.network import Networks, initial_weights
from aeformat.training.photo.recipe import RECIPES, PhotoPhase
from aeformat.training.photo.rounding import rounded_weights

pytestmark = pytest.mark.usefixtures("tensorflow")

RECIPE = replace(RECIPES["photo-3"], luma=256, chroma=8, step=8, phases=(PhotoPhase(1),), base=None)


@pytest.fixture(scope="module")
def weights():
    made = initial_weights(RECIPE, np.random.default_rng(1))
    return {**made, "dead_zone": np.zeros_like(made["dead_zone"])}


def test_a_grey_image_comes_back_up_to_its_borders(weights) -> None:
    rng = np.random.default_rng(2)
    grey = np.repeat(rng.uniform(-0.8, 0.8, (1, 48, 32, 1)), 3, axis=3).astype(np.float32)
    networks = Networks(load_tensorflow(), RECIPE, weights, fast=False, rounded=False)
    latents = networks.latents(grey)
    assert latents.shape == (1, 3, 2, 264)
    assert np.abs(networks.pixels(latents).numpy() - grey).max() < 1e-3


def test_flat_colours_come_back(weights) -> None:
    flat = np.broadcast_to(np.float32([0.4, -0.2, 0.1]), (1, 64, 64, 3))
    networks = Networks(load_tensorflow(), RECIPE, weights, fast=False, rounded=False)
    made = networks.pixels(networks.latents(flat)).numpy()
    assert np.abs(made - flat)[:, 16:-16, 16:-16].max() < 0.02


def test_rounding_and_fast_products_change_little(weights) -> None:
    tf = load_tensorflow()
    grey = np.random.default_rng(2).uniform(-0.8, 0.8, (1, 32, 32, 3)).astype(np.float32)
    exact = Networks(tf, RECIPE, weights, fast=False, rounded=False)
    latents = exact.latents(grey)
    tensors = {name: tf.constant(array) for name, array in weights.items()}
    tensors.update(context.initial_weights(RECIPE.groups, 4, np.ones(264, np.float32), np.random.default_rng(1)))
    rounded = Networks(tf, RECIPE, rounded_weights(tf, tensors, RECIPE.groups), fast=True, rounded=True)
    difference = rounded.pixels(latents).numpy() - exact.pixels(latents).numpy()
    assert 0 < np.sqrt(np.square(difference).mean()) < 0.05
