"""Fixtures that every test may use."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

_MNIST_FILE = "t10k-images-idx3-ubyte.gz"


def _skip_or_fail(reason: str) -> None:
    """Skip, unless this run promised to have everything (AEFORMAT_REQUIRE_ALL=1)."""
    if os.environ.get("AEFORMAT_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def mnist_dir() -> Path:
    """The folder with the four gzipped MNIST files; skips where there is none."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist"
    places = [Path(os.environ["AEFORMAT_DATA"]) / "mnist"] if os.environ.get("AEFORMAT_DATA") else []
    for place in [*places, beside]:
        if (place / _MNIST_FILE).is_file():
            return place
    _skip_or_fail(f"MNIST is not here: set AEFORMAT_DATA to a folder with mnist/{_MNIST_FILE}")
    raise AssertionError("unreachable")


@pytest.fixture(scope="session")
def tensorflow() -> object:
    """TensorFlow, as this package loads it; skips where it is not installed."""
    from aeformat.backends.runtime import load_tensorflow, tensorflow_installed

    if not tensorflow_installed():
        _skip_or_fail('TensorFlow is not installed: pip install "aeformat[tensorflow]"')
    return load_tensorflow()


@pytest.fixture(scope="session")
def hatchling() -> None:
    """What builds wheels; skips where it is not installed."""
    if importlib.util.find_spec("hatchling") is None:
        _skip_or_fail("hatchling is not installed")
