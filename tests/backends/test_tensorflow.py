"""TensorFlow computes the integers that NumPy computes, always, and floats within the tolerance of section 5."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from model.networks import cancelling, note_halves, random_exact, random_float, random_rows
from model.plain import evaluate

from aeformat.backends import tensorflow_backend
from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.backends.tensorflow_backend import TensorflowBackend
from aeformat.errors import ValueInvalid
from aeformat.model.builder import PackageBuilder
from aeformat.model.golden import check_golden
from aeformat.model.manifest import Endpoint
from aeformat.model.package import ModelPackage

pytestmark = pytest.mark.usefixtures("needs_tensorflow")


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random networks are tiny; so are their blocks, to keep the tests quick."""
    monkeypatch.setattr(tensorflow_backend, "_MAX_BLOCK", 64)


@pytest.mark.parametrize("seed", range(40))
def test_random_networks_give_the_integers_of_the_spec(small_blocks: None, seed: int) -> None:
    """Dense, conv2d and conv2d_transpose mixed; odd strides, padding and crops; several blocks, the last one not full."""
    package = random_exact(seed)
    network = TensorflowBackend().load(package)
    rows = random_rows(package.input, 100, np.random.default_rng(seed))

    made = network.run(rows)

    np.testing.assert_array_equal(made, NumpyBackend().load(package).run(rows))
    np.testing.assert_array_equal(made[:2], evaluate(package, rows[:2]))
    check_golden(package, network)


@pytest.mark.parametrize("kind", ["dense", "conv2d", "conv2d_transpose"])
def test_sums_beyond_2_to_the_24th_keep_their_last_bits(kind: str) -> None:
    package = cancelling(kind)

    assert sorted(package.golden_output.ravel()) == list(range(128, 192))
    check_golden(package, TensorflowBackend().load(package))


@pytest.mark.parametrize("half", [0, 1], ids=["encoder", "decoder"])
def test_the_notes_networks_give_the_same_integers_in_batches_of_any_size(half: int) -> None:
    package = note_halves("exact")[half]
    network = TensorflowBackend().load(package)
    rows = random_rows(package.input, 5000, np.random.default_rng(0))
    whole = NumpyBackend().load(package).run(rows)

    for n in (0, 1, 7, 64, 1000, 5000):
        np.testing.assert_array_equal(network.run(rows[:n]), whole[:n])


