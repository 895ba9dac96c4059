"""aeformat.reader.Latents: any row of a file, and what a hostile one cannot do (section 8)."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from aeformat.container.limits import Limits
from aeformat.container.parser import Parser
from aeformat.errors import FormatError, Truncated, UsageError
from aeformat.reader import open_latents

from .files import Chunk, edges, header, row_names, same_bits, split, write

ROWS = edges("f32", 11)
NAMES = row_names(11)
VARIANTS = {
    "one-chunk": write(ROWS, header(), NAMES),
    "index": write(ROWS, header(), NAMES, chunk_rows=4, decoder=b"decoder"),
    "a-chunk-a-row": write(ROWS, header(), NAMES, chunk_rows=1),
    "zstd": write(ROWS, header("f64le", values="f32", codec="zstd", filter="shuffle"), NAMES, chunk_rows=4),
    "text19": write(ROWS, header("text19", values="f32"), NAMES, chunk_rows=4),
}


def _without_index(parts):
    return replace(parts, chunks=parts.chunks[:-1])


VARIANTS["no-index"] = _without_index(split(VARIANTS["index"])).join()


@pytest.fixture
def open_bytes(tmp_path):
    """Random access to a file of these bytes."""

    def open_them(data, **more):
        path = tmp_path / "x.aef"
        path.write_bytes(data)
        return open_latents(path, **more)

    return open_them


@pytest.mark.parametrize("data", VARIANTS.values(), ids=VARIANTS)
def test_every_row_and_every_slice_is_the_right_one(data, open_bytes):
    """In any order, across chunks, from either end; names with them."""
    with open_bytes(data) as latents:
        assert len(latents) == latents.n_rows == 11
        for row in (10, 0, 5, 4, 3, 8, 7, *range(11)):
            assert same_bits(latents[row], ROWS[row])
            assert same_bits(latents[row - 11], ROWS[row])
            assert latents.names(row) == NAMES.slice(row, row + 1)
        for start in range(11):
            for stop in range(start + 1, 12):
                assert same_bits(latents.rows(start, stop), ROWS[start:stop])
        assert same_bits(np.stack(list(latents)), ROWS)
        assert latents[np.int64(3)].tobytes() == ROWS[3].tobytes()


@pytest.mark.parametrize(
    "wanted",
    [
        lambda f: f[11],
        lambda f: f[-12],
        lambda f: f.rows(0, 12),
        lambda f: f.rows(-1, 3),
        lambda f: f.rows(3, 3),
        lambda f: f.names(11),
        lambda f: f.names(-12),
    ],
)
def test_rows_that_are_not_there_are_an_index_error(wanted, open_bytes):
    """As in a list."""
    with open_bytes(VARIANTS["index"]) as latents, pytest.raises(IndexError):
        wanted(latents)


def test_what_is_not_there_is_none(open_bytes):
    """Names and the decoder are optional."""
    with open_bytes(write(ROWS, header())) as latents:
        assert latents.names(0) is None
        assert latents.embedded_decoder is None
    with open_bytes(VARIANTS["index"]) as latents:
        assert latents.embedded_decoder == b"decoder"


@pytest.mark.parametrize("data", VARIANTS.values(), ids=VARIANTS)
def test_a_row_that_was_handed_out_cannot_spoil_the_next(data, open_bytes):
    """A chunk is kept and handed out again: it is read-only, as the file is."""
    with open_bytes(data) as latents:
        with pytest.raises(ValueError, match="read-only"):
            latents[0][:] = 7
        assert same_bits(latents[0], ROWS[0])


def test_threads_do_not_get_each_others_rows(open_bytes):
    """One reader, many threads: the chunk that is kept is only a cache."""
    wrong = []

    def look(rows):
        for _ in range(300):
            for row in rows:
                if not same_bits(latents[row], ROWS[row]):
                    wrong.append(row)

    with open_bytes(VARIANTS["a-chunk-a-row"]) as latents:
        threads = [threading.Thread(target=look, args=([i, 10 - i],)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_arrays_outlive_the_reader(open_bytes):
    """Zero-copy arrays keep the file mapped; the reader itself is closed, and says so."""
    with open_bytes(VARIANTS["index"]) as latents:
        views = list(latents.stored_chunks())
        copy = latents.rows(0, 11)
    latents.close()

    assert same_bits(np.concatenate(views), ROWS)
    assert same_bits(copy, ROWS)
    with pytest.raises(ValueError, match="closed"):
        latents[0]
    with pytest.raises(ValueError, match="closed"):
        next(latents.stored_chunks())


@pytest.mark.parametrize("name", ["zstd", "text19"])
def test_only_uncompressed_binary_rows_are_had_without_a_copy(name, open_bytes):
    """UsageError for the others."""
    with open_bytes(VARIANTS[name]) as latents, pytest.raises(UsageError):
        next(latents.stored_chunks())


@pytest.mark.parametrize(("n_bytes", "error"), [(0, Truncated), (10, Truncated), (24, Truncated), (100, Truncated)])
def test_the_start_of_a_file_is_incomplete(n_bytes, error, open_bytes):
    """An empty file, ten bytes, a preamble."""
    with pytest.raises(error, match="C2-7"):
        open_bytes(VARIANTS["index"][:n_bytes])


def test_what_is_no_file_is_an_os_error(tmp_path):
    """A folder, a name that does not exist; a pipe is read forward."""
    with pytest.raises(OSError):
        open_latents(tmp_path)
    with pytest.raises(FileNotFoundError):
        open_latents(tmp_path / "no.aef")
    with pytest.raises(UsageError, match="forward"):
        open_latents(os.devnull)


def test_ten_bytes_of_something_else_are_no_container(open_bytes):
    """C2-1, not "incomplete"."""
    with pytest.raises(FormatError, match="C2-1"):
        open_bytes(b"0123456789")


def test_the_readers_own_limit_holds(open_bytes):
    """A reader may set lower limits than the format's (section 12)."""
    with pytest.raises(FormatError, match="C4-4"):
        open_bytes(VARIANTS["no-index"], limits=Limits(chunk_bytes=40))
    with open_bytes(VARIANTS["one-chunk"], limits=Limits(chunk_bytes=2_000)) as latents:
        assert same_bits(latents[0], ROWS[0])


