"""Promise: in the float32 profile too, one machine makes one result of a row, however it is cut, with whatever kernels (M5-3)."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from model.networks import note_halves, random_float, random_rows

from aeformat.backends.exact_sums import ROW_BITS, SUM_AXIS, row_exponents, slice_weights
from aeformat.backends.numpy_backend import NumpyBackend, NumpyNetwork
from aeformat.backends.numpy_layers import Scratch, float_sums
from aeformat.backends.tensorflow_layers import make_op
from aeformat.model import plain
from aeformat.model.package import Step
from aeformat.model.values import Value

TOP = Path(__file__).parents[2]
CORES = ("Haswell", "SkylakeX", "Zen", "Sandybridge", "Nehalem")
_DIGESTS = """
import numpy as np
from backends.test_float_sums import digests
print(*digests())
"""


def packages():
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
            n = 70 if n_block == 1 else 700
            assert network.run(rows[:n]).tobytes() == whole[:n].tobytes(), n_block
            assert network.run(rows[601:]).tobytes() == whole[601:].tobytes(), n_block
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
    return float_sums(step)(rows, Scratch()).copy()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", SUMS)
def test_both_backends_make_the_same_sums(kind: str, seed: int, tensorflow: object) -> None:
    """To the last bit, and close to float64's."""
    step, rows = linear(kind, seed)
    wide, more = step.arrays["weights"].astype(np.float64), step.params.values()
    right = getattr(plain, kind)(rows.astype(np.float64), wide, *more) + step.arrays["bias"]

    here, there = numpy_sums(step, rows), make_op(tensorflow, step)(rows).numpy()

    assert here.tobytes() == there.tobytes()
    largest = np.abs(rows).reshape(50, -1).max(axis=1).reshape(-1, *(1,) * (here.ndim - 1))
    weighed = np.abs(step.arrays["weights"]).sum()
    assert (np.abs(here - right) <= 2.0**-24 * (largest * weighed + np.abs(right))).all()


@pytest.mark.parametrize("kind", SUMS)
def test_infinity_and_nan_come_through_in_both(kind: str, tensorflow: object) -> None:
    """Rows that hold them give them where they are summed up; the other rows are as ever."""
    step, rows = linear(kind, 0)
    usual = numpy_sums(step, rows)
    rows.reshape(50, -1)[1, 3], rows.reshape(50, -1)[2, 4], rows.reshape(50, -1)[3, :2] = (
        np.inf,
        np.nan,
        (np.inf, -np.inf),
    )

    for made in (numpy_sums(step, rows), make_op(tensorflow, step)(rows).numpy()):
        assert np.isinf(made[1]).any() and np.isnan(made[2]).any() and np.isnan(made[3]).any()
        others = [0, *range(4, 50)]
        assert made[others].tobytes() == usual[others].tobytes()


def integers(numbers: np.ndarray) -> list[int]:
    """The same numbers on the coarsest scale that makes integers of all of them."""
    fractions = [Fraction(float(number)) for number in numbers]
    return [int(number * max(of.denominator for of in fractions)) for number in fractions]


def test_the_largest_sums_of_slices_stay_below_two_to_the_53() -> None:
    """So that float64 adds them exactly."""
    for package in packages():
        for step in package.plan:
            if step.kind not in SUM_AXIS:
                continue
            sliced = slice_weights(step)
            axis = SUM_AXIS[step.kind]
            for part in np.split(np.moveaxis(sliced.step.arrays["weights"], axis, -1), sliced.n_slices, -1):
                for channel in part.reshape(-1, part.shape[-1]).T:
                    assert sum(map(abs, integers(channel))) * 2**ROW_BITS <= 2**53


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
    assert row_exponents(np.array([np.inf], np.float32)).tolist() == [129]


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
