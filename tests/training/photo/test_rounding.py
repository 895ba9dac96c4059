"""The rounded view of weights: integers times one unit for each output channel."""

import numpy as np
import pytest

from aeformat.backends.runtime import load_tensorflow
from aeformat.training.photo import context, network, rounding
from aeformat.training.photo.order import numbers, sources
from aeformat.training.photo.recipe import RECIPES

pytestmark = pytest.mark.usefixtures("tensorflow")

RECIPE = RECIPES["photo-3"]


@pytest.fixture(scope="module")
def both():
    tf, rng = load_tensorflow(), np.random.default_rng(1)
    weights = network.initial_weights(RECIPE, rng)
    weights.update(context.initial_weights(RECIPE.groups, 6, np.ones(RECIPE.channels, np.float32), rng))
    weights = {name: tf.constant(array) for name, array in weights.items()}
    return weights, {
        name: np.asarray(array) for name, array in rounding.rounded_weights(tf, weights, RECIPE.groups).items()
    }


def distance_from_whole(values):
    return np.abs(values - np.rint(values)).max()


@pytest.mark.parametrize("name", ["luma", "chroma", "features"])
def test_synthesis_weights_of_latents_in_steps_are_integers(both, name) -> None:
    weights, rounded = both
    steps = np.exp(weights["steps"].numpy())[numbers(sources(RECIPE.groups)[name])]
    whole = weights[f"synthesis_{name}"].numpy() * steps
    unit = np.abs(whole).max(axis=(0, 1, 3), keepdims=True) / rounding.SYNTHESIS_LEVELS
    grain = rounding.grains(name, len(steps))
    integers = rounded[f"synthesis_{name}"] * steps / unit
    assert distance_from_whole(integers / grain) < 1e-2
    assert (np.abs(integers - whole / unit).max(axis=(0, 1, 2)) <= 0.502 * grain).all()
    assert abs(np.abs(integers).max() - rounding.SYNTHESIS_LEVELS) < 0.1


def test_sums_that_are_added_share_their_unit(both) -> None:
    _, rounded = both
    own = [rounded[f"context/own_3_{phase}"] for phase in (1, 2, 3)]
    before = rounded["context/before_3"]
    largest = np.max([np.abs(kernel).max(axis=(0, 1, 2)) for kernel in (*own, before)], axis=0)
    for kernel in (*own, before):
        assert distance_from_whole(kernel / largest * 31) < 1e-3


def test_taps_that_see_nothing_are_zero(both) -> None:
    _, rounded = both
    assert not rounded["context/own_3_1"][0, 1].any()
    assert rounded["context/own_3_1"][0, 0].any()


def test_rounding_passes_gradients_on() -> None:
    tf = load_tensorflow()
    values = tf.Variable([0.3, 5.2, 900.0])
    with tf.GradientTape() as tape:
        made = rounding.kept(tf, values, 0.5, rounded=True)
    assert made.numpy().tolist() == [0.5, 5.0, 63.5]
    assert tape.gradient(made, values).numpy().tolist() == [1, 1, 0]