INDEXED = split(VARIANTS["index"])
PLAIN = split(write(ROWS, header(), chunk_rows=4))
FIRST, SECOND, THIRD = INDEXED.entries()
HOSTILE = {
    "same-chunk-twice": [FIRST, (FIRST[0], *SECOND[1:3], FIRST[3]), THIRD],
    "same-place-twice": [FIRST, (FIRST[0], *SECOND[1:]), THIRD],
    "two-swapped": [FIRST, (THIRD[0], *SECOND[1:3], THIRD[3]), (SECOND[0], *THIRD[1:3], SECOND[3])],
    "outside": [FIRST, SECOND, (10**9, *THIRD[1:])],
    "far-outside": [FIRST, SECOND, (2**64 - 1, *THIRD[1:])],
    "in-the-preamble": [(0, *FIRST[1:]), SECOND, THIRD],
    "in-a-payload": [FIRST, (SECOND[0] + 32, *SECOND[1:]), THIRD],
    "at-the-trailer": [FIRST, SECOND, (INDEXED.places()[-1], *THIRD[1:])],
    "at-the-index": [FIRST, SECOND, (INDEXED.places()[-2], *THIRD[1:3], len(INDEXED.chunks) - 1)],
    "at-the-names": [FIRST, (INDEXED.places()[3], *SECOND[1:3], 3), THIRD],
    "another-number": [FIRST, (*SECOND[:3], 99), THIRD],
    "more-rows-here-fewer-there": [(*FIRST[:2], 5, FIRST[3]), (SECOND[0], 5, 3, SECOND[3]), THIRD],
    "rows-missing": [FIRST, THIRD],
    "rows-skipped": [FIRST, (SECOND[0], 5, 3, SECOND[3]), THIRD],
    "rows-that-do-not-exist": [FIRST, SECOND, (*THIRD[:2], 4, THIRD[3])],
    "2^32-rows": [(*FIRST[:2], 2**32 - 1, FIRST[3])],
    "no-rows": [FIRST, SECOND, (*SECOND[:1], 8, 0, SECOND[3]), THIRD],
    "empty": [],
}


