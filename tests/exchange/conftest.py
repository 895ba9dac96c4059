"""What needs a library that is not everywhere: skipped without it, unless AEFORMAT_REQUIRE_ALL=1 promised everything."""

from __future__ import annotations

import importlib.util
import os

import pytest


@pytest.fixture(scope="session")
def keras():
    """The keras module of TensorFlow."""
    need("tensorflow")
    from aeformat.backends.runtime import load_tensorflow

    return load_tensorflow().keras


def need(module: str) -> None:
    """Skip where a module is not installed."""
    if importlib.util.find_spec(module) is None:
        if os.environ.get("AEFORMAT_REQUIRE_ALL") == "1":
            pytest.fail(f"{module} is not installed")
        pytest.skip(f"{module} is not installed")
