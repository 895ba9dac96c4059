"""The note's recipe is carried out as stated, a run can stop anywhere, and the table says what was measured."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from aeformat.errors import UsageError
from tools.train.note import __main__ as command
from tools.train.note.published import FIGURES, ITERATIONS, LATENT_DIMS, NoteRecipe
from tools.train.note.report import as_data, draw_curves, rows
from tools.train.note.training import EPOCHS_BETWEEN_CHECKPOINTS, NoteRun, initial_arrays, train

TINY = NoteRecipe(3, n_inputs=36, hidden=8, epochs=EPOCHS_BETWEEN_CHECKPOINTS + 2, batch=40)


class Stopped(Exception):
    """Somebody pressed Ctrl-C."""


def stop_at(epoch):
    def told(run):
        if run.epoch == epoch:
            raise Stopped

    return told


def test_the_recipe_is_the_notes():
    """784-128-D-128-784 for four D, RMSprop(0.01, rho 0.9, eps 1e-10), batch 256, 200 epochs."""
    assert LATENT_DIMS == (64, 50, 36, 22)
    assert NoteRecipe(64).widths == (784, 128, 64, 128, 784)
    recipe = NoteRecipe(64)
    assert (recipe.learning_rate, recipe.rho, recipe.epsilon) == (0.01, 0.9, 1e-10)
    assert (recipe.batch, recipe.epochs, max(ITERATIONS)) == (256, 200, 200)


def test_the_start_is_normal():
    """Weights and biases from N(0, 1), mean squares of 1: TensorFlow 1's RMSPropOptimizer begins there."""
    arrays = initial_arrays(NoteRecipe(64), np.random.default_rng(1))
    parameters, squares = arrays[:8], arrays[8:]
    numbers = np.concatenate([array.ravel() for array in parameters])
    assert len(numbers) == 218_192
    assert abs(numbers.mean()) < 0.01
    assert numbers.std() == pytest.approx(1, abs=0.01)
    assert all((array == 1).all() for array in squares)


@pytest.mark.usefixtures("tensorflow")
def test_a_step_is_rmsprop(images, tmp_path):
    """One epoch of one batch, against the same step in float64: gradient by hand, a great epsilon inside the root."""
    recipe = replace(TINY, epochs=1, batch=len(images), learning_rate=1.0, epsilon=3.0)
    run = train(recipe, images, images, tmp_path)
    arrays = [array.astype(np.float64) for array in initial_arrays(recipe, np.random.default_rng(recipe.seed))]
    parameters, pixels = arrays[:8], images.reshape(len(images), -1) / 255

    values = [pixels]
    for weights, bias in zip(parameters[::2], parameters[1::2], strict=True):
        values.append(1 / (1 + np.exp(-(values[-1] @ weights + bias))))
    assert run.running == pytest.approx([((values[-1] - pixels) ** 2).mean()], rel=1e-4)
    back = 2 * (values[-1] - pixels) / pixels.size
    gradients = []
    for layer in (3, 2, 1, 0):
        back = back * values[layer + 1] * (1 - values[layer + 1])
        gradients = [values[layer].T @ back, back.sum(axis=0), *gradients]
        back = back @ parameters[2 * layer].T
    with np.load(tmp_path / f"{recipe.name}.npz") as stored:
        for i, (before, gradient) in enumerate(zip(parameters, gradients, strict=True)):
            square = 0.9 + 0.1 * gradient**2
            assert stored[f"array_{i}"] == pytest.approx(before - gradient / np.sqrt(square + 3), abs=1e-6)
            assert stored[f"array_{8 + i}"] == pytest.approx(square, abs=1e-6)


@pytest.mark.usefixtures("tensorflow")
def test_a_stopped_run_goes_on_as_if_it_had_not(images, tmp_path):
    """The same figures to the last bit, twice and after a stop behind a checkpoint."""
    whole = train(TINY, images, images[:90], tmp_path / "a")
    with pytest.raises(Stopped):
        train(TINY, images, images[:90], tmp_path / "b", told=stop_at(EPOCHS_BETWEEN_CHECKPOINTS + 1))
    resumed = train(TINY, images, images[:90], tmp_path / "b", resume=True)

    assert (resumed.running, resumed.test, resumed.train) == (whole.running, whole.test, whole.train)
    assert whole.epoch == TINY.epochs
    assert list(whole.train) == [1]
    assert train(TINY, images, images[:90], tmp_path / "b", resume=True).test == whole.test
    assert train(TINY, images, images[:90], tmp_path / "c").test == whole.test


@pytest.mark.usefixtures("tensorflow")
def test_another_recipes_checkpoint_is_refused(images, tmp_path):
    train(replace(TINY, epochs=1), images, images, tmp_path)
    with pytest.raises(UsageError, match="another recipe"):
        train(TINY, images, images, tmp_path, resume=True)


@pytest.mark.usefixtures("tensorflow")
def test_images_that_do_not_fit_are_refused(images, tmp_path):
    with pytest.raises(UsageError, match="36 pixels"):
        train(TINY, images[:, :5], images, tmp_path)


@pytest.fixture
def data():
    """A made-up result for the four networks: everything the report needs."""
    runs = []
    for dims in LATENT_DIMS:
        test = [0.07 / (1 + epoch / 50) for epoch in range(200)]
        train_after = {1: 0.2, 50: 0.04, 100: 0.03, 200: 0.0204}
        runs.append(NoteRun(NoteRecipe(dims), [mse * 1.02 for mse in test], test, train_after, 100.4))
    return as_data(runs, {"tensorflow": "0"})


def test_the_table_has_what_was_measured_beside_what_the_note_says(data):
    """Four lines a network; a dash where the note's cell is not known, and nowhere else."""
    heading, *lines = rows(data)
    assert heading == ["network", "", "train, 1", "train, 50", "train, 100", "train, 200", "test"]
    assert lines[0] == ["784-128-64-128-784", "the note, “RMSE”", "-", "0.040", "0.028", "0.019", "0.011"]
    assert lines[1] == ["", "MSE", "0.2000", "0.0400", "0.0300", "0.0204", "0.0141"]
    assert lines[2] == ["", "RMSE", "0.447", "0.200", "0.173", "0.143", "0.119"]
    assert lines[3] == ["", "PSNR, dB", "6.99", "13.98", "15.23", "16.90", "18.52"]
    assert [line[2:] for line in lines[4::4]] == [["-"] * 4 + [f"{FIGURES[dims].test:.3f}"] for dims in (50, 36, 22)]


def test_the_data_file_is_all_that_the_report_needs(data, tmp_path):
    """It survives JSON; from it come the picture, the table in the card and the one on the screen."""
    folder = tmp_path / "note"
    folder.mkdir()
    (folder / command.DATA_FILE).write_text(json.dumps(data), encoding="utf-8")
    (tmp_path / "README.md").write_text(
        "before\n<!-- begin note -->\nold\n<!-- end note -->\nafter\n", encoding="utf-8"
    )
    command.publish(folder)

    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert card.startswith("before\n<!-- begin note -->\n| network |   | train, 1 |")
    assert card.endswith("<!-- end note -->\nafter\n")
    assert "old" not in card
    assert (folder / command.CURVES_FILE).read_bytes().startswith(b"\x89PNG")


def test_the_picture_is_drawn_from_a_short_run_too(data, tmp_path):
    for network in data["networks"]:
        for key in ("running_train_by_epoch", "test_by_epoch"):
            network[key] = network[key][:3]
    draw_curves(data, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 10_000
