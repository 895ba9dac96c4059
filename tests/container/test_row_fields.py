"""Fields beside the rows (spec/container.md, section 22): what goes in comes out, and nothing else gets through."""

from __future__ import annotations

import io
import pickle
from dataclasses import replace

import numpy as np
import pytest

from aeformat.container.columns import RowFields, parse_fields
from aeformat.container.field_types import BadFields, FieldType, pack_types
from aeformat.container.ragged import RaggedRows
from aeformat.container.receipts import digests_of
from aeformat.container.variable import VariableColumn
from aeformat.container.writer import LatentsWriter
from aeformat.errors import FieldsInvalid, FormatError
from aeformat.reader import open_latents, stream_latents
from aeformat.validator import validate

from .files import Chunk, edges, header, row_names, sized_header, sized_rows, split

TYPES = {
    "caption": FieldType("text"),
    "crop": FieldType("int32", (2,)),
    "label": FieldType("int64"),
    "raw": FieldType("bytes"),
}
N_ROWS = 11


def fields_of(n_rows: int = N_ROWS, first: int = 0) -> RowFields:
    rows = range(first, first + n_rows)
    return RowFields.of(
        TYPES,
        {
            "caption": [None if row % 4 == 3 else f"picture {row} 猫" for row in rows],
            "crop": [[row, -row] for row in rows],
            "label": np.array(rows, np.int16),
            "raw": [bytes([row] * (row % 3)) for row in rows],
        },
        n_rows,
    )


def write(fields: RowFields | None, chunk_rows: int = 4, step: int = N_ROWS, **more) -> bytes:
    """A file of 11 rows, handed over `step` at a time."""
    sink, names = io.BytesIO(), more.pop("names", None)
    head = header(**more)
    values = edges(head.values, N_ROWS)
    with LatentsWriter(sink, head, chunk_rows=chunk_rows) as writer:
        for start in range(0, N_ROWS, step):
            stop = min(start + step, N_ROWS)
            part = None if fields is None else fields.slice(start, stop)
            writer.write(values[start:stop], None if names is None else names.slice(start, stop), fields=part)
    return sink.getvalue()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("fields") / "x.aef"
    path.write_bytes(write(fields_of(), names=row_names(N_ROWS)))
    with open_latents(path) as latents:
        yield latents


@pytest.mark.parametrize("codec", [{}, {"codec": "zstd", "filter": "shuffle"}], ids=["none", "zstd"])
@pytest.mark.parametrize("step", [1, 3, N_ROWS])
def test_fields_come_back_forward_and_by_seeking(codec, step, tmp_path):
    """Whatever the batches were: the bytes are the same too."""
    data = write(fields_of(), step=step, **codec)
    assert data == write(fields_of(), **codec)
    assert not validate(io.BytesIO(data)).problems

    forward = [block.fields for block in stream_latents(io.BytesIO(data))]
    path = tmp_path / "x.aef"
    path.write_bytes(data)
    with open_latents(path) as latents:
        sought = [block.fields for block in latents.blocks(0, N_ROWS)]
        picked = latents.block_of(5).pick(np.array([0, 2])).fields

    assert [len(fields) for fields in forward] == [4, 4, 3]
    assert forward == sought and hash(forward[0]) == hash(sought[0])
    assert RowFields.join(forward) == fields_of() != fields_of(first=1)
    assert picked["label"].tolist() == [4, 6]
    assert "caption, crop, label, raw" in repr(picked)


PICKS = {
    "slice": slice(2, 9), "back": slice(None, None, -3), "list": [10, 0, -1, 5, 5], "mask": np.arange(N_ROWS) % 3 == 0, "all": ...,
    "none": [], "empty": slice(5, 5),
}  # fmt: skip


@pytest.mark.parametrize("rows", PICKS.values(), ids=PICKS)
@pytest.mark.parametrize("name", TYPES)
def test_a_field_is_picked_as_from_an_array(file, name, rows):
    """Without reading a row."""
    whole = fields_of()[name]
    index = np.arange(N_ROWS)[
        rows if rows is ... or isinstance(rows, slice) else np.asarray(rows, None if len(rows) else int)
    ]

    found = file.fields[name][rows]

    if isinstance(whole, list):
        assert found == [whole[i] for i in index] == file.field(name, rows)
    else:
        assert found.dtype == whole.dtype and found.tolist() == whole[index].tolist()
    assert file._blocks.n_bytes == 0


