"""The float32 profile in NumPy: close to float64, and the same bits wherever a row stands (spec/model.md, section 5)."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model.networks import note_halves, random_float, random_rows
from model.plain import evaluate

from aeformat.backends import numpy_floats
from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.model.golden import check_golden

EXACT = {
    "relu": lambda x: max(x, 0.0),
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)) if x > -700 else 0.0,
    "tanh": math.tanh,
    "elu": lambda x: x if x > 0 else math.expm1(x),
    "gelu": lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
    "silu": lambda x: x / (1 + math.exp(-x)) if x > -700 else 0.0,
    "softplus": lambda x: x + math.log1p(math.exp(-x)) if x > 0 else math.log1p(math.exp(x)),
}


@pytest.mark.parametrize("name", EXACT)
def test_a_function_is_right_to_a_few_units_in_the_last_place(name: str) -> None:
    """Within 1e-6 of its value, or of 1: a sixtieth of what M5-2 allows."""
    x = np.concatenate([np.linspace(-12, 12, 20_001), [-1e4, -200, -88, 88, 200, 1e4, 0.0, -0.0, 1e-30]]).astype(
        np.float32
    )
    made = np.empty_like(x)

    numpy_floats.PLAIN[name](x, made)

    right = np.array([EXACT[name](float(v)) for v in x])
    assert (np.abs(made - right) <= 1e-6 * np.maximum(1, np.abs(right))).all()


def test_to_u8_rounds_half_up_and_clips() -> None:
    x = np.array([-np.inf, -1, 0, 0.5 / 255, 0.499 / 255, 254.5 / 255, 1, 1.5, np.inf, np.nan], np.float32)
    made = np.empty(len(x), np.uint8)

    numpy_floats.to_u8(x, made)

    assert made.tolist() == [0, 0, 0, 1, 0, 255, 255, 255, 255, 0]


@settings(max_examples=100)
@given(st.integers(0, 2**32 - 1))
def test_random_networks_are_within_a_grey_level(seed: int) -> None:
    """M5-1 against a float64 evaluation, with every layer and activation, float16 weights too."""
    package = random_float(seed)
    network = NumpyBackend().load(package)
    rows = random_rows(package.input, 4, np.random.default_rng(seed))

    off = np.abs(network.run(rows).astype(int) - evaluate(package, rows))

    assert off.max() <= 1
    assert (off > 0).sum() <= 1 + off.size // 1000
    check_golden(package, network)


def test_float_latents_are_within_the_tolerance() -> None:
    """M5-2, on the note's encoder."""
    encoder, _ = note_halves("float32")
    rows = random_rows(encoder.input, 3, np.random.default_rng(0))
    right = evaluate(encoder, rows)

    off = np.abs(NumpyBackend().load(encoder).run(rows) - right)

    assert (off <= 2.0**-14 * np.maximum(1, np.abs(right))).all()


@pytest.mark.parametrize("seed", range(12))
def test_a_row_has_the_same_bits_wherever_it_stands(seed: int) -> None:
    """M5-3: alone, first, last, and among others."""
    package = note_halves("float32")[0] if seed == 0 else random_float(seed)
    network = NumpyBackend().load(package)
    rows = random_rows(package.input, 700, np.random.default_rng(seed))
    whole = network.run(rows)

    for start, stop in ((0, 1), (1, 2), (3, 700), (699, 700), (250, 263)):
        assert network.run(rows[start:stop]).tobytes() == whole[start:stop].tobytes()


_WHEREVER = """
import numpy as np
from model.networks import note_halves, random_rows
from aeformat.backends.numpy_backend import NumpyBackend
for package in note_halves("float32"):
    network = NumpyBackend().load(package)
    rows = random_rows(package.input, 600, np.random.default_rng(0))
    whole = network.run(rows)
    for start in (0, 1, 5, 6, 7, 63, 599):
        assert network.run(rows[start:]).tobytes() == whole[start:].tobytes(), start
    print(network._n_block)
"""


@pytest.mark.parametrize("core", ["Haswell", "Zen", "Sandybridge", "Nehalem"])
def test_other_cpus_kernels_keep_a_rows_bits_too(core: str) -> None:
    """OpenBLAS' kernels for AVX2 sum differently in different places of a block; a smaller block avoids it.

    The variable makes OpenBLAS take another CPU's kernels.  Where NumPy has another BLAS it does nothing.
    """
    top = Path(__file__).parents[2]
    paths = os.pathsep.join([str(top), str(top / "tests")])
    environment = os.environ | {"OPENBLAS_CORETYPE": core, "PYTHONPATH": paths}

    done = subprocess.run([sys.executable, "-c", _WHEREVER], env=environment, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
