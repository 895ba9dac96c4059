"""Rows by several threads, out of planes, and out of chunks that were checked: as the plain ways give them, and as safely."""

from __future__ import annotations

import os
import threading
from io import BytesIO

import numpy as np
import pytest
import zstandard

from aeformat.container import threads
from aeformat.container.planes import Planes, has_planes
from aeformat.container.reader import Latents
from aeformat.container.row_access import RowAccess
from aeformat.container.writer import LatentsWriter
from aeformat.errors import FormatError, Truncated, UsageError
from aeformat.reader import stream_latents

from .files import header, split, write

ENCODINGS = {
    "f64": ("f64le", None, np.float64),
    "f64-of-f32": ("f64le", "f32", np.float32),
    "f32": ("f32le", None, np.float32),
    "f16": ("f16le", None, np.float16),
    "bf16": ("bf16le", None, np.float32),
    "u16": ("u16le", None, np.uint16),
    "u8": ("u8", None, np.uint8),
}
CODECS = {"none": {"codec": "none", "filter": "none"}, "zstd": {"codec": "zstd"}}


@pytest.fixture(params=[1, 4], ids=["one processor", "four"], autouse=True)
def processors(request, monkeypatch):
    monkeypatch.setattr(threads, "n_processors", lambda: request.param)


def _head(encoding: str, codec: str, dims: tuple[int, ...] = (6,)):
    name, values, _ = ENCODINGS[encoding]
    filter_ = "shuffle" if codec == "zstd" and encoding != "u8" else "none"
    return (
        header(name, dims, values=values or "", codec=codec, filter=filter_)
        if values
        else header(name, dims, codec=codec, filter=filter_)
    )


