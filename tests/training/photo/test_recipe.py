"""The recipes of the photograph models form a chain, each with what its base has."""

import pytest

from aeformat.errors import UsageError
from aeformat.training.photo.recipe import RECIPES, recipe_named


@pytest.mark.parametrize("name", [f"photo-{number}" for number in range(1, 6)])
def test_a_recipe_starts_from_one_that_starts_from_the_middle(name) -> None:
    recipe, seen = recipe_named(name), set()
    while recipe.base is not None:
        base = recipe_named(recipe.base)
        assert recipe.base_step == base.step
        assert recipe.luma >= base.luma
        assert (recipe.price > base.price) == (recipe.step < base.step)
        assert recipe.name not in seen
        seen.add(recipe.name)
        recipe = base
    assert recipe.name == "photo-3"


def test_the_price_of_an_error_rises_with_the_number() -> None:
    assert list(RECIPES) == [f"photo-{number}" for number in range(1, 6)]
    prices = [recipe.price for recipe in RECIPES.values()]
    assert prices == sorted(prices)


def test_phases_and_epochs() -> None:
    recipe = recipe_named("photo-3")
    assert recipe.phase_at(0) == (0, 0)
    assert recipe.phase_at(recipe.epochs - 1) == (len(recipe.phases) - 1, recipe.phases[-1].epochs - 1)
    assert recipe.phases[-1].rounded
    assert recipe.with_epochs(26).epochs == 26
    assert recipe.with_seed(9).seed == 9
    assert recipe.until(3).phases == recipe.phases[:2]


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(UsageError, match="photo-1, photo-2, photo-3"):
        recipe_named("photo-9")
