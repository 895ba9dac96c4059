"""Promise: writers that are killed at random moments lose no row that was acknowledged, as the table of docs/sets.md says."""

from __future__ import annotations

import re
from pathlib import Path

from tools.crash_table import main

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "sets.md").read_text(encoding="utf-8")
KINDS = [("one file", "none"), ("one file", "zstd"), ("a set", "none"), ("a set", "zstd")]


def test_nothing_is_lost(capsys):
    """The tool itself, with fewer kills than the table has."""
    assert main(["--kills", "3"]) == 0

    lines = [re.split(r"  +|(?<=set|ile) +(?=none|zstd)", line) for line in capsys.readouterr().out.splitlines()[1:]]
    assert [tuple(cells[:2]) for cells in lines] == KINDS
    for _, _, kills, acknowledged, found, lost, wrong in lines:
        assert (kills, lost, wrong) == ("3", "0", "0")
        assert int(found.replace(",", "")) >= int(acknowledged.replace(",", "")) > 0


def test_the_page_has_these_lines():
    rows = re.findall(
        r"^\| ([\w ]+) \| (\w+) \| (\d+) \| ([\d,]+) \| ([\d,]+) \| (\d+) \| (\d+) \|$", PAGE, re.MULTILINE
    )

    assert [row[:2] for row in rows] == KINDS
    assert all(int(found.replace(",", "")) >= int(said.replace(",", "")) > 0 for *_, said, found, _, _ in rows)
    assert {(int(kills) >= 25, lost, wrong) for _, _, kills, _, _, lost, wrong in rows} == {(True, "0", "0")}
