"""The table of tools/transport_faults.py, each fault a few times: every transfer ends, and no byte is wrong."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from net.proxy import KINDS

TOOL = Path(__file__).resolve().parents[2] / "tools" / "transport_faults.py"


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.setattr("aeformat.transport.retry.FIRST_SECONDS", 0.5)
    spec = importlib.util.spec_from_file_location("transport_faults", TOOL)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_every_fault_both_ways(tool):
    """No wrong byte; all transfers complete."""
    rows = tool.table(2, seed=11)
    assert {row.fault for row in rows} == set(KINDS)
    assert [row for row in rows if row.n_wrong or row.n_completed < row.n_tried or not row.n_injected] == []
