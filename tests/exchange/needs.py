"""Libraries that are not everywhere."""

from __future__ import annotations

import importlib.util
import os

import pytest


def need(module: str) -> None:
    """Skip where a module is not installed, unless AEFORMAT_REQUIRE_ALL=1 promised everything."""
    if importlib.util.find_spec(module) is None:
        if os.environ.get("AEFORMAT_REQUIRE_ALL") == "1":
            pytest.fail(f"{module} is not installed")
        pytest.skip(f"{module} is not installed", allow_module_level=True)