@pytest.mark.parametrize("entries", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_index_is_refused_before_a_wrong_row_is_handed_out(entries, open_bytes):
    """The index is derived data: what it says is checked by itself, then against each chunk it leads to."""
    try:
        with open_bytes(INDEXED.with_index(entries or [(0, 0, 0, 0)]).join()) as latents:
            rows = []
            for row in range(latents.n_rows):
                with suppress(FormatError):
                    rows.append((row, latents[row], latents.names(row)))
    except FormatError as error:
        assert error.rule in ("C8-1", "C9-3")
        return
    assert len(rows) < 11
    assert all(same_bits(values, ROWS[row]) and names == NAMES.slice(row, row + 1) for row, values, names in rows)


BROKEN = {
    "index-at-rows": (lambda p: replace(p, index_at=p.places()[0]), "C4-2"),
    "index-outside": (lambda p: replace(p, index_at=10**12), "C9-4"),
    "index-at-the-trailer": (lambda p: replace(p, index_at=p.places()[-1]), "C9-4"),
    "index-in-the-header": (lambda p: replace(p, index_at=24), "C9-4"),
    "index-but-no-chunks": (lambda p: replace(p, n_chunks=0), "C9-3"),
    "index-counts-rows": (lambda p: p.change(-1, n_rows=1), "C4-7"),
    "index-compressed": (lambda p: p.change(-1, raw_len=1000), "C4-8"),
    "index-odd": (lambda p: p.change(-1, stored=p.chunks[-1].stored + b"\0", raw_len=None), "C8-1"),
    "index-not-last": (
        lambda p: replace(p, chunks=(*p.chunks, Chunk(b"xXXx", b"?")), index_at=p.places()[-2], n_chunks=len(p.chunks)),
        "C9-4",
    ),
    "more-rows-stated": (lambda p: replace(p, n_rows=12), "C9-3"),
    "no-index-more-rows-stated": (lambda p: replace(_without_index(p), n_rows=12), "C9-3"),
    "no-index-fewer-chunks": (lambda p: replace(_without_index(p), n_chunks=2), "C9-3"),
    "no-index-more-chunks": (lambda p: replace(_without_index(p), n_chunks=9), "C9-3"),
    "no-index-no-chunks": (lambda p: replace(p, chunks=()), "C9-3"),
    "no-index-unknown-critical": (lambda p: _without_index(p).insert(1, Chunk(b"XXXX", b"?")), "C4-5"),
    "no-index-rows-twice": (lambda p: _without_index(p).insert(1, p.chunks[0]), "C4-7"),
    "no-index-of-another-kind": (lambda p: _without_index(p).insert(0, Chunk(b"MANF", b"?")), "C4-6"),
    "index-there-but-unsaid": (lambda p: replace(p, index_at=0), "C9-4"),
}


@pytest.mark.parametrize(("change", "rule"), BROKEN.values(), ids=BROKEN)
def test_a_file_that_does_not_fit_together_is_not_opened(change, rule, open_bytes):
    """With every checksum right, and with or without an index; never taken for a cut file."""
    with pytest.raises(FormatError) as caught:
        open_bytes(change(PLAIN).join())

    assert caught.value.rule == rule
    assert not isinstance(caught.value, Truncated)


def test_a_chunk_that_reaches_into_the_trailer_is_refused(open_bytes):
    """C4-10, where there is no index: the last payload ends with what would be a trailer."""
    parts = _without_index(PLAIN)
    last = parts.chunks[-1]
    tail = parts.join()[-64:]

    with pytest.raises(FormatError) as caught:
        open_bytes(parts.change(-1, stored=last.stored + tail, raw_len=None).join()[:-64])

    assert (caught.value.rule, caught.value.at) == ("C4-10", parts.places()[-2])


def test_the_forward_parser_finds_out_why_there_is_no_trailer(open_bytes, monkeypatch):
    """Or it has a fault, which is ours and no error of the file."""
    monkeypatch.setattr(Parser, "close", lambda _parser: None)

    with pytest.raises(AssertionError, match="no trailer"):
        open_bytes(PLAIN.join()[:-64])


def test_a_second_chunk_under_one_number_is_found(open_bytes):
    """C8-1: the index names a copy that stands behind the chunk it is of, bound to the same number."""
    number = len(INDEXED.chunks) - 2
    copied = replace(INDEXED.insert(number + 1, replace(INDEXED.chunks[number], number=number)), n_rows=len(ROWS))
    entries = INDEXED.entries()
    entries[-1] = (copied.places()[number + 1], *entries[-1][1:])
    with open_bytes(copied.with_index(entries).join()) as latents, pytest.raises(FormatError) as caught:
        latents[10]

    assert (caught.value.rule, caught.value.at) == ("C8-1", entries[-1][0])


def test_blocks_of_rows_that_are_not_there(open_bytes):
    """A caller's mistake."""
    with open_bytes(INDEXED.join()) as latents:
        for start, stop in ((0, 12), (3, 3), (-1, 2)):
            with pytest.raises(IndexError):
                list(latents.blocks(start, stop))


ROW_DAMAGE = {
    "names-without-their-rows": (lambda p: p.insert(2, Chunk(b"abCd", b"?")), "C4-6"),
    "another-length": (lambda p: p.change(2, stored=p.chunks[2].stored[:-4], raw_len=None), "C4-8"),
    "compressed-where-codec-is-none": (lambda p: p.change(2, raw_len=1000), "C4-8"),
    "padding": (lambda p: p.spoil_padding(2), "C4-9"),
    "names-of-other-rows": (lambda p: p.change(1, first_row=4), "C4-7"),
    "names-of-fewer-rows": (lambda p: p.change(1, n_rows=3, stored=row_names(3).to_bytes(), raw_len=None), "C4-7"),
    "names-compressed": (lambda p: p.change(1, raw_len=100_000), "C4-8"),
    "names-unsafe": (lambda p: p.change(1, stored=p.chunks[1].stored.replace(b"digits/0", b"../../00")), "C7-2"),
    "not-finite": (lambda p: p.change(2, stored=b"\x00\x00\xc0\x7f" + p.chunks[2].stored[4:]), "C5-3"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "rule"), ROW_DAMAGE.values(), ids=ROW_DAMAGE)
def test_a_chunk_is_held_to_its_rules_when_one_of_its_rows_is_wanted(change, rule, open_bytes):
    """The forward reader's rules; the other chunks can still be read."""
    bad = change(INDEXED)
    with open_bytes(bad.with_index(bad.entries()).join()) as latents:
        with pytest.raises(FormatError) as caught:
            latents[0]
        assert caught.value.rule == rule
        assert same_bits(latents[10], ROWS[10])
