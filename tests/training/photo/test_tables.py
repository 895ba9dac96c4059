"""Tables of frequencies fitted to counts."""

import numpy as np
import pytest

from aeformat.training.photo import tables
from aeformat.training.photo.passes import N_TABLES


@pytest.fixture(scope="module")
def counted():
    rng = np.random.default_rng(1)
    picks = rng.integers(0, N_TABLES - 8, 200_000)
    means = rng.integers(-20, 20, len(picks))
    noise = rng.logistic(size=len(picks)) * 2.0 ** (-4.5 + picks / 4)
    latents = np.clip(np.rint(means + noise), -127, 127)
    return tables.count(latents, means, picks), latents - means, picks


def test_counts_are_of_differences_modulo_256(counted) -> None:
    counts, differences, picks = counted
    assert counts.sum() == len(picks)
    assert counts[30, 0] == ((picks == 30) & (differences == 0)).sum()
    assert counts[30, 255] == ((picks == 30) & (differences == -1)).sum()


def test_tables_sum_to_the_whole_and_reach_all_that_was_seen(counted) -> None:
    counts, _, _ = counted
    made = tables.fit(counts)
    assert made.shape == (N_TABLES, 257)
    assert (made.sum(axis=1) == 65_536).all()
    assert (made[:, :256][counts > 0] > 0).all()


def test_a_narrow_table_pays_nothing_for_what_it_does_not_reach(counted) -> None:
    made = tables.fit(counted[0])
    assert made[0, 0] > 65_536 - 30
    assert not made[0, 30:226].any()
    assert (made[-1, :256] > 0).all()


def test_a_table_has_an_escape_where_something_needs_it(counted) -> None:
    made = tables.fit(counted[0])
    assert (made[:, 256] == ~(made[:, :256] > 0).all(axis=1)).all()
    assert made[0, 256] == 1


def test_bits_are_near_the_entropy(counted) -> None:
    counts, _, _ = counted
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    entropy = -(counts * np.log2(np.where(shares > 0, shares, 1))).sum()
    assert entropy < tables.ideal_bits(counts, tables.fit(counts)) < 1.01 * entropy


def test_what_a_table_does_not_reach_costs_an_escape(counted) -> None:
    counts = np.zeros_like(counted[0])
    made = tables.fit(counts)
    counts[0, 100] = 1
    assert tables.ideal_bits(counts, made) == 16 + 8
