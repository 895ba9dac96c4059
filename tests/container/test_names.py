"""aeformat.container.names: what rows are called (C7-1 to C7-3)."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aeformat.container import canonical
from aeformat.container import names as names_module
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


def in_two_ways(raw: bytes, n_rows: int) -> tuple[object, object]:
    """What the quick look finds, and what the one item by item does: names, or the rule that is broken."""
    try:
        return names_module._quick(raw, n_rows), names_module._parse_names(raw, n_rows)
    except BadNames as error:
        return names_module._quick(raw, n_rows), error.rule


PIECES = st.sampled_from(
    ["a", "B", "é", "日", ".", "..", "/", "\\", ":", "\n", "\0", "\x1f", "\x7f", " ", "~", "x" * 400]
)
TEXTS = st.lists(PIECES, max_size=6).map("".join) | st.text(max_size=5)
LABELS = st.integers(-1, 2**32) | st.booleans() | st.text(max_size=1)
SOURCES = st.sampled_from([SOURCE, bytes(range(32)), bytes(31), "x" * 32])


@given(
    st.dictionaries(st.sampled_from(["labels", "names", "sources", "size", ""]), st.none(), max_size=3),
    st.data(),
    st.integers(1, 4),
)
def test_the_quick_look_finds_what_the_slow_one_finds(keys, data, n_rows):
    """Or nothing; and nothing wherever something is wrong."""
    kinds = {"names": TEXTS, "labels": LABELS, "sources": SOURCES}
    lists = {key: st.lists(kinds.get(key, TEXTS), min_size=n_rows, max_size=n_rows) for key in keys}
    fields = {key: data.draw(items) for key, items in lists.items()}
    raw = names_module.msgpack.packb({key: fields[key] for key in data.draw(st.permutations(list(fields)))})

    quick, slow = in_two_ways(raw, n_rows)
    assert quick in (None, slow)


@given(st.data())
@example(None)
def test_the_quick_look_finds_nothing_in_damaged_bytes(data):
    """One byte more, less or another; where it still is a chunk of names, it is that of the slow look."""
    raw = bytearray(RowNames(("a.png", "b/c", "é"), (0, 200, 2**32 - 1), (SOURCE, SOURCE, bytes(range(32)))).to_bytes())
    places = range(len(raw)) if data is None else [data.draw(st.integers(0, len(raw) - 1))]
    for at in places:
        for value in range(256) if data is None else [data.draw(st.integers(0, 255))]:
            for changed in (raw[:at] + bytes([value]) + raw[at + 1 :], raw[:at] + bytes([value]) + raw[at:], raw[:at]):
                quick, slow = in_two_ways(bytes(changed), 3)
                assert quick in (None, slow)


@pytest.mark.parametrize(
    "name", [name for name in SAFE if ":" not in name and len(name) <= 256], ids=lambda n: ascii(n)[:20]
)
def test_what_people_call_rows_is_found_quickly(name):
    """All but colons, which stand in drives, and very long names."""
    raw = RowNames((name, "other"), (1, 2), (SOURCE, SOURCE)).to_bytes()

    assert names_module._quick(raw, 2) == names_module._parse_names(raw, 2)


def test_a_large_chunk_is_looked_at_before_anything_is_built():
    """An empty list of one byte becomes an object of 60."""
    raw = RowNames(tuple(f"{number:030d}" for number in range(9_000))).to_bytes()

    assert len(raw) > names_module._QUICK_BYTES
    assert names_module._quick(raw, 9_000) is None
    assert len(parse_names(raw, 9_000)) == 9_000


def test_lists_that_are_only_announced_take_no_memory():
    """Each of a thousand lists in one another says that it has 250,000 items; the library would make room for all of them."""
    raw = b"\x81\xa6labels" + (b"\xdd" + (250_000).to_bytes(4, "big")) * 1_000
    raw += b"\x90" * (names_module._QUICK_BYTES - len(raw))
    for n_rows in (3, 250_000):
        tracemalloc.start()
        with pytest.raises(BadNames) as caught:
            parse_names(raw, n_rows)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert caught.value.rule == "C3-5"
        assert peak < 4_000_000


@pytest.mark.parametrize(
    "source", [bytearray(32), memoryview(bytes(32)), memoryview(bytes(64))[::2]], ids=["array", "view", "gaps"]
)
def test_bytes_are_bytes_whatever_the_size_of_the_chunk(source):
    """As canonical.pack has it."""
    for n_rows in (1, 9_000):
        with pytest.raises(TypeError):
            RowNames(sources=(source,) * n_rows).to_bytes()


def test_slices_and_joins_keep_rows_together():
    """Entry i of every list stays that of row i."""
    names = row_names(5)

    assert RowNames.join([names.slice(0, 2), names.slice(2, 5)]) == names
    assert names.slice(1, 3) == row_names(2, first=1)
    assert len(names) == 5
    assert {names, row_names(5)} == {names}
    assert len(RowNames()) == 0
