"""aeformat.container.canonical: one map, one byte form (C3-1 to C3-5)."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeformat.container import canonical
from aeformat.container.canonical import NotCanonical, pack, unpack

KNOWN = {
    "empty": ({}, "80"),
    "key-order": ({"b": 1, "a": 2}, "82a16102a16201"),
    "byte-order-not-length-order": ({"b": 0, "aa": 0, "B": 0}, "83a14200a2616100a16200"),
    "utf8-order": ({"é": 0, "z": 0}, "82a17a00a2c3a900"),
    "fixint": ({"a": 127}, "81a1617f"),
    "u8": ({"a": 128}, "81a161cc80"),
    "u16": ({"a": 256}, "81a161cd0100"),
    "u32": ({"a": 65536}, "81a161ce00010000"),
    "u64": ({"a": 2**32}, "81a161cf0000000100000000"),
    "largest": ({"a": 2**53 - 1}, "81a161cf001fffffffffffff"),
    "negative-fixint": ({"a": -32}, "81a161e0"),
    "i8": ({"a": -33}, "81a161d0df"),
    "i16": ({"a": -129}, "81a161d1ff7f"),
    "i32": ({"a": -32769}, "81a161d2ffff7fff"),
    "i64": ({"a": -(2**31) - 1}, "81a161d3ffffffff7fffffff"),
    "smallest": ({"a": 1 - 2**53}, "81a161d3ffe0000000000001"),
    "bools": ({"a": [True, False]}, "81a16192c3c2"),
    "bytes": ({"a": b"\0"}, "81a161c40100"),
    "tuple-is-list": ({"a": (1,)}, "81a1619101"),
    "str8": ({"a": "x" * 32}, "81a161d920" + "78" * 32),
    "nested": ({"a": {"b": {"c": {}}}}, "81a16181a16281a16380"),
    "list16": ({"a": [0] * 16}, "81a161dc0010" + "00" * 16),
    "map16": ({chr(97 + i): 0 for i in range(16)}, "de0010" + "".join(f"a1{97 + i:02x}00" for i in range(16))),
}


@pytest.mark.parametrize(("value", "data"), KNOWN.values(), ids=KNOWN)
def test_a_map_has_the_known_bytes_and_they_give_it_back(value, data):
    """pack gives the shortest forms with keys in byte order, and unpack is its inverse."""
    assert pack(value).hex() == data
    assert pack(unpack(bytes.fromhex(data), max_depth=4)).hex() == data


@pytest.mark.parametrize("n", [0, 15, 16, 31, 32, 127, 128, 255, 256, 65_535, 65_536])
@pytest.mark.parametrize(
    "make",
    [lambda n: "x" * n, bytes, lambda n: [0] * n, lambda n: n, lambda n: -n],
    ids=["str", "bytes", "list", "int", "negative"],
)
def test_both_sides_of_every_form_come_back(make, n):
    """Where one form of a length or number ends and the next begins, the shortest one is taken."""
    value = {"a": make(n)}

    assert unpack(pack(value), max_depth=4) == value


REFUSED = {
    "nothing": ("", "C3-1", 0),
    "nil": ("c0", "C3-1", 0),
    "list": ("90", "C3-1", 0),
    "int": ("00", "C3-1", 0),
    "two-maps": ("8080", "C3-1", 1),
    "cut-after-count": ("81", "C3-1", 0),
    "cut-in-key": ("82a261", "C3-1", 0),
    "cut-in-number": ("81a161cd01", "C3-1", 3),
    "cut-in-bytes": ("81a161c40200", "C3-1", 3),
    "more-items-than-bytes": ("81a161dfffffffff", "C3-1", 3),
    "map-of-more-pairs-than-bytes": ("82a16100a1", "C3-1", 4),
    "items-that-an-inner-list-takes": ("81a16193920000", "C3-1", 7),
    "list32-shorter-than-said": ("81a161dd00010000", "C3-1", 3),
    "nil-inside": ("81a161c0", "C3-2", 3),
    "never-assigned": ("81a161c1", "C3-2", 3),
    "f32": ("81a161ca00000000", "C3-2", 3),
    "nan": ("81a161cb7ff8000000000000", "C3-2", 3),
    "fixext": ("81a161d40100", "C3-2", 3),
    "ext8": ("81a161c70001", "C3-2", 3),
    "timestamp": ("81a161d6ff00000000", "C3-2", 3),
    "too-large": ("81a161cf0020000000000000", "C3-2", 3),
    "too-small": ("81a161d3ffe0000000000000", "C3-2", 3),
    "not-utf8": ("81a161a1ff", "C3-2", 3),
    "overlong": ("81a161a2c080", "C3-2", 3),
    "surrogate": ("81a161a3eda080", "C3-2", 3),
    "nul": ("81a161a100", "C3-2", 3),
    "nul-in-key": ("81a10000", "C3-2", 1),
    "long-fixint": ("81a161cc7f", "C3-3", 3),
    "long-u16": ("81a161cd00ff", "C3-3", 3),
    "long-u32": ("81a161ce0000ffff", "C3-3", 3),
    "long-u64": ("81a161cf00000000ffffffff", "C3-3", 3),
    "long-negative": ("81a161d0e0", "C3-3", 3),
    "long-i16": ("81a161d1ff80", "C3-3", 3),
    "long-i32": ("81a161d2ffff8000", "C3-3", 3),
    "long-i64": ("81a161d3ffffffff80000000", "C3-3", 3),
    "positive-in-signed-form": ("81a161d07f", "C3-3", 3),
    "zero-in-signed-form": ("81a161d30000000000000000", "C3-3", 3),
    "long-string": ("81a161d90178", "C3-3", 3),
    "long-key": ("81d9016100", "C3-3", 1),
    "long-bytes": ("81a161c5000100", "C3-3", 3),
    "long-list": ("81a161dc000100", "C3-3", 3),
    "long-map": ("de0001a16100", "C3-3", 0),
    "longer-map": ("df00000001a16100", "C3-3", 0),
    "same-key": ("82a16100a16100", "C3-4", 4),
    "keys-out-of-order": ("82a16200a16100", "C3-4", 4),
    "integer-key": ("810000", "C3-4", 1),
    "bytes-key": ("81c4016100", "C3-4", 1),
    "map-key": ("818000", "C3-4", 1),
    "key-in-inner-map": ("81a16182a16200a16100", "C3-4", 7),
    "fifth-map": ("81a16181a16181a16181a16180", "C3-5", 12),
    "fifth-list": ("81a16191919190", "C3-5", 6),
}


@pytest.mark.parametrize(("data", "rule", "at"), REFUSED.values(), ids=REFUSED)
def test_anything_else_is_refused_by_its_rule_at_its_byte(data, rule, at):
    """Each way not to be canonical has its rule, and the byte is that of the token."""
    with pytest.raises(NotCanonical) as caught:
        unpack(bytes.fromhex(data), max_depth=4)

    assert (caught.value.rule, caught.value.at) == (rule, at)


@pytest.mark.parametrize(
    "value",
    [
        {"a": None},
        {"a": 1.0},
        {1: 0},
        {b"a": 0},
        {"a": "\0"},
        {"a": 2**53},
        {"a": -(2**53)},
        {"a": "\ud800"},
        {"a": {1}},
    ],
    ids=str,
)
def test_a_value_without_a_canonical_form_is_the_callers_mistake(value):
    """pack refuses what unpack would refuse."""
    with pytest.raises((TypeError, ValueError)):
        pack(value)


_LEAF = (
    st.booleans()
    | st.integers(-canonical.MAX_INT, canonical.MAX_INT)
    | st.binary(max_size=40)
    | st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), max_size=40)
)
_KEY = st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), max_size=5)
_VALUE = st.recursive(
    _LEAF, lambda inner: st.lists(inner, max_size=20) | st.dictionaries(_KEY, inner, max_size=20), max_leaves=20
)


@given(st.dictionaries(_KEY, _VALUE, max_size=20))
def test_any_map_comes_back(value):
    """unpack(pack(m)) is m."""
    assert unpack(pack(value), max_depth=50) == value


@given(st.dictionaries(_KEY, _VALUE, max_size=5), st.data())
def test_changed_bytes_are_refused_or_canonical_themselves(value, data):
    """No two byte strings mean the same map, whatever is changed in one: only NotCanonical is ever raised."""
    packed = bytearray(pack(value))
    for _ in range(data.draw(st.integers(1, 3))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    try:
        again = unpack(bytes(packed), max_depth=4)
    except NotCanonical:
        return
    assert pack(again) == packed


@pytest.mark.parametrize(
    "data",
    [
        b"\x81\xa1a" + b"\xdd\x00\xff\xff\xff" * 10_000,
        b"\x81\xa1a" + b"\x91" * 1_000_000,
        b"\xdf\x00\xff\xff\xff" * 100,
    ],
    ids=["list32-in-list32", "deep", "map32-in-map32"],
)
def test_hostile_nesting_costs_neither_memory_nor_the_stack(data):
    """Counts and depth are checked before the library sees the bytes."""
    tracemalloc.start()
    with pytest.raises(NotCanonical):
        unpack(data, max_depth=4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 100_000


@pytest.mark.parametrize(("data", "rule"), [(b"\xc1", "C3-1"), (b"\x81\xa1a\xcc\x01", "C3-3")], ids=["none", "longer"])
def test_bytes_that_were_not_scanned_are_not_believed(data, rule):
    """`build` refuses by itself what is no msgpack, and what does not encode to the same bytes."""
    with pytest.raises(canonical.NotCanonical) as caught:
        canonical.build(data)

    assert caught.value.rule == rule
