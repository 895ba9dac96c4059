"""Promise: what the pages print is what the vectors are."""

from __future__ import annotations

import re

import pytest

from aeformat.container.limits import CHUNK_BYTES, RANS_STEPS, Limits
from aeformat.model.file_io import read_package

from .vectors import SPEC, VECTORS, load

_LINE = re.compile(r"^    ([0-9a-f]{4})  (00 x \d+|(?:[0-9a-f]{2} ?)+)(?: .*)?$", re.MULTILINE)


def section_of(page: str, heading: str) -> str:
    """The text of one section."""
    found = (SPEC / page).read_text("utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    assert found, heading
    return found


def dumped(section: str) -> tuple[int, bytes]:
    """Where a dump begins, and its bytes; every offset at the left is that of what stands beside it."""
    start, data = None, b""
    for at, pieces in _LINE.findall(section):
        start = int(at, 16) if start is None else start
        assert int(at, 16) == start + len(data), at
        data += bytes(int(pieces[5:])) if "x" in pieces else bytes.fromhex(pieces)
    assert start is not None
    return start, data


@pytest.mark.parametrize(
    ("page", "heading", "vector"),
    [
        ("container.md", "15. A complete file", "container/valid/001-small"),
        ("container.md", "20. A file with rows of their own size", "container/valid/160-sized-small"),
        ("model.md", "11. A complete package", "model/valid/001-dense"),
    ],
)
def test_dump_of_a_file_is_its_vector(page, heading, vector):
    """Every byte, and every offset at the left."""
    assert dumped(section_of(page, heading)) == (0, (VECTORS / f"{vector}.aef").read_bytes())


def test_dump_of_a_frame_is_all_of_it():
    """The payload of the one chunk of its vector, at its place."""
    data = (VECTORS / "container/valid/066-zstd-two-blocks.aef").read_bytes()

    at, frame = dumped(section_of("container.md", "17. The header of a zstd frame"))

    assert frame == data[at:-64] and data.index(b"\x28\xb5\x2f\xfd") == at


def test_the_code_that_is_worked_by_hand_is_that_of_its_vector():
    """Section 18: the bytes, the numbers of the prior, and each line of the table by the spec's own formula."""
    section = section_of("container.md", '18. A code of codec "rans" by hand')
    case = load(VECTORS / "container/valid/149-rans-by-hand.aef")
    code = bytes.fromhex("".join(re.findall(r"^    ((?:[0-9a-f]{2} ?)+)  ", section, re.MULTILINE)))
    assert code in case.data
    prior = read_package((VECTORS / "model/valid/060-prior.aef").read_bytes()).prior
    frequencies = {"classes": prior.classes.tolist()} | {
        f"table {j}": row.tolist() for j, row in enumerate(prior.tables)
    }
    for numbers in (*frequencies.values(), *prior.means[:2].tolist(), *prior.picks[:2].tolist()):
        assert ", ".join(map(str, numbers)) in section.replace("\n", " ")

    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if line.startswith("| ")]
    x, number, values = int.from_bytes(code[1:5], "little"), 0, []
    for row in table[1:]:
        _, position, before, name, slot, s, cum, f, new, word, behind, value = row
        f_of_s = frequencies[name]
        assert [x, x % 256, f_of_s[int(s)], sum(f_of_s[: int(s)])] == [int(before), int(slot), int(f), int(cum)]
        assert int(cum) <= int(slot) < int(cum) + int(f)
        assert int(new) == int(f) * (x // 256) + int(slot) - int(cum)
        x = int(new) if int(new) >= 65_536 else int(new) * 65_536 + int(word)
        assert (x, bool(word)) == (int(behind), int(new) < 65_536)
        if position == "class":
            number = int(s)
            assert value == f"class {s}"
        else:
            assert int(value) == -4 + (int(s) + int(prior.means[number, int(position)])) % 8
            assert name == f"table {prior.picks[number, int(position)]}"
            values.append(int(value))

    assert x == 65_536
    assert bytes(value % 256 for value in values).hex() == case.expected["values_hex"]


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
