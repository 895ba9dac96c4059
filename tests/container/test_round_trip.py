"""Writer to reader: the same values, bit for bit, whatever the header and however the bytes come."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeformat.container.assigned import VALUE_TYPES
from aeformat.container.names import RowNames
from aeformat.container.writer import LatentsWriter
from aeformat.reader import Latents, open_latents, stream_latents

from .files import FEEDS, PAIRS, Stream, edges, from_bits, header, read, row_names, same_bits, split, write

CODECS = [("none", "none"), ("zstd", "none"), ("zstd", "shuffle")]


@st.composite
def _files(draw):
    """(header, values, names or None, options of the writer, where the batches end)."""
    encoding, values = draw(st.sampled_from(PAIRS))
    codec, filter = draw(st.sampled_from(CODECS))
    dims = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    head = header(encoding, dims, values=values, codec=codec, filter=filter)
    n_rows = draw(st.integers(1, 12))
    size = n_rows * head.n_values
    pool = draw(st.lists(st.integers(0, 2 ** (8 * VALUE_TYPES[values].n_bytes) - 1), min_size=1, max_size=8))
    rows = np.resize(from_bits(pool, values), size).reshape(n_rows, *dims)
    if draw(st.booleans()):
        rows = edges(values, n_rows, dims)
    full = row_names(n_rows)
    kept = draw(st.sets(st.sampled_from(["names", "labels", "sources"])))
    names = RowNames(**{key: getattr(full, key) for key in kept}) if kept else None
    options = {
        "chunk_rows": draw(st.none() | st.integers(1, 5)),
        "decoder": draw(st.none() | st.binary(min_size=1, max_size=90)),
        "level": draw(st.sampled_from([1, 3, 19])),
    }
    cuts = sorted(draw(st.sets(st.integers(0, n_rows), max_size=4)))
    return head, rows, names, options, cuts


def _write_in_batches(head, rows, names, options, cuts):
    sink = io.BytesIO()
    with LatentsWriter(sink, head, **options) as writer:
        for start, stop in zip([0, *cuts], [*cuts, len(rows)], strict=True):
            writer.write(rows[start:stop], None if names is None else names.slice(start, stop))
    assert writer.n_rows == len(rows)
    assert writer.n_bytes == len(sink.getvalue())
    return sink.getvalue()


@pytest.fixture(scope="module")
def open_bytes(tmp_path_factory):
    """Random access to a file of these bytes."""
    path = tmp_path_factory.mktemp("files") / "x.aef"

    def open_them(data: bytes) -> Latents:
        path.write_bytes(data)
        return open_latents(path)

    return open_them


@settings(max_examples=150)
@given(file=_files())
def test_what_was_written_is_what_is_read(file, open_bytes):
    """Forward and by random access, all values, names and the decoder come back, to the bit."""
    head, rows, names, options, _ = file
    data = _write_in_batches(*file)

    stream = stream_latents(io.BytesIO(data))
    assert stream.embedded_decoder == options["decoder"]
    blocks = list(stream)
    assert stream.header == head
    assert same_bits(np.concatenate([block.values for block in blocks]), rows)
    assert [block.first_row for block in blocks] == list(range(0, len(rows), options["chunk_rows"] or len(rows)))
    read_names = [block.names for block in blocks]
    assert (RowNames.join(read_names) == names) if names is not None else not any(read_names)
    assert stream.embedded_decoder == options["decoder"]

    with open_bytes(data) as latents:
        assert latents.header == head
        assert len(latents) == latents.n_rows == len(rows)
        assert latents.trailer == stream.trailer
        assert latents.embedded_decoder == options["decoder"]
        assert same_bits(latents.rows(0, len(rows)), rows)
        for row in (0, len(rows) // 2, -1):
            assert same_bits(latents[row], rows[row])
            at = row % len(rows)
            assert latents.names(at) == (None if names is None else names.slice(at, at + 1))


@settings(max_examples=60)
@given(file=_files())
def test_the_bytes_do_not_depend_on_how_rows_are_handed_over(file):
    """One call, some calls, a call for every row: one file."""
    head, rows, names, options, _ = file

    assert (
        _write_in_batches(*file)
        == _write_in_batches(head, rows, names, options, [])
        == _write_in_batches(head, rows, names, options, list(range(1, len(rows))))
    )


def test_rows_may_be_overwritten_as_soon_as_they_were_handed_over():
    """A caller that fills one buffer again and again loses nothing."""
    rows = edges("f32", 7)
    sink = io.BytesIO()
    buffer = np.empty((1, 3), np.float32)
    with LatentsWriter(sink, header(), chunk_rows=3) as writer:
        for row in rows:
            buffer[0] = row
            writer.write(buffer)

    assert sink.getvalue() == write(rows, header(), chunk_rows=3)


@pytest.mark.parametrize("feed", FEEDS.values(), ids=FEEDS)
@pytest.mark.parametrize(("encoding", "values"), PAIRS)
def test_a_file_reads_the_same_however_it_arrives(encoding, values, feed):
    """Whole, byte by byte, in halves."""
    rows = edges(values, 5)
    data = write(rows, header(encoding, values=values), row_names(5), chunk_rows=2, decoder=b"decoder")

    assert same_bits(read(feed(data)), rows)


TWINS = [
    ("text19", "none", "none"),
    ("text19", "zstd", "none"),
    ("f64le", "none", "none"),
    ("f64le", "zstd", "shuffle"),
    ("f64le", "zstd", "none"),
    ("f32le", "none", "none"),
    ("f32le", "zstd", "shuffle"),
]


@pytest.mark.parametrize("values", ["f32", "f16", "bf16", "u8", "i8", "u16"])
def test_twins_have_one_content_id(values):
    """However the same values are stored, cut into chunks and named, the content id is the same."""
    rows = edges(values, 7)
    files = {
        split(write(rows, header(e, values=values, codec=c, filter=f), names, chunk_rows=n)).content_id
        for e, c, f in TWINS
        for names, n in ((None, None), (row_names(7), 2))
    }

    assert len(files) == 1


def test_the_content_id_is_that_of_the_values_and_their_decoder():
    """Another bit, type, shape, decoder or image size: another content id."""
    rows = edges("f32", 6)
    head = header()
    files = [
        write(rows, head),
        write(np.where(rows == 0, np.float32(0), rows), head),  # -0.0 became 0.0
        write(rows.astype(np.float64), header("f64le")),
        write(rows[:5], head),
        write(rows.reshape(3, 6), header(dims=(6,))),
        write(rows, head._replace(decoder=bytes(32))),
        write(rows, head._replace(image=(28, 28, 3))),
    ]

    assert len({split(data).content_id for data in files}) == len(files)


@pytest.mark.parametrize("minor", [0, 1, 255])
def test_an_unknown_ancillary_chunk_is_skipped_everywhere(minor, open_bytes):
    """What a later minor version may add does not disturb this reader, forward or at random."""
    rows = edges("f32", 6)
    parts = split(write(rows, header(), row_names(6), chunk_rows=2, decoder=b"decoder"))
    extra = replace(parts.chunks[0], tag=b"xXXx", stored=b"what?", raw_len=1000, n_rows=7, first_row=9)
    for at in (7, 5, 3, 1, 0):  # not between names and their rows
        parts = parts.insert(at, extra)
    parts = replace(parts, chunks=parts.chunks[:-1])
    data = bytearray(parts.join())

    stream = stream_latents(Stream([bytes(data)]))
    assert stream.embedded_decoder == b"decoder"
    assert same_bits(np.concatenate([block.values for block in stream]), rows)
    indexed = replace(parts, chunks=(*parts.chunks, replace(extra, tag=b"iNDX", raw_len=None, n_rows=0, first_row=0)))
    for file in (parts, indexed.with_index(parts.entries())):
        with open_bytes(file.join()) as latents:
            assert same_bits(latents.rows(0, 6), rows)
            assert latents.names(5) == row_names(1, first=5)
            assert latents.embedded_decoder == b"decoder"
