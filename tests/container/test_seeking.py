"""Framing by offset says what the forward parser says, without reading a payload; a file ends when it is closed."""

from __future__ import annotations

import importlib.util
import io
import os
from concurrent.futures import ThreadPoolExecutor
from time import sleep

import numpy as np
import pytest

from aeformat.container import opened
from aeformat.container.header import LatentsHeader
from aeformat.container.opened import OpenedFile
from aeformat.container.parser import ChunkRead, HeaderRead, TrailerRead
from aeformat.container.seeking import ChunkPlace, Chunks, Framing
from aeformat.container.writer import LatentsWriter
from aeformat.errors import FormatError, Truncated, UsageError
from aeformat.reader import events, open_latents

from .files import edges, header, write

FILES = {
    "an index": write(edges("f32", 11), header(), chunk_rows=4, decoder=b"not looked into"),
    "no index": write(edges("f32", 3), header()),
    "compressed": write(edges("f32", 11), header(codec="zstd", filter="shuffle"), chunk_rows=4),
}


def framing(data: bytes) -> Framing:
    """What a caller who can read at any place makes of it."""
    return Framing(lambda at, n_bytes: data[at : at + n_bytes], len(data))


def seen(chunks: list[ChunkPlace]) -> list[tuple[object, ...]]:
    """What the places say."""
    return [(place.number, place.at, place.payload_at, place.end, place.header) for place in chunks]


def forward(data: bytes) -> tuple[list[tuple[object, ...]], tuple[str, str, int] | None]:
    """The same from the forward parser, and where it stops."""
    found: list[tuple[object, ...]] = []
    try:
        for event in events(io.BytesIO(data)):
            if isinstance(event, ChunkRead):
                end = event.payload_at + event.header.stored_bytes
                found.append((event.number, event.at, event.payload_at, end, event.header))
    except FormatError as error:
        return found, (error.code, error.rule, error.at)
    return found, None


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_the_places_are_those_of_the_forward_parser(data):
    """Of header, chunks and trailer, and the chunks themselves."""
    whole = framing(data)
    first, *chunks, last = events(io.BytesIO(data))
    assert isinstance(first, HeaderRead) and isinstance(last, TrailerRead)

    assert (whole.header, whole.header_crc, whole.first_chunk_at, whole.front) == first
    assert seen(list(whole.scan())) == forward(data)[0]
    found = Chunks(whole)
    assert (found.trailer, found.trailer_at) == (last.trailer, last.at)
    assert [found.chunk(chunk.at, chunk.number) for chunk in chunks] == [
        chunk._replace(front=b"", sizes=None) for chunk in chunks
    ]
    assert seen(list(found.walk(len(chunks)))) == forward(data)[0]


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_a_cut_file_ends_by_the_rule_of_the_place(data):
    """At whatever byte it is cut: the whole chunks before it, then the forward parser's error, from both."""
    for size in range(len(data)):
        cut, found = data[:size], []
        with pytest.raises(FormatError) as caught:
            for place in framing(cut).scan():
                found.append(place)
        with pytest.raises(FormatError) as opened:
            Chunks(framing(cut))

        chunks, error = forward(cut)
        assert (seen(found), (caught.value.code, caught.value.rule, caught.value.at)) == (chunks, error), size
        assert (opened.value.code, opened.value.rule, opened.value.at) == error, size


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_a_changed_header_is_found_without_the_payloads(data):
    """Every bit in front, of the chunk headers and of the trailer: the forward parser's error; payloads are left out."""
    places = list(framing(data).scan())
    ends = [
        (0, framing(data).first_chunk_at),
        *((place.at, place.at + 32) for place in places),
        (len(data) - 64, len(data)),
    ]
    for start, stop in ends:
        for at in range(start, stop):
            changed = bytearray(data)
            changed[at] ^= 1 << at % 8
            with pytest.raises(FormatError) as caught:
                list(framing(bytes(changed)).scan())
            assert (caught.value.code, caught.value.rule, caught.value.at) == forward(bytes(changed))[1], at
    last, changed = places[-1], bytearray(data)
    changed[last.payload_at] ^= 1
    assert seen(list(framing(bytes(changed)).scan())) == seen(places)
    with pytest.raises(FormatError) as caught:
        Chunks(framing(bytes(changed))).chunk(last.at, last.number)
    assert (caught.value.rule, caught.value.at) == ("C4-11", last.payload_at)


def test_what_follows_the_trailer_is_found():
    """C9-7, where a second file was put behind the first."""
    data = FILES["an index"]
    with pytest.raises(FormatError) as caught:
        list(framing(data + b"?").scan())

    assert (caught.value.rule, caught.value.at) == ("C9-7", len(data))


