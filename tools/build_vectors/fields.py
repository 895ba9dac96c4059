"""Fields of rows, valid and invalid (section 22, format 1.1)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tools.build_vectors.case import Case, bad
from tools.build_vectors.emit import Token, emit
from tools.build_vectors.framing import Chunk, Draft
from tools.build_vectors.latents import Latents, plain
from tools.build_vectors.sample_networks import TWO_PIXELS
from tools.build_vectors.settled import work_of
from tools.build_vectors.sized import sized

_HEAD = {"caption": ["text"], "crop": ["int32", 4], "label": ["int64"]}
_TWO = Latents(blocks=[[[1, 2, 3], [4, 5, 6]]], dims=[3])
_FOUR = Latents(blocks=[[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [1, 1, 1]]], dims=[3], index=True)
_NOTHING = 0xFFFFFFFF
_FORMS = {
    "int8": "b", "int16": "h", "int32": "i", "int64": "q", "uint8": "B", "uint16": "H", "uint32": "I", "uint64": "Q",
    "float16": "e", "float32": "f", "float64": "d", "bool": "?",
}  # fmt: skip
_VALUES: dict[str, Sequence[Any]] = {
    "caption": ["a small \u732b", None], "crop": [[0, 8, 512, 520], [-1, 0, 1, 2]], "label": [7, -(2**40)],
}  # fmt: skip


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _valid()
    yield from _order()
    yield from _payloads()


def variable(values: Sequence[Any]) -> bytes:
    """A column of texts or bytes."""
    stored = [value.encode() if isinstance(value, str) else value for value in values]
    lengths = [_NOTHING if value is None else len(value) for value in stored]
    return struct.pack(f"<{len(stored)}I", *lengths) + b"".join(value or b"" for value in stored)


def column(type_: Sequence[Any], values: Sequence[Any]) -> bytes:
    """A column of any type."""
    if type_[0] not in _FORMS:
        return variable(values)
    flat = [number for row in values for number in (row if isinstance(row, list) else [row])]
    return struct.pack(f"<{len(flat)}{_FORMS[type_[0]]}", *flat)


def payload(head: Mapping[str, Any], values: Mapping[str, Any]) -> bytes:
    """The raw payload of an fLDs."""
    packed = emit(head)
    columns = (column(head[name], values[name]) for name in sorted(head, key=str.encode))
    return struct.pack("<I", len(packed)) + packed + b"".join(columns)


def _chunk(raw: bytes, n_rows: int = 2, first_row: int = 0, file: Latents = _TWO) -> Chunk:
    stored = file.store(raw, 1)
    return Chunk(b"fLDs", stored, n_rows, first_row, None if len(stored) == len(raw) else len(raw))


_GOOD = payload(_HEAD, _VALUES)
_LABEL = {"label": ["uint8"]}
_SMALL = payload(_LABEL, {"label": [3, 4]})


def _valid() -> Iterator[Case]:
    every: dict[str, Any] = {name: [name] for name in _FORMS} | {"text": ["text"], "bytes": ["bytes"]}
    of_all: dict[str, Sequence[Any]] = {
        "int8": [-128, 127], "int16": [-(2**15), 1], "int32": [-(2**31), 1], "int64": [-(2**63), 2**63 - 1],
        "uint8": [0, 255], "uint16": [0, 2**16 - 1], "uint32": [0, 2**32 - 1], "uint64": [0, 2**64 - 1],
        "float16": [-0.0, 1.5], "float32": [0.5, float("inf")], "float64": [1e300, float("nan")], "bool": [False, True],
        "text": ["", "a\0\n\U0001f600"], "bytes": [b"\xff\x00", None],
    }  # fmt: skip
    zstd = Latents(blocks=_FOUR.blocks, dims=[3], encoding="f32le", codec="zstd", index=True)
    long = {"caption": ["a caption that comes again and again " * 9, "a caption that comes again"]}
    wide: dict[str, Any] = {"a": ["float32", 1, 2, 1, 1, 1, 1, 1, 1], "\u00e9" * 128: ["bool"]}
    texts = {"caption": ["text"]}
    both = [_chunk(payload(texts, long), 2, first, zstd) for first in (0, 2)]
    skip = Chunk(b"xXXx", b"to be skipped")
    named = replace(_TWO, names=[{"labels": [1, 2]}])
    for number, name, file, values, about, rules in (
        (250, "small", _TWO.with_(before={0: [_chunk(_GOOD)]}), [_VALUES], "A text, four integers, an integer.", "C22-1 C22-2"),
        (251, "every-type", _TWO.with_(before={0: [_chunk(payload(every, of_all))]}), [of_all], "Every type, its extremes.", "C22-4 C22-7"),
        (252, "zstd", zstd.with_(before={0: both[:1], 1: both[1:]}), [long, long], "Compressed, two chunks, an index.", "C22-5"),
        (253, "names", named.with_(before={0: [skip, _chunk(_SMALL)]}), [{"label": [3, 4]}], "A chunk to skip, fields, names.", "C22-1"),
        (254, "sizes", _TWO.with_(before={0: [_chunk(payload(wide, {"a": [[1, 2], [3, 4]], "\u00e9" * 128: [True, False]}))]}),
         [{"a": [[1.0, 2.0], [3.0, 4.0]], "\u00e9" * 128: [True, False]}], "Eight sizes; a name of 256 bytes.", "C22-4"),
    ):  # fmt: skip
        case = file.good(number, f"fields-{name}" if number > 250 else "fields", about, rules)
        yield _with_fields(case, values)
    ragged = sized([0, 3], ((1,), (2,)), ((4,),), image=[28, 28, 1, "u8"])
    before = {0: [_chunk(_SMALL)], 1: [_chunk(payload(_LABEL, {"label": [9]}), 1, 2)]}
    draft = replace(ragged.draft, chunks=(*before[0], *ragged.draft.chunks[:2], *before[1], *ragged.draft.chunks[2:]))
    case = ragged.good(
        255, "fields-sized", "In front of the SIZE of rows of their own size.", "C22-1", chunks=draft.chunks
    )
    yield _with_fields(case, [{"label": [3, 4]}, {"label": [9]}])
    yield from _later()


def _later() -> Iterator[Case]:
    """What the first readers of this section left unseen."""
    order: dict[str, Any] = {"9": ["text"], "10": ["int16"], "__proto__": ["uint8", 2], "a": ["bool"]}
    of_order: dict[str, Sequence[Any]] = {
        "9": ["nine", None], "10": [-10, 10], "__proto__": [[1, 2], [3, 4]], "a": [True, False],
    }  # fmt: skip
    file = _TWO.with_(before={0: [_chunk(payload(order, of_order))]})
    about = "Columns stand in the order of the names as bytes: 10, 9, __proto__, a."
    yield _with_fields(file.good(256, "fields-name-order", about, "C22-3 C22-6"), [of_order])

    equal = {"label": [9] * 300}
    long = Latents(blocks=[[[i % 5] for i in range(300)]], dims=[1], codec="zstd", index=True)
    chunk = _chunk(payload(_LABEL, equal), 300, 0, long)
    assert chunk.raw_len is not None and len(chunk.payload) < chunk.raw_len
    file = long.with_(before={0: [chunk]})
    about = "Compressed, and what is counted is the raw payload: 32 units a byte."
    case = file.good(257, "fields-compressed", about, "C4-8 C13-1 C22-6")
    case.expected["file_work"] = work_of(file.draft)
    yield _with_fields(case, [equal])

    largest, of_largest = _of_size(65_536)
    file = _TWO.with_(before={0: [_chunk(payload(largest, of_largest))]})
    yield _with_fields(
        file.good(258, "fields-head-65536", "A head as long as one may be.", "C22-3 C22-4"), [of_largest]
    )


def _of_size(n_bytes: int) -> tuple[dict[str, Any], dict[str, Sequence[Any]]]:
    """A head of so many bytes, with 256 fields, and their values."""
    names = [f"{i:03}" + "x" * 245 for i in range(255)]
    head: dict[str, Any] = {name: ["bool"] for name in names}
    left = n_bytes - len(emit(head)) - len(emit("y" * 200)) - len(emit(["bool"]))
    head["y" * (200 + left)] = ["bool"]
    assert len(emit(head)) == n_bytes
    return head, {name: [True, False] for name in head}


def _with_fields(case: Case, values: Sequence[Any]) -> Case:
    case.expected["fields"] = [{name: [_shown(v) for v in column] for name, column in of.items()} for of in values]
    case.expected["format"] = "1.1"
    return case


def _shown(value: Any) -> Any:
    """For JSON, which has no infinities and no NaN."""
    if isinstance(value, float) and not abs(value) < float("inf"):
        return {"hex": struct.pack("<d", value).hex()}
    return plain(value)


def _arranged(file: Latents, *order: int | Chunk) -> Draft:
    chunks = tuple(file.draft.chunks[item] if isinstance(item, int) else item for item in order)
    return replace(file.draft, chunks=chunks, has_index=False)


def _order() -> Iterator[Case]:
    first, second = _chunk(_SMALL), _chunk(_SMALL, 2, 2)
    decoder, skip = Chunk(b"dECo", TWO_PIXELS.file().build().data), Chunk(b"xXXx", b"to be skipped")
    names = Chunk(b"nAMe", emit({"labels": [1, 2]}), 2)
    receipt = Chunk(b"rCPT", bytes(32), 2)
    for number, name, draft, chunk, offset, rule, why in (
        (1600, "of-the-first-only", _arranged(_FOUR, first, 0, 1), 2, 0, "C22-1", "The second ROWS has no fields."),
        (1601, "of-the-second-only", _arranged(_FOUR, 0, second, 1), 1, 0, "C22-1", "The first ROWS has no fields."),
        (1602, "twice", _arranged(_FOUR, first, first, 0, second, 1), 1, 0, "C22-1", "Fields behind fields."),
        (1603, "then-unknown", _arranged(_FOUR, first, skip, 0, second, 1), 1, 0, "C22-1", "A chunk to skip between fields and rows."),
        (1604, "then-decoder", _arranged(_FOUR, first, decoder, 0, second, 1), 1, 0, "C22-1", "The decoder comes first."),
        (1605, "after-names", _arranged(_FOUR, names, first, 0, second, 1), 1, 0, "C4-6", "Fields stand in front of row names."),
        (1606, "after-receipts", _arranged(_FOUR, receipt, first, 0, second, 1), 1, 0, "C4-6", "Fields stand in front of receipts."),
        (1607, "then-index", _arranged(_FOUR, first, 0, second, Chunk(b"iNDX", bytes(24))), 3, 0, "C22-1", "Fields without their rows."),
        (1608, "of-no-rows", _arranged(_FOUR, replace(first, n_rows=0), 0), 0, 4, "C22-2", "Fields of no rows."),
        (1609, "of-three-rows", _arranged(_FOUR, _chunk(payload(_LABEL, {"label": [3, 4, 5]}), 3), 0), 0, 4, "C22-2", "Fields of three rows with two."),
        (1610, "first-row", _arranged(_FOUR, replace(first, first_row=1), 0), 0, 8, "C22-2", "Fields that begin at row 1."),
        (1611, "of-the-first-only-names", _arranged(_FOUR, first, 0, replace(names, first_row=2), 1), 2, 0, "C22-1",
         "The second ROWS has no fields, as its row names show."),
        (1612, "stored-longer", _arranged(_FOUR, replace(first, raw_len=99), 0), 0, 16, "C4-8", "Compressed, with codec none."),
    ):  # fmt: skip
        file = draft.build()
        yield bad(number, f"fields-{name}", file, rule, file.chunk_at[chunk] + offset, why)
    end = _arranged(_FOUR, first, 0, second).build()
    yield bad(
        1613, "fields-at-the-end", end, "C22-1", end.trailer_at, "The file ends behind fields.", seek="may accept"
    )
    model = TWO_PIXELS.file()
    inside = replace(model, chunks=(*model.chunks, Chunk(b"fLDs", _SMALL))).build()
    yield bad(1614, "fields-in-model", inside, "C4-6", inside.chunk_at[-1], "A model has no rows.")
    ragged = sized([0, 3], ((1,), (2,)), image=[28, 28, 1, "u8"]).draft
    late = replace(ragged, chunks=(ragged.chunks[0], first, ragged.chunks[1])).build()
    yield bad(1615, "fields-after-sizes", late, "C4-6", late.chunk_at[1], "Fields stand in front of sizes.")
    missing = replace(ragged, chunks=(first, *ragged.chunks[1:])).build()
    yield bad(
        1616, "fields-then-no-sizes", missing, "C4-6", missing.chunk_at[1], "Fields, and rows without their sizes."
    )


def _payloads() -> Iterator[Case]:
    def raw_of(head: bytes, columns: bytes = b"\3\4", n: int | None = None) -> bytes:
        return struct.pack("<I", len(head) if n is None else n) + head + columns

    label = emit(_LABEL)
    texts = emit({"t": ["text"]})
    many: dict[str, Any] = {f"{n:03}": ["uint8"] for n in range(257)}
    for number, name, raw, rule, why in (
        (1620, "three-bytes", b"\1\0\0", "C22-3", "Not even a length."),
        (1621, "no-head", raw_of(b""), "C22-3", "A head of no bytes."),
        (1622, "head-too-long", raw_of(label, b"", 99), "C22-3", "The head goes beyond the payload."),
        (1623, "head-65537", raw_of(label, bytes(70_000), 65_537), "C22-3", "A head over the limit."),
        (1624, "head-a-list", raw_of(emit(["label"])), "C22-3", "A list."),
        (1625, "head-float", raw_of(emit({"label": ["uint8", Token(b"\xca\0\0\0\0")]})), "C22-3", "A float."),
        (1626, "head-unsorted", raw_of(b"\x82" + emit("b") + emit(["uint8"]) + emit("a") + emit(["uint8"])), "C22-3", "Keys out of order."),
        (1627, "head-deep", raw_of(emit({"label": ["uint8", [1]]})), "C22-3", "A list in a list."),
        (1628, "head-trailing", raw_of(label + b"\0"), "C22-3", "A byte behind the map."),
        (1629, "head-65537-whole", payload(*_of_size(65_537)), "C22-3", "A head over the limit, else good."),
        (1630, "none", raw_of(emit({})), "C22-4", "No field."),
        (1631, "257", raw_of(emit(many), bytes(2 * 257)), "C22-4", "257 fields."),
        (1632, "name-empty", raw_of(emit({"": ["uint8"]})), "C22-4", "A name of no bytes."),
        (1633, "name-257", raw_of(emit({"x" * 257: ["uint8"]})), "C22-4", "A name of 257 bytes."),
        (1634, "name-tab", raw_of(emit({"a\tb": ["uint8"]})), "C22-4", "A control character."),
        (1635, "type-no-list", raw_of(emit({"a": "uint8"})), "C22-4", "No list."),
        (1636, "type-empty", raw_of(emit({"a": []})), "C22-4", "No type."),
        (1637, "type-unknown", raw_of(emit({"a": ["u8"]})), "C22-4", "A type of values, not of fields."),
        (1638, "type-a-number", raw_of(emit({"a": [1]})), "C22-4", "A number for a type."),
        (1639, "size-0", raw_of(emit({"a": ["uint8", 0]})), "C22-4", "A size of 0."),
        (1640, "size-2-to-31", raw_of(emit({"a": ["uint8", 2**31]})), "C22-4", "A size over the limit."),
        (1641, "size-boolean", raw_of(emit({"a": ["uint8", True]})), "C22-4", "A boolean is no integer."),
        (1642, "nine-sizes", raw_of(emit({"a": ["uint8", *[1] * 9]})), "C22-4", "Nine sizes."),
        (1643, "text-with-size", raw_of(emit({"a": ["text", 1]})), "C22-4", "A text has no sizes."),
        (1650, "numbers-short", raw_of(label, b"\3"), "C22-6", "One number for two rows."),
        (1651, "numbers-long", raw_of(label, b"\3\4\5"), "C22-6", "Three numbers for two rows."),
        (1652, "lengths-short", raw_of(texts, bytes(7)), "C22-6", "The lengths end too early."),
        (1653, "values-short", raw_of(texts, struct.pack("<2I", 1, 2) + b"ab"), "C22-6", "The texts end too early."),
        (1654, "values-long", raw_of(texts, struct.pack("<2I", 1, _NOTHING) + b"ab"), "C22-6", "A byte that belongs to no text."),
        (1655, "huge", raw_of(emit({"a": ["float64", *[2**31 - 1] * 8]})), "C22-6", "More numbers than any file has."),
        (1656, "length-2-to-32-less-2", raw_of(texts, struct.pack("<2I", _NOTHING - 1, 0)), "C22-6", "A text of 4 GiB."),
        (1660, "text-not-utf-8", raw_of(texts, variable([b"a\xff", b"b"])), "C22-7", "Not UTF-8."),
        (1661, "text-surrogate", raw_of(texts, variable([b"\xed\xa0\x80", b"b"])), "C22-7", "A surrogate."),
        (1662, "text-cut-in-character", raw_of(texts, variable([b"\xc3", b"\xa9"])), "C22-7", "A character in two texts."),
        (1663, "bool-2", raw_of(emit({"a": ["bool"]}), b"\1\2"), "C22-7", "Neither 0 nor 1."),
        (1664, "later-column-first", raw_of(emit({"a": ["bool"], "b": ["uint8"]}), b"\1\2\0"), "C22-6", "C22-6 of all columns comes first."),
    ):  # fmt: skip
        file = _TWO.with_(before={0: [Chunk(b"fLDs", raw, 2)]}).draft.build()
        yield bad(number, f"fields-{name}", file, rule, file.payload_at[0], why)
    other = _chunk(payload({"label": ["int8"]}, {"label": [3, 4]}), 2, 2)
    file = _arranged(_FOUR, _chunk(_SMALL), 0, other, 1).build()
    yield bad(1645, "fields-other-head", file, "C22-5", file.payload_at[2], "Another type in the second chunk.")
    short = replace(other, payload=other.payload[:-1])
    file = _arranged(_FOUR, _chunk(_SMALL), 0, short, 1).build()
    yield bad(1646, "fields-other-head-short", file, "C22-5", file.payload_at[2], "C22-5 comes before C22-6.")
