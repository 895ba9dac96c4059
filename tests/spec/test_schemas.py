"""Promise: the formal languages say of every vector what the pages say, as far as they go."""

from __future__ import annotations

import struct

import msgpack
import pytest

from aeformat.container.header import LatentsHeader
from aeformat.container.parser import ChunkRead, Event, Parser
from aeformat.container.payloads import raw_rows
from aeformat.container.raw import raw_payload
from tools.build_vectors.latents import Latents

from . import abnf, cddl
from .vectors import SPEC, Vector, cases

TEXT = abnf.expression((SPEC / "text19.abnf").read_text("utf-8"))
SCHEMAS = {
    name: cddl.Schema((SPEC / f"{name}.cddl").read_text("utf-8")) for name in ("header", "names", "fields", "manifest")
}


def allows_header(data: bytes) -> bool:
    """Whether the schema for a file with these flags allows its header."""
    (flags,) = struct.unpack_from("<H", data, 10)
    rule = ("header", "sized-header", "unknown-header", "sized-unknown-header")[flags & 3]
    header = header_of(data)
    if flags & 16 and isinstance(header, dict) and header.get("kind") == "latents":
        described = header.pop("described", None)
        return SCHEMAS["header"].allows(described, "described") and SCHEMAS["header"].allows(header, rule)
    return SCHEMAS["header"].allows(header, rule)


def allows_manifest(raw: bytes) -> bool:
    """Whether the schema for a manifest with such a golden set allows it."""
    value = msgpack.unpackb(raw, strict_map_key=False)
    is_free = isinstance(value, dict) and isinstance(value.get("golden"), list)
    return SCHEMAS["manifest"].allows(value, "free-manifest" if is_free else "manifest")


def allows_fields(raw: bytes) -> bool:
    """Whether the schema allows the head of a chunk of fields."""
    (n_bytes,) = struct.unpack_from("<I", raw)
    return SCHEMAS["fields"].allows(msgpack.unpackb(raw[4 : 4 + n_bytes], strict_map_key=False))


def header_of(data: bytes) -> object:
    """The header as plain objects."""
    (n_bytes,) = struct.unpack_from("<I", data, 12)
    return msgpack.unpackb(data[24 : 24 + n_bytes], strict_map_key=False)


def events(data: bytes) -> list[Event]:
    """What stands before the first broken rule of the framing."""
    return Parser().feed(data)


def chunks(data: bytes, tag: bytes) -> list[bytes]:
    """Raw payloads of the chunks with a tag."""
    first, *rest = events(data)
    found = [event for event in rest if isinstance(event, ChunkRead) and event.header.tag == tag]
    if tag == b"ROWS":
        return [bytes(raw_rows(chunk, first.header)) for chunk in found]
    return [bytes(raw_payload(chunk, first.header)) for chunk in found]


@cases("container/valid", "model/valid")
def test_schemas_allow_what_is_valid(case: Vector) -> None:
    """Headers, row names, manifests and text of the valid vectors."""
    assert allows_header(case.data)
    for raw in chunks(case.data, b"nAMe"):
        assert SCHEMAS["names"].allows(msgpack.unpackb(raw))
    for raw in chunks(case.data, b"fLDs"):
        assert allows_fields(raw)
    for raw in chunks(case.data, b"MANF"):
        assert allows_manifest(raw)
    header = events(case.data)[0].header
    if isinstance(header, LatentsHeader) and header.encoding_spec.is_text:
        for raw in chunks(case.data, b"ROWS"):
            assert TEXT.fullmatch(raw)


