"""A pair of packages from weights: by all rules of the format, and a photograph comes back from a file of it."""

import numpy as np
import pytest

from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.backends.numpy_passes import prior_of
from aeformat.container import rans_passes
from aeformat.container.ragged import RaggedRows
from aeformat.container.sizes import RowForm
from aeformat.training.photo import export, tables

from .tiny import RECIPE, picture, tiny_pair


@pytest.fixture(scope="module")
def pair():
    said = []
    made = tiny_pair(said.append)
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
