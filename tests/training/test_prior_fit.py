"""Fitting a prior: what it costs, that a seed repeats it, and its frequencies."""

from __future__ import annotations

import numpy as np
import pytest

from aeformat.training.prior_fit import fit_prior, frequencies


def mixture(n_rows: int, seed: int) -> np.ndarray:
    """Latents of four kinds of rows, (n_rows, 2, 3), from -8 to 7; a kind moves every position."""
    rng = np.random.default_rng(seed)
    kinds = np.random.default_rng(0).integers(-6, 7, (4, 2, 3))
    noise = rng.integers(-1, 2, (n_rows, 2, 3))
    return (kinds[rng.integers(0, 4, n_rows)] + noise).clip(-8, 7).astype(np.int16)


def test_the_fitted_prior_costs_little_more_than_the_source_it_was_fitted_to():
    """Two bits for the kind and six times log2(3) for the noise, on rows that the fit never saw."""
    prior = fit_prior(mixture(3000, 1), -8, 7, n_classes=4, n_tables=4, seed=0)

    _, costs = prior.choose(mixture(1000, 2))

    assert costs.mean() / 65_536 < (2 + 6 * np.log2(3)) * 1.02


def test_one_class_is_the_static_prior():
    """With one class the class costs nothing and each position has its histogram."""
    latents = mixture(2000, 1)
    prior = fit_prior(latents, -8, 7, n_classes=1, n_tables=6, seed=0)

    classes, costs = prior.choose(latents)

    counts = [np.unique(column, return_counts=True)[1] / 2000 for column in latents.reshape(2000, 6).T]
    entropy = -sum(float((p * np.log2(p)).sum()) for p in counts)
    assert not classes.any() and prior.class_costs[0] == 0
    assert entropy <= costs.mean() / 65_536 < entropy * 1.02


def test_a_seed_gives_the_same_prior_again():
    """Every array, to the last integer."""
    made = [fit_prior(mixture(800, 1), -8, 7, n_classes=5, n_tables=3, bits=12, seed=7) for _ in range(2)]

    for name in ("classes", "tables", "means", "picks"):
        np.testing.assert_array_equal(getattr(made[0], name), getattr(made[1], name))


def test_more_tables_and_classes_than_the_data_fills_are_left_out():
    """Rows that are all alike need one class and two kinds of position."""
    latents = np.tile(np.array([3, -5], np.int16), (50, 1))

    prior = fit_prior(latents, -8, 7, n_classes=4, n_tables=100)

    assert (prior.n_classes, prior.means.shape) == (1, (1, 2)) and prior.n_tables <= 2


@pytest.mark.parametrize(
    "counts, bits",
    [([1, 0, 0], 8), ([1] * 256, 8), ([10**9] + [1e-9] * 255, 8), ([1e-12, 5, 5], 16), ([3, 1], 9), ([0.5] * 255, 8)],
)
def test_frequencies_are_at_least_one_and_have_the_sum(counts, bits):
    """Whatever the counts."""
    made = frequencies(np.array([counts]), bits)

    assert made.min() >= 1 and made.sum() == 1 << bits


@pytest.mark.parametrize("latents, n_classes", [([[9]], 1), ([[-9]], 1), ([[0]], 2), (np.zeros((0, 1)), 1)])
def test_what_cannot_be_fitted_is_refused(latents, n_classes):
    """A latent out of range, too few rows."""
    with pytest.raises(ValueError):
        fit_prior(np.array(latents, np.int16), -8, 7, n_classes=n_classes, n_tables=1)
