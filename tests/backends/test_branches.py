"""Networks with branches compute what spec/model.md says: joins, pools, skip connections, in integers and in float32."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model.branches import kinds_of, random_branches
from model.networks import random_rows
from model.plain import evaluate

from aeformat.backends import numpy_backend, tensorflow_backend
from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.backends.tensorflow_backend import TensorflowBackend
from aeformat.model.builder import PackageBuilder
from aeformat.model.golden import check_golden
from aeformat.model.layers import KINDS
from aeformat.model.manifest import Endpoint

JOINED = {"affine", "add", "concat", "upsample", "max_pool", "pad", "crop"}


@settings(max_examples=100)
@given(st.integers(0, 2**32 - 1))
def test_integers_are_those_of_the_spec(seed: int) -> None:
    package = random_branches(seed, "exact")
    network = NumpyBackend().load(package)
    rows = random_rows(package.input, 4, np.random.default_rng(seed))

    np.testing.assert_array_equal(network.run(rows), evaluate(package, rows))
    check_golden(package, network)


@settings(max_examples=100)
@given(st.integers(0, 2**32 - 1))
def test_floats_are_within_a_grey_level(seed: int) -> None:
    """M5-1."""
    package = random_branches(seed, "float32")
    network = NumpyBackend().load(package)
    rows = random_rows(package.input, 4, np.random.default_rng(seed))

    off = np.abs(network.run(rows).astype(int) - evaluate(package, rows))

    assert off.max() <= 1
    assert (off > 0).sum() <= 1 + off.size // 1000


def test_the_random_networks_are_of_every_sort() -> None:
    """What the tests here promise to mix, a hundred seeds do mix."""
    exact = [random_branches(seed, "exact") for seed in range(100)]
    floats = [random_branches(seed, "float32") for seed in range(100)]

    assert min(kinds_of(exact)[kind] for kind in {*JOINED, "conv2d", "lookup"}) > 15
    assert min(kinds_of(floats)[kind] for kind in {*JOINED, "average_pool"}) > 15
    adds = [step for package in exact for step in package.plan if step.kind == "add"]
    assert {numpy_backend.sum_dtype(step) for step in adds} == {np.dtype(np.float32), np.dtype(np.float64)}
    assert {
        type_
        for p in exact
        for s in p.plan
        if s.kind == "add"
        for type_ in (p.manifest.values[i].type for i in s.inputs)
    } == {"u8", "i8", "acc"}


@pytest.mark.usefixtures("needs_tensorflow")
@pytest.mark.parametrize("seed", range(16))
def test_tensorflow_computes_the_same(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """The integers of NumPy; floats within a grey level of the spec's."""
    monkeypatch.setattr(tensorflow_backend, "_MAX_BLOCK", 64)
    exact, floats = random_branches(seed, "exact"), random_branches(seed, "float32")
    rows = random_rows(exact.input, 100, np.random.default_rng(seed))

    np.testing.assert_array_equal(TensorflowBackend().load(exact).run(rows), NumpyBackend().load(exact).run(rows))
    check_golden(exact, TensorflowBackend().load(exact))
    check_golden(floats, TensorflowBackend().load(floats))


@pytest.mark.parametrize("n", [1, 5, 700])
@pytest.mark.parametrize("profile", ["exact", "float32"])
def test_a_row_does_not_depend_on_how_many_come_with_it(profile: str, n: int) -> None:
    """M5-3, and that no branch computes in another's memory."""
    for seed in range(5):
        package = random_branches(seed, profile)
        network = NumpyBackend().load(package)
        rows = random_rows(package.input, 700, np.random.default_rng(0))

        assert network.run(rows[:n]).tobytes() == network.run(rows)[:n].tobytes()


@pytest.mark.parametrize("backend", [NumpyBackend(), TensorflowBackend()], ids=["numpy", "tensorflow"])
def test_added_sums_beyond_2_to_the_24th_keep_their_last_bits(backend, request: pytest.FixtureRequest) -> None:
    """Each input fits float32, their sum does not: 2^24 - 1 and 2 and the input's last bit, taken back by a bias."""
    if backend.name == "tensorflow":
        request.getfixturevalue("needs_tensorflow")
    b = PackageBuilder(role="decoder", profile="exact", input=Endpoint((1,), "u8"), output=Endpoint((1, 1, 1), "u8"))
    one = b.tensor(np.array([1], np.int32))
    high, low = (b.layer("affine", (0,), weights=one, bias=b.tensor(np.array([s], np.int32))) for s in (2**24 - 300, 2))
    back = b.layer("affine", (0,), weights=one, bias=b.tensor(np.array([-(2**24) + 298], np.int32)))
    b.layer("add", (high, low, back))
    b.layer("lookup", multiplier=one, shift=0, table=b.tensor((np.arange(2048) & 255).astype(np.uint8)))
    b.layer("reshape", shape=(1, 1, 1))
    rows = np.arange(64, dtype=np.uint8).reshape(64, 1)
    package = b.build(golden_input=rows, golden_output=lambda draft: evaluate(draft, rows).astype(np.uint8))

    assert package.golden_output.ravel().tolist() == [3 * i for i in range(64)]
    check_golden(package, backend.load(package))


def test_every_kind_is_evaluated_by_the_plain_reading() -> None:
    """A kind without an independent evaluation is not tested at all."""
    from model import plain

    assert {*plain._LAYERS, *plain._JOINS} == set(KINDS)
