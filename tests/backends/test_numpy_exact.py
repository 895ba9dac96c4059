"""NumPy computes the spec's integers, for every exact network, in blocks of any size."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model.networks import cancelling, note_halves, random_exact, random_rows
from model.plain import evaluate

from aeformat.backends import numpy_backend, numpy_convolutions, numpy_layers
from aeformat.backends.numpy_backend import NumpyBackend, NumpyNetwork, one_sign_reach
from aeformat.errors import ValueInvalid
from aeformat.model.golden import check_golden
from aeformat.model.package import Step
from aeformat.model.values import Interval, Value


@settings(max_examples=150)
@given(st.integers(0, 2**32 - 1))
def test_random_networks_give_the_integers_of_the_spec(seed: int) -> None:
    """Dense, conv2d and conv2d_transpose mixed; odd strides, padding and crops; float32 and float64 sums."""
    package = random_exact(seed)
    network = NumpyBackend().load(package)
    rows = random_rows(package.input, 4, np.random.default_rng(seed))

    np.testing.assert_array_equal(network.run(rows), evaluate(package, rows))
    check_golden(package, network)
    np.testing.assert_array_equal(NumpyNetwork(package, integers=True).run(rows), evaluate(package, rows))


def test_the_random_networks_are_of_every_sort() -> None:
    """What the test above promises to mix, a hundred seeds do mix."""
    packages = [random_exact(seed) for seed in range(100)]
    steps = [step for package in packages for step in package.plan]

    assert {step.kind for step in steps} == {"dense", "conv2d", "conv2d_transpose", "lookup", "reshape", "flatten"}
    dtypes = [numpy_backend.sum_dtype(step) for step in steps if step.bounds is not None]
    assert min(dtypes.count(np.dtype(t)) for t in (np.float32, np.float64)) > 50
    assert any(len(set(step.integers("strides"))) == 2 for step in steps if step.kind == "conv2d")
    assert any(any(step.integers("crop")) for step in steps if step.kind == "conv2d_transpose")


@pytest.mark.parametrize("unfolded", [1, 7, 100])
@pytest.mark.parametrize("block", [1, 2, 5])
def test_blocks_and_strips_of_any_size_give_the_same(
    monkeypatch: pytest.MonkeyPatch, unfolded: int, block: int
) -> None:
    monkeypatch.setattr(numpy_layers, "UNFOLDED", unfolded)
    monkeypatch.setattr(numpy_convolutions, "UNFOLDED", 64 * unfolded)
    for seed in range(15):
        package = random_exact(seed)
        rows = random_rows(package.input, 7, np.random.default_rng(seed))

        np.testing.assert_array_equal(NumpyNetwork(package, n_block=block).run(rows), evaluate(package, rows))


@pytest.mark.parametrize("kind", ["dense", "conv2d", "conv2d_transpose"])
def test_sums_beyond_2_to_the_24th_keep_their_last_bits(kind: str) -> None:
    package = cancelling(kind)

    assert sorted(package.golden_output.ravel()) == list(range(128, 192))
    check_golden(package, NumpyBackend().load(package))


def test_sums_of_numbers_of_one_sign_are_added_in_float32_as_far_as_either_sign_reaches() -> None:
    """Half of the weights positive, half negative: the bound is twice what any part of a sum can be."""
    weights = np.repeat(np.array([[127], [-127]], np.int8), 400, axis=0)
    step = Step("dense", (0,), {}, {"weights": weights}, (800,), Value((1,), "acc"), None, (800 * 127 * 255,))

    assert step.bound > 2**24 > one_sign_reach(step, Interval(0, 255)) == 400 * 127 * 255
    assert one_sign_reach(step, Interval(-1, 255)) == step.bound
    assert one_sign_reach(dataclasses.replace(step, kind="add"), Interval(0, 255)) == step.bound


def test_the_notes_networks_give_the_integers_of_the_spec() -> None:
    """784-128-64-128-784, both halves, with either sort of multiplier."""
    for power_of_two in (False, True):
        for package in note_halves("exact", power_of_two=power_of_two):
            rows = random_rows(package.input, 3, np.random.default_rng(0))

            np.testing.assert_array_equal(NumpyBackend().load(package).run(rows), evaluate(package, rows))


@pytest.mark.parametrize("n", [0, 1, 7, 64, 1000, 1537])
def test_a_row_does_not_depend_on_how_many_come_with_it(n: int) -> None:
    _, package = note_halves("exact")
    network = NumpyBackend().load(package)
    rows = random_rows(package.input, 1537, np.random.default_rng(0))

    np.testing.assert_array_equal(network.run(rows[:n]), network.run(rows)[:n])


def test_threads_share_a_network() -> None:
    _, package = note_halves("exact")
    network = NumpyBackend().load(package)
    parts = [random_rows(package.input, 600, np.random.default_rng(i)) for i in range(8)]
    expected = [network.run(part) for part in parts]

    with ThreadPoolExecutor(4) as pool:
        for found, right in zip(pool.map(network.run, parts), expected, strict=True):
            np.testing.assert_array_equal(found, right)


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_threads_of_its_own_do_not_change_a_row(n_threads: int) -> None:
    """Many small blocks side by side, and blocks that are cut once more for layers of images."""
    for seed in range(8):
        package = random_exact(seed)
        rows = random_rows(package.input, 60, np.random.default_rng(seed))

        made = NumpyNetwork(package, n_block=3, n_threads=n_threads).run(rows)

        np.testing.assert_array_equal(made, evaluate(package, rows))


def test_rows_that_do_not_lie_in_order_in_memory_are_fine() -> None:
    package = random_exact(11)
    network = NumpyBackend().load(package)
    rows = random_rows(package.input, 8, np.random.default_rng(0))

    np.testing.assert_array_equal(network.run(rows[::-2]), network.run(rows)[::-2])
    np.testing.assert_array_equal(network.run(np.asfortranarray(rows)), network.run(rows))


def test_an_integer_outside_the_range_is_refused() -> None:
    """M4-7: refused by row and number, not clamped."""
    package = next(p for p in map(random_exact, range(99)) if p.input.type == "u8" and p.input.range[1] < 255)
    rows = random_rows(package.input, 9, np.random.default_rng(0))
    rows[5].flat[0] = 255

    with pytest.raises(ValueInvalid) as caught:
        NumpyBackend().load(package).run(rows)

    assert (caught.value.rule, caught.value.at) == ("M4-7", 5 * rows[0].nbytes)
    assert "row 5 holds 255" in str(caught.value)


def test_rows_of_another_type_or_shape_are_a_mistake() -> None:
    _, package = note_halves("exact")
    network = NumpyBackend().load(package)
    with pytest.raises(TypeError):
        network.run(np.zeros((2, 64), np.float32))
    with pytest.raises(ValueError, match="shape"):
        network.run(np.zeros((2, 65), np.uint8))