def _rows(encoding: str, n_rows: int, dims: tuple[int, ...] = (6,)):
    rng, dtype = np.random.default_rng(1), ENCODINGS[encoding][2]
    if np.dtype(dtype).kind == "u":
        return rng.integers(0, 200, (n_rows, *dims)).astype(dtype)
    values = rng.normal(size=(n_rows, *dims)).astype(dtype)
    if encoding == "bf16":
        values = (values.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    return values


def _file(path, encoding: str, codec: str, *, n_rows: int = 500, chunk_rows: int = 37, dims=(6,)):
    rows = _rows(encoding, n_rows, dims)
    path.write_bytes(write(rows, _head(encoding, codec, dims), chunk_rows=chunk_rows))
    return rows


@pytest.mark.parametrize("options", [{}, {"cache_bytes": 1}, {"mmap": True}], ids=["usual", "no cache", "mapped"])
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_rows_are_the_same_however_they_are_asked_for(tmp_path, encoding, codec, options):
    """One by one, each twice; in batches, with repetitions; and as slices."""
    rows = _file(tmp_path / "x.aef", encoding, codec)
    order = np.random.default_rng(2).permutation(len(rows))
    with Latents(tmp_path / "x.aef", **options) as latents:
        for row in (*order[:60], *order[:60]):
            found = latents[int(row)]
            np.testing.assert_array_equal(found, rows[row])
            assert not found.flags.writeable and found.dtype == rows.dtype
        for batch in (order, order[:7], np.array([3, 3, 499, 0, 3]), np.array([], np.int64)):
            found = latents[batch]
            np.testing.assert_array_equal(found, rows[batch])
            assert not found.flags.writeable and found.shape == (len(batch), 6)
        np.testing.assert_array_equal(latents[5:480], rows[5:480])


@pytest.mark.parametrize("cache_bytes", [1, 1 << 25])
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_many_rows_are_read_by_several_threads(tmp_path, encoding, codec, cache_bytes):
    """More than a mebibyte, from inside one chunk to inside another, some of them kept from before."""
    rows = _file(tmp_path / "x.aef", encoding, codec, n_rows=1100, chunk_rows=100, dims=(1500,))
    with Latents(tmp_path / "x.aef", cache_bytes=cache_bytes) as latents:
        latents.block_of(420)
        found = latents[30:1066]
        np.testing.assert_array_equal(found, rows[30:1066])
        assert not found.flags.writeable
        order = np.random.default_rng(2).permutation(len(rows))  # of chunks so large that they are shared out
        np.testing.assert_array_equal(latents[order], rows[order])


@pytest.mark.parametrize("encoding", ["f64", "f32", "f16"])
def test_values_that_planes_do_not_show_to_be_finite_are_looked_at(tmp_path, encoding):
    """The largest numbers are finite; a NaN among them is refused (C5-3), wherever the row that is wanted stands."""
    rows = np.round(_rows(encoding, 80))
    rows[50] = np.finfo(rows.dtype).max
    head = _head(encoding, "zstd")
    (tmp_path / "x.aef").write_bytes(write(rows, head, chunk_rows=40))
    with Latents(tmp_path / "x.aef") as latents:
        np.testing.assert_array_equal(latents[45], rows[45])
        np.testing.assert_array_equal(latents[50], rows[50])
    parts = split(write(rows, head, chunk_rows=40))
    bad = np.zeros_like(rows[:40])
    bad[7, 2] = np.nan
    n_bytes = bad.dtype.itemsize
    shuffled = np.frombuffer(bad.tobytes(), np.uint8).reshape(-1, n_bytes).T.tobytes()
    frame = zstandard.ZstdCompressor(write_checksum=True).compress(shuffled)
    (tmp_path / "y.aef").write_bytes(parts.change(0, stored=frame, raw_len=bad.nbytes).join())
    with Latents(tmp_path / "y.aef") as latents, pytest.raises(FormatError) as caught:
        _ = latents[3]
    assert caught.value.rule == "C5-3" and caught.value.source == str(tmp_path / "y.aef")


def test_a_nan_in_a_chunk_that_is_read_right_into_the_result_is_refused(tmp_path):
    """C5-3, at its chunk, whichever thread meets it."""
    rows = _rows("f64", 30_000)
    parts = split(write(rows, _head("f64", "zstd"), chunk_rows=4_000))
    bad = rows[:4_000].copy()
    bad[7, 2] = np.nan
    shuffled = np.frombuffer(bad.tobytes(), np.uint8).reshape(-1, 8).T.tobytes()
    frame = zstandard.ZstdCompressor(write_checksum=True).compress(shuffled)
    (tmp_path / "x.aef").write_bytes(parts.change(0, stored=frame, raw_len=bad.nbytes).join())
    with Latents(tmp_path / "x.aef", cache_bytes=1) as latents, pytest.raises(FormatError) as caught:
        _ = latents[:]
    assert caught.value.rule == "C5-3"


def test_planes_give_rows_as_the_whole_does():
    """Few values and many in a row; and which files have planes."""
    for dims in ((5,), (30, 40)):
        rows = _rows("f32", 9, dims)
        planes = Planes(np.frombuffer(rows.tobytes(), np.uint8).reshape(-1, 4).T.tobytes(), _head("f32", "zstd", dims))
        assert planes.shows_finite() and planes.n_bytes == rows.nbytes
        np.testing.assert_array_equal(planes.row(8), rows[8])
        np.testing.assert_array_equal(planes.rows(np.array([2, 0])), rows[[2, 0]])
    assert not any(has_planes(_head(encoding, "zstd")) for encoding in ("bf16", "u16", "u8", "f64-of-f32"))
    assert not has_planes(_head("f32", "none"))


@pytest.mark.parametrize("encoding", ["f64", "u8"])
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("way", [lambda f: f[2], lambda f: f[[2, 60]], lambda f: f[:]], ids=["row", "batch", "all"])
def test_damage_is_found_by_each_way(tmp_path, encoding, codec, way):
    """C4-11, at the first chunk that has it, with the name of the file."""
    _file(tmp_path / "x.aef", encoding, codec, n_rows=1100, chunk_rows=100, dims=(1500,))
    data = bytearray((tmp_path / "x.aef").read_bytes())
    with stream_latents(tmp_path / "x.aef") as blocks:
        places = [block.place.at for block in blocks]
    for at in (places[0], places[5]):
        data[at + 99] ^= 1
    (tmp_path / "x.aef").write_bytes(data)
    with Latents(tmp_path / "x.aef") as latents, pytest.raises(FormatError) as caught:
        way(latents)
    assert (caught.value.rule, caught.value.at) == ("C4-11", places[0])
    assert caught.value.source == str(tmp_path / "x.aef")


@pytest.mark.parametrize("way", [lambda f: f[2], lambda f: f[[2, 90]]], ids=["row", "batch"])
def test_a_stored_chunk_is_checked_again_after_the_file_was_changed(tmp_path, way):
    """What was good when it was checked may not be what is there now."""
    path = tmp_path / "x.aef"
    rows = _file(path, "f64", "none")
    with Latents(path, cache_bytes=1) as latents:
        _ = latents[[2, 90]], latents[400]
        np.testing.assert_array_equal(latents[2], rows[2])
        data = bytearray(path.read_bytes())
        with stream_latents(path) as blocks:
            at = next(iter(blocks)).place.at
        data[at + 2 * 48] ^= 1
        with path.open("r+b") as file:
            file.write(data)
        os.utime(path, ns=(1, 1))
        np.testing.assert_array_equal(latents[400], rows[400])  # of a chunk that is still good
        with pytest.raises(FormatError, match="C4-11"):
            way(latents)


def test_rows_of_a_file_that_is_cut_or_closed_are_refused(tmp_path):
    """Without a mapping."""
    path = tmp_path / "x.aef"
    _file(path, "f64", "none")
    latents = Latents(path, cache_bytes=1)
    _ = latents[[2, 90]], latents[400]
    os.truncate(path, 300)
    with pytest.raises(Truncated) as caught:
        _ = latents[[2, 90]]
    assert caught.value.source == str(path)
    latents.close()
    with pytest.raises(UsageError, match="closed"):
        _ = latents[2]


def test_the_first_error_in_order_counts():
    """Whichever thread is faster; where there is one, it begins nothing after that."""
    begun = []
    late = threading.Event()

    def job(number: int) -> None:
        begun.append(number)
        if number == 1:
            late.wait(20 if threads.n_processors() > 1 else 0)
            raise ValueError("one")
        if number == 2:
            late.set()
            raise ValueError("two")

    with pytest.raises(ValueError, match="one"):
        threads.each(job, 100)
    if threads.n_processors() == 1:
        assert begun == [0, 1]


def test_each_job_is_done_once():
    done = []
    threads.each(done.append, 50)
    assert sorted(done) == list(range(50))
    threads.each(done.append, 0)
    assert len(done) == 50


@pytest.mark.parametrize("codec", CODECS)
def test_a_file_does_not_depend_on_threads_or_on_how_rows_were_handed_over(codec):
    """Nor on how many chunks wait to be made together."""
    rows = _rows("f64", 40_000, (16,))
    whole = write(rows, _head("f64", codec, (16,)))
    for step in (1_000, 7_777):
        sink = BytesIO()
        with LatentsWriter(sink, _head("f64", codec, (16,))) as writer:
            for at in range(0, len(rows), step):
                writer.write(rows[at : at + step])
        assert sink.getvalue() == whole


def test_chunks_before_a_value_that_cannot_be_stored_are_written():
    """As far as they were whole; the writer stays failed."""
    rows = _rows("f64", 100)
    rows[57, 3] = np.inf
    sink = BytesIO()
    writer = LatentsWriter(sink, _head("f64", "zstd"), chunk_rows=20)
    with pytest.raises(FormatError, match="row 57 cannot be stored") as caught:
        writer.write(rows)
    assert caught.value.rule == "C5-3" and not writer.is_open and writer.n_rows == 40
    blocks = list(stream_latents(BytesIO(sink.getvalue()), recover=True))
    np.testing.assert_array_equal(np.concatenate([block.values for block in blocks]), rows[:40])


def test_a_batch_is_what_the_plain_way_gives(tmp_path):
    """Chunk after chunk, as sets of files do it."""
    rows = _file(tmp_path / "x.aef", "f64", "zstd")
    batch = np.random.default_rng(3).permutation(len(rows))[:90]
    with Latents(tmp_path / "x.aef") as latents:
        plain = RowAccess._gathered(latents, batch)
        np.testing.assert_array_equal(plain, rows[batch])
        np.testing.assert_array_equal(latents[batch], plain)


@pytest.mark.parametrize("way", [lambda f: f[2], lambda f: f[[2, 60]], lambda f: f[:]], ids=["row", "batch", "all"])
def test_a_broken_frame_is_refused_by_each_way(tmp_path, way):
    """C6-6, its CRC-32 in order."""
    rows = np.round(_rows("f64", 200, (1500,)))
    parts = split(write(rows, _head("f64", "zstd", (1500,)), chunk_rows=100))
    frame = bytearray(parts.chunks[0].stored)
    frame[-1] ^= 1  # of the content checksum
    (tmp_path / "x.aef").write_bytes(parts.change(0, stored=bytes(frame)).join())
    with Latents(tmp_path / "x.aef", cache_bytes=1) as latents, pytest.raises(FormatError) as caught:
        way(latents)
    assert caught.value.rule == "C6-6"


def test_processors_are_counted(monkeypatch):
    """Those that this process may use, where the system says it."""
    monkeypatch.undo()
    assert 1 <= threads.n_processors() <= (os.cpu_count() or 1)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert threads.n_processors() == (os.cpu_count() or 1)