def test_a_field_says_what_it_is(file):
    label = file.fields["label"]

    assert (len(label), label[-1], file.fields["caption"][3], list(label)) == (N_ROWS, 10, None, list(range(N_ROWS)))
    assert list(file.fields["raw"]) == fields_of()["raw"]
    assert (repr(label), repr(file.fields)) == (
        "<field label, int64 (), 11 rows>",
        "<fields caption, crop, label, raw>",
    )
    assert (list(file.fields), len(file.fields)) == (list(TYPES), 4)
    with pytest.raises(KeyError, match="there are caption"):
        file.fields["size"]


def test_a_file_without_fields_says_so(tmp_path):
    path = tmp_path / "x.aef"
    path.write_bytes(write(None))
    with open_latents(path) as latents, pytest.raises(KeyError, match="the file has no fields"):
        latents.field("label")


def test_the_content_id_is_that_of_the_rows(tmp_path):
    """With fields, without, with others: the latents are the same."""
    ids = {split(write(fields)).content_id for fields in (None, fields_of(), fields_of(first=7))}
    assert len(ids) == 1


def test_rows_of_their_own_size_have_fields(tmp_path):
    head = sized_header()
    rows = sized_rows(head, [(1, 2, 8, 9), (2, 1, 16, 1), (1, 1, 3, 3)])
    sink = io.BytesIO()
    with LatentsWriter(sink, head, chunk_rows=2) as writer:
        writer.write(rows, row_names(3), fields=fields_of(3))
    path = tmp_path / "x.aef"
    path.write_bytes(sink.getvalue())

    assert [chunk.tag for chunk in split(sink.getvalue()).chunks][:4] == [b"fLDs", b"SIZE", b"nAMe", b"ROWS"]
    with open_latents(path) as latents:
        assert latents.fields["label"][:].tolist() == [0, 1, 2]
        assert isinstance(latents[:], RaggedRows)


def test_receipts_and_fields_stand_together(tmp_path):
    head = header("u8", (3,))
    values = edges("u8", 130)
    sink = io.BytesIO()
    with LatentsWriter(sink, head, chunk_rows=64) as writer:
        pixels = np.zeros((130, 28, 28, 1), np.uint8)
        writer.write(values, None, digests_of(pixels), fields_of(130))
    path = tmp_path / "x.aef"
    path.write_bytes(sink.getvalue())

    with open_latents(path) as latents:
        assert latents.has_receipts
        assert latents.field("label", [129, 64]).tolist() == [129, 64]


def test_large_fields_end_a_chunk():
    """No chunk of fields is much more than 1 MiB, however small its rows are."""
    values = edges("u8", 40)
    fields = RowFields.of({"raw": TYPES["raw"]}, {"raw": [bytes(100_000)] * 40}, 40)
    sink = io.BytesIO()
    with LatentsWriter(sink, header("u8")) as writer:
        writer.write(values[:7], fields=fields.slice(0, 7))
        writer.write(values[7:], fields=fields.slice(7, 40))
    assert [chunk.n_rows for chunk in split(sink.getvalue()).chunks if chunk.tag == b"ROWS"] == [10, 10, 10, 10]


@pytest.mark.parametrize(
    ("values", "error", "words"),
    [
        ({}, ValueError, "a are missing"),
        ({"a": [1, 2], "b": [1, 2]}, ValueError, "b are unknown"),
        ({"a": [1]}, ValueError, "1 values for 2 rows"),
        ({"a": [[1], [2]]}, ValueError, "must be"),
        ({"a": 1}, ValueError, "must be"),
        ({"a": [1, 300]}, ValueError, "numbers that are not int8"),
        ({"a": [1.0, 2.0]}, TypeError, "takes int8"),
    ],
)
def test_values_that_are_not_of_the_type_are_refused(values, error, words):
    with pytest.raises(error, match=words):
        RowFields.of({"a": FieldType("int8")}, values, 2)