_SEEN_BY = {
    "header": ("C3-6", "C3-7", "C3-8", "C3-9", "C3-21", "C3-22"), "names": ("C7-1",), "fields": ("C22-4",), "manifest": ("M2-2", "M3-1", "M3-2"), "text": ("C5-1",),
}  # fmt: skip
_BEYOND = {
    "492-names-empty-map",
    "495-names-too-few",
    "496-names-too-many",
    "1207-typed-empty",
}  # at least one key; as many as rows
_BEYOND |= {
    f"{number}-fields-{name}"
    for number, name in (
        (1630, "none"),
        (1631, "257"),
        (1632, "name-empty"),
        (1633, "name-257"),
        (1634, "name-tab"),
        (1642, "nine-sizes"),
    )
}  # counts, and what a name is
_LATER = {
    "113-layer-weights-out-of-range",
    "074-manifest-golden-out-of-range",
    "346-prior-tensor-10",
    "406-manifest-golden-6-of-6",
    "875-rans-prior-of-tensor-10",
}  # numbers of tensors that are not there
_LENGTHS = {  # of texts and of numbers, and characters of texts, in `described`
    f"{n}-typed-{key}-{n}"
    for key, numbers in {
        "kind": [1230], "crop": [1231], "resize": [1232], "colour": [1233], "value-range": [1234],
        "scale": [1237, 1238], "step": [1242, 1243], "software": [1253, 1254, 1255],
    }.items()
    for n in numbers
}  # fmt: skip
_ROWS = {
    "339-text-line-end-too-early",
    "340-text-line-end-too-late",
    "989-sized-line-of-another-row",
}  # how many cells a line has


@cases("container/invalid", "model/invalid")
def test_schemas_refuse_what_they_can_see(case: Vector) -> None:
    """Each vector that breaks a rule which a schema expresses."""
    rule, stem = case.expected["rule"], case.path.stem
    data = chunks(case.data, b"dECo")[0] if "inside" in case.expected else case.data
    if stem in _BEYOND | _LATER | _LENGTHS | _ROWS:
        return
    if rule in _SEEN_BY["header"]:
        assert not allows_header(data)
    elif rule in _SEEN_BY["names"]:
        assert not SCHEMAS["names"].allows(msgpack.unpackb(chunks(data, b"nAMe")[0], strict_map_key=False))
    elif rule in _SEEN_BY["fields"]:
        assert not allows_fields(chunks(data, b"fLDs")[0])
    elif rule in _SEEN_BY["manifest"]:
        assert not allows_manifest(chunks(data, b"MANF")[0])
    elif rule in _SEEN_BY["text"]:
        assert not TEXT.fullmatch(chunks(data, b"ROWS")[0])


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ('a = "x" / 1..3', 2, True), ('a = "x" / 1..3', 4, False), ('a = "x" / 1..3', "x", True), ("a = 1..3", True, False),
        ("a = { ? b: bool, c: tstr }", {"c": "d"}, True), ("a = { ? b: bool, c: tstr }", {"b": True}, False),
        ("a = { c: tstr }", {"c": "d", "e": 1}, False), ("a = [1*2 b]\nb = -2..-1", [-1, -2], True),
        ("a = [1*2 b]\nb = -2..-1", [], False), ("a = [1*2 b]\nb = -2..-1", [-1] * 3, False),
        ("a = { g }\ng = ( b: bytes .size 2 )", {"b": b"xy"}, True), ("a = { g }\ng = ( b: bytes .size 2 )", {"b": b"x"}, False),
        ("a = { * tstr => a } ; none", {"b": {"c": {}}}, True), ("a = { * tstr => a }", {"b": 1}, False),
    ],
)  # fmt: skip
def test_the_schema_reader_itself(text: str, value: object, expected: bool) -> None:
    """The reader of CDDL refuses as well as allows: it is no rubber stamp."""
    assert cddl.Schema(text).allows(value) is expected


def test_the_grammar_itself() -> None:
    """One cell too few, one line end too many: the expression made of the ABNF tells."""
    raw = Latents(blocks=[[[1.0, -2.0]]], dims=[2], encoding="text19").payload(0)[1]

    assert TEXT.fullmatch(raw)
    for wrong in (raw[:-1], raw + b"\n", raw[:26] + b"\n\n" + raw[27:], b"", raw.replace(b"e", b"E")):
        assert not TEXT.fullmatch(wrong)
