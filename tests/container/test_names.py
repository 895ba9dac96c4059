"""aeformat.container.names: what rows are called (C7-1 to C7-3)."""

from __future__ import annotations

import pytest

from aeformat.container import canonical
from aeformat.container.names import BadNames, RowNames, check_name, parse_names

from .files import row_names

SOURCE = bytes(32)


@pytest.mark.parametrize(
    "names",
    [
        RowNames(names=("a", "b/c.png")),
        RowNames(labels=(0, 2**32 - 1)),
        RowNames(sources=(SOURCE, SOURCE)),
        row_names(2),
    ],
    ids=["names", "labels", "sources", "all"],
)
def test_row_names_come_back(names):
    """parse_names(n.to_bytes()) is n, with each list alone and all together."""
    assert parse_names(names.to_bytes(), 2) == names


def test_the_payload_is_the_canonical_map_of_section_7():
    """One map of lists, nothing for a list that is not there."""
    names = RowNames(names=("a", "b"), labels=(1, 2))

    assert names.to_bytes() == canonical.pack({"labels": [1, 2], "names": ["a", "b"]})


SAFE = [
    "a", ".hidden", "..a", "a..", "...", "a b", "é/日本.png", "x" * 1024, "é" * 512, "ab:c",
    "a/b:", "1:x", "é:x", "C", "a/C:b", "-rf", "~", "%2e%2e",
]  # fmt: skip


@pytest.mark.parametrize("name", SAFE, ids=lambda n: ascii(n)[:20])
def test_a_relative_posix_path_is_a_name(name):
    """C7-2 refuses no more than it says."""
    check_name(name)
    assert parse_names(RowNames(names=(name,)).to_bytes(), 1).names == (name,)


UNSAFE = [
    "", "/", "/etc/passwd", "a/", "a//b", ".", "..", "../a", "a/..", "a/../b", "./a", "a/./b", "a\\b",
    "\\", "..\\a", "C:", "c:/x", "C:x",
    "a\nb", "a\x1fb", "a\x7f", "\t", "x" * 1025, "é" * 513,
]  # fmt: skip


@pytest.mark.parametrize("name", UNSAFE, ids=lambda n: ascii(n)[:20])
def test_a_name_that_could_leave_its_folder_is_refused(name):
    """In a file it is C7-2, and a writer does not write it."""
    raw = canonical.pack({"names": [name]})
    for refuse in (lambda: check_name(name), lambda: parse_names(raw, 1), lambda: RowNames(names=(name,)).to_bytes()):
        with pytest.raises(BadNames) as caught:
            refuse()
        assert caught.value.rule == "C7-2"


@pytest.mark.parametrize("name", ["a\udcff.png", "a\0b"], ids=ascii)
def test_a_name_that_no_file_can_hold_is_refused_by_the_same_rule(name):
    """A file name in another charset, as Python hands it out, ends in BadNames and not in a traceback from msgpack."""
    with pytest.raises(BadNames) as caught:
        RowNames(names=(name,)).to_bytes()

    assert caught.value.rule == "C7-2"


REFUSED = {
    "not-msgpack": (b"\xc1", "C3-1"),
    "not-canonical": (b"\x81\xa5names\xdc\x00\x01\xa1a", "C3-3"),
    "no-key": (canonical.pack({}), "C7-1"),
    "unknown-key": (canonical.pack({"names": ["a"], "size": [1]}), "C7-1"),
    "names-no-list": (canonical.pack({"names": "a"}), "C7-1"),
    "names-short": (canonical.pack({"names": []}), "C7-1"),
    "names-long": (canonical.pack({"names": ["a", "b"]}), "C7-1"),
    "one-list-short": (canonical.pack({"labels": [], "names": ["a"]}), "C7-1"),
    "name-bytes": (canonical.pack({"names": [b"a"]}), "C7-1"),
    "label-bool": (canonical.pack({"labels": [True]}), "C7-1"),
    "label-negative": (canonical.pack({"labels": [-1]}), "C7-1"),
    "label-2^32": (canonical.pack({"labels": [2**32]}), "C7-1"),
    "label-text": (canonical.pack({"labels": ["1"]}), "C7-1"),
    "source-short": (canonical.pack({"sources": [bytes(31)]}), "C7-1"),
    "source-text": (canonical.pack({"sources": ["x" * 32]}), "C7-1"),
    "deeper": (canonical.pack({"names": [["a"]]}), "C7-1"),
    "type-before-safety": (canonical.pack({"names": ["/"], "sources": [b""]}), "C7-1"),
}


@pytest.mark.parametrize(("raw", "rule"), REFUSED.values(), ids=REFUSED)
def test_any_other_payload_is_refused(raw, rule):
    """Each list has one entry of its type for every row."""
    with pytest.raises(BadNames) as caught:
        parse_names(raw, 1)

    assert caught.value.rule == rule


def test_a_name_stands_once_in_a_chunk():
    """C7-3, after C7-2."""
    with pytest.raises(BadNames) as caught:
        RowNames(names=("a", "b", "a")).to_bytes()
    assert caught.value.rule == "C7-3"
    with pytest.raises(BadNames) as caught:
        RowNames(names=("a", "a", "/")).to_bytes()
    assert caught.value.rule == "C7-2"


def test_slices_and_joins_keep_rows_together():
    """Entry i of every list stays that of row i."""
    names = row_names(5)

    assert RowNames.join([names.slice(0, 2), names.slice(2, 5)]) == names
    assert names.slice(1, 3) == row_names(2, first=1)
    assert len(names) == 5
    assert {names, row_names(5)} == {names}
    assert len(RowNames()) == 0
