"""The context model: nothing depends on what is decoded later, and probabilities sum to 1."""

import numpy as np
import pytest

from aeformat.backends.runtime import load_tensorflow
from aeformat.training.photo import context
from aeformat.training.photo.order import PHASES, groups

pytestmark = pytest.mark.usefixtures("tensorflow")

GROUPS = groups(8, 12)
HEIGHT, WIDTH = 6, 4


@pytest.fixture(scope="module")
def weights():
    rng = np.random.default_rng(3)
    made = context.initial_weights(GROUPS, 5, np.full(20, 0.7, np.float32), rng)
    return {name: array + 0.3 * rng.standard_normal(array.shape).astype(np.float32) for name, array in made.items()}


def statistics(weights, latents):
    found = context.statistics(load_tensorflow(), weights, GROUPS, latents, rounded=False)
    return np.stack([one.numpy()[0] for one in found])


def rank(row, column, channel):
    """When a latent is decoded."""
    group = next(number for number, group in enumerate(GROUPS) if channel < group.first + group.size)
    return group, PHASES.index((row % 2, column % 2))


def test_a_latent_changes_only_what_is_decoded_after_it(weights) -> None:
    rng = np.random.default_rng(4)
    latents = rng.integers(-3, 4, (1, HEIGHT, WIDTH, 20)).astype(np.float32)
    before = statistics(weights, latents)
    places = list(np.ndindex(HEIGHT, WIDTH, 20))
    n_seen = 0
    for row, column, channel in places[:: len(places) // 40]:
        moved = latents.copy()
        moved[0, row, column, channel] += 5
        changed = (statistics(weights, moved) != before).any(axis=0)
        for place in map(tuple, np.argwhere(changed)):
            assert rank(*place) > rank(row, column, channel)
        n_seen += int(changed.any())
    assert n_seen > 20


def test_before_anything_is_seen_scales_are_those_given() -> None:
    spread = np.geomspace(4, 0.1, 20).astype(np.float32)
    made = context.initial_weights(GROUPS, 5, spread, np.random.default_rng(1))
    made = {name: np.zeros_like(array) if "out_bias" not in name else array for name, array in made.items()}
    means, levels = statistics(made, np.ones((1, 4, 4, 20), np.float32))
    assert np.allclose(means, 0)
    assert np.allclose(2**levels, spread, rtol=1e-5)


@pytest.mark.parametrize("level", [-4.5, -1.0, 2.0])
@pytest.mark.parametrize("mean", [0.0, -2.3])
def test_the_probabilities_of_all_integers_sum_to_one(level, mean) -> None:
    latents = np.arange(-127, 128, dtype=np.float32)
    bits = context.bits(load_tensorflow(), latents, np.float32(mean), np.float32(level)).numpy()
    assert np.exp2(-bits).sum() == pytest.approx(1, abs=1e-3)
