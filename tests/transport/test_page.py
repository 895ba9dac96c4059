"""spec/transport.md and the tables of the code are the same."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from aeformat.transport import fetch_client, resolver, upload_client, upload_states
from aeformat.transport.transfer_limits import DEFAULT

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "spec" / "transport.md").read_text(encoding="utf-8")


def test_the_diagrams_are_drawn_from_the_tables():
    """T3-1 to T3-3, T6-1, T9-1: tools/transport_diagrams.py --write changes nothing."""
    spec = importlib.util.spec_from_file_location("transport_diagrams", ROOT / "tools" / "transport_diagrams.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)

    assert tool.updated(PAGE) == PAGE


@pytest.mark.parametrize("module", [upload_states, upload_client, fetch_client, resolver], ids=lambda m: m.__name__)
def test_every_state_can_be_reached_and_has_a_row(module):
    """A state without a row would be a KeyError.  A state that nothing leads to would be dead code."""
    table = module.NEXT
    reached, waiting = set(), [next(iter(table))]
    while waiting:
        state = waiting.pop()
        if state not in reached:
            reached.add(state)
            waiting += table[state].values()
    assert reached == set(table) == set(module.State)
    assert {event for row in table.values() for event in row} == set(module.Event)


def test_rules_are_numbered_without_a_gap():
    """T4-1, T4-2 and so on, each once."""
    found = re.findall(r"^(?:\| )?\*\*T(\d+)-(\d+)\*\*", PAGE, re.M)
    numbers = {}
    for section, number in found:
        numbers.setdefault(int(section), []).append(int(number))
    assert all(sorted(ns) == list(range(1, len(ns) + 1)) for ns in numbers.values()), numbers


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("16 GiB", DEFAULT.max_size),
        ("16 MiB", DEFAULT.chunk_bytes),
        ("256 MiB", DEFAULT.model_bytes),
        ("1 GiB", DEFAULT.max_append_size),
        ("32 MiB", DEFAULT.sync_bytes),
        ("65,536", DEFAULT.rans_steps),
    ],
)
def test_the_defaults_are_those_of_the_page(words, value):
    """Section 7."""
    number, _, unit = words.replace(",", "").partition(" ")
    assert int(number) << {"": 0, "MiB": 20, "GiB": 30}[unit] == value
    assert f"| {words} |" in PAGE
