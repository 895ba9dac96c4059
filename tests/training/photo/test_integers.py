"""The decoder in integers computes what the rounded networks of training compute."""

from dataclasses import replace

import numpy as np
import pytest

from aeformat.backends.runtime import load_tensorflow
from aeformat.model.reference import evaluate
from aeformat.training.photo import context, integers, network, rounding
from aeformat.training.photo.recipe import RECIPES

pytestmark = pytest.mark.usefixtures("tensorflow")

RECIPE = replace(RECIPES["photo-3"], luma=44, chroma=12, features=3, hidden=5, context=4)


@pytest.fixture(scope="module")
def weights():
    rng = np.random.default_rng(1)
    made = network.initial_weights(RECIPE, rng)
    made.update(context.initial_weights(RECIPE.groups, RECIPE.context, np.ones(RECIPE.channels, np.float32), rng))
    for name, array in made.items():
        if name.startswith("decoder"):
            array += 0.05 * rng.standard_normal(array.shape).astype(np.float32)
    return made


def test_pixels_are_those_of_training(weights) -> None:
    tf = load_tensorflow()
    rng = np.random.default_rng(2)
    spread = np.geomspace(12, 0.3, RECIPE.channels)
    latents = np.rint(rng.normal(size=(2, 3, 4, RECIPE.channels)) * spread).astype(np.int8)
    tensors = {name: tf.constant(array) for name, array in weights.items()}
    rounded = rounding.rounded_weights(tf, tensors, RECIPE.groups)
    networks = network.Networks(tf, RECIPE, rounded, fast=False, rounded=True)
    wanted = np.clip(np.rint(networks.pixels(latents.astype(np.float32)).numpy() * 64) + 128, 0, 255)
    made = evaluate(integers.decoder_graph(RECIPE, weights, 3, 4).steps, latents)
    assert made.shape == (2, 48, 64, 3)
    assert made.dtype == np.uint8
    difference = np.abs(made - wanted)
    assert wanted.std() > 30
    assert difference.max() <= 3  # a plane that two roundings part by one moves a few pixels
    assert (difference > 0).mean() < 0.15


def test_weights_that_nothing_sees_are_zero(weights) -> None:
    first = integers.decoder_graph(RECIPE, weights, 1, 1).steps[0].arrays["weights"]
    assert first.shape == (16, 16, 9, 56)
    luma, chroma = (np.array([step for step in range(56) if (first[:, :, plane, step] != 0).any()]) for plane in (0, 4))
    assert len(luma) == 44
    assert not set(luma) & set(chroma)
