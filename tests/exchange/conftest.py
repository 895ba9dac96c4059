"""Keras, where TensorFlow is installed."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def keras(tensorflow):
    """The keras module of TensorFlow."""
    return tensorflow.keras
