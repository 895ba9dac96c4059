"""Keras, where TensorFlow is installed."""

from __future__ import annotations

import pytest

from exchange.needs import need


@pytest.fixture(scope="session")
def keras():
    """The keras module of TensorFlow."""
    need("tensorflow")
    from aeformat.backends.runtime import load_tensorflow

    return load_tensorflow().keras
