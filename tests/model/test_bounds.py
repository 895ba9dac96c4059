"""Bounds: never smaller than what inputs can bring about, and reached by some (spec/model.md, section 4)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeformat.model.bounds import channel_bounds
from model import bases
from model.networks import random_exact, random_rows
from model.plain import evaluate


@given(st.integers(0, 2**32 - 1), st.integers(0, 255))
def test_a_bound_is_what_the_worst_input_reaches(seed: int, magnitude: int) -> None:
    """For a dense layer, with inputs of both signs, some input reaches the bound exactly."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(-127, 128, (5, 3)).astype(np.int8)
    bias = rng.integers(-(2**31) + 1, 2**31, 3).astype(np.int32)

    bounds = channel_bounds(weights, bias, 1, magnitude)

    for j in range(3):
        side = 1 if bias[j] >= 0 else -1
        worst = side * np.sign(weights[:, j].astype(int)) * magnitude
        assert abs(int(worst @ weights[:, j]) + int(bias[j])) == bounds[j]


@pytest.mark.parametrize(("axis", "expected"), [(3, (24, 48)), (2, (18, 18, 18, 18))])
def test_the_axis_of_the_channels_is_the_kinds(axis: int, expected: tuple[int, ...]) -> None:
    weights = np.ones((1, 3, 4, 2), np.int8)
    weights[..., 1] = -2

    assert channel_bounds(weights, np.zeros(len(expected), np.int32), axis, 2) == expected


def test_minus_128_counts_as_128() -> None:
    assert channel_bounds(np.full((2, 1), -128, np.int8), np.zeros(1, np.int32), 1, 255) == (2 * 128 * 255,)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_no_input_leaves_the_interval_of_the_output(seed: int) -> None:
    """What the loader proves of a random network holds for random inputs."""
    package = random_exact(seed)
    made = evaluate(package, random_rows(package.input, 2, np.random.default_rng(seed)))

    assert package.plan[-1].interval.lo <= made.min()
    assert made.max() <= package.plan[-1].interval.hi


def test_multiply_adds_are_those_of_the_spec() -> None:
    """conv2d uses each weight once an output pixel, conv2d_transpose once an input pixel."""
    package = bases.convolution().load()

    assert package.n_multiply_adds == 2 * 3 * 2 * 3 * (2 * 4) + 2 * 2 * 3 * (2 * 4)
    assert package.n_made == 2 * (2 * 4 * 3) + 2 * (4 * 8 * 1)
