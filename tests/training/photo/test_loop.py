"""Training of photograph models: the seed fixes the result, stopping leaves no trace, a base is gone on from."""

from dataclasses import replace

import numpy as np
import pytest

from aeformat.errors import UsageError
from aeformat.training.photo import loop
from aeformat.training.photo.recipe import PhotoPhase, PhotoRecipe
from aeformat.training.photo.state import PhotoState

pytestmark = pytest.mark.usefixtures("tensorflow")

TINY = PhotoRecipe(
    name="tiny",
    price=0.01,
    step=40,
    luma=8,
    chroma=4,
    phases=(
        PhotoPhase(1, crop=32, batch=2, context_only=True),
        PhotoPhase(2, crop=32, batch=2),
        PhotoPhase(1, 0.5, crop=64, batch=1, rounded=True),
    ),
    features=2,
    hidden=4,
    context=4,
    encoder_hidden=4,
    epoch_steps=3,
)


@pytest.fixture(scope="module")
def photos():
    """Soft waves, 80 x 72."""
    y, x = np.mgrid[0:80, 0:72]
    rng = np.random.default_rng(1)
    waves = [np.sin(y * a + x * b + c) for a, b, c in rng.uniform(-0.3, 0.3, (9, 3))]
    return [(128 + 60 * np.stack(waves[i : i + 3], -1)).astype(np.uint8) for i in (0, 3, 6)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def whole(photos, runs):
    """What one uninterrupted run gives."""
    return loop.train(TINY, photos, photos[:1], runs)


def test_stopped_and_resumed_gives_the_same_to_the_last_bit(whole, photos, tmp_path, monkeypatch) -> None:
    class Killed(Exception):
        pass

    run_epoch = loop._Trainer.run_epoch

    def two_epochs(self, epoch, *rest):
        if epoch == 2:
            raise Killed
        run_epoch(self, epoch, *rest)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(loop._Trainer, "run_epoch", two_epochs)
        loop.train(TINY, photos, photos[:1], tmp_path)
    assert PhotoState.load(tmp_path, TINY).epoch == 2
    again = loop.train(TINY, photos, photos[:1], tmp_path, resume=True)
    assert again.measured == whole.measured
    assert all(np.array_equal(again.weights[name], array) for name, array in whole.weights.items())


def test_the_context_learns_first_and_alone(photos, tmp_path) -> None:
    recipe = TINY.until(1)
    trained = loop.train(recipe, photos, photos[:1], tmp_path).weights
    fresh = loop.start(recipe, tmp_path).weights
    changed = {name for name, array in fresh.items() if not np.array_equal(array, trained[name])}
    assert changed
    assert all(name.startswith("context/") for name in changed)


def test_in_the_whole_run_all_parts_learn(whole, tmp_path) -> None:
    fresh = loop.start(TINY, tmp_path).weights
    for prefix in loop._RATES:
        assert any(not np.array_equal(fresh[name], whole.weights[name]) for name in fresh if name.startswith(prefix))


def test_a_finished_run_trains_no_further(whole, photos, runs) -> None:
    again = loop.train(TINY, photos, photos[:1], runs, resume=True)
    assert all(np.array_equal(again.weights[name], array) for name, array in whole.weights.items())


def test_a_larger_recipe_goes_on_from_its_base_at_its_own_step(whole, runs) -> None:
    larger = replace(TINY, name="larger", luma=9, base="tiny", base_step=40, step=20)
    weights = loop.start(larger, runs).weights
    assert np.allclose(weights["steps"][:12], whole.weights["steps"] + np.log(20 / 40))
    assert np.array_equal(weights["analysis"][..., :12], whole.weights["analysis"])
    assert np.array_equal(weights["encoder_0"][:, :, :13], whole.weights["encoder_0"])
    assert weights["encoder_0"].shape == (1, 1, 14, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"name": "other"}, "no checkpoint"), ({"price": 0.02}, "another recipe"), ({"seed": 2}, "another recipe")],
    ids=["missing", "price", "seed"],
)
def test_a_checkpoint_of_another_run_is_refused(whole, photos, runs, change, message) -> None:
    with pytest.raises(UsageError, match=message):
        loop.train(replace(TINY, **change), photos, photos[:1], runs, resume=True)


def test_a_base_that_was_not_trained_is_named(photos, tmp_path) -> None:
    with pytest.raises(UsageError, match="training starts from missing"):
        loop.train(replace(TINY, base="missing"), photos, photos[:1], tmp_path)
