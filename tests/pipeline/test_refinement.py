"""Refinement: never worse, better than moving one latent at a time, row by row, at every price and range."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.backends.numpy_layers import Array
from aeformat.errors import UsageError
from aeformat.pipeline.refine import Refinement
from tests.container.priors import decoder_of, draw, random_prior

N_PIXELS = 4
LEVELS = 255**2
RANGES = [(-6, 9), (-128, 127), (0, 255), (0, 1)]
PRICES = [2.0**-16, 0.3, 20.0, 1000.0, 2.5e8 / N_PIXELS]


def network(seed: int, lo: int, hi: int, dims: tuple[int, ...] = (5,)):
    return NumpyBackend().load(decoder_of(random_prior(seed, lo=lo, hi=hi, dims=dims), lo=lo, hi=hi, dims=dims))


def latents_of(decoder, n_rows: int, seed: int) -> Array:
    return draw(decoder.package.prior, n_rows, seed).astype(np.uint8 if decoder.package.input.type == "u8" else np.int8)


def images(n_rows: int, seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (n_rows, 2, 2, 1), dtype=np.uint8)


def totals(decoder, latents: Array, targets: Array, price: float) -> list[int]:
    """Bits plus priced error of each row, in Python's integers."""
    _, costs = decoder.package.prior.choose(latents)
    errors = np.square(decoder.run(latents).astype(np.int64) - targets).sum(axis=(1, 2, 3))
    return [int(c) * LEVELS + round(price * 65536) * int(e) for c, e in zip(costs, errors, strict=True)]


@settings(max_examples=60)
@given(st.sampled_from(RANGES), st.sampled_from(PRICES), st.integers(0, 99), st.integers(1, 3))
def test_no_row_is_worse_and_all_stay_in_range(span, price, seed, n_rounds):
    """At the lowest price and the highest, where totals nearly fill 64 bits; in ranges of two values and of all."""
    decoder = network(seed, *span)
    before, targets = latents_of(decoder, 9, seed), images(9, seed)
    kept = before.copy()

    after = Refinement(decoder, price, n_rounds).refine(before, targets)

    assert (before == kept).all()
    assert after.dtype == before.dtype and after.shape == before.shape
    assert after.min() >= span[0] and after.max() <= span[1]
    assert np.abs(after.astype(int) - before).max() <= n_rounds
    pairs = zip(totals(decoder, after, targets, price), totals(decoder, before, targets, price), strict=True)
    assert all(now <= was for now, was in pairs)


@pytest.mark.parametrize("price", [500.0, 20_000.0])
def test_it_finds_more_than_one_move_at_a_time_does(price):
    """Two rounds against two sweeps over all latents, each moved by one where that pays; the images are those of near latents."""
    decoder = network(3, -20, 20, (6,))
    before = latents_of(decoder, 200, 1)
    near = np.clip(before + np.random.default_rng(2).integers(-2, 3, before.shape), -20, 20).astype(np.int8)
    targets = decoder.run(near)
    swept = before.copy()
    for _ in range(2):
        for position in range(6):
            for step in (-1, 1):
                tried = swept.copy()
                tried[:, position] = np.clip(tried[:, position].astype(int) + step, -20, 20)
                better = np.array(totals(decoder, tried, targets, price)) < totals(decoder, swept, targets, price)
                swept[better] = tried[better]

    after = Refinement(decoder, price).refine(before, targets)

    found, single, start = (sum(totals(decoder, rows, targets, price)) for rows in (after, swept, before))
    assert start - found > start - single > 0


def test_prices_out_of_range_are_refused():
    """Below what the integers can hold, above what 64 bits can; at the ends they are taken."""
    decoder = network(3, -6, 9)
    for price in (2.0**-17, 2.6e8 / N_PIXELS, float("nan"), float("inf"), -1.0):
        with pytest.raises(UsageError, match="out of range"):
            Refinement(decoder, price)
    for price in (PRICES[0], PRICES[-1]):
        Refinement(decoder, price)


def test_rows_do_not_see_each_other(monkeypatch):
    """One at a time, all at once, or in blocks: the same latents; and of latents with several axes too."""
    decoder = network(4, -6, 9, (2, 3))
    before, targets = latents_of(decoder, 20, 2), images(20, 2)
    refine = Refinement(decoder, 5.0).refine
    whole = refine(before, targets)

    assert (whole != before).any()
    assert all((refine(before[i : i + 1], targets[i : i + 1]) == whole[i]).all() for i in range(20))
    monkeypatch.setattr("aeformat.pipeline.refine._TRIED_AT_ONCE", 20)
    assert (refine(before, targets) == whole).all()
