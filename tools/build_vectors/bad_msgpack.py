"""Invalid: headers that are not canonical msgpack (section 3.1).

Every odd token stands in `ext`, where a reader that trusts its msgpack library would let it pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tools.build_vectors.case import Case, bad
from tools.build_vectors.emit import Pairs, Token, emit, inside
from tools.build_vectors.framing import Draft
from tools.build_vectors.latents import SMALL

_HEADER_AT = 24


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _refused_types()
    yield from _longer_forms()
    yield from _keys()
    yield from _sizes()
    yield from _depth()
    yield from _order()


def _ext(
    number: int, name: str, value: object, rule: str, why: str, token: bytes | None = None, *, skip: int = 0
) -> Case:
    """`ext` is {"x": value}; the error is at `token`, by default `skip` bytes into the value."""
    draft = SMALL.with_(ext={"x": value}).draft
    at = inside(draft.header, b"\xa1x" + emit(value)) + 2 + skip
    if token is not None:
        at += inside(emit(value), token)
    return bad(number, name, draft.build(), rule, _HEADER_AT + at, why)


def _refused_types() -> Iterator[Case]:
    tokens = (
        (60, "nil", "c0", "nil."), (61, "float32", "ca3f800000", "A float, although it holds an integer."),
        (62, "float64", "cb3fb999999999999a", "A float."), (63, "nan", "cb7ff8000000000000", "A NaN."),
        (64, "unassigned-c1", "c1", "The byte that msgpack never assigned."), (65, "fixext1", "d40000", "An ext type."),
        (66, "timestamp", "d6ff00000000", "An ext type that many libraries turn into a date."),
        (67, "ext8", "c70005", "An ext type of no bytes."), (68, "ext32", "c9ffffffff00", "An ext type of 4 GiB."),
        (69, "integer-2-to-53", "cf0020000000000000", "2^53 is one too large."),
        (70, "integer-minus-2-to-53", "d3ffe0000000000000", "-(2^53) is one too small."),
        (71, "integer-2-to-64", "cfffffffffffffffff", "The largest integer that msgpack has."),
        (72, "utf-8-stray-byte", "a2c328", "A string that is not UTF-8."), (73, "utf-8-overlong", "a2c080", "An overlong NUL."),
        (74, "utf-8-surrogate", "a3eda080", "A surrogate."), (75, "utf-8-beyond-unicode", "a4f4908080", "U+110000."),
        (76, "nul", "a3610062", "A string with a NUL inside."),
    )  # fmt: skip
    for number, name, token, why in tokens:
        yield _ext(number, f"msgpack-{name}", Token(bytes.fromhex(token)), "C3-2", why)
    yield _ext(
        77, "msgpack-nil-key", Pairs(((Token(b"\xc0"), 1),)), "C3-2", "nil as a key: the token comes first.", b"\xc0"
    )
    yield _ext(78, "msgpack-nul-in-key", Pairs((("a\0", 1),)), "C3-2", "A key with a NUL.", b"\xa2a\0")


def _longer_forms() -> Iterator[Case]:
    tokens = (
        (80, "uint8-127", "cc7f"), (81, "uint16-255", "cd00ff"), (82, "uint32-65535", "ce0000ffff"),
        (83, "uint64-2-to-32", "cf00000000ffffffff"), (84, "int8-minus-32", "d0e0"), (85, "int8-positive", "d005"),
        (86, "int16-minus-128", "d1ff80"), (87, "int16-positive", "d100c8"), (88, "int32-minus-32768", "d2ffff8000"),
        (89, "int64-minus-2-to-31", "d3ffffffff80000000"), (90, "int64-positive", "d30000010000000000"),
        (91, "str8-31", "d91f" + "61" * 31), (92, "str16-3", "da0003616263"), (93, "str32-3", "db00000003616263"),
        (94, "bin16-3", "c50003616263"), (95, "bin32-3", "c600000003616263"), (96, "array16-15", "dc000f" + "00" * 15),
        (97, "array32-1", "dd0000000100"), (98, "map16-1", "de0001a16100"), (99, "map32-1", "df00000001a16100"),
    )  # fmt: skip
    for number, name, token in tokens:
        yield _ext(number, f"msgpack-{name}", Token(bytes.fromhex(token)), "C3-3", "There is a shorter form.")
    yield _ext(
        100, "msgpack-long-key", Pairs(((Token(b"\xd9\x01a"), 1),)), "C3-3", "A key in a longer form.", b"\xd9\x01a"
    )
    fields = SMALL.header_bytes
    root = b"\xde\0" + bytes([fields[0] & 0x0F]) + fields[1:]
    yield bad(101, "msgpack-map16-root", replace(SMALL.draft, header=root).build(), "C3-3", 24, "The header's own map.")


def _keys() -> Iterator[Case]:
    odd = (
        (102, "integer-key", Token(b"\x01"), "A key that is an integer."),
        (103, "binary-key", b"a", "A key that is a binary string."),
        (104, "boolean-key", True, "A key that is a boolean."),
        (105, "list-key", [1], "A key that is a list."),
    )
    for number, name, key, why in odd:
        yield _ext(number, f"msgpack-{name}", Pairs(((key, 0),)), "C3-4", why, emit(key))
    yield _ext(
        106, "msgpack-text-and-binary-key", Pairs((("a", 0), (b"a", 0))), "C3-4", 'b"a" beside "a".', b"\xc4\x01a"
    )
    yield _ext(107, "msgpack-repeated-key", Pairs((("aa", 0), ("aa", 1))), "C3-4", "The last would win.", b"\xa2aa\x01")
    yield _ext(108, "msgpack-unsorted-keys", Pairs((("b", 0), ("a", 1))), "C3-4", "Not in order.", b"\xa1a\x01")
    yield _ext(
        109,
        "msgpack-length-first",
        Pairs((("b", 0), ("aa", 1))),
        "C3-4",
        "Sorted by length, as CBOR once was.",
        b"\xa2aa",
    )
    yield _ext(110, "msgpack-utf-16-order", Pairs((("\U00010000", 0), ("\uffff", 1))), "C3-4",
               "Sorted by UTF-16 units, as JavaScript does.", emit("\uffff"))  # fmt: skip
    draft = _root(b"\xa4kind\xa7latents\xa4kind\xa5model", 2)
    yield bad(
        111, "msgpack-kind-twice", draft.build(), "C3-4", 24 + draft.header.rindex(b"\xa4kind"), "kind, and kind again."
    )


def _root(extra: bytes, n_extra: int, drop: bytes = b"\xa4kind\xa7latents") -> Draft:
    """The small file whose header has `extra` in the place of its `kind`, which is its last key."""
    fields = SMALL.header_bytes
    assert fields.endswith(drop)
    return replace(SMALL.draft, header=bytes([fields[0] - 1 + n_extra]) + fields[1 : -len(drop)] + extra)


def _sizes() -> Iterator[Case]:
    for number, name, first in (
        (112, "array", "91c0"), (113, "string", "a161"), (114, "integer", "01"), (115, "nil", "c0"), (116, "ext", "d40000"),
    ):  # fmt: skip
        draft = replace(SMALL.draft, header=bytes.fromhex(first))
        yield bad(number, f"msgpack-root-{name}", draft.build(), "C3-1", 24, "The header is not a map.")
    draft = _root(b"", 1)
    yield bad(117, "msgpack-entry-missing", draft.build(), "C3-1", 24 + len(draft.header),
              "The map announces one entry more than there is.")  # fmt: skip
    draft = _root(b"\xa4kind", 1)
    yield bad(118, "msgpack-value-missing", draft.build(), "C3-1", 24 + len(draft.header), "A key without a value.")
    for number, name, token, why in (
        (119, "cut-integer", "cd01", "The header ends inside an integer."),
        (120, "cut-length", "c500", "The header ends inside a length."),
        (121, "cut-string", "a76c617465", "The header ends inside a string."),
        (122, "string-4-GiB", "dbffffffff", "A string of 4 GiB is announced."),
        (123, "bytes-4-GiB", "c6ffffffff00", "A binary string of 4 GiB is announced."),
        (124, "list-2-to-32", "ddffffffff00", "A list of 2^32 - 1 items is announced: it would take gigabytes."),
        (125, "map-2-to-32", "dfffffffffa161", "A map of 2^32 - 1 entries is announced."),
        (126, "nested-large-lists", "dcffffdcffff00", "Lists of 65,535 in lists of 65,535."),
    ):
        draft = _root(b"\xa4kind" + bytes.fromhex(token), 1)
        at = 24 + len(draft.header) - len(bytes.fromhex(token))
        yield bad(number, f"msgpack-{name}", draft.build(), "C3-1", at, why)
    good = SMALL.header_bytes
    for number, name, extra, why in (
        (127, "trailing-byte", b"\0", "A byte follows the map."),
        (128, "second-map", good, "A second header follows the first."),
    ):
        yield bad(
            number, f"msgpack-{name}", replace(SMALL.draft, header=good + extra).build(), "C3-1", 24 + len(good), why
        )


def _depth() -> Iterator[Case]:
    for number, name, value, token, why in (
        (129, "depth-5", [[[0]]], b"\x91\0", "A list five deep."),
        (130, "depth-5-empty-map", [[{}]], b"\x80", "An empty map five deep."),
    ):
        yield _ext(number, f"msgpack-{name}", value, "C3-5", why, token)
    yield _ext(
        131, "msgpack-depth-1000", Token(b"\x91" * 1000 + b"\0"), "C3-5", "A thousand lists in each other.", skip=2
    )


def _order() -> Iterator[Case]:
    """Two faults in one header: the walk meets one of them first."""
    nil = Token(b"\xc0")
    yield _ext(
        132, "order-key-before-nil", Pairs((("b", 0), ("a", nil))), "C3-4", "A key out of order, then nil.", b"\xa1a"
    )
    yield _ext(
        133, "order-nil-before-key", Pairs((("b", nil), ("a", 0))), "C3-2", "nil, then a key out of order.", b"\xc0"
    )
    why = "Five deep, and more items than there are bytes: the count comes first."
    yield _ext(134, "order-count-before-depth", Token(b"\x91\x91\xdc\xff\xff\0"), "C3-1", why, skip=2)
    for number, name, token, rule, why in (
        (135, "form-before-end", "db0000000561", "C3-3", "A string in a longer form, whose bytes are not all there."),
        (136, "end-before-utf-8", "a5ff", "C3-1", "A string that is not UTF-8, whose bytes are not all there."),
    ):
        draft = _root(b"\xa4kind" + bytes.fromhex(token), 1)
        yield bad(number, f"order-{name}", draft.build(), rule, 24 + len(draft.header) - len(bytes.fromhex(token)), why)