def wide_convolutions() -> ModelPackage:
    """Shapes that real models have: 32 and 16 channels, strides 2, sums up to 2^23."""
    rng = np.random.default_rng(0)
    builder = PackageBuilder(
        role="decoder", profile="exact", input=Endpoint((7, 7, 32), "u8"), output=Endpoint((28, 28, 1), "u8")
    )
    table = builder.tensor(np.clip(np.arange(-512, 512) // 2 + 128, 0, 255).astype(np.uint8))

    def sums(kind: str, shape: tuple[int, ...], channels: int, **params: tuple[int, ...]) -> None:
        weights = builder.tensor(rng.integers(-127, 128, shape).astype(np.int8))
        bias = builder.tensor(rng.integers(-(2**18), 2**18, channels).astype(np.int32))
        builder.layer(kind, weights=weights, bias=bias, **params)
        multiplier = builder.tensor(rng.integers(100, 200, channels).astype(np.int32))
        builder.layer("lookup", multiplier=multiplier, shift=18, table=table)

    sums("conv2d", (3, 3, 32, 32), 32, strides=(1, 1), padding=(1, 1, 1, 1))
    sums("conv2d_transpose", (3, 3, 16, 32), 16, strides=(2, 2), crop=(0, 1, 0, 1))
    sums("conv2d_transpose", (5, 5, 16, 16), 16, strides=(2, 2), crop=(1, 2, 1, 2))
    sums("conv2d", (3, 3, 16, 1), 1, strides=(1, 1), padding=(1, 1, 1, 1))
    rows = random_rows(Endpoint((7, 7, 32), "u8"), 2, rng)
    return builder.build(golden_input=rows, golden_output=lambda draft: NumpyBackend().load(draft).run(rows))


def test_wide_convolutions_give_the_same_integers() -> None:
    package = wide_convolutions()
    rows = random_rows(package.input, 300, np.random.default_rng(1))
    made = TensorflowBackend().load(package).run(rows)

    np.testing.assert_array_equal(made, NumpyBackend().load(package).run(rows))
    np.testing.assert_array_equal(made[:1], evaluate(package, rows[:1]))


def test_unequal_strides_with_one_channel_and_one_column_are_right(small_blocks: None) -> None:
    """TensorFlow 2.21 with oneDNN leaves memory unwritten for this shape in float32; the backend goes around it."""
    builder = PackageBuilder(
        role="decoder", profile="float32", input=Endpoint((4, 5, 1), "f32"), output=Endpoint((3, 1, 3), "u8")
    )
    weights = np.random.default_rng(0).random((2, 4, 1, 3), np.float32) / 8
    builder.layer(
        "conv2d",
        weights=builder.tensor(weights),
        bias=builder.tensor(np.zeros(3, np.float32)),
        strides=(1, 3),
        padding=(0, 0, 0, 0),
    )
    builder.layer("to_u8")
    rows = np.random.default_rng(1).random((8, 4, 5, 1), np.float32)
    package = builder.build(golden_input=rows, golden_output=lambda draft: evaluate(draft, rows).astype(np.uint8))

    check_golden(package, TensorflowBackend().load(package))


_DIGEST = """
import hashlib, numpy as np
from aeformat.backends import tensorflow_backend
from aeformat.backends.tensorflow_backend import TensorflowBackend
from model.networks import cancelling, note_halves, random_exact, random_rows
from backends.test_tensorflow import wide_convolutions
tensorflow_backend._MAX_BLOCK = 64
digest = hashlib.sha256()
for package in (*note_halves("exact"), wide_convolutions(), *map(random_exact, range(12))):
    digest.update(TensorflowBackend().load(package).run(random_rows(package.input, 70, np.random.default_rng(0))).tobytes())
print(digest.hexdigest())
"""

_MACHINES = {
    "oneDNN": {"TF_ENABLE_ONEDNN_OPTS": "1"},
    "no oneDNN": {"TF_ENABLE_ONEDNN_OPTS": "0"},
    "AVX2": {"TF_ENABLE_ONEDNN_OPTS": "1", "ONEDNN_MAX_CPU_ISA": "AVX2", "XLA_FLAGS": "--xla_cpu_max_isa=AVX2"},
}


def test_other_kernels_give_the_same_integers() -> None:
    """With oneDNN, without it, and with those of a CPU without AVX-512: one digest."""
    top = Path(__file__).parents[2]
    paths = os.pathsep.join([str(top), str(top / "tests")])
    digests = {}
    for name, variables in _MACHINES.items():
        environment = os.environ | {"PYTHONPATH": paths} | variables
        done = subprocess.run([sys.executable, "-c", _DIGEST], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        digests[name] = done.stdout

    assert len(set(digests.values())) == 1, digests


@pytest.mark.parametrize("seed", range(20))
def test_random_float_networks_are_within_a_grey_level(small_blocks: None, seed: int) -> None:
    """M5-1 against a float64 evaluation."""
    package = random_float(seed)
    network = TensorflowBackend().load(package)
    rows = random_rows(package.input, 70, np.random.default_rng(seed))

    off = np.abs(network.run(rows)[:4].astype(int) - evaluate(package, rows[:4]))

    assert off.max() <= 1
    assert (off > 0).sum() <= 1 + off.size // 1000
    check_golden(package, network)


def test_float_latents_are_within_the_tolerance_and_do_not_depend_on_the_rows_beside_them() -> None:
    """M5-2 and M5-3, on the note's encoder."""
    encoder, _ = note_halves("float32")
    network = TensorflowBackend().load(encoder)
    rows = random_rows(encoder.input, 4500, np.random.default_rng(0))
    whole = network.run(rows)
    right = evaluate(encoder, rows[:3])

    assert (np.abs(whole[:3] - right) <= 2.0**-14 * np.maximum(1, np.abs(right))).all()
    for start, stop in ((0, 1), (1, 2), (3, 4500), (4499, 4500), (1000, 1313)):
        assert network.run(rows[start:stop]).tobytes() == whole[start:stop].tobytes()


def test_an_integer_outside_the_range_is_refused(small_blocks: None) -> None:
    package = next(p for p in map(random_exact, range(99)) if p.input.type == "u8" and p.input.range[1] < 255)
    rows = random_rows(package.input, 9, np.random.default_rng(0))
    rows[5].flat[0] = 255

    with pytest.raises(ValueInvalid, match="M4-7"):
        TensorflowBackend().load(package).run(rows)


def test_a_wide_input_makes_small_blocks(tensorflow: object) -> None:
    """Rows are filled up to a whole block, so a block counts the network's input too."""
    builder = PackageBuilder(
        role="decoder", profile="exact", input=Endpoint((60_000,), "u8"), output=Endpoint((1, 1, 1), "u8")
    )
    weights = np.ones((60_000, 1), np.int8)
    builder.layer("dense", weights=builder.tensor(weights), bias=builder.tensor(np.zeros(1, np.int32)))
    builder.layer(
        "lookup",
        multiplier=builder.tensor(np.ones(1, np.int32)),
        shift=16,
        table=builder.tensor(np.arange(256, dtype=np.uint8)),
    )
    builder.layer("reshape", shape=(1, 1, 1))
    rows = np.zeros((1, 60_000), np.uint8)
    package = builder.build(golden_input=rows, golden_output=lambda draft: evaluate(draft, rows).astype(np.uint8))

    network = TensorflowBackend().load(package)

    assert network._n_block * 60_000 <= 1 << 23
