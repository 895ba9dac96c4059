"""Promise: opened latents are what a NumPy user takes them for; a Model is sent to other processes, and its files are read once."""

from __future__ import annotations

import copy
import os
import pickle

import numpy as np
import pytest

import aeformat
from aeformat.images import demo_digits
from aeformat.model import store
from aeformat.model.file_io import read_package

IMAGES = demo_digits()[:6]


@pytest.fixture
def latents(tmp_path):
    """Six digits with names."""
    model = aeformat.load_model("mnist-exact")
    with aeformat.create(tmp_path / "a.aef", decoder=model) as file:
        file.append(model.encode(IMAGES), names=list("abcdef"))
    with aeformat.open(tmp_path / "a.aef") as latents:
        yield latents


def test_latents_have_what_an_array_has(latents):
    """Shape, type and all rows at once."""
    assert (latents.shape, latents.ndim, latents.dtype, len(latents)) == ((6, 64), 2, np.uint8, 6)
    assert "a.aef" in repr(latents) and "(6, 64)" in repr(latents)
    np.testing.assert_array_equal(np.asarray(latents), latents[:])
    np.testing.assert_array_equal(latents[...], latents[:])
    assert np.asarray(latents, np.float32).dtype == np.float32
    assert np.array(latents).flags.writeable
    with pytest.raises(ValueError, match="without a copy"):
        latents.__array__(copy=False)


def test_all_rows_are_read_at_once_for_numpy(latents, monkeypatch):
    """Not one by one, as of a sequence."""
    asked = []
    true_rows = type(latents).rows
    monkeypatch.setattr(type(latents), "rows", lambda self, *at: asked.append(at) or true_rows(self, *at))
    np.asarray(latents)

    assert asked == [(0, 6)]


@pytest.mark.parametrize("rows", [3, slice(1, 4), [3], slice(None, None, 2), ...], ids=repr)
def test_what_is_picked_is_read_only_however_it_is_picked(latents, rows):
    """Some of it is handed out more than once."""
    with pytest.raises(ValueError, match="read-only"):
        latents[rows][...] = 0


def test_names_count_from_the_end_as_rows_do(latents):
    """And there are no others."""
    assert latents.names(-1).names == latents.names(np.int64(5)).names == ("f",)
    for row, error in ((6, IndexError), (-7, IndexError), ([1], TypeError), (True, TypeError)):
        with pytest.raises(error, match="row"):
            latents.names(row)


def test_a_model_is_copied_and_sent_to_other_processes():
    """With its packages; its networks are made ready there."""
    model = aeformat.load_model("mnist-exact")
    expected = model.encode(IMAGES)
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(other.encode(IMAGES), expected)
        assert (other.encoder.model_id, other.decoder.model_id) == (model.encoder.model_id, model.decoder.model_id)


def test_a_name_is_read_once_and_again_when_its_file_changes(tmp_path, monkeypatch):
    """A model by its name costs as little as a Model that is kept."""
    read = []
    monkeypatch.setattr(store, "read_package", lambda path: read.append(path) or read_package(path))
    for role in ("encoder", "decoder"):
        source = store.shipped_file("mnist-exact", role)
        (tmp_path / f"m.{role}.aef").write_bytes(source.read_bytes())
    model = aeformat.load_model(tmp_path / "m")
    first = aeformat.encode(IMAGES, tmp_path / "m")
    assert len(read) == 2
    assert aeformat.load_model(tmp_path / "m") is model

    os.utime(tmp_path / "m.encoder.aef", (1, 1))
    np.testing.assert_array_equal(aeformat.encode(IMAGES, tmp_path / "m"), first)
    assert len(read) == 3
    for role in ("encoder", "decoder"):
        source = store.shipped_file("mnist-128-64-128", role)
        (tmp_path / f"m.{role}.aef").write_bytes(source.read_bytes())
    assert aeformat.encode(IMAGES, tmp_path / "m").dtype == np.float32
