"""Files of tensors and their network ids, valid and invalid (spec/model.md, section 13).  All of them are safetensors."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod
from typing import Any

from tools.build_vectors.case import Case, bad

Tensor = tuple[str, str, Sequence[int], bytes]  # name, type, shape, bytes
_TYPES = {  # safetensors' name -> ours, bytes
    "BOOL": ("bool", 1), "U8": ("u8", 1), "U16": ("u16", 2), "U32": ("u32", 4), "U64": ("u64", 8), "I8": ("i8", 1),
    "I16": ("i16", 2), "I32": ("i32", 4), "I64": ("i64", 8), "F16": ("f16", 2), "F32": ("f32", 4), "F64": ("f64", 8),
    "BF16": ("bf16", 2), "F8_E4M3": ("f8_e4m3fn", 1), "F8_E5M2": ("f8_e5m2", 1),
}  # fmt: skip
_HAND: Sequence[Tensor] = (("b", "I8", [2], b"\x01\xff"), ("a", "F32", [], b"\x00\x00\x80\x3f"))


def words(*numbers: int) -> bytes:
    """u32 each."""
    return struct.pack(f"<{len(numbers)}I", *numbers)


def hashed(tensors: Sequence[Tensor]) -> bytes:
    """What the id is the SHA-256 of."""
    made = b"aeformat network 1\n" + words(len(tensors))
    for name, kind, shape, data in sorted(tensors, key=lambda tensor: tensor[0].encode()):
        name_bytes, type_bytes = name.encode(), _TYPES[kind][0].encode()
        made += words(len(name_bytes)) + name_bytes + words(len(type_bytes)) + type_bytes
        made += words(len(shape)) + struct.pack(f"<{len(shape)}Q", *shape) + hashlib.sha256(data).digest()
    return made


def entries(tensors: Sequence[Tensor]) -> dict[str, Any]:
    """The header of a file with these tensors, one behind the other."""
    found, at = {}, 0
    for name, kind, shape, data in tensors:
        found[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [at, at + len(data)]}
        at += len(data)
    return found


def file(header: object, data: bytes) -> bytes:
    """A file.  header: bytes, or what JSON is made of."""
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + data


def _data(tensors: Sequence[Tensor]) -> bytes:
    return b"".join(data for *_, data in tensors)


def _good(number: int, name: str, tensors: Sequence[Tensor], about: str, data: bytes | None = None) -> Case:
    listed = [
        {"name": key, "type": _TYPES[kind][0], "shape": list(shape), "sha256": hashlib.sha256(value).hexdigest()}
        for key, kind, shape, value in sorted(tensors, key=lambda tensor: tensor[0].encode())
    ]
    network_id = hashlib.sha256(hashed(tensors)).hexdigest()
    expected = {"about": about, "format": "1.1", "network_id": network_id, "tensors": listed}
    whole = file(entries(tensors), _data(tensors)) if data is None else data
    return Case("network/valid", number, name, whole, expected, ".safetensors")


def _bad(number: int, name: str, header: object, data: bytes, rule: str, why: str, code: str | None = None) -> Case:
    case = bad(number, name, file(header, data), rule, 0, why, folder="network", code=code)
    return replace(case, suffix=".safetensors")


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _valid()
    yield from _files()
    yield from _headers()
    yield from _tensors()


def _valid() -> Iterator[Case]:
    yield _good(1, "by-hand", _HAND, "The file that section 13 hashes by hand.")
    turned = list(reversed(_HAND))
    noted = entries(turned) | {"__metadata__": {"format": "pt", "note": "x"}}
    padded = json.dumps(noted).encode() + b"   "
    yield _good(
        2, "order-and-metadata", _HAND, "The same in another order, with metadata and spaces: the same id.",
        file(padded, _data(turned)),
    )  # fmt: skip
    types = [(f"t.{kind}", kind, [2, 1], bytes(range(2 * n)) if kind != "BOOL" else b"\0\1") for kind, (_, n) in _TYPES.items()]  # fmt: skip
    yield _good(3, "types", types, "One tensor of each type.")
    names = ["", "a", "a.b", "aa", "\u00e9", "e\u0301", "\uffff", "\U00010000", "nul\0", 'quote"\\', "Z"]
    named = [(name, "U8", [1], bytes([number])) for number, name in enumerate(names)]
    yield _good(
        4,
        "names",
        named,
        "Names in the order of their UTF-8 bytes, which is not that of UTF-16; nothing is normalised.",
    )
    empty = [("none", "F32", [0], b""), ("none.either", "F64", [3, 0, 2], b""), ("one", "U8", [1] * 9, b"\7")]
    yield _good(5, "empty", empty, "Tensors without numbers count, with their shapes.")
    special = struct.pack("<4I", 0x7FC00001, 0xFFC00000, 0x80000000, 0x7F800000)
    yield _good(
        6, "special", [("x", "F32", [4], special)], "NaN with a payload, negative zero and infinity are what they are."
    )
    yield _good(7, "renamed", [("c", *_HAND[0][1:]), _HAND[1]], "001 with another name: another id.")
    yield _good(8, "reshaped", [("b", "I8", [2, 1], _HAND[0][3]), _HAND[1]], "001 with another shape: another id.")


def _files() -> Iterator[Case]:
    whole = file(entries(_HAND), _data(_HAND))
    for number, name, data, why in (
        (1, "empty", b"", "No byte."),
        (2, "seven-bytes", whole[:7], "Cut inside the length."),
        (3, "header-cut", whole[:20], "Cut inside the header."),
        (4, "data-cut", whole[:-1], "The last byte is missing."),
        (5, "data-after", whole + b"\0", "A byte that belongs to no tensor."),
        (6, "header-0", struct.pack("<Q", 0), "A header of no byte."),
        (7, "header-100-million", struct.pack("<Q", 100_000_001) + whole[8:], "A header over the limit."),
        (8, "header-2-to-63", struct.pack("<Q", 1 << 63) + whole[8:], "A length that no file has."),
        (9, "pickle", b"\x80\x02}q\x00." + bytes(20), "A pickle."),
    ):
        case = bad(number, name, data, "M13-1", 0, why, folder="network")
        yield replace(case, suffix=".safetensors")


def _headers() -> Iterator[Case]:
    one = {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}
    for number, name, header, why in (
        (20, "list", [one], "No object."),
        (21, "no-json", b'{"a":', "JSON that ends early."),
        (22, "after-json", b"{} {}", "Two objects."),
        (23, "utf-16", "{}".encode("utf-16"), "Not UTF-8."),
        (24, "not-utf-8", b'{"\xff":1}', "Not UTF-8."),
        (25, "deep", b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "Lists in lists in lists."),
        (26, "entry-list", {"a": []}, "An entry that is no object."),
        (27, "entry-without-dtype", {"a": {key: one[key] for key in ("shape", "data_offsets")}}, "No type."),
        (28, "entry-unknown-key", {"a": one | {"zoom": 1}}, "A key that safetensors does not have."),
        (29, "dtype-number", {"a": one | {"dtype": 1}}, "A type that is no string."),
        (30, "shape-negative", {"a": one | {"shape": [-1, -2]}}, "A product that fits."),
        (31, "shape-float", {"a": one | {"shape": [2.0]}}, "A number that is no integer."),
        (32, "shape-boolean", {"a": one | {"shape": [2, True]}}, "A boolean."),
        (33, "offsets-turned", {"a": one | {"data_offsets": [2, 0]}}, "The end before the beginning."),
        (34, "offsets-one", {"a": one | {"data_offsets": [2]}}, "One number."),
        (35, "offsets-outside", {"a": one | {"shape": [3], "data_offsets": [0, 3]}}, "Beyond the file."),
        (36, "overlap", {"a": one, "b": one}, "Two tensors of the same bytes."),
        (37, "hole", {"a": one | {"shape": [1], "data_offsets": [1, 2]}}, "A byte that no tensor covers."),
        (38, "nan", b'{"a":{"dtype":"U8","shape":[NaN],"data_offsets":[0,2]}}', "NaN, which JSON has not."),
        (39, "metadata-number", {"a": one, "__metadata__": 1}, "Metadata that is no object."),
        (40, "metadata-of-numbers", {"a": one, "__metadata__": {"x": 1}}, "Metadata of no text."),
        (41, "byte-order-mark", b"\xef\xbb\xbf{}", "A byte order mark."),
        (42, "offsets-2-to-64", {"a": one | {"data_offsets": [0, 2**64 + 2]}}, "2 in 64 bits."),
    ):
        yield _bad(number, name, header, b"\1\2", "M13-1", why)
    twice = b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}'
    yield _bad(50, "name-twice", twice, b"\1\2", "M13-2", "Two tensors of one name.")
    yield _bad(
        51,
        "key-twice",
        b'{"a":{"dtype":"U8","dtype":"I8","shape":[2],"data_offsets":[0,2]}}',
        b"\1\2",
        "M13-2",
        "Two types.",
    )
    yield _bad(
        52,
        "surrogate",
        b'{"\\ud800":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}',
        b"\1\2",
        "M13-2",
        "Half a character is no UTF-8.",
    )


def _tensors() -> Iterator[Case]:
    for number, kind in enumerate(("F4", "C64", "F8_E8M0", "f32", "STRING", ""), 60):
        header = {"a": {"dtype": kind, "shape": [2], "data_offsets": [0, 1]}}
        yield _bad(number, f"type-{number}", header, b"\1", "M13-3", f"{kind!r} is not in the table.", "unsupported")
    for number, name, kind, shape, n in (
        (70, "too-few", "F32", [2], 4), (71, "too-many", "U8", [2], 3), (72, "no-axes", "F64", [], 4), (73, "a-0", "U8", [0], 1),
        (74, "wraps-64-bits", "U8", [2**32, 2**32], 0), (75, "wraps-to-2", "U8", [3, 2**63 - 1], 2), (76, "halves", "BF16", [3], 3),
    ):  # fmt: skip
        header = {"a": {"dtype": kind, "shape": shape, "data_offsets": [0, n]}}
        assert prod(shape) * _TYPES[kind][1] != n
        yield _bad(number, f"length-{name}", header, bytes(n), "M13-4", "Its shape asks for another number of bytes.")
    yield _bad(77, "bool-2", entries([("a", "BOOL", [3], b"\0\1\2")]), b"\0\1\2", "M13-4", "A bool that is 2.")
    yield _bad(80, "nothing", {}, b"", "M13-5", "No tensor.")
    yield _bad(81, "metadata-alone", {"__metadata__": {"x": "y"}}, b"", "M13-5", "Metadata is no tensor.")
