"""The part of the model card about photograph models is made of what the packages, the training's record and the sources say."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aeformat.model.file_io import read_package, write_package
from aeformat.model.identity import read_model_id
from aeformat.training.photo import context, export, network
from aeformat.training.photo.recipe import RECIPES
from aeformat.training.photo.state import PhotoState
from tools import card
from tools.photo_card import __main__ as photo_card
from tools.photo_card import sources

MODELS = card.CARD.parent
NAMES = sorted(path.name.removesuffix(".encoder.aef") for path in MODELS.glob("photo-*.encoder.aef"))
TINY = replace(RECIPES["photo-3"], luma=8, chroma=4, step=60, features=2, hidden=4, context=4, encoder_hidden=4)
CROPS = """file\tsource\tpath\tlicence\tattribution\tmade
train/a-0.jpg\tplace\ta.jpg\tCC BY 4.0\tAda\tcrop
train/a-1.jpg\tplace\ta.jpg\tCC BY 4.0\tAda\tcrop
train/b-0.jpg\tplace\tb.jpg\tCC BY 4.0\tBen\tcrop
validation/c.png\tother\tc.png\tCC0 1.0\t\twhole
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """models/ with a card and a small pair, runs/ with its record, validation/ with two photographs, crops.tsv."""
    monkeypatch.setitem(RECIPES, "photo-3", TINY)
    rng = np.random.default_rng(1)
    weights = network.initial_weights(TINY, rng)
    spread = np.geomspace(20, 0.5, TINY.channels).astype(np.float32)
    weights.update(context.initial_weights(TINY.groups, TINY.context, spread, rng))
    photos = [rng.integers(0, 256, size).astype(np.uint8) for size in ((40, 36, 3), (17, 33, 3), (5, 16, 3))]
    for name in ("models", "validation"):
        (tmp_path / name).mkdir()
    for half in export.packages_of(TINY, weights, photos[:1], photos[1:], lambda what: None):
        write_package(half, tmp_path / "models" / f"photo-3.{half.role}.aef")
    for number, photo in enumerate(photos[1:]):
        Image.fromarray(photo).save(tmp_path / "validation" / f"{number}.png")
    PhotoState(TINY.epochs, 5400.0, weights).save(tmp_path / "runs", TINY)
    (tmp_path / "crops.tsv").write_text(CROPS, encoding="utf-8")
    text = (MODELS / "README.md").read_text(encoding="utf-8")
    start = text.find("## Photographs\n")
    text = text if start < 0 else text[:start] + text[text.index("## The note, reproduced\n") :]
    (tmp_path / "models" / "README.md").write_text(text, encoding="utf-8")
    return tmp_path


def run(folder: Path, *arguments: str) -> int:
    return photo_card.main(["--models", str(folder / "models"), *arguments])


def test_the_card_is_filled_in_from_the_packages_and_the_record(folder, capsys):
    """Sizes, ids, bits and PSNR of real files, hours; photographs and crops by licence; a second run changes nothing."""
    measuring = ("--validation", str(folder / "validation"), "--runs", str(folder / "runs"))
    assert run(folder, "--sources", str(folder / "crops.tsv"), *measuring) == 0, capsys.readouterr().err
    path = folder / "models" / "README.md"
    text = path.read_text(encoding="utf-8")
    (model,) = json.loads((folder / "models" / "photo_models.json").read_text(encoding="utf-8"))["models"]
    packages = {role: folder / "models" / f"photo-3.{role}.aef" for role in ("encoder", "decoder")}

    assert [model["encoder"], model["decoder"]] == [read_model_id(path).hex() for path in packages.values()]
    assert model["n_photographs"] == 2 and 0 < model["bits"] < 100 and 5 < model["psnr"] < 30
    size = f"{packages['decoder'].stat().st_size:,}"
    assert f"| {size} | h/16 x w/16 x 12 | 0.0045 | - | 1 | 52 | 1.5 |" in card.table_in(text, photo_card.MODELS)
    assert "| train | `place` | CC BY 4.0 | 2 | 3 | 2 attributions" in card.table_in(text, photo_card.SOURCES)
    assert "| validation | `other` | CC0 1.0 | 1 | 1 | - |" in card.table_in(text, photo_card.SOURCES)
    assert run(folder) == 0 and path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda folder: shutil.rmtree(folder / "runs"), "no checkpoint of photo-3"),
        (lambda folder: PhotoState(3, 1.0, {}).save(folder / "runs", TINY), "is at epoch 3 of 52"),
        (lambda folder: (folder / "models" / "photo-3.encoder.aef").unlink(), "has no photograph models"),
        (lambda folder: [path.unlink() for path in (folder / "validation").iterdir()], "has no image files"),
        (lambda folder: (folder / "crops.tsv").write_text(CROPS.replace("Ben", "")), "nobody to name"),
        (
            lambda folder: (folder / "crops.tsv").write_text(CROPS + "train/z.png\tplace\n"),
            "train/z.png has no licence",
        ),
    ],
    ids=["no run", "an unfinished run", "no models", "no photographs", "no author", "a cut line"],
)
def test_what_is_missing_is_said_and_the_card_stays(folder, change, says, capsys):
    change(folder)
    before = (folder / "models" / "README.md").read_bytes()
    measuring = ("--validation", str(folder / "validation"), "--runs", str(folder / "runs"))
    assert run(folder, "--sources", str(folder / "crops.tsv"), *measuring) == 2
    assert says in capsys.readouterr().err
    assert (folder / "models" / "README.md").read_bytes() == before


def test_every_photograph_has_a_licence_and_is_named():
    """PHOTO_SOURCES.tsv: facts only, in order, each once."""
    found = sources.read(MODELS / sources.FILE)
    assert sum(photograph.n_crops for photograph in found if photograph.part == "train") == 524
    assert sum(photograph.part == "train" for photograph in found) == 401
    assert len({photograph[:3] for photograph in found}) == len(found)
    assert all(photograph.attribution != "-" or photograph.licence.startswith("CC0") for photograph in found)


def test_the_card_of_this_checkout_is_that_of_its_packages():
    """As soon as there are any: every one measured as it lies there, with its recipe, and no decoder above 300 kB."""
    text = card.CARD.read_text(encoding="utf-8")
    if not NAMES:
        assert photo_card.MODELS not in text and not (MODELS / photo_card.DATA_FILE).exists()
        return
    with (MODELS / photo_card.DATA_FILE).open(encoding="utf-8") as file:
        found = json.load(file)["models"]
    assert [model["name"] for model in found] == NAMES
    for name, table in photo_card.tables(found, sources.read(MODELS / sources.FILE)).items():
        assert card.table_in(text, name) == table
    for model in found:
        recipe, decoder = RECIPES[model["name"]], MODELS / f"{model['name']}.decoder.aef"
        assert [read_model_id(MODELS / f"{model['name']}.{role}.aef").hex() for role in ("encoder", "decoder")] == [
            model["encoder"], model["decoder"],
        ]  # fmt: skip
        assert model["decoder_bytes"] == decoder.stat().st_size <= 300_000
        assert [model[key] for key in ("price", "channels", "seed", "epochs")] == [
            recipe.price, recipe.channels, recipe.seed, recipe.epochs,
        ]  # fmt: skip
        assert read_package(decoder).input.shape[2] == recipe.channels
