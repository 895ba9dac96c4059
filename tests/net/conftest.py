"""These tests need the extra [net]."""

from __future__ import annotations

import importlib.util
import os

import pytest

_MISSING = [name for name in ("h11", "starlette", "uvicorn") if importlib.util.find_spec(name) is None]
if _MISSING and os.environ.get("AEFORMAT_REQUIRE_ALL") != "1":
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Nothing of the user's is read or written."""
    monkeypatch.setenv("AEFORMAT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("AEFORMAT_TOKEN", raising=False)
