"""aeformat.container.writer: what it refuses to write, and what it leaves behind when something goes wrong."""

from __future__ import annotations

import io

import numpy as np
import pytest

from aeformat.container.names import RowNames
from aeformat.container.writer import LatentsWriter
from aeformat.errors import FormatError, Truncated
from aeformat.reader import stream_latents

from .files import edges, header, read, row_names, same_bits, write

ROWS = edges("f32", 6)


class _Full(io.BytesIO):
    """A disk with room for so many bytes, until it is emptied."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def write(self, data) -> int:
        if self.tell() + len(data) > self.room:
            raise OSError(28, "No space left on device")
        return super().write(data)


MISTAKES = {
    "shape": (lambda w: w.write(np.zeros((1, 4), np.float32)), ValueError),
    "no-row-axis": (lambda w: w.write(np.zeros(3, np.float32)), ValueError),
    "type": (lambda w: w.write(np.zeros((1, 3))), TypeError),
    "names-short": (lambda w: w.write(ROWS, row_names(5)), ValueError),
}


@pytest.mark.parametrize(("mistake", "error"), MISTAKES.values(), ids=MISTAKES)
def test_a_callers_mistake_is_refused_and_costs_nothing(mistake, error):
    """Nothing was written: the writer goes on with the next rows."""
    sink = io.BytesIO()
    with LatentsWriter(sink, header()) as writer:
        with pytest.raises(error):
            mistake(writer)
        writer.write(ROWS)

    assert sink.getvalue() == write(ROWS, header())


def test_no_rows_is_no_write():
    """An empty batch in between changes nothing, with or without names; a file without a row is not closed."""
    sink = io.BytesIO()
    with LatentsWriter(sink, header(), chunk_rows=2) as writer:
        writer.write(ROWS[:0])
        writer.write(ROWS[:3])
        writer.write(ROWS[:0])
        writer.write(ROWS[3:])
    assert sink.getvalue() == write(ROWS, header(), chunk_rows=2)

    writer = LatentsWriter(io.BytesIO(), header())
    with pytest.raises(FormatError, match="C9-3"):
        writer.close()


@pytest.mark.parametrize("chunk_rows", [0, -1])
def test_chunks_have_rows(chunk_rows):
    """Zero is not "as many as you like"."""
    with pytest.raises(ValueError, match="chunks"):
        LatentsWriter(io.BytesIO(), header(), chunk_rows=chunk_rows)


def test_an_error_leaves_an_incomplete_file():
    """The trailer is written on a clean exit only."""
    sink = io.BytesIO()
    with pytest.raises(KeyError), LatentsWriter(sink, header(), chunk_rows=2) as writer:
        writer.write(ROWS[:5])
        raise KeyError

    with pytest.raises(Truncated):
        read([sink.getvalue()])
    stream = stream_latents(io.BytesIO(sink.getvalue()), recover=True)
    assert same_bits(np.concatenate([block.values for block in stream]), ROWS[:4])


def test_a_value_that_cannot_be_stored_is_named_by_its_row():
    """C5-3, counted over the whole file."""
    rows = ROWS.copy()
    rows[5, 1] = np.nan
    writer = LatentsWriter(io.BytesIO(), header(), chunk_rows=2)
    with pytest.raises(FormatError, match=r"row 5 .*C5-3"):
        writer.write(rows)


@pytest.mark.parametrize("cause", ["disk", "value", "names"])
def test_a_writer_that_failed_writes_no_more(cause):
    """Half a chunk cannot be gone on from: no trailer may make such a file look whole."""
    sink = _Full(450 if cause == "disk" else 10_000)
    writer = LatentsWriter(sink, header(), chunk_rows=2)
    rows, names = ROWS.copy(), row_names(6)
    if cause == "value":
        rows[3] = np.inf
    if cause == "names":
        names = RowNames(names=("a", "b", "c", "../d", "e", "f"))
    with pytest.raises((OSError, FormatError)):
        writer.write(rows, names)
    sink.room = 10_000
    written = sink.getvalue()

    for attempt in (lambda: writer.write(ROWS, row_names(6)), writer.close):
        with pytest.raises(ValueError, match="failed"):
            attempt()
    assert sink.getvalue() == written
    assert writer.content_id is None


def test_nothing_is_written_after_the_trailer():
    """A closed writer takes no rows; closing twice is closing once."""
    sink = io.BytesIO()
    with LatentsWriter(sink, header()) as writer:
        writer.write(ROWS)
        writer.close()
    writer.close()
    with pytest.raises(ValueError, match="closed"):
        writer.write(ROWS)

    assert sink.getvalue() == write(ROWS, header())


def test_a_header_that_no_reader_takes_is_not_written():
    """C2-5: `ext` may be as large as the caller likes, the header not."""
    sink = io.BytesIO()
    with pytest.raises(FormatError, match="C2-5"):
        LatentsWriter(sink, header(ext={"note": "x" * 65_536}))

    assert sink.getvalue() == b""


def test_a_chunk_above_the_limit_is_not_written():
    """C4-4: 256 MiB, though a caller asks for more rows than that."""
    head = header("u8", (2**27,))
    writer = LatentsWriter(io.BytesIO(), head, chunk_rows=3)
    row = np.broadcast_to(np.uint8(7), (3, 2**27))
    with pytest.raises(FormatError, match="C4-4"):
        writer.write(row)


def test_a_chunk_is_about_128_kibibytes():
    """Section 12, counted in raw bytes; at least one row."""
    rows = np.zeros((600, 64))
    blocks = list(stream_latents(io.BytesIO(write(rows, header("f64le", (64,), codec="zstd", filter="shuffle")))))
    assert [len(block.values) for block in blocks] == [256, 256, 88]
    blocks = list(stream_latents(io.BytesIO(write(rows, header("f64le", (64,), codec="zstd", filter="none")))))
    assert [len(block.values) for block in blocks] == [600]  # a mebibyte, as no block ends with a plane
    rows = np.zeros((10_000, 8), np.uint8)  # small rows: no more than 4,096, because a chunk is what a cut loses
    blocks = list(stream_latents(io.BytesIO(write(rows, header("u8", (8,), codec="zstd")))))
    assert [len(block.values) for block in blocks] == [4_096, 4_096, 1_808]
    rows = np.zeros((700, 64))  # text loses more by small chunks: a mebibyte
    blocks = list(stream_latents(io.BytesIO(write(rows, header("text19", (64,), codec="zstd")))))
    assert [len(block.values) for block in blocks] == [606, 94]
    blocks = list(stream_latents(io.BytesIO(write(np.zeros((2, 2**21), np.uint8), header("u8", (2**21,))))))
    assert [len(block.values) for block in blocks] == [1, 1]
