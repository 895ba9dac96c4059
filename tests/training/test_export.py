"""What an exported pair promises: packages that pass every check and compute what the trained network does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aeformat.backends.golden_check import check
from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.errors import UsageError
from aeformat.model import store
from aeformat.model.file_io import read_package
from aeformat.pipeline.evaluate import Fidelity
from aeformat.training.dense import initial_parameters
from aeformat.training.export import N_GOLDEN_ROWS, _float_values, check_targets, export_pair
from aeformat.training.quantise import quantise_pair
from aeformat.training.recipe import DenseRecipe
from aeformat.training.stack import Dense, Parameters
from aeformat.training.trained import TrainedPair


def untrained(recipe: DenseRecipe) -> TrainedPair:
    """The recipe's initial weights, with biases that are not zero: as good as trained ones for these tests."""
    arrays = initial_parameters(recipe, np.random.default_rng(recipe.seed))
    layers = [
        Parameters(arrays[2 * i], np.linspace(-1, 1, layer.units, dtype=np.float32))
        for i, layer in enumerate(recipe.layers)
    ]
    n_encoder = len(recipe.encoder)
    return TrainedPair(recipe, layers[:n_encoder], layers[n_encoder:], Fidelity(1, 1.0), 0.0, "none")


def export(pair: TrainedPair, images, folder, *, force=False):
    """The paths of the encoder's and the decoder's package."""
    return export_pair(pair, images, images, folder, force=force, report=lambda what: None)


@pytest.fixture
def exact(recipe):
    return untrained(recipe)


@pytest.fixture
def float32(recipe):
    layers = [Dense(layer.units, "sigmoid") for layer in recipe.layers]
    return untrained(
        replace(recipe, name="tiny-float", profile="float32", encoder=tuple(layers[:2]), decoder=tuple(layers[2:]))
    )


@pytest.mark.parametrize("kind", ["exact", "float32"])
def test_the_packages_pass_their_own_golden_set(kind, request, images, tmp_path):
    """Both halves read back from disk, prove themselves, and the encoder names the decoder beside it."""
    pair = request.getfixturevalue(kind)
    encoder, decoder = (read_package(path) for path in export(pair, images, tmp_path))
    for package in (encoder, decoder):
        check(package)

    assert encoder.manifest.decoder == decoder.model_id
    assert (encoder.role, decoder.role) == ("encoder", "decoder")
    assert {encoder.profile, decoder.profile} == {kind}
    assert len(encoder.golden_input) == N_GOLDEN_ROWS
    assert {encoder.name, decoder.name} == {pair.recipe.name}


def test_the_exact_packages_compute_what_the_reference_computes(exact, images, tmp_path, evaluate):
    """Every latent and every pixel, on images outside the golden set too."""
    encoder, decoder = (NumpyBackend().load(read_package(path)) for path in export(exact, images, tmp_path))
    halves = quantise_pair(exact.recipe, exact.encoder, exact.decoder)
    latents = evaluate(halves[0], images.reshape(len(images), -1))

    assert np.array_equal(encoder.run(images), latents)
    assert np.array_equal(decoder.run(latents), evaluate(halves[1], latents).reshape(images.shape))


def test_exporting_twice_gives_the_same_files(exact, images, tmp_path):
    first = [path.read_bytes() for path in export(exact, images, tmp_path)]
    second = [path.read_bytes() for path in export(exact, images, tmp_path, force=True)]
    assert first == second


def test_existing_packages_are_not_replaced_without_force(exact, images, tmp_path):
    """Neither before training nor after it."""
    check_targets(exact.recipe, tmp_path, force=False)
    export(exact, images, tmp_path)
    for refused in (
        lambda: check_targets(exact.recipe, tmp_path, force=False),
        lambda: export(exact, images, tmp_path),
    ):
        with pytest.raises(UsageError, match="exists"):
            refused()
    check_targets(exact.recipe, tmp_path, force=True)


def test_a_float_pair_has_sigmoids_only(exact, images, tmp_path):
    """The other activations of training keep within a range, which no float layer of the registry does."""
    pair = replace(exact, recipe=replace(exact.recipe, profile="float32"))
    with pytest.raises(UsageError, match="gelu"):
        export(pair, images, tmp_path)


@pytest.mark.parametrize(
    "name", [name for name in store.one_size_names() if store.find_pair(name)[0].profile == "float32"]
)
def test_a_float32_recipe_gives_the_golden_sets_of_its_shipped_package(name):
    """To the bit: the model id, which latents files name, depends on them."""
    for package in store.find_pair(name):
        assert np.array_equal(_float_values(package, package.golden_input), package.golden_output)
