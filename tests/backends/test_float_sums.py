"""Promise: in the float32 profile too, one machine makes one result of a row, however it is cut, with whatever kernels (M5-3)."""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from model.networks import note_halves, random_float, random_rows

from aeformat.backends.exact_sums import ROW_BITS, SUM_AXIS, row_exponents, slice_weights
from aeformat.backends.numpy_backend import NumpyBackend, NumpyNetwork
from aeformat.backends.numpy_float_sums import float_sums
from aeformat.backends.numpy_layers import Scratch
from aeformat.backends.tensorflow_layers import make_op
from aeformat.backends.tiled import own_sides
from aeformat.model.package import ModelPackage, Step
from aeformat.model.reference import value_of
from aeformat.model.values import Value

TOP = Path(__file__).parents[2]
CORES = ("Haswell", "SkylakeX", "Zen", "Sandybridge", "Nehalem")
_DIGESTS = """
import numpy as np
from backends.test_float_sums import digests
print(*digests())
"""


@functools.cache
def packages() -> list[ModelPackage]:
    """Float networks of every layer kind."""
    return [*note_halves("float32"), *(random_float(seed) for seed in range(6))]


def digests() -> list[str]:
    """SHA-256 of what each network makes of 700 rows, after it was seen that no cut and no block size changes a bit."""
    found = []
    for package in packages():
        rows = random_rows(package.input, 700, np.random.default_rng(1))
        whole = NumpyBackend().load(package).run(rows)
        for n_block in (1, 7, 64, 1000):
            network = NumpyNetwork(package, n_block=n_block)
            n = min(700, 20 * n_block)  # 20 blocks, as far as there are rows
            assert network.run(rows[:n]).tobytes() == whole[:n].tobytes(), n_block
            assert network.run(rows[-n + 1 :]).tobytes() == whole[-n + 1 :].tobytes(), n_block
        found.append(hashlib.sha256(whole.tobytes()).hexdigest())
    return found


