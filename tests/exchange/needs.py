"""Libraries that are not everywhere."""

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import Any

import pytest


def need(module: str) -> None:
    """Skip where a module is not installed, unless AEFORMAT_REQUIRE_ALL=1 promised everything."""
    if importlib.util.find_spec(module) is None:
        if os.environ.get("AEFORMAT_REQUIRE_ALL") == "1":
            pytest.fail(f"{module} is not installed")
        pytest.skip(f"{module} is not installed")


def needed(module: str) -> Any:
    """A module that a whole file of tests needs; skips the file where it is not installed, by the same promise."""
    is_promised = os.environ.get("AEFORMAT_REQUIRE_ALL") == "1"
    return importlib.import_module(module) if is_promised else pytest.importorskip(module)
