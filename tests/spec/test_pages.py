"""Promise: what the pages print is what the vectors are."""

from __future__ import annotations

import re

from aeformat.container.limits import CHUNK_BYTES, RANS_STEPS, Limits

from .vectors import SPEC, VECTORS

_LINE = re.compile(r"^    ([0-9a-f]{4})  ((?:[0-9a-f]{2} ?)+)(?: .*)?$", re.MULTILINE)


def test_dump_in_section_15_is_vector_001():
    """Every byte, and every offset at the left."""
    page = (SPEC / "container.md").read_text("utf-8")
    section = page.partition("## 15. A complete file")[2].partition("\n## ")[0]
    data = b""

    for at, pieces in _LINE.findall(section):
        assert int(at, 16) == len(data), at
        data += bytes.fromhex(pieces)

    assert data == (VECTORS / "container" / "valid" / "001-small.aef").read_bytes()


def test_every_link_leads_to_a_file():
    """Links in the pages of spec/ that are not of the web."""
    for page in SPEC.rglob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), (page.name, target)


def test_every_file_of_the_folder_is_on_its_map():
    """README.md of spec/ names each file beside it."""
    named = (SPEC / "README.md").read_text("utf-8")

    assert [path.name for path in sorted(SPEC.iterdir()) if path.name not in named] == []


def test_no_page_names_a_machine():
    """No page holds the path of a person's own folder."""
    for path in SPEC.rglob("*"):
        if path.suffix in (".md", ".json"):
            assert not re.search(r"/(home|Users|tmp|work)/", path.read_text("utf-8")), path


def test_deviations_state_the_reader_s_own_limits():
    """deviations.md has the very numbers of the default limits that lie below the format's."""
    page = (SPEC / "deviations.md").read_text("utf-8").replace(",", "")
    of_format = {"chunk_bytes": CHUNK_BYTES, "rans_steps": RANS_STEPS}

    for name, value in Limits()._asdict().items():
        stated = [line for line in page.splitlines() if f"Limits({name}=" in line]
        if name in of_format:
            assert (value, stated) == (of_format[name], [])
        else:
            assert len(stated) == 1 and str(value) in stated[0], name
