"""One open file for many: threads, processes, a pickle, a mapping; and what is left of a file that is cut."""

from __future__ import annotations

import gc
import io
import multiprocessing
import os
import pickle
import signal
import threading
import weakref
from random import Random

import numpy as np
import pytest

from aeformat.container.continuing import read_written
from aeformat.container.header import LatentsHeader
from aeformat.container.name_index import NameIndex
from aeformat.container.names import RowNames
from aeformat.container.opened import OpenedFile
from aeformat.container.recent import ForkLock, Recent, _renew_locks
from aeformat.container.writer import LatentsWriter
from aeformat.errors import ChecksumMismatch, DecoderMissing, Truncated, UsageError
from aeformat.model.match import prior_of
from aeformat.reader import open_latents

from .files import Chunk, edges, header, row_names, same_bits, sized_header, sized_rows, split, write
from .priors import decoder_of, draw, random_prior

N_ROWS = 300
VALUES = np.arange(N_ROWS * 6, dtype=np.float32).reshape(N_ROWS, 6)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    place = tmp_path_factory.mktemp("shared") / "x.aef"
    place.write_bytes(
        write(VALUES, header("f32le", (6,), codec="zstd", filter="shuffle"), row_names(N_ROWS), chunk_rows=16)
    )
    return place


def count_wrong(latents, seed: int, n_reads: int = 150) -> int:
    """Random rows, one and some, compared with what was written."""
    rng, n_wrong = Random(seed), 0
    for _ in range(n_reads):
        row = rng.randrange(N_ROWS)
        rows = [rng.randrange(N_ROWS) for _ in range(5)]
        n_wrong += not same_bits(latents[row], VALUES[row]) or not same_bits(latents[rows], VALUES[rows])
        n_wrong += latents.name_of(row) != f"digits/{row}.png"
    return n_wrong


def put_count(latents, seed: int, results) -> None:
    """In a child process."""
    results.put(count_wrong(latents, seed))