def test_a_file_cut_where_its_decoder_ends_has_the_decoders_trailer():
    """That is bound to another header, so the file is incomplete."""
    inside = write(edges("f32", 3), header(ext={"another": 1}))
    data = write(edges("f32", 3), header(), decoder=inside)
    cut = data[: data.index(inside) + len(inside)]

    with pytest.raises(FormatError) as caught:
        Chunks(framing(cut))

    assert (caught.value.code, caught.value.rule, caught.value.at) == forward(cut)[1]


def test_a_file_is_read_until_it_is_closed(tmp_path):
    """A view that is in use keeps the bytes; nothing else can be read."""
    path = tmp_path / "x"
    path.write_bytes(b"0123456789")
    file = OpenedFile(path)
    view = np.frombuffer(file.view(), np.uint8)

    assert (file.size, file.read(3, 4), file.read(8, 9), file.read(20, 1)) == (10, b"3456", b"89", b"")
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.read(0, 1)
    assert view.tobytes() == b"0123456789"


def test_a_file_that_is_cut_while_it_is_open_is_an_error(tmp_path):
    """Incomplete, and where it ends now; one that is replaced goes on as it was."""
    path = tmp_path / "x"
    path.write_bytes(b"0123456789")
    file, other = OpenedFile(path), OpenedFile(path)
    os.truncate(path, 6)

    assert (file.size, file.read(3, 3)) == (10, b"345")
    for read in (lambda: file.read(3, 4), lambda: file.read(8, 1), other.view):
        with pytest.raises(Truncated, match="cut while it was read") as caught:
            read()
        assert (caught.value.rule, caught.value.at) == ("C9-1", 8 if caught.value.at == 8 else 6)
    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "new").replace(path)
    assert file.read(0, 6) == b"012345"


def test_a_system_that_gives_less_than_it_has_is_asked_again(tmp_path, monkeypatch):
    """Until all is there, each time for what is missing."""
    path = tmp_path / "x"
    path.write_bytes(b"0123456789")
    monkeypatch.setattr(opened, "_read_at", lambda handle, n_bytes, at: b"0123456789"[at : at + min(n_bytes, 3)])

    assert OpenedFile(path).read(1, 8) == b"12345678"


def test_a_system_without_pread_reads_the_same_from_several_threads(tmp_path, monkeypatch):
    """Windows: there a descriptor has one place, which no other thread may move between seeking and reading."""
    path = tmp_path / "x"
    path.write_bytes(bytes(range(200)))
    seek = os.lseek

    def slow_seek(handle: int, at: int, how: int) -> int:
        place = seek(handle, at, how)
        sleep(0.001)  # any other thread comes first, if it can
        return place

    monkeypatch.delattr(os, "pread", raising=False)
    monkeypatch.setattr(os, "lseek", slow_seek)
    spec = importlib.util.spec_from_file_location("opened_on_windows", opened.__file__)
    windows = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(windows)
    file = windows.OpenedFile(path)

    with ThreadPoolExecutor(4) as threads:
        read = list(threads.map(lambda at: file.read(at, 5), range(0, 210, 10)))
    assert read == [bytes(range(at, at + 5)) for at in range(0, 200, 10)] + [b""]
    file.close()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes")
def test_a_named_pipe_is_not_waited_for(tmp_path):
    """It is refused at once, though nobody writes to it."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="not an ordinary file"):
        OpenedFile(tmp_path / "pipe")


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_latents_of_a_file_that_is_cut_meanwhile_are_an_error(tmp_path, codec):
    """Wherever it is cut: a row comes out whole, or Truncated is raised; never a bus error."""
    path = tmp_path / "x.aef"
    rows = np.random.default_rng(1).integers(0, 256, (200, 64), dtype=np.uint8)
    header = LatentsHeader(decoder=bytes(32), dims=(64,), image=(8, 8, 1), encoding="u8", codec=codec)
    n_cut = 0
    for keep in (0, 100, 3_000, 9_000):
        with path.open("wb") as file, LatentsWriter(file, header, chunk_rows=10) as writer:
            writer.write(rows)
        with open_latents(path) as latents:
            os.truncate(path, keep)
            for row in range(0, 200, 10):
                try:
                    np.testing.assert_array_equal(latents[row], rows[row])
                except Truncated:
                    n_cut += 1
    assert n_cut > 40


def test_an_empty_file_and_a_folder(tmp_path):
    """The first has no bytes, the second is no file."""
    (tmp_path / "empty").touch()

    assert OpenedFile(tmp_path / "empty").read(0, 1) == b""
    with pytest.raises((UsageError, OSError)):
        OpenedFile(tmp_path)


@pytest.mark.parametrize("at", [0, 23, 10**9])
def test_a_place_outside_the_chunks_is_none(at):
    """C8-1: an index may name any byte."""
    with pytest.raises(FormatError, match="C8-1"):
        Chunks(framing(FILES["an index"])).locate(at, 0)
