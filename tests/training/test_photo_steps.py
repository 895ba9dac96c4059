"""What a step is worth is counted in real and ideal bits of the same latents."""

from __future__ import annotations

import json

import numpy as np
import pytest

from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.container.passes import PHASES
from aeformat.errors import UsageError
from aeformat.model.file_io import write_package
from aeformat.training.photo import tables
from tools import card
from tools.photo_steps import __main__ as command
from tools.photo_steps import passes, steps
from tools.photo_steps.static import PositionClasses

from .photo.tiny import picture, tiny_pair

image_module = pytest.importorskip("PIL.Image", reason='Pillow is not installed: pip install "aeformat[images]"')


@pytest.fixture(scope="module")
def pair():
    return tiny_pair(lambda line: None)


@pytest.fixture(scope="module")
def latents(pair):
    return NumpyBackend().load(pair[0]).run(picture(64, 80)[None], (64, 80))[0].copy()


def drawn(loud, seed):
    """(64, 64, 8): noise of deviation 1, and of 20 where `loud` (64, 64) is."""
    noise = np.random.default_rng(seed).normal(0, 1, (64, 64, 8)) * np.where(loud, 20, 1)[..., None]
    return np.clip(np.rint(noise), -128, 127).astype(np.int8)


def test_a_static_table_takes_the_entropy_of_each_channel():
    """Of the very latents that it was fitted to; a channel of one value is free."""
    made = np.zeros((64, 64, 2), np.int8)
    made[::2, :, 0] = -5
    made[:, ::4, 1] = 7
    per_position = 1 - 0.25 * np.log2(0.25) - 0.75 * np.log2(0.75)
    assert PositionClasses([made], 1).bits(made) == pytest.approx(64 * 64 * per_position, rel=0.01)


def test_classes_of_positions_find_quiet_and_loud_ones():
    """They save most of what one table for both takes, though each class is coded."""
    loud = np.random.default_rng(0).random((64, 64)) < 0.5
    seen, other = drawn(loud, 1), drawn(loud.T, 2)
    static, classes = PositionClasses([seen], 1).bits(other), PositionClasses([seen], 2).bits(other)
    gaussian = np.log2(np.sqrt(2 * np.pi * np.e)) * 8 + 4 * np.log2(20)  # of eight channels, half of the positions loud
    assert classes < 0.93 * static
    assert classes == pytest.approx(64 * 64 * (gaussian + 1), rel=0.1)


def test_the_walk_over_the_passes_meets_each_latent_once(pair, latents):
    """In the order of decoding, with the means and picks that the export counted."""
    prior = passes.passes_prior(pair[1])
    found = list(passes.expected(prior, latents))
    assert len(found) == len(prior.groups) * len(PHASES)
    values = np.concatenate([values.ravel() for values, _, _ in found])
    assert sorted(values.tolist()) == sorted(latents.ravel().tolist())
    counts = sum(tables.count(*one) for one in found)
    ideal = tables.ideal_bits(counts, prior.tables)
    assert passes.bits_with_means(prior, latents) == pytest.approx(ideal, rel=1e-4)
    assert ideal <= passes.coded_bits(prior, latents, (64, 80)) <= 1.02 * ideal + 64


def test_without_means_latents_are_counted_as_they_are(pair, latents):
    prior = passes.passes_prior(pair[1])
    counts = passes.counts_without_means(prior, latents)
    assert counts.sum() == latents.size
    assert counts.sum(axis=0)[0] == (latents == 0).sum()
    assert (passes.fitted_without_means(prior, [latents]).sum(axis=1) == 1 << tables.BITS).all()


@pytest.fixture(scope="module")
def model(pair, tmp_path_factory):
    """What the paths of the packages have in common."""
    folder = tmp_path_factory.mktemp("models")
    for package in pair:
        write_package(package, folder / f"photo-3.{package.role}.aef")
    return folder / "photo-3"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for number, (height, width) in enumerate(((64, 80), (50, 71))):
        image_module.fromarray(picture(height, width)).save(folder / f"{number}.png")
    return folder


def test_the_command_prints_each_step_beside_the_one_before(model, photos, capsys):
    arguments = ["--data", str(photos), "--fit", str(photos), "--model", str(model), "--every", "2"]
    assert command.main(arguments) == 0
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()[2:]]
    assert [line[0] for line in lines] == [
        steps.STATIC,
        steps.CLASSES,
        steps.SCALES,
        steps.MEANS,
        steps.RANS,
        steps.FILE,
    ]
    bits = {line[0]: float(line[1]) for line in lines}
    assert bits[steps.MEANS] < bits[steps.RANS] < bits[steps.FILE]
    assert {line[2] for line in lines} == {lines[0][2]}  # the same pixels
    assert lines[0][3:] == ["–"] * 3 and lines[3][5] == steps.SCALES


def test_the_record_is_the_table(tmp_path):
    """As data, and where the README has a place for it."""
    (tmp_path / "README.md").write_text("<!-- begin photo-steps -->\n<!-- end photo-steps -->\n", encoding="utf-8")
    table = [["step", "bits a pixel"], [steps.STATIC, "0.4000"]]
    command.record(tmp_path, table)
    assert json.loads((tmp_path / command.DATA_FILE).read_text(encoding="utf-8")) == table
    assert card.table_in((tmp_path / "README.md").read_text(encoding="utf-8"), command.TABLE) == card.markdown(table)


def test_a_half_or_another_model_is_refused(model, photos, pair, capsys):
    arguments = ["--data", str(photos), "--fit", str(photos), "--model"]
    assert command.main([*arguments, f"{model}.encoder.aef"]) == 2
    assert "name both halves" in capsys.readouterr().err
    with pytest.raises(UsageError, match="no passes to measure"):
        passes.passes_prior(pair[0])


def test_floats_with_inner_layers_and_without(tmp_path, tensorflow):
    """From a checkpoint: weights alone are taken from it."""
    from aeformat.training.checkpoint import write_record
    from tools.photo_steps.floats import FloatNetwork

    from .photo.tiny import RECIPE, tiny_weights

    errors = []
    for hidden in (0.0, 0.02):
        weights = tiny_weights()
        weights["decoder_2"][:, :, weights["decoder_0"].shape[2] :] = hidden
        path = tmp_path / f"{hidden}.npz"
        write_record(path, {"epoch": 1}, {f"weights:{name}": array for name, array in weights.items()})
        bits, *found = FloatNetwork(RECIPE, path).measure(picture(50, 71))
        assert bits > 0
        errors.append(found)
    assert 0 < errors[0][0] < 255**2 / 100
    assert errors[1][0] != errors[0][0]
    assert errors[1][1] == errors[0][1] == errors[0][0]
