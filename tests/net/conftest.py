"""These tests need the extra [net] and a system that can fork.  Elsewhere each module counts as one skipped test with its reason."""

from __future__ import annotations

import importlib.util
import os

import pytest

_MISSING = [name for name in ("h11", "starlette", "uvicorn") if importlib.util.find_spec(name) is None]
_CAN_FORK = hasattr(os, "fork")  # the servers under test are (tools/loopback/server.py)


class _Missing(pytest.Module):
    """A test module that is not imported, because its imports would fail."""

    def collect(self):
        yield pytest.Function.from_parent(self, name="test_the_extra_net_is_installed", callobj=_refuse)


def _refuse() -> None:
    if not _CAN_FORK:
        pytest.skip("this system cannot fork, and the servers of these tests are forked")
    reason = f'not installed: {", ".join(_MISSING)}; pip install "aeformat[net]"'
    if os.environ.get("AEFORMAT_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def pytest_pycollect_makemodule(module_path, parent):
    return _Missing.from_parent(parent, path=module_path) if _MISSING or not _CAN_FORK else None


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Use a cache folder of the test's own, no token and no proxy, so that nothing of the user's is read or written."""
    monkeypatch.setenv("AEFORMAT_CACHE", str(tmp_path / "cache"))
    for name in ("AEFORMAT_TOKEN", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
