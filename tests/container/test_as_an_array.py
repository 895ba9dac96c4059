"""Promise: a file of latents is picked from and looked at as an array is; only a real mistake raises, with words that say which."""

from __future__ import annotations

import io

import numpy as np
import pytest

from aeformat.container.receipts import digests_of
from aeformat.container.selection import selected_row, selected_rows
from aeformat.container.writer import LatentsWriter
from aeformat.errors import FormatError, UsageError
from aeformat.reader import open_latents, stream_latents

from .files import header, row_names, split

ROWS = np.random.default_rng(2).standard_normal((200, 3)).astype(np.float32)
PIXELS = np.random.default_rng(3).integers(0, 256, (200, 2, 2, 1)).astype(np.uint8)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """200 rows with names, in two chunks of 128 and 72."""
    made = tmp_path_factory.mktemp("array") / "x.aef"
    with made.open("wb") as file, LatentsWriter(file, header(), chunk_rows=128) as writer:
        assert writer.is_open
        writer.write(ROWS, row_names(200))
    assert not writer.is_open
    return made


def test_shape_type_and_name_are_those_of_an_array(path):
    with open_latents(path) as latents:
        assert (latents.shape, latents.ndim, latents.dtype, len(latents)) == ((200, 3), 2, np.float32, 200)
        assert repr(latents) == f"<aeformat.Latents {path}, shape (200, 3), f32>"
        assert np.asarray(latents).tobytes() == ROWS.tobytes()
        assert np.asarray(latents, dtype=np.float64).dtype == np.float64
        with pytest.raises(ValueError, match="without a copy"):
            latents.__array__(copy=False)


@pytest.mark.parametrize(
    "rows",
    [..., slice(3, 150, 7), [5, 199, 0, -1, 128], range(-3, 2), range(190, 10, -60), np.arange(200) % 9 == 0, []],
    ids=str,
)
def test_rows_are_picked_as_from_an_array(rows, path):
    wanted = (
        ROWS[list(rows) if isinstance(rows, range) else rows] if len(np.atleast_1d(rows)) or rows is ... else ROWS[:0]
    )
    with open_latents(path) as latents:
        assert latents[rows].tobytes() == wanted.tobytes()


@pytest.mark.parametrize(
    ("rows", "error", "words"),
    [
        (200, IndexError, "row 200 of a file of 200 rows"),
        ([0, -201], IndexError, "row -201"),
        (range(195, 203), IndexError, "row 202"),
        (np.ones(199, bool), IndexError, "mask of 199 values"),
        ([[1]], TypeError, "not by 2 axes"),
        ([0.5], TypeError, "integers"),
        ("7", TypeError, "does not select rows"),
        ({1, 2}, TypeError, "a set does not select rows"),
        ((row for row in (1, 2)), TypeError, "a generator does not select rows"),
    ],
    ids=["beyond", "before", "range", "mask", "two axes", "floats", "text", "set", "generator"],
)
def test_what_is_no_row_of_the_file_is_said(rows, error, words):
    with pytest.raises(error, match=words):
        selected_rows(rows, 200)


def test_one_row_is_one_number():
    assert selected_row(-1, 200) == 199
    assert list(selected_rows(range(0), 200)) == []
    with pytest.raises(TypeError, match="not the number of a row"):
        selected_row([1], 200)


def test_names_count_from_the_end_too(path):
    with open_latents(path) as latents:
        assert latents.names(-1).names == latents.names(199).names == (row_names(200).names[199],)


def test_some_rows_of_a_block_keep_their_names_and_receipts(tmp_path):
    """Whole runs of 64; the rows that a digest is for are found for any row."""
    made = tmp_path / "x.aef"
    with made.open("wb") as file, LatentsWriter(file, header(), chunk_rows=128) as writer:
        writer.write(ROWS, row_names(200), digests_of(PIXELS))
    with open_latents(made) as latents:
        needed = latents.with_receipted(np.array([3, 130, 199]))
        assert needed.tolist() == [*range(64), *range(128, 200)]
        block = latents.block_of(70)
        picked = block.pick(np.arange(64, 128))
        assert picked.values.tobytes() == ROWS[64:128].tobytes()
        assert picked.names.names == row_names(200).names[64:128]
        picked.receipts.check(PIXELS[64:128])
        with pytest.raises(FormatError):
            picked.receipts.check(PIXELS[:64])
        with pytest.raises(IndexError):
            latents.block_of(200)


def test_without_receipts_no_other_rows_are_needed(path):
    with open_latents(path) as latents:
        assert latents.with_receipted(np.array([3, 130])).tolist() == [3, 130]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (b"x.aef", "io.BytesIO"),
        (None, "of type NoneType"),
        (io.StringIO("x"), 'open it with "rb"'),
    ],
    ids=["bytes", "none", "text"],
)
def test_what_is_no_stream_is_said(source, words):
    with pytest.raises(UsageError, match=words):
        stream_latents(source)


def test_a_closed_file_is_no_stream(path):
    file = path.open("rb")
    file.close()
    with pytest.raises(UsageError, match="closed"):
        stream_latents(file)


def test_a_stream_is_read_once(path):
    stream = stream_latents(path)
    assert sum(len(block.values) for block in stream) == 200
    with pytest.raises(UsageError, match="read already"):
        iter(stream)
    stream.close()
    assert split(path.read_bytes())
