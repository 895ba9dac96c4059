"""The shipped models on MNIST's test set: the figures that README and models/README.md state."""

from __future__ import annotations

import json

import pytest

from aeformat.model import places

# Test MSE in the note's table; ours must be no worse.
NOTE = {"mnist-128-64-128": 0.011, "mnist-128-50-128": 0.012, "mnist-128-36-128": 0.013, "mnist-128-22-128": 0.014}
_COSTS = []


@pytest.fixture
def mnist(mnist_dir, monkeypatch):
    monkeypatch.setenv("AEFORMAT_DATA", str(mnist_dir.parent))


@pytest.mark.parametrize(("model", "most"), NOTE.items())
def test_float_models_are_no_worse_than_the_note(aeformat, mnist, model, most):
    """Test MSE through real files, at most the note's."""
    assert aeformat("pack", "mnist:test", "-o", "t.aef", "--model", model).code == 0
    facts = json.loads(aeformat("eval", "t.aef", "--against", "mnist:test", "--json").out)
    assert facts["images"] == 10_000
    assert facts["mse"] <= most


def test_the_default_model_keeps_its_promises(aeformat, mnist):
    """At least 22.7 dB on the test set, and a decoder package under 110 kB."""
    assert aeformat("pack", "mnist:test", "-o", "t.aef").code == 0
    facts = json.loads(aeformat("eval", "t.aef", "--against", "mnist:test", "--json").out)
    assert facts["psnr_db"] >= 22.7
    assert (places.shipped_folder() / "mnist-exact.decoder.aef").stat().st_size < 110_000


@pytest.fixture
def costs(aeformat, mnist):
    """What model cost says of the note's model; it is asked once."""
    if not _COSTS:
        _COSTS.extend(json.loads(aeformat("model", "cost", "mnist-128-64-128", "--json").out)["models"])
    return _COSTS[0]


def test_cost_covers_every_basis(costs):
    """model cost: the note's checkpoint pays from about 131 images on, on the text basis; every rival has a row."""
    facts = costs
    assert 120 <= facts["checkpoint_break_even_text"] <= 140
    assert facts["checkpoint_bytes"] == 218_192 * 12
    bases = {row["basis"]: row for row in facts["bases"]}
    assert bases["raw pixels"]["bytes_per_image"] == 784
    assert bases["PNG, one file each"]["bytes_per_image"] == pytest.approx(248, abs=5)
    assert bases["zlib -9, each"]["bytes_per_image"] == pytest.approx(184, abs=2)
    assert bases["xz -6, all in one"]["bytes_per_image"] == pytest.approx(135.5, abs=1)
    assert bases["AVIF, one sheet"]["bytes_per_image"] == pytest.approx(41, abs=5)


def test_cost_covers_every_type_of_weights(costs):
    """model cost: the note's decoder is 437.8 kB of float32, half of that as float16, and int8 loses under 0.1 dB."""
    facts = costs
    weights = {row["type"]: row for row in facts["weights"]}
    assert weights["float32"]["decoder_numbers_bytes"] == 437_824
    assert weights["float16"]["decoder_numbers_bytes"] == 218_912
    assert weights["int8"]["decoder_bytes"] < 120_000
    assert facts["psnr_db"] - 0.1 < weights["int8"]["psnr_db"] < facts["psnr_db"]
    pays = {row["basis"]: row["break_even_by_weights"] for row in facts["bases"]}
    assert pays["raw pixels"]["int8"] < pays["raw pixels"]["float16"] < pays["raw pixels"]["float32"]