@pytest.mark.parametrize(
    ("of", "values", "error", "words"),
    [
        ("text", "ab", TypeError, "not one str"),
        ("text", [b"a", "b"], TypeError, "takes no bytes"),
        ("bytes", ["a", b"b"], TypeError, "takes no str"),
        ("text", ["\ud800", ""], BadFields, "not Unicode"),
        ("bool", [0, 1], TypeError, "takes bool"),
    ],
)
def test_texts_and_bools_that_are_none_are_refused(of, values, error, words):
    with pytest.raises(error, match=words):
        RowFields.of({"a": FieldType(of)}, {"a": values}, 2)


def test_a_value_that_no_chunk_holds_is_refused():
    with pytest.raises(BadFields, match="more than 2 bytes"):
        VariableColumn.of(["abc"], is_text=True, most=2)


@pytest.mark.parametrize(
    "types", [{}, {"": FieldType("bool")}, {7: FieldType("bool")}, {"x" * 200: FieldType("bool", (2,) * 9)}]
)
def test_types_that_cannot_be_declared_are_refused(types):
    with pytest.raises(BadFields, match="field"):
        pack_types(types)


def test_a_head_over_the_limit_is_refused():
    with pytest.raises(BadFields, match="a head of") as caught:
        pack_types({f"{n:0250}": FieldType("bool", (2**31 - 1,) * 8) for n in range(256)})
    assert caught.value.rule == "C22-3"


def test_a_writer_refuses_fields_that_cannot_be_stored():
    """By their rule; what it wrote before ends where a chunk does."""
    fields = RowFields({"": FieldType("bool")}, {"": np.zeros(2, bool)})
    with pytest.raises(FieldsInvalid, match="C22-4"), LatentsWriter(io.BytesIO(), header()) as writer:
        writer.write(edges("f32", 2), fields=fields)


def test_a_writer_takes_the_same_fields_for_all_rows_or_none():
    with LatentsWriter(io.BytesIO(), header()) as writer:
        with pytest.raises(ValueError, match="fields of 3 rows for 2"):
            writer.write(edges("f32", 2), fields=fields_of(3))
        writer.write(edges("f32", 2), fields=fields_of(2))
        with pytest.raises(ValueError, match="the same fields or none"):
            writer.write(edges("f32", 2))


PARTS = split(write(fields_of()))  # fLDs ROWS fLDs ROWS fLDs ROWS iNDX


@pytest.mark.parametrize(
    ("damage", "rule"),
    [
        (lambda parts: parts.change(2, tag=b"xXXx"), "C22-1"),
        (lambda parts: parts.change(2, n_rows=3), "C22-2"),
        (lambda parts: parts.change(2, first_row=5), "C22-2"),
        (lambda parts: parts.change(2, n_rows=0), "C22-2"),
        (lambda parts: parts.insert(3, Chunk(b"xXXx", b"z")), "C22-1"),
        (lambda parts: parts.insert(3, Chunk(b"nAMe", b"z", 4, 9)), "C4-7"),
    ],
    ids=["missing", "n_rows", "first_row", "no rows", "then unknown", "names"],
)
def test_a_seeking_reader_refuses_fields_in_the_wrong_place(damage, rule, tmp_path):
    parts = damage(PARTS)
    path = tmp_path / "x.aef"
    path.write_bytes(parts.with_index(parts.entries()).join())
    with open_latents(path) as latents, pytest.raises(FormatError) as caught:
        latents.field("label")
    assert caught.value.rule == rule


def test_a_seeking_reader_compares_heads(tmp_path):
    other = RowFields.of({"label": FieldType("int8")}, {"label": [1, 2, 3, 4]}, 4).to_bytes()
    path = tmp_path / "x.aef"
    parts = PARTS.change(2, stored=other, raw_len=None)
    path.write_bytes(parts.with_index(parts.entries()).join())
    with open_latents(path) as latents:
        assert latents.fields["label"][:4].tolist() == [0, 1, 2, 3]
        with pytest.raises(FieldsInvalid, match="C22-5"):
            latents.fields["label"][4]


