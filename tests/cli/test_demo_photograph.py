"""aeformat demo with a photograph: its table and its part of the picture, where the photograph model is here, and without."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aeformat.images.photograph import demo_photograph
from aeformat.model import places, store
from aeformat.model.file_io import write_package
from aeformat.pipeline.default_model import PHOTO_MODEL
from aeformat.training.photo import context, export, network
from aeformat.training.photo.recipe import RECIPES

TINY = replace(RECIPES[PHOTO_MODEL], luma=12, chroma=4, step=60, features=2, hidden=4, context=4, encoder_hidden=4)


def untrained_pair(folder: Path) -> None:
    """A photograph model as it is before its training, of few channels."""
    rng = np.random.default_rng(1)
    weights = network.initial_weights(TINY, rng)
    spread = np.geomspace(20, 0.5, TINY.channels).astype(np.float32)
    weights.update(context.initial_weights(TINY.groups, TINY.context, spread, rng))
    photos = [demo_photograph()[:48, :64], demo_photograph()[300:317, :33], demo_photograph()[200:205, :16]]
    for half in export.packages_of(TINY, weights, photos[:1], photos[1:], lambda what: None):
        write_package(half, folder / f"{PHOTO_MODEL}.{half.role}.aef")


@pytest.fixture
def models(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of shipped models: those of the demo's digits."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("mnist-exact", "mnist-128-64-128"):
        for role in ("encoder", "decoder"):
            shutil.copy(store.shipped_file(name, role), folder)
    monkeypatch.setattr(places, "shipped_folder", lambda: folder)
    return folder


def test_the_photograph_stands_beside_jpeg_and_webp_of_at_least_as_many_bits(aeformat, folder, models):
    """Its row says what the file takes and what came back; the picture has its page below that of the digits."""
    untrained_pair(models)
    ran = aeformat("demo", "-o", "with.png")
    assert ran.code == 0, ran.err
    assert "768 x 512 pixels, 8-bit RGB" in ran.out
    rows = re.findall(
        r"^  (\.aef|JPEG|WebP), (.+?)  +([\d.]+) +([\d,]+) +([\d.]+) dB +[\d.]+ s +[\d.]+ s$", ran.out, re.M
    )
    assert [row[0] for row in rows] == [".aef", "JPEG", "WebP"] and rows[0][1] == PHOTO_MODEL
    sizes = [int(row[3].replace(",", "")) for row in rows]
    assert sizes[0] <= min(sizes)
    assert [row[2] for row in rows] == [f"{size * 8 / (768 * 512):.3f}" for size in sizes]
    assert all(15 < float(row[4]) < 50 for row in rows)

    (models / f"{PHOTO_MODEL}.encoder.aef").unlink()
    assert f"No photograph: its model, {PHOTO_MODEL}, is not here" in aeformat("demo", "-o", "without.png").out
    with_it, without = (np.asarray(Image.open(name)) for name in ("with.png", "without.png"))
    assert with_it.shape[0] > without.shape[0] + 512 / 768 * 420
    assert np.array_equal(with_it[: without.shape[0], : without.shape[1]], without)


def test_the_shipped_photograph_model_beats_jpeg(aeformat, folder):
    """As soon as it is among the models of this checkout: closer to the original than JPEG, which has at least as many bits."""
    out = aeformat("demo").out
    if PHOTO_MODEL not in store.shipped_names():
        assert "No photograph" in out
        return
    found = dict(re.findall(r"^  (\.aef|JPEG), .* ([\d.]+) dB ", out, re.M))
    assert float(found[".aef"]) > float(found["JPEG"]) + 1
