"""A forward parser can forget what is not whole, and what it hands out is the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from aeformat.container.parser import ChunkRead, Parser
from aeformat.errors import FormatError

VALID = Path(__file__).resolve().parents[2] / "spec" / "vectors" / "container" / "valid"
FILES = {path.stem: path.read_bytes() for path in sorted(VALID.glob("*.aef"))}


def read(parser, data, piece=None):
    events = []
    for at in range(0, len(data), piece or len(data) or 1):
        events += parser.feed(data[at : at + (piece or len(data))])
    return events


def raw(events):
    return b"".join(e.front + (e.stored if isinstance(e, ChunkRead) else b"") for e in events)


@pytest.mark.parametrize("piece", [1, 7, 1 << 15, None])
@pytest.mark.parametrize("name", FILES)
def test_fronts_and_payloads_are_the_file(name, piece):
    """Every byte once, in order, however it was fed."""
    assert raw(read(Parser(), FILES[name], piece)) == FILES[name]


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_was_cut_anywhere_is_gone_on_with(name):
    """After `rewind` the bytes from `verified_at` on lead to the events that an undisturbed reading has."""
    data = FILES[name]
    whole = read(Parser(), data)
    for cut in range(0, len(data), 1 if len(data) < 3000 else 97):
        parser = Parser()
        events = read(parser, data[:cut])
        parser.rewind()
        at = parser.verified_at
        assert at <= cut
        assert events + read(parser, data[at:]) == whole
        parser.close()


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_structure_can_come_again(name):
    """A flipped bit, then the same bytes as they were sent."""
    data = FILES[name]
    whole = read(Parser(), data)
    for at in range(0, len(data), 1 if len(data) < 1500 else 41):
        bad, parser, events = bytearray(data), Parser(), []
        bad[at] ^= 1
        try:
            events += parser.feed(bytes(bad))
            parser.feed(b"")
        except FormatError:
            pass
        parser.rewind()
        assert events + read(parser, data[parser.verified_at :]) == whole
