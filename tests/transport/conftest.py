"""Fixtures of the state machines' tests."""

from __future__ import annotations

import pytest

from aeformat.transport import request_sizes, upload_client


@pytest.fixture
def small_requests(monkeypatch):
    """The files of these tests are small: no request is too small for them, and none carries a whole file unasked."""
    monkeypatch.setattr(request_sizes, "LEAST_BYTES", 1)
    monkeypatch.setattr(upload_client, "ONE_REQUEST_BYTES", 0)
