"""A pair of packages from weights: by all rules of the format, and a photograph comes back from a file of it."""

from dataclasses import replace

import numpy as np
import pytest

from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.backends.numpy_passes import prior_of
from aeformat.container import rans_passes
from aeformat.container.ragged import RaggedRows
from aeformat.container.sizes import RowForm
from aeformat.training.photo import context, export, network, tables
from aeformat.training.photo.recipe import RECIPES

RECIPE = replace(RECIPES["photo-3"], luma=20, chroma=4, step=40, features=3, hidden=5, encoder_hidden=8, context=6)


def picture(height, width):
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[:height, :width]
    grey = 90 + columns - rows / 2 + 60 * ((rows // 12 + columns // 20) % 2)
    pixels = grey[..., None] + rng.normal(0, 6, (height, width, 3)) + [[(20, -10, -20)]]
    return np.clip(pixels, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def pair():
    rng = np.random.default_rng(1)
    weights = network.initial_weights(RECIPE, rng)
    spread = np.geomspace(20, 0.5, RECIPE.channels).astype(np.float32)
    weights.update(context.initial_weights(RECIPE.groups, RECIPE.context, spread, rng))
    said = []
    made = export.packages_of(RECIPE, weights, [picture(64, 80)], [picture(17, 33), picture(5, 16)], said.append)
    assert said[0] == "encoding 1 photographs for the prior"
    return made


def test_the_pair_belongs_together(pair) -> None:
    encoder, decoder = pair
    assert encoder.manifest.decoder == decoder.model_id
    assert encoder.manifest.scale == decoder.manifest.scale == (16, 16)
    assert encoder.name == decoder.name == "photo-3"
    assert [made.shape for _, made in decoder.golden] == [(1, 17, 33, 3), (1, 5, 16, 3)]


def test_a_photograph_comes_back(pair) -> None:
    encoder, decoder = (NumpyBackend().load(half) for half in pair)
    photo = picture(50, 71)
    made = decoder.run(encoder.run(photo[None], (50, 71)), (50, 71))[0].astype(float)
    assert made.shape == photo.shape
    assert 10 * np.log10(255**2 / np.square(made - photo).mean()) > 24


def test_the_code_of_a_photograph_takes_what_the_tables_say(pair) -> None:
    """They were fitted to it, so each symbol that it has is probable to them."""
    encoder, decoder = pair
    latents = NumpyBackend().load(encoder).run(picture(64, 80)[None], (64, 80))[0]
    counts = export.counts_of(decoder, latents)
    assert counts.sum() == latents.size
    ideal = tables.ideal_bits(counts, decoder.tensors[decoder.manifest.prior.tensors["tables"]])
    assert ideal < 4 * latents.size

    rows = RaggedRows.of(RowForm((0, 0, RECIPE.channels), (0, 0, 3)), [latents], [(64, 80)])
    prior = prior_of(decoder).prior
    code = rans_passes.encode_passes(rows.flat, rows.sizes, prior, n_lanes=1)
    assert ideal / 8 <= len(code) + 1 <= 1.02 * ideal / 8 + 16
    assert bytes(rans_passes.decode_passes(code, prior, rows.sizes)) == latents.tobytes()
