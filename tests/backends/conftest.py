"""TensorFlow, where it is installed."""

from __future__ import annotations

import os

import pytest

from aeformat.backends.runtime import tensorflow_installed


@pytest.fixture(scope="session")
def needs_tensorflow() -> None:
    """Skip without TensorFlow, unless this run promised to have everything (AEFORMAT_REQUIRE_ALL=1)."""
    if not tensorflow_installed():
        reason = 'TensorFlow is not installed: pip install "aeformat[tensorflow]"'
        if os.environ.get("AEFORMAT_REQUIRE_ALL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
