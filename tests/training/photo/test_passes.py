"""The context model in integers says what the rounded one of training says, for all sizes of latents."""

import numpy as np
import pytest

from aeformat.backends.runtime import load_tensorflow
from aeformat.model.package import Step
from aeformat.model.reference import value_of
from aeformat.model.values import Value
from aeformat.training.photo import context, rounding
from aeformat.training.photo.order import PHASES, groups
from aeformat.training.photo.passes import INPUTS, N_TABLES, passes_of

pytestmark = pytest.mark.usefixtures("tensorflow")

GROUPS = groups(20, 12)
SPREAD = np.geomspace(9, 0.2, 32).astype(np.float32)


@pytest.fixture(scope="module")
def weights():
    """Of the context model, and what else the rounded view wants."""
    rng = np.random.default_rng(3)
    made = context.initial_weights(GROUPS, 6, SPREAD, rng)
    return {name: array + 0.1 * rng.standard_normal(array.shape).astype(np.float32) for name, array in made.items()}


def known(latents, group, n_phases):
    made = np.zeros_like(latents[..., group.channels])
    for row, column in PHASES[:n_phases]:
        made[:, row::2, column::2] = latents[:, row::2, column::2, group.channels]
    return made


def all_values(passes, latents):
    values = [known(latents, group, k).astype(np.float64) for group in GROUPS for k in range(INPUTS)]
    for layer in passes.layers:
        step = Step(layer.kind, layer.inputs, layer.params, layer.arrays, (), Value((), "acc"), None, None)
        values.append(value_of(step, [values[i] for i in layer.inputs]))
    return values


@pytest.mark.parametrize(("height", "width"), [(6, 4), (5, 3), (2, 7)])
def test_means_and_tables_are_those_of_training(weights, height, width) -> None:
    tf = load_tensorflow()
    rng = np.random.default_rng(5)
    latents = np.rint(rng.laplace(size=(1, height, width, 32)) * SPREAD)
    even = np.pad(latents, ((0, 0), (0, height % 2), (0, width % 2), (0, 0))).astype(np.float32)
    rounded = {name: tf.constant(array) for name, array in weights.items()}
    for number in range(len(GROUPS)):
        rounding.round_context(tf, rounded, number)
    means, levels = (one.numpy() for one in context.statistics(tf, rounded, GROUPS, even, rounded=True))
    picks = np.clip(np.rint((levels - context.LEAST_LEVEL) * 4), 0, N_TABLES - 1)
    passes = passes_of(GROUPS, weights)
    values = all_values(passes, latents)
    n_different = n_all = 0
    for at, (mean, pick) in enumerate(passes.outputs):
        group, (row, column) = GROUPS[at // len(PHASES)], PHASES[at % len(PHASES)]
        for found, wanted in ((mean, np.rint(means)), (pick, picks)):
            expected = wanted[:, row:height:2, column:width:2, group.channels]
            assert values[found].shape == expected.shape
            difference = np.abs(values[found] - expected)
            assert difference.max(initial=0) <= 1
            n_different += int((difference > 0).sum())
            n_all += difference.size
    assert n_all == 2 * 32 * height * width
    assert n_different <= 0.05 * n_all


def test_a_pass_depends_on_nothing_that_is_decoded_later(weights) -> None:
    passes = passes_of(GROUPS, weights)
    n_inputs = INPUTS * len(GROUPS)
    needed = [{number} for number in range(n_inputs)]
    for layer in passes.layers:
        needed.append(set().union(*(needed[i] for i in layer.inputs)))
    for at, pair in enumerate(passes.outputs):
        number, phase = divmod(at, len(PHASES))
        for value in needed[pair[0]] | needed[pair[1]]:
            group, n_known = divmod(value, INPUTS)
            assert group < number or (group == number and n_known <= phase)


def test_it_is_small_enough_for_a_manifest(weights) -> None:
    whole = groups(256, 80)
    made = context.initial_weights(whole, 32, np.ones(336, np.float32), np.random.default_rng(1))
    assert len(passes_of(whole, made).layers) <= 1024