@pytest.fixture(scope="module")
def here() -> list[str]:
    """The digests with this process's own kernels."""
    return digests()


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("core", CORES)
def test_all_kernels_and_threads_make_the_same_floats(core: str, threads: str, here: list[str]) -> None:
    """OpenBLAS' kernels for AVX2 add in another order in other places of a block.  The variable makes OpenBLAS take another
    CPU's kernels, where this CPU can run them.  Where NumPy has another BLAS it does nothing.
    """
    paths = os.pathsep.join([str(TOP), str(TOP / "tests")])
    environment = os.environ | {"OPENBLAS_CORETYPE": core, "OPENBLAS_NUM_THREADS": threads, "PYTHONPATH": paths}

    done = subprocess.run([sys.executable, "-c", _DIGESTS], env=environment, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == here


SUMS = {  # kind -> shapes of a row, of the weights, of what is made, and the layer's parameters
    "dense": ((300,), (300, 40), (40,), {}),
    "conv2d": ((9, 8, 5), (3, 3, 5, 6), (5, 8, 6), {"strides": (2, 1), "padding": (1, 1, 1, 1)}),
    "conv2d_transpose": ((5, 4, 7), (3, 2, 3, 7), (11, 8, 3), {"strides": (2, 2), "crop": (0, 0, 0, 0)}),
}


def linear(kind: str, seed: int) -> tuple[Step, np.ndarray]:
    """A layer that makes sums, and 50 rows for it: numbers from 2^-20 to 2^6."""
    draw = np.random.default_rng(seed)

    def numbers(shape: tuple[int, ...]) -> np.ndarray:
        return (draw.standard_normal(shape) * 2.0 ** draw.integers(-20, 6, shape)).astype(np.float32)

    shape, weights, made, params = SUMS[kind]
    n_made = weights[SUM_AXIS[kind]]
    arrays = {"weights": numbers(weights), "bias": numbers((n_made,))}
    return Step(kind, (0,), params, arrays, shape, Value(made, "f32"), None, None), numbers((50, *shape))


def numpy_sums(step: Step, rows: np.ndarray) -> np.ndarray:
    return float_sums(step)(rows, Scratch(), own_sides(step)).copy()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", SUMS)
def test_both_backends_make_the_same_sums(kind: str, seed: int, tensorflow: object) -> None:
    """To the last bit, and close to float64's."""
    step, rows = linear(kind, seed)
    right = value_of(step, [rows.astype(np.float64)])

    here, there = numpy_sums(step, rows), make_op(tensorflow, step)(rows, own_sides(step)).numpy()

    assert here.tobytes() == there.tobytes()
    largest = np.abs(rows).reshape(50, -1).max(axis=1).reshape(-1, *(1,) * (here.ndim - 1))
    weighed = np.abs(step.arrays["weights"]).sum()
    assert (np.abs(here - right) <= 2.0**-24 * (largest * weighed + np.abs(right))).all()


def both(step: Step, rows: np.ndarray, tensorflow: object) -> np.ndarray:
    """What both backends make of the rows, after it was seen that it is the same."""
    here, there = numpy_sums(step, rows), make_op(tensorflow, step)(rows, own_sides(step)).numpy()
    np.testing.assert_array_equal(here, there)
    return here


@pytest.mark.parametrize("kind", SUMS)
def test_infinity_and_nan_come_through(kind: str, tensorflow: object) -> None:
    """Where they are summed up and nowhere else: the other sums of the row, and the other rows, are as ever."""
    step, rows = linear(kind, 0)
    flat = rows.reshape(50, -1)
    flat[1:4, 0] = 0
    usual = both(step, rows, tensorflow)
    flat[1, 0], flat[2, 0], flat[3, 0] = np.inf, np.nan, -np.inf

    made = both(step, rows, tensorflow)

    touched = np.zeros_like(rows)
    touched.reshape(50, -1)[1:4, 0] = 1
    is_touched = reached(step, touched)
    assert is_touched[1:4].any()
    assert not np.isfinite(made[is_touched]).any()
    np.testing.assert_array_equal(made[~is_touched], usual[~is_touched])


def reached(step: Step, rows: np.ndarray) -> np.ndarray:
    """Which sums the numbers of `rows` that are not 0 go into."""
    ones = replace(step, arrays={"weights": np.ones_like(step.arrays["weights"]), "bias": np.zeros(1, np.float32)})
    return value_of(ones, [(rows != 0).astype(np.float64)]) != 0


@pytest.mark.parametrize("kind", SUMS)
@pytest.mark.parametrize(("large", "small"), [(1e6, 1e-3), (1e7, 1e-2), (3e30, 1e26)])
def test_a_large_number_takes_no_precision_from_others(
    kind: str, large: float, small: float, tensorflow: object
) -> None:
    """Sums that it does not go into, or with weight 0, are within M5-2 as ever."""
    step, rows = linear(kind, 3)
    if kind == "dense":
        step.arrays["weights"][0] = 0
    alone = np.zeros_like(rows)
    alone.reshape(50, -1)[:, 0] = large
    rows = np.where(alone != 0, alone, np.float32(small))
    right = value_of(step, [rows.astype(np.float64)])

    made = both(step, rows, tensorflow)

    counts = np.ones_like(right, bool) if kind == "dense" else ~reached(step, alone)
    assert counts.any()
    assert (np.abs(made - right) <= 2.0**-14 * np.maximum(1, np.abs(right)))[counts].all()


def test_the_reviews_cases() -> None:
    """Numbers that one part of 24 bits would lose."""

    def dense(rows: list[float], weights: list[float]) -> float:
        arrays = {"weights": np.array([weights], np.float32).T, "bias": np.zeros(1, np.float32)}
        step = Step("dense", (0,), {}, arrays, (len(rows),), Value((1,), "f32"), None, None)
        return float(numpy_sums(step, np.array([rows], np.float32))[0, 0])

    assert dense([1e6, 1e-3, 2e-3, 3e-3], [0, 1, 1, 1]) == pytest.approx(0.006, rel=1e-6)
    assert dense([1e-35], [1e34]) == pytest.approx(0.1, rel=1e-6)
    assert dense([1e-38], [3e38]) == pytest.approx(3, rel=1e-6)
    assert dense([3e38, -3e38], [3e38, 3e38]) == 0
    assert dense([3e38], [3e38]) == np.inf


def coarsest_units(numbers: np.ndarray) -> np.ndarray:
    """(n, channels) -> for each channel, the largest power of two of which all its numbers are multiples; infinity for zeros."""
    mantissas, exponents = np.frexp(numbers)
    whole = np.ldexp(mantissas, 53).astype(np.int64)
    last_bits = np.ldexp((whole & -whole).astype(np.float64), exponents - 53)
    return np.where(whole == 0, np.inf, last_bits).min(axis=0)


def test_the_coarsest_unit_of_numbers() -> None:
    numbers = np.array([[3, 0.75, 0, -1], [5, -6, 0, 2.0**-52 + 1]])

    assert coarsest_units(numbers).tolist() == [1, 0.25, np.inf, 2.0**-52]


def test_the_largest_sums_of_slices_stay_below_two_to_the_53() -> None:
    """So that float64 adds them exactly."""
    for package in packages():
        for step in package.plan:
            if step.kind not in SUM_AXIS:
                continue
            sliced = slice_weights(step)
            axis = SUM_AXIS[step.kind]
            for part in np.split(np.moveaxis(sliced.step.arrays["weights"], axis, -1), sliced.n_slices, -1):
                channels = part.reshape(-1, part.shape[-1])
                largest = np.abs(channels).sum(axis=0) * 2.0**ROW_BITS
                assert (largest <= 2.0**53 * coarsest_units(channels)).all()


@pytest.mark.parametrize("seed", range(3))
def test_slices_put_together_are_the_weights_to_26_bits(seed: int) -> None:
    package = random_float(seed)
    for step in package.plan:
        if step.kind not in SUM_AXIS:
            continue
        sliced = slice_weights(step)
        axis = SUM_AXIS[step.kind]
        made = sum(np.split(sliced.step.arrays["weights"], sliced.n_slices, axis))
        others = tuple(i for i in range(made.ndim) if i != axis)
        off = np.abs(made - step.arrays["weights"].astype(np.float64)).max(axis=others)

        assert (off <= 2.0**-26 * np.abs(step.arrays["weights"].astype(np.float64)).max(axis=others)).all()


def test_the_scale_of_a_row_holds_its_largest_number() -> None:
    values = np.array([0, 1e-45, 2.0**-101, 1, 1.5, 2, 255, 3.4e38], np.float32)

    exponents = row_exponents(values)

    assert (values < 2.0 ** exponents.astype(np.float64)).all()
    assert (values[3:] >= 2.0 ** (exponents[3:].astype(np.float64) - 1)).all()


_TENSORFLOW_DIGESTS = """
import hashlib
import numpy as np
from aeformat.backends.tensorflow_backend import TensorflowBackend
from backends.test_float_sums import packages
from model.networks import random_rows
for package in packages()[:5]:
    network = TensorflowBackend().load(package)
    rows = random_rows(package.input, 700, np.random.default_rng(1))
    whole = network.run(rows)
    for start in (1, 255, 601, 699):
        assert network.run(rows[start:]).tobytes() == whole[start:].tobytes(), start
    print(hashlib.sha256(whole.tobytes()).hexdigest())
"""


def test_tensorflow_makes_the_same_floats_with_onednn_and_without(tensorflow: object) -> None:
    """And with one thread and with two."""
    paths = os.pathsep.join([str(TOP), str(TOP / "tests")])
    made = []
    for onednn, threads in (("0", "1"), ("1", "2")):
        environment = os.environ | {
            "TF_ENABLE_ONEDNN_OPTS": onednn, "TF_NUM_INTRAOP_THREADS": threads, "PYTHONPATH": paths,
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", _TENSORFLOW_DIGESTS], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        made.append(done.stdout.split())

    assert made[0] == made[1]
    assert len(made[0]) == 5
