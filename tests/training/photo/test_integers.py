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


def test_each_kind_of_planes_sees_its_own_channels(weights) -> None:
    """Group by group luma and chroma of 44 and 12: (3, 2), (5, 0), (12, 10), (24, 0)."""
    steps = integers.decoder_graph(RECIPE, weights, 1, 1).steps
    taken = [(step.params["start"], step.params["stop"]) for step in steps if step.kind == "slice"]
    assert taken == [(0, 3), (5, 22), (32, 56), (3, 5), (22, 24), (24, 32), (0, 32)]
    shapes = [step.arrays["weights"].shape for step in steps if step.kind == "conv2d_transpose"]
    of_planes = [(16, 16, 4, 20), (16, 16, 4, 24), (16, 16, 2, 4), (16, 16, 2, 8), (16, 16, 3, 32)]
    assert shapes == [*of_planes, (6, 6, 3, 14)]


def test_a_latent_changes_the_pixels_that_its_function_reaches(weights) -> None:
    """In a photograph of one colour, but for what the small layers see around it."""
    graph = integers.decoder_graph(RECIPE, weights, 5, 5)
    latents = np.zeros((1, 5, 5, RECIPE.channels), np.int8)
    grey = evaluate(graph.steps, latents)[0].astype(int)
    latents[0, 2, 2, 33] = 3
    changed = np.abs(evaluate(graph.steps, latents)[0] - grey).max(axis=2) > 0
    assert changed[24:56, 24:56].mean() > 0.5
    assert not changed[:18].any()
    assert not changed[:, 62:].any()
