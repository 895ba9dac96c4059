"""Fixtures for loaders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def environment(torch_environment) -> dict[str, str]:
    """That of torch_command, with this checkout and its tests."""
    paths = [str(ROOT), str(ROOT / "tests"), torch_environment.get("PYTHONPATH")]
    return {**torch_environment, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