@pytest.mark.parametrize("cache_bytes", [0, 1000, 1 << 20])
def test_eight_threads_read_one_file(path, cache_bytes):
    """At once, each its own random rows; and no more is kept than was said."""
    wrong: list[int] = []
    with open_latents(path, cache_bytes=cache_bytes) as latents:
        threads = [
            threading.Thread(target=lambda seed=seed: wrong.append(count_wrong(latents, seed))) for seed in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert latents._blocks.n_bytes <= max(cache_bytes, 16 * 6 * 4)
    assert wrong == [0] * 8


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_four_processes_read_one_file(path, method):
    """By fork they share the descriptor, by spawn each opens the file again."""
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip("this system cannot fork")
    context = multiprocessing.get_context(method)
    results = context.Queue()
    with open_latents(path) as latents:
        assert latents["digits/7.png"].tolist() == VALUES[7].tolist()
        children = [context.Process(target=put_count, args=(latents, seed, results)) for seed in range(4)]
        for child in children:
            child.start()
        assert count_wrong(latents, 9) == 0
        found = [results.get(timeout=300) for _ in children]
        for child in children:
            child.join()
    assert found == [0] * 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_child_does_not_wait_for_a_lock_of_its_parent():
    """A thread of the parent that held it is not there to let go."""
    lock, held, done = ForkLock(), threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    child = os.fork()
    if not child:
        signal.alarm(120)
        with lock:
            os._exit(7)
    done.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_a_lock_is_renewed():
    lock = ForkLock()
    lock._lock.acquire()
    _renew_locks()
    taken: list[int] = []

    def take() -> None:
        with lock:
            taken.append(1)

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    thread.join(120)
    assert taken == [1]


def test_what_was_used_last_is_kept():
    made: list[int] = []
    recent: Recent[int] = Recent(10, lambda value: value)

    def make(number: int) -> int:
        made.append(number)
        return number

    for number in (4, 5, 4, 6, 4, 5, 99, 4):
        assert recent.get(number, make) == number

    assert made == [4, 5, 6, 5, 99, 4]
    assert recent.n_bytes == 4
    recent.clear()
    assert recent.n_bytes == 0


def test_one_that_two_threads_make_counts_once():
    recent: Recent[int] = Recent(10, lambda value: value)
    recent.get(1, lambda number: recent.get(1, lambda again: 3))
    assert recent.n_bytes == 3


def test_a_pickle_opens_the_file_again(path, tmp_path, monkeypatch):
    """By its absolute path, wherever it is opened, with the options that it had."""
    monkeypatch.chdir(path.parent)
    with open_latents(path.name, cache_bytes=5, mmap=True) as latents:
        data = pickle.dumps(latents)
    monkeypatch.chdir(tmp_path)
    with pickle.loads(data) as again:
        assert same_bits(again[:], VALUES)
        assert again._options == {
        "cache_bytes": 5, "mmap": True, "incomplete": False, "find_prior": None, "bf16_bits": False,
        "open_file": OpenedFile,
    }  # fmt: skip


def test_a_pickle_of_another_file_is_refused(tmp_path):
    place = tmp_path / "x.aef"
    place.write_bytes(write(edges("u8", 3), header("u8")))
    with open_latents(place) as latents:
        data = pickle.dumps(latents)
    place.write_bytes(write(edges("u8", 3)[::-1], header("u8")))
    with pytest.raises(UsageError, match="its content id is not the same"):
        pickle.loads(data)


class TestNames:
    def test_a_row_is_found_by_its_name(self, path):
        with open_latents(path) as latents:
            assert (latents.index_of("digits/299.png"), latents.index_of("digits/0.png")) == (299, 0)
            assert same_bits(latents["digits/17.png"], VALUES[17])
            assert latents._blocks.n_bytes > 0
            with pytest.raises(KeyError, match="no row is called 'digits/300"):
                latents.index_of("digits/300.png")

    def test_no_row_is_read(self, path):
        with open_latents(path) as latents:
            latents.index_of("digits/200.png")
            assert (latents.name_of(3), latents._blocks.n_bytes) == ("digits/3.png", 0)

    def test_the_first_of_a_name_counts_and_some_rows_have_none(self, tmp_path):
        place, sink = tmp_path / "x.aef", io.BytesIO()
        with LatentsWriter(sink, header("u8")) as writer:
            writer.write(edges("u8", 2), RowNames(labels=(1, 2)))
            writer.write(edges("u8", 2))
            writer.write(edges("u8", 2), RowNames(names=("a", "b")))
            writer.write(edges("u8", 2), RowNames(names=("b", "a")))
        place.write_bytes(sink.getvalue())
        with open_latents(place) as latents:
            assert (latents.index_of("b"), latents.index_of("a")) == (5, 4)
            assert [latents.name_of(row) for row in (0, 2, 7)] == [None, None, "a"]

    def test_names_of_one_hash_are_told_apart(self, monkeypatch):
        monkeypatch.setattr("aeformat.container.name_index.hash", lambda name: 7, raising=False)
        names = ("a", "b", "c")
        index = NameIndex([(10, names)])
        assert [index.row_of(name, lambda row: names[row - 10]) for name in names] == [10, 11, 12]
        with pytest.raises(KeyError):
            index.row_of("d", lambda row: names[row - 10])


class TestMapped:
    @pytest.mark.parametrize("encoding", ["f32le", "f16le", "u8", "f64le", "u16le"])
    def test_rows_lie_in_the_file(self, encoding, tmp_path):
        head, place = header(encoding), tmp_path / "x.aef"
        values = edges(head.values, 9)
        place.write_bytes(write(values, head, chunk_rows=4))
        with open_latents(place, mmap=True, cache_bytes=1 << 14) as latents:
            rows = latents[1:3]
            assert same_bits(latents[:], values) and same_bits(rows, values[1:3])
            assert latents._blocks.n_bytes == 3 << 12
            base = rows
            while isinstance(base, np.ndarray):
                base = base.base
            assert isinstance(base, memoryview)
            with pytest.raises(ValueError, match="read-only"):
                rows[0] = 0

    @pytest.mark.parametrize(
        "head", [header("text19"), header("f32le", codec="zstd", filter="none"), header("bf16le")], ids=str
    )
    def test_other_rows_are_the_same(self, head, tmp_path):
        place = tmp_path / "x.aef"
        values = edges(head.values, 9)
        place.write_bytes(write(values, head, chunk_rows=4))
        with open_latents(place, mmap=True) as latents:
            assert same_bits(latents[:], values)

    def test_a_checksum_is_checked_all_the_same(self, tmp_path):
        place = tmp_path / "x.aef"
        data = bytearray(write(edges("u8", 9), header("u8")))
        data[-70] ^= 1
        place.write_bytes(data)
        with open_latents(place, mmap=True) as latents, pytest.raises(ChecksumMismatch):
            latents[0]


class TestCut:
    @pytest.mark.parametrize("sized", [False, True])
    def test_rows_of_whole_chunks_are_read_wherever_a_file_is_cut(self, sized, tmp_path):
        """No fewer than the forward reader recovers, and the reader says what comes behind them."""
        if sized:
            head = sized_header()
            data = write(
                sized_rows(head, [(1, 2, 8, 9), (2, 1, 16, 1), (1, 1, 3, 3)]), head, row_names(3), chunk_rows=1
            )
        else:
            data = write(edges("u8", 7), header("u8"), row_names(7), chunk_rows=3)
        place = tmp_path / "x.aef"
        ends = [
            at for at, chunk in zip(split(data).places()[1:], split(data).chunks, strict=False) if chunk.tag == b"ROWS"
        ]
        n_rows = [chunk.n_rows for chunk in split(data).chunks if chunk.tag == b"ROWS"]
        front = 24 + len(split(data).head)
        for n_bytes in range(front, len(data)):
            place.write_bytes(data[:n_bytes])
            with open_latents(place, incomplete=True) as latents:
                whole = sum(n for n, end in zip(n_rows, ends, strict=True) if end <= n_bytes)
                assert (latents.n_rows, latents.content_id, isinstance(latents.damage, Truncated)) == (
                    whole,
                    None,
                    True,
                )
                assert len(latents[:]) == whole
                assert not latents.has_receipts and len(latents.fields) == 0

    def test_a_complete_file_has_no_damage(self, path):
        with open_latents(path, incomplete=True) as latents:
            assert (latents.damage, latents.n_rows, len(latents.content_id)) == (None, N_ROWS, 32)
            assert (latents.n_bytes, latents.described) == (path.stat().st_size, None)

    def test_without_being_asked_for_it_is_refused(self, path, tmp_path):
        place = tmp_path / "x.aef"
        place.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(Truncated):
            open_latents(place)

    def test_an_index_that_is_wrong_is_not_used(self, tmp_path):
        """The chunk headers say where rows are."""
        parts = split(write(edges("u8", 7), header("u8"), chunk_rows=3))
        place = tmp_path / "x.aef"
        place.write_bytes(parts.with_index([(0, 0, 7, 0)]).join())
        with open_latents(place, incomplete=True) as latents:
            assert latents.n_rows == 7
            assert latents.damage.rule.startswith("C")


class TestGoingOn:
    @pytest.mark.parametrize("sized", [False, True])
    def test_a_file_is_gone_on_with_wherever_it_was_cut(self, sized, tmp_path):
        """What was whole stays byte for byte, what comes after it is written, and all of it is a good file."""
        if sized:
            head = sized_header()
            rows = sized_rows(head, [(1, 2, 8, 9), (2, 1, 16, 1), (1, 1, 3, 3)])
        else:
            head, rows = header("u8"), edges("u8", 7)
        data = write(rows, head, row_names(len(rows)), chunk_rows=2)
        front = 24 + len(split(data).head)
        for n_bytes in range(front, len(data) + 1):
            written = read_written(io.BytesIO(data[:n_bytes]))
            sink = io.BytesIO()
            n_rows = written.sequence.n_rows
            with LatentsWriter.going_on(sink, written) as writer:
                writer.write(rows[n_rows:] if n_rows < len(rows) else rows[:1])
                writer.flush()
                writer.flush()
            assert (written.damage is None) == (n_bytes == len(data))
            place = tmp_path / "x.aef"
            place.write_bytes(data[: written.end] + sink.getvalue())
            with open_latents(place) as latents:
                assert latents.content_id == writer.content_id
                assert latents.n_rows == max(len(rows), n_rows + 1 if n_rows == len(rows) else 0)
                if n_rows < len(rows):
                    assert latents.content_id == split(data).content_id

    def test_no_header_is_nothing_to_go_on_with(self):
        for data in (b"", write(edges("u8", 1), header("u8"))[:50]):
            with pytest.raises(Truncated):
                read_written(io.BytesIO(data))

    def test_damage_is_told(self):
        data = bytearray(write(edges("u8", 7), header("u8"), chunk_rows=3))
        data[-80] ^= 1
        written = read_written(io.BytesIO(data))
        assert written.damage.rule == "C4-11"
        assert written.sequence.n_rows == 7

    def test_codec_rans_is_gone_on_with_by_its_prior(self):
        """The content id and the steps that were taken go on too; a pickle keeps the prior."""
        prior = random_prior(1, lo=-6, hi=9)
        decoder = decoder_of(prior, lo=-6, hi=9, dims=(5,))
        head = LatentsHeader(decoder.model_id, (5,), (2, 2, 1), "i8", codec="rans")
        rows = draw(prior, 600).astype(np.int8)
        whole, first, second = io.BytesIO(), io.BytesIO(), io.BytesIO()
        for sink, part in ((whole, rows), (first, rows[:400])):
            with LatentsWriter(sink, head, chunk_rows=200, prior=prior_of(decoder)) as writer:
                writer.write(part)
        with pytest.raises(DecoderMissing):
            read_written(io.BytesIO(first.getvalue()))
        written = read_written(io.BytesIO(first.getvalue()), prior_of(decoder))
        with LatentsWriter.going_on(second, written, prior=prior_of(decoder)) as writer:
            writer.write(rows[400:])
        assert first.getvalue()[: written.end] + second.getvalue() == whole.getvalue()

    def test_unknown_chunks_stay(self):
        parts = split(write(edges("u8", 2), header("u8"))).insert(1, Chunk(b"xXXx", b"keep me"))
        data = parts.join()
        assert read_written(io.BytesIO(data)).end == parts.places()[-1]


def test_a_reader_that_is_let_go_of_lets_go_of_its_file(path):
    """At once, whatever was asked of it: a set opens many."""
    latents = open_latents(path)
    latents.index_of("digits/3.png")
    assert len(latents.fields) == 0
    assert len(latents[[3, 4]]) == 2
    gone = weakref.ref(latents)
    gc.disable()
    try:
        del latents
        assert gone() is None
    finally:
        gc.enable()