def test_fields_at_the_end_of_a_file_are_refused():
    parts = replace(PARTS, chunks=PARTS.chunks[:5])
    with pytest.raises(FormatError) as caught:
        list(stream_latents(io.BytesIO(parts.join())))
    assert (caught.value.rule, caught.value.at) == ("C22-1", parts.places()[-1])


def test_parts_of_a_column_are_joined():
    one = parse_fields(fields_of(3).to_bytes(), 3)
    both = RowFields.join([one.slice(1, 3), one.pick(np.array([0]))])
    assert both["caption"] == [one["caption"][1], one["caption"][2], one["caption"][0]]
    assert pickle.loads(pickle.dumps(both["crop"])).tolist() == [[1, -1], [2, -2], [0, 0]]


def raw_of(head: bytes, columns: bytes = b"\3\4", n_bytes: int | None = None) -> bytes:
    return (len(head) if n_bytes is None else n_bytes).to_bytes(4, "little") + head + columns


LABEL, TEXT, BOOL = (pack_types({"a": FieldType(kind)}) for kind in ("uint8", "text", "bool"))
BAD = {
    "C22-3 no length": b"\1",
    "C22-3 no head": raw_of(b""),
    "C22-3 too long": raw_of(LABEL, b"", 99),
    "C22-3 a list": raw_of(b"\x90"),
    "C22-4 none": raw_of(b"\x80"),
    "C22-4 no type": raw_of(b"\x81\xa1a\x90"),
    "C22-4 no list": raw_of(b"\x81\xa1a\xa5uint8"),
    "C22-4 unknown": raw_of(b"\x81\xa1a\x91\xa2u8"),
    "C22-4 name": raw_of(b"\x81\xa1\x07\x91\xa5uint8"),
    "C22-6 numbers": raw_of(LABEL, b"\3"),
    "C22-6 more": raw_of(LABEL, b"\3\4\5"),
    "C22-6 lengths": raw_of(TEXT, bytes(7)),
    "C22-6 values": raw_of(TEXT, b"\1\0\0\0\1\0\0\0a"),
    "C22-7 not utf-8": raw_of(TEXT, b"\1\0\0\0\1\0\0\0a\xff"),
    "C22-7 half a character": raw_of(TEXT, b"\1\0\0\0\1\0\0\0\xc3\xa9"),
    "C22-7 bool": raw_of(BOOL, b"\0\2"),
}


@pytest.mark.parametrize("promised", BAD)
def test_a_payload_that_breaks_a_rule_is_refused_by_it(promised):
    with pytest.raises(BadFields) as caught:
        parse_fields(BAD[promised], 2)
    assert caught.value.rule == promised.partition(" ")[0]


FIELDS = PARTS.chunks[0]


@pytest.mark.parametrize(
    ("damage", "rule", "place", "offset"),
    [
        (lambda parts: parts.insert(0, FIELDS), "C22-1", 1, 0),
        (lambda parts: parts.change(0, tag=b"xXXx"), "C22-1", 2, 0),
        (lambda parts: parts.change(2, tag=b"xXXx", n_rows=0, first_row=0), "C22-1", 3, 0),
        (lambda parts: parts.insert(1, Chunk(b"xXXx", b"z")), "C22-1", 1, 0),
        (lambda parts: parts.insert(1, Chunk(b"iNDX", b"z")), "C22-1", 1, 0),
        (lambda parts: parts.change(0, n_rows=0), "C22-2", 0, 4),
        (lambda parts: parts.change(0, first_row=1), "C22-2", 0, 8),
        (lambda parts: parts.change(0, n_rows=5, stored=fields_of(5).to_bytes(), raw_len=None), "C22-2", 0, 4),
    ],
)
def test_a_forward_reader_refuses_fields_in_the_wrong_place(damage, rule, place, offset):
    parts = damage(PARTS)
    with pytest.raises(FormatError) as caught:
        list(stream_latents(io.BytesIO(parts.join())))
    assert (caught.value.rule, caught.value.at) == (rule, parts.places()[place] + offset)
