"""The table of recipes says what the model card and the published note say."""

from __future__ import annotations

import pytest

from aeformat.errors import UsageError
from aeformat.training.shipped import DENSE_RECIPES as RECIPES
from aeformat.training.shipped import recipe_named


@pytest.mark.parametrize("dims", [64, 50, 36, 22])
def test_the_notes_networks_have_the_notes_shape(dims):
    """784-128-d-128-784, sigmoid everywhere."""
    recipe = RECIPES[f"mnist-128-{dims}-128"]
    assert recipe.profile == "float32"
    assert [layer.units for layer in recipe.layers] == [128, dims, 128, 784]
    assert {layer.activation for layer in recipe.layers} == {"sigmoid"}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_recipe_fits_itself(recipe):
    """Filed under its name, ends in as many pixels as it begins with, and rounds in training if it is exact."""
    assert RECIPES[recipe.name] is recipe
    assert recipe.layers[-1].units == recipe.n_inputs
    assert recipe.layers[-1].activation == "sigmoid"
    assert recipe.phases[-1].rounded == (recipe.profile == "exact")
    assert 1 <= recipe.weight_levels <= 127


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
@pytest.mark.parametrize("epochs", [1, 2, 7, 1000])
def test_a_stretched_schedule_has_the_asked_length(recipe, epochs):
    """Every epoch falls into exactly one phase, in order."""
    stretched = recipe.with_epochs(epochs)
    seen = [stretched.phase_at(epoch) for epoch in range(epochs)]

    assert stretched.epochs == epochs
    assert [number for phase in stretched.phases for number in range(phase.epochs)] == [number for _, number in seen]


def test_the_whole_length_is_the_recipe_itself():
    for recipe in RECIPES.values():
        assert recipe.with_epochs(recipe.epochs) == recipe


def test_only_the_seed_changes_with_the_seed():
    recipe = RECIPES["mnist-exact"]
    assert recipe.with_seed(9) != recipe
    assert recipe.with_seed(9).with_seed(recipe.seed) == recipe


def test_bad_requests_are_refused():
    with pytest.raises(UsageError, match="mnist-exact"):
        recipe_named("mnist-inexact")
    with pytest.raises(UsageError, match="0 epochs"):
        RECIPES["mnist-exact"].with_epochs(0)
