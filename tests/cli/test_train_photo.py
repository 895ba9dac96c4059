"""aeformat model train of a photograph model, with a recipe that takes seconds."""

from dataclasses import replace

import numpy as np
import pytest

from aeformat.cli.main import main
from aeformat.model.file_io import read_package
from aeformat.training.photo import recipe as photo
from aeformat.training.photo.recipe import PhotoPhase

TINY = replace(
    photo.RECIPES["photo-3"],
    name="photo-tiny", luma=8, chroma=4, features=2, hidden=4, context=4, encoder_hidden=4, epoch_steps=2,
    phases=(PhotoPhase(1, crop=32, batch=1), PhotoPhase(1, crop=32, batch=1, rounded=True)),
)  # fmt: skip


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder with photographs of noise."""
    pil = pytest.importorskip("PIL.Image")
    monkeypatch.setitem(photo.RECIPES, TINY.name, TINY)
    rng = np.random.default_rng(1)
    for part in ("train", "validation"):
        (tmp_path / part).mkdir()
        pil.fromarray(rng.integers(0, 256, (40, 36, 3)).astype(np.uint8)).save(tmp_path / part / "a.png")
    return tmp_path


@pytest.mark.usefixtures("tensorflow")
def test_a_pair_of_packages_and_a_run_that_can_be_resumed(data, capsys) -> None:
    command = [
        "model",
        "train",
        TINY.name,
        "--data",
        str(data),
        "-o",
        str(data / "models"),
        "--runs",
        str(data / "runs"),
    ]
    assert main(command) == 0
    encoder, decoder = (read_package(data / "models" / f"photo-tiny.{role}.aef") for role in ("encoder", "decoder"))
    assert encoder.manifest.decoder == decoder.model_id
    assert decoder.passes is not None
    assert "fitting 45 tables to 108 latents" in capsys.readouterr().err
    assert main([*command, "--resume", "--force"]) == 0
    assert read_package(data / "models" / "photo-tiny.decoder.aef").model_id == decoder.model_id
    assert main(command) == 2  # the files are there


def test_without_data_it_says_what_to_give(capsys) -> None:
    assert main(["model", "train", "photo-3"]) == 2
    assert "photo-3 needs --data DIR" in capsys.readouterr().err


def test_digits_take_no_data(capsys) -> None:
    assert main(["model", "train", "mnist-exact", "--data", "x"]) == 2
    assert "is trained on MNIST" in capsys.readouterr().err


def test_the_list_names_them(capsys) -> None:
    assert main(["model", "train", "list"]) == 0
    assert "photo-3" in capsys.readouterr().out


@pytest.mark.usefixtures("tensorflow")
def test_a_photograph_smaller_than_a_crop_is_refused(data, monkeypatch, capsys) -> None:
    large = replace(TINY, phases=(PhotoPhase(1, crop=64),))
    monkeypatch.setitem(photo.RECIPES, TINY.name, large)
    assert main(["model", "train", TINY.name, "--data", str(data), "-o", str(data / "models")]) == 2
    assert "is smaller than 64 x 64 pixels" in capsys.readouterr().err
