"""A tiny autoencoder and images for it: quick to train, the same every time."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from aeformat.backends.base import Backend
from aeformat.backends.runtime import tensorflow_installed
from aeformat.backends.select import select_backend
from aeformat.model import reference
from aeformat.model.values import Value
from aeformat.training.quantise import ExactStep, exact_graph
from aeformat.training.recipe import DensePhase, DenseRecipe
from aeformat.training.stack import Dense

SIDE = 6  # pixels


@pytest.fixture(scope="session")
def quick_backend() -> Backend:
    """For exact networks: TensorFlow where it is installed, tens of times as fast as NumPy for convolutions, the same to the bit."""
    return select_backend("tensorflow" if tensorflow_installed() else "numpy", n_rows=None, package=None)


@pytest.fixture(scope="session")
def images() -> NDArray[np.uint8]:
    """(400, 6, 6, 1) u8: one soft blob an image, so that few latents describe it."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    centre_y, centre_x = rng.uniform(1, SIDE - 2, (2, 400, 1, 1))
    blobs = 255 * np.exp(-((y - centre_y) ** 2 + (x - centre_x) ** 2) / 2)
    return blobs.astype(np.uint8)[..., np.newaxis]


@pytest.fixture(scope="session")
def recipe() -> DenseRecipe:
    """Every activation and every kind of phase, in one small exact recipe."""
    return DenseRecipe(
        name="tiny",
        profile="exact",
        n_inputs=SIDE * SIDE,
        encoder=(Dense(24, "gelu", gain=1.5), Dense(6, "clip", gain=1.0)),
        decoder=(Dense(16, "sigmoid", gain=4.0), Dense(SIDE * SIDE, "sigmoid", gain=4.0)),
        phases=(DensePhase(8, 1e-2, "bce"), DensePhase(4, 5e-3, "mse"), DensePhase(4, 1e-3, "mse", rounded=True)),
        batch=32,
    )


@pytest.fixture(scope="session")
def evaluate() -> Callable[[Sequence[ExactStep], NDArray[Any]], NDArray[Any]]:
    """(exact steps, rows of 8-bit integers) -> what the reference makes of them."""

    def run(steps: Sequence[ExactStep], rows: NDArray[Any]) -> NDArray[Any]:
        start = Value(rows.shape[1:], {"uint8": "u8", "int8": "i8"}[rows.dtype.name])
        return reference.evaluate(exact_graph(start, steps).steps, rows)

    return run


@pytest.fixture(scope="session")
def mnist_test(mnist_dir: Path) -> NDArray[np.uint8]:
    """(10000, 28, 28, 1) u8: the test images, read apart from the library."""
    stored = gzip.decompress((mnist_dir / "t10k-images-idx3-ubyte.gz").read_bytes())
    return np.frombuffer(stored, np.uint8, offset=16).reshape(-1, 28, 28, 1)
