"""Memory is taken for bytes that have come, not for bytes that were announced (section 13)."""

from __future__ import annotations

import io
import struct
import tracemalloc
from contextlib import contextmanager
from zlib import crc32

import numpy as np
import pytest

from aeformat.container.limits import Limits
from aeformat.container.parser import Parser
from aeformat.container.writer import LatentsWriter
from aeformat.errors import FormatError
from aeformat.reader import open_latents, stream_latents

from .files import FEEDS, Chunk, Stream, edges, header, split, write

MIB = 1 << 20


@contextmanager
def _peak_below(n_bytes: int):
    """The block allocates no more than n_bytes at any time."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < n_bytes, f"{peak:,} bytes"


PARTS = split(write(edges("u8", 1, (256,)), header("u8", (256,), codec="zstd", filter="shuffle")))
_FRAME = b"\x28\xb5\x2f\xfd\xa4" + struct.pack("<I", 4 * MIB)


def _claims(tag: bytes, stored_len: int, raw_len: int) -> bytes:
    """A file that ends behind the header of a chunk that announces these lengths, checksum in order."""
    front = PARTS.join()[: 24 + len(PARTS.head)]
    bound = struct.pack("<II", crc32(PARTS.head), 0)
    chunk = struct.pack("<4sIQIII", tag, 1, 0, stored_len, raw_len, 0)
    return front + chunk + struct.pack("<I", crc32(bound + chunk))


CLAIMS = {
    "stored-256-MiB": _claims(b"xXXx", 2**28, 2**28),
    "header-64-KiB": b"\x89AEF\r\n\x1a\n" + (f := struct.pack("<BBHII", 1, 0, 0, 65_536, 0)) + struct.pack(
        "<I", crc32(b"\x89AEF\r\n\x1a\n" + f)),
    "rows-raw-256-MiB": PARTS.change(0, stored=_FRAME, raw_len=2**28).join(),
    "names-raw-256-MiB": PARTS.insert(0, Chunk(b"nAMe", _FRAME, 1, 0, 2**28)).join(),
    "rows-2^32": PARTS.change(0, n_rows=2**32 - 1).join(),
    "index-16-MiB-of-nothing": _claims(b"iNDX", 2**24, 2**24),
    "trailer-2^32-chunks": PARTS.join()[: -64] + b"TAIL" + b"\xff" * 60,
}  # fmt: skip


@pytest.mark.parametrize("feed", FEEDS.values(), ids=FEEDS)
@pytest.mark.parametrize("data", CLAIMS.values(), ids=CLAIMS)
def test_what_is_announced_is_not_paid_for(data, feed):
    """A few hundred bytes that announce megabytes cost no more than a mebibyte in all and end in an error."""
    pieces = feed(data)
    edges("u8", 1)  # NumPy is loaded
    with _peak_below(MIB), pytest.raises(FormatError):
        list(stream_latents(Stream(pieces)))


@pytest.mark.parametrize("data", CLAIMS.values(), ids=CLAIMS)
def test_nor_by_random_access(data, tmp_path):
    """The same file, mapped."""
    path = tmp_path / "x.aef"
    path.write_bytes(data)
    with _peak_below(MIB), pytest.raises(FormatError), open_latents(path) as latents:
        latents.rows(0, latents.n_rows)


def test_a_lower_limit_bounds_what_a_frame_may_expand_to():
    """A few kilobytes of zstd may stand for 256 MiB of zeros; a reader that will not have that says so (section 12)."""
    row = np.zeros((1, 2**25), np.uint8)
    data = write(row, header("u8", (2**25,), codec="zstd", filter="none"), level=1)
    assert len(data) < 10_000
    with _peak_below(MIB), pytest.raises(FormatError, match="C4-4"):
        list(stream_latents(Stream([data]), limits=Limits(chunk_bytes=MIB)))


class _Counter:
    """A sink that keeps nothing."""

    def __init__(self) -> None:
        self.n_bytes = 0

    def write(self, data) -> None:
        self.n_bytes += len(data)


@pytest.mark.parametrize("codec", ["none", "zstd"])
@pytest.mark.parametrize("batch", [100, 5_000])
def test_writing_any_number_of_rows_takes_the_memory_of_a_chunk(codec, batch):
    """30 MB through the writer, a MiB at a time."""
    head = header("f32le", (64,), codec=codec, filter="shuffle" if codec == "zstd" else "none")
    rows = np.random.default_rng(3).random((batch, 64), np.float32)
    sink = _Counter()
    with _peak_below(10 * MIB), LatentsWriter(sink, head, level=1) as writer:
        for _ in range(120_000 // batch):
            writer.write(rows)
    assert writer.n_rows == 120_000


class _Endless:
    """A stream of one chunk again and again, made as it is read."""

    def __init__(self, n_chunks: int, codec: str) -> None:
        self.head = header("f32le", (64,), codec=codec, filter="shuffle" if codec == "zstd" else "none")
        self._out = io.BytesIO()
        self._writer = LatentsWriter(self._out, self.head, level=1)
        self._rows = np.random.default_rng(4).random((4_096, 64), np.float32)
        self._n_left = n_chunks

    def read(self, n_bytes: int) -> bytes:
        data = self._out.getvalue()
        self._out.seek(0)
        self._out.truncate()
        if not data and self._n_left:
            self._n_left -= 1
            self._writer.write(self._rows)
            if not self._n_left:
                self._writer.close()
            return self.read(n_bytes)
        return data


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_reading_any_number_of_rows_takes_the_memory_of_a_chunk(codec):
    """30 MB through the writer and the forward reader together."""
    with _peak_below(16 * MIB):
        n_rows = sum(len(block.values) for block in stream_latents(_Endless(30, codec)))
    assert n_rows == 30 * 4_096


def test_the_parser_keeps_nothing_of_what_it_handed_out():
    """A chunk that was returned is gone from it."""
    data = write(np.zeros((8, MIB), np.uint8), header("u8", (MIB,)), chunk_rows=1)
    parser = Parser()
    with _peak_below(5 * MIB):
        for at in range(0, len(data), 65_536):
            parser.feed(memoryview(data)[at : at + 65_536])
    parser.close()


def test_random_access_reads_only_what_is_wanted(tmp_path):
    """A row out of 32 MiB costs a chunk."""
    path = tmp_path / "x.aef"
    with path.open("wb") as file, LatentsWriter(file, header("f64le", (64,)), chunk_rows=2_048) as writer:
        for _ in range(32):
            writer.write(np.zeros((2_048, 64)))
    with _peak_below(5 * MIB), open_latents(path) as latents:
        assert latents[40_000].sum() == 0
