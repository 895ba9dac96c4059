"""The passes of a finished decoder: what its networks expect of the latents of a photograph, and what that is worth.

Owns the walk over the passes.  The tables are those of the decoder, or fitted as they were to differences from another mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from aeformat.backends.numpy_passes import prior_of
from aeformat.container.passes import PassesPrior
from aeformat.container.prior import COST_BITS
from aeformat.container.ragged import RaggedRows
from aeformat.container.rans_passes import encode_passes
from aeformat.container.sizes import RowForm
from aeformat.errors import UsageError
from aeformat.model.package import ModelPackage
from aeformat.training.photo import tables
from aeformat.training.photo.passes import N_TABLES
from tools.photo_steps.static import Latents

Integers = NDArray[np.integer]


def passes_prior(decoder: ModelPackage) -> PassesPrior:
    """Raises UsageError for a decoder whose prior has no passes."""
    prior = prior_of(decoder).prior if decoder.has_prior else None
    if not isinstance(prior, PassesPrior):
        raise UsageError("this decoder has no passes to measure: it is no photograph model")
    return prior


def expected(prior: PassesPrior, latents: Latents) -> Iterator[tuple[Integers, Integers, Integers]]:
    """Latents, means and picks, pass by pass."""
    row = prior.network.row(*latents.shape[:2])
    for place in prior.passes(*latents.shape[:2]):
        means, picks = row.expect()
        values = latents[place].astype(np.int16)
        row.put(values)
        yield values, means, picks


def bits_with_means(prior: PassesPrior, latents: Latents) -> float:
    """Ideal bits by the decoder's own tables."""
    total = 0
    for values, means, picks in expected(prior, latents):
        total += int(prior.costs[picks.astype(np.intp), (values - means) % prior.n_symbols].sum(dtype=np.uint64))
    return total / (1 << COST_BITS)


def counts_without_means(prior: PassesPrior, latents: Latents) -> tables.Counts:
    """How often each latent, and not its difference from the mean, came under each table."""
    made = np.zeros((N_TABLES, tables.N_SYMBOLS), np.int64)
    for values, means, picks in expected(prior, latents):
        made += tables.count(values, np.zeros_like(means), picks)
    return made


def fitted_without_means(prior: PassesPrior, latents: Sequence[Latents]) -> NDArray[np.int32]:
    """Tables for that, fitted as the decoder's are."""
    return tables.fit(sum((counts_without_means(prior, one) for one in latents), np.zeros((1, 1), np.int64)))


def coded_bits(prior: PassesPrior, latents: Latents, size: tuple[int, int]) -> int:
    """The bits of the real code.  size: rows and columns of the photograph."""
    rows = RaggedRows.of(RowForm((0, 0, latents.shape[2]), (0, 0, 3)), [latents], [size])
    code = encode_passes(rows.flat, rows.sizes, prior)
    if code is None:
        raise UsageError(f"a photograph of {size[0]} x {size[1]} is too large to be coded in one piece")
    return 8 * len(code)
