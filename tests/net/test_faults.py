"""The table of tools/transport_faults.py, each fault a few times: every transfer ends, and no byte is wrong."""

from __future__ import annotations

from tools import transport_faults
from tools.loopback.proxy import KINDS


def test_every_fault_both_ways(monkeypatch):
    """No wrong byte; all transfers complete."""
    monkeypatch.setattr("aeformat.transport.retry.FIRST_SECONDS", 0.5)  # the tool sets its own; this puts it back
    rows = transport_faults.table(2, seed=11)
    assert {row.fault for row in rows} == set(KINDS)
    assert [row for row in rows if row.n_wrong or row.n_completed < row.n_tried or not row.n_injected] == []
