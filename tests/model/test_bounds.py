"""Bounds: never smaller than what inputs can bring about, and reached by some (spec/model.md, section 4)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeformat.model.bounds import channel_bounds
from aeformat.model.builder import PackageBuilder
from aeformat.model.manifest import Endpoint
from aeformat.model.package import ModelPackage
from model import bases
from model.branches import random_branches
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


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_no_input_leaves_the_interval_of_the_output(seed: int, has_branches: bool) -> None:
    """What the loader proves of a random network holds for random inputs."""
    package = random_branches(seed, "exact") if has_branches else random_exact(seed)
    made = evaluate(package, random_rows(package.input, 2, np.random.default_rng(seed)))

    assert package.plan[-1].interval.lo <= made.min()
    assert made.max() <= package.plan[-1].interval.hi


def test_multiply_adds_are_those_of_the_spec() -> None:
    """conv2d uses each weight once an output pixel, conv2d_transpose once an input pixel."""
    package = bases.convolution().load()

    assert package.n_multiply_adds == 2 * 3 * 2 * 3 * (2 * 4) + 2 * 2 * 3 * (2 * 4)
    assert package.n_made == 2 * (2 * 4 * 3) + 2 * (4 * 8 * 1)


def test_work_without_weights_counts_too() -> None:
    """A pool takes its window for each number it makes, an add each of its inputs, affine one product."""
    package = _joined()

    counts = [package.manifest.multiply_adds_of(number) for number in range(len(package.plan))]

    assert counts == [6, 3 * 6, 0, 6 * 6, 0]
    assert package.n_multiply_adds == sum(counts)


def test_the_bound_of_an_add_is_the_sum_of_its_inputs_bounds() -> None:
    package = _joined()

    assert [step.bounds for step in package.plan[:2]] == [(2 * 255 + 1, 3 * 255 + 1), (255 + 2 * 766,) * 2]


def _joined() -> ModelPackage:
    """u8 [1, 3, 2] -> affine, add (twice and the input), lookup, max_pool, crop."""
    b = PackageBuilder(
        role="decoder", profile="exact", input=Endpoint((1, 3, 2), "u8"), output=Endpoint((1, 2, 2), "u8")
    )
    weights, bias = b.tensor(np.array([-2, 3], np.int32)), b.tensor(np.array([1, -1], np.int32))
    first = b.layer("affine", weights=weights, bias=bias)
    b.layer("add", (first, 0, first))
    table = b.tensor(np.arange(256, dtype=np.uint8))
    b.layer("lookup", multiplier=b.tensor(np.array([1], np.int32)), shift=4, table=table)
    b.layer("max_pool", size=(2, 3), strides=(1, 1), padding=(1, 0, 1, 1))
    b.layer("crop", crop=(0, 0, 1, 0))
    rows = np.zeros((1, 1, 3, 2), np.uint8)
    return b.build(golden_input=rows, golden_output=lambda draft: evaluate(draft, rows).astype(np.uint8))
