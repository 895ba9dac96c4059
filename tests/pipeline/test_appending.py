"""Promise: what `flush` has returned is on disk, whatever happens to the process after it, and the file can be gone on with."""

from __future__ import annotations

import os
import signal
from random import Random

import numpy as np
import pytest

import aeformat
from aeformat.errors import DecoderMissing, Truncated, UsageError
from tools import crash_table

ROWS = np.arange(7 * 3, dtype=np.float32).reshape(7, 3)
FIELDS = {"label": "int16", "caption": str, "crop": ("int32", (4,)), "raw": bytes}


def beside(start: int, stop: int) -> dict[str, object]:
    rows = range(start, stop)
    return {
        "label": list(rows), "caption": [f"no. {row}" if row % 2 else None for row in rows],
        "crop": [[row] * 4 for row in rows], "raw": [bytes([row]) for row in rows],
    }  # fmt: skip


def write_some(path, start: int, stop: int, **options: object) -> None:
    """Append rows and close."""
    with aeformat.create(path, append=True, **options) as file:
        file.write(ROWS[start:stop], names=[f"{row}.png" for row in range(start, stop)], **beside(start, stop))


def check(path, n_rows: int, **more: object) -> None:
    with aeformat.open(path, **more) as latents:
        assert latents[:].tolist() == ROWS[:n_rows].tolist()
        for name, wanted in beside(0, n_rows).items():
            found = latents.field(name)
            assert (found if isinstance(found, list) else found.tolist()) == wanted
        assert n_rows == 0 or latents.index_of(f"{n_rows - 1}.png") == n_rows - 1


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.aef"


NEW = {"dims": 3, "encoding": "f32le", "fields": FIELDS}


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_a_file_is_begun_and_gone_on_with(path, codec):
    """Complete after each time; the content id is that of one written at once."""
    write_some(path, 0, 3, codec=codec, **NEW)
    check(path, 3)
    write_some(path, 3, 4)
    write_some(path, 4, 7, codec=codec, **NEW)
    check(path, 7)
    assert aeformat.validate(path).problems == []
    with aeformat.create(path.with_name("y.aef"), **NEW) as file:
        file.write(ROWS, **beside(0, 7))
    assert aeformat.open(path).content_id == file.content_id


def test_a_file_that_is_closed_again_is_the_same(path):
    write_some(path, 0, 5, **NEW)
    before = path.read_bytes()
    aeformat.create(path, append=True).close()
    assert path.read_bytes() == before


def test_what_was_flushed_is_read_wherever_the_file_is_cut_behind_it(path):
    """At every byte: what stands before the cut is read, and gone on from."""
    file = aeformat.create(path, append=True, **NEW)
    marks = [(path.stat().st_size, 0)]
    for start, stop in ((0, 2), (2, 3), (3, 6)):
        file.write(ROWS[start:stop], names=[f"{row}.png" for row in range(start, stop)], **beside(start, stop))
        assert file.flush() == stop == file.n_rows
        marks.append((path.stat().st_size, stop))
    file.close()
    data, other = path.read_bytes(), path.with_name("cut.aef")

    for n_bytes in range(len(data)):
        other.write_bytes(data[:n_bytes])
        n_rows = max((n for end, n in marks if end <= n_bytes), default=0)
        if n_bytes < marks[1][0] and n_rows == 0 and not _has_header(other):
            with pytest.raises(Truncated):
                aeformat.open(other, incomplete=True)
        elif n_rows:
            check(other, n_rows, incomplete=True)
        write_some(other, n_rows, 7, **NEW)
        check(other, 7)


def _has_header(path) -> bool:
    data = path.read_bytes()
    return len(data) >= 24 and len(data) >= 24 + int.from_bytes(data[12:16], "little")


def test_a_file_that_is_being_written_says_so(path):
    """A reader finds it incomplete, and takes what is whole if it asks for that; a second writer is refused."""
    with aeformat.create(path, append=True, **NEW) as file:
        file.write(ROWS[:4], names=[f"{row}.png" for row in range(4)], **beside(0, 4))
        file.flush()
        file.write(ROWS[4:5], names=["4.png"], **beside(4, 5))
        with pytest.raises(Truncated, match="incomplete"):
            aeformat.open(path)
        check(path, 4, incomplete=True)
        with pytest.raises(UsageError, match="being written by another process"):
            aeformat.create(path, append=True)
    check(path, 5)


def test_an_error_leaves_what_was_flushed(path):
    with pytest.raises(RuntimeError), aeformat.create(path, append=True, **NEW) as file:
        file.write(ROWS[:4], names=[f"{row}.png" for row in range(4)], **beside(0, 4))
        file.flush()
        raise RuntimeError
    check(path, 4, incomplete=True)
    write_some(path, 4, 7)
    check(path, 7)


def test_a_file_that_is_forgotten_is_incomplete(path):
    file = aeformat.create(path, append=True, **NEW)
    file.write(ROWS[:1], names=["0.png"], **beside(0, 1))
    file.flush()
    with pytest.warns(ResourceWarning, match="never closed, so it is incomplete"):
        del file
    check(path, 1, incomplete=True)


def test_rows_of_any_size_are_appended(path):
    for n in (1, 2):
        with aeformat.create(path, append=True, dims=(2, None), encoding="bf16le") as file:
            file.write([np.full((2, n), n, np.float32)])
            file.flush()
            file.append([np.full((2, 3), n, np.float32)])
    assert [row.shape for row in aeformat.open(path)[:]] == [(2, 1), (2, 3), (2, 2), (2, 3)]
    assert aeformat.validate(path).problems == []


def test_codec_rans_is_gone_on_with_by_its_decoder(path):
    model = aeformat.load_model("mnist-rd-24")
    latents = model.encode(np.zeros((5, 28, 28, 1), np.uint8))
    for embed in (True, True):
        with aeformat.create(path, append=True, decoder=model, codec="rans", embed_decoder=embed) as file:
            file.append(latents)
    assert aeformat.open(path)[:].tolist() == [*latents.tolist(), *latents.tolist()]
    assert aeformat.validate(path).problems == []
    bare = path.with_name("bare.aef")
    with aeformat.create(bare, append=True, decoder=model, codec="rans") as file:
        file.append(np.tile(latents, (40, 1)))
    with pytest.raises(DecoderMissing):
        aeformat.create(bare, append=True)
    with pytest.raises(UsageError, match="does not carry its decoder"):
        aeformat.create(bare, append=True, decoder=model, codec="rans", embed_decoder=True)


class TestRefused:
    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"dims": 4, "encoding": "f32le"}, "another dims"),
            ({"dims": 3, "encoding": "f16le"}, "another encoding"),
            ({"dims": 3, "encoding": "f32le", "codec": "none"}, "another codec"),
            ({"dims": 3, "encoding": "f32le", "ext": {"a": 1}}, "another ext"),
            ({"fields": {"label": int}}, "other fields"),
        ],
    )
    def test_what_the_file_is_not(self, path, options, words):
        write_some(path, 0, 3, **NEW)
        before = path.read_bytes()
        with pytest.raises(UsageError, match=words):
            aeformat.create(path, append=True, **options)
        assert path.read_bytes() == before

    def test_nothing_to_go_on_with(self, path, tmp_path):
        with pytest.raises(UsageError, match="give dims and encoding"):
            aeformat.create(path, append=True)
        assert not path.exists()
        with pytest.raises(UsageError, match="cannot write"):
            aeformat.create(tmp_path, append=True, **NEW)
        with pytest.raises(UsageError, match="recover goes with append"):
            aeformat.create(path, recover=True, **NEW)

    @pytest.mark.skipif(not os.path.exists("/dev/null"), reason="no such device")  # noqa: PTH110
    def test_a_device(self):
        with pytest.raises(UsageError, match="not an ordinary file"):
            aeformat.create("/dev/null", append=True, **NEW)

    def test_receipts(self, path):
        model = aeformat.load_model("mnist-exact")
        aeformat.pack(np.zeros((2, 28, 28, 1), np.uint8), path, model=model, receipts=True)
        with pytest.raises(UsageError, match="has receipts"):
            aeformat.create(path, append=True)

    def test_damage_that_is_no_cut(self, path):
        """Nothing is dropped without a word."""
        for start in range(3):
            write_some(path, start, start + 1, **NEW)
        data = bytearray(path.read_bytes())
        at = data.index(b"fLDs", data.index(b"fLDs", data.index(b"fLDs") + 1) + 1)
        data[at + 40] ^= 1
        path.write_bytes(data)
        with pytest.raises(UsageError, match=r"damaged behind its first 2 rows.*C4-11"):
            aeformat.create(path, append=True)
        assert path.read_bytes() == data
        with aeformat.create(path, append=True, recover=True) as file:
            assert file.n_rows == 2
            file.write(ROWS[2:7], names=[f"{row}.png" for row in range(2, 7)], **beside(2, 7))
        check(path, 7)

    def test_flush_of_a_file_that_is_not_there_yet(self, path):
        with aeformat.create(path, **NEW) as file:
            file.write(ROWS, **beside(0, 7))
            with pytest.raises(UsageError, match="append=True"):
                file.flush()

    def test_fields_that_are_not_those_of_the_file(self, path):
        with aeformat.create(path, **NEW) as file:
            for fields, words in (
                ({}, "missing"),
                (beside(0, 7) | {"more": 1}, "more are unknown"),
                (beside(0, 6), "6 values"),
            ):
                with pytest.raises(UsageError, match=words):
                    file.write(ROWS, **fields)
            with pytest.raises(UsageError, match="not Unicode"):
                file.append(ROWS, fields=beside(0, 7) | {"caption": ["\ud800"] * 7})
            file.append(ROWS, fields=beside(0, 7))

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"a": "M8[s]"}, "cannot be stored"),
            ({"a": object()}, "is no type"),
            ({"": int}, "no name"),
            ({"a": ("i4", "x")}, "is no type|invalid"),
        ],
    )
    def test_fields_that_cannot_be(self, path, fields, words):
        with pytest.raises((UsageError, ValueError), match=words):
            aeformat.create(path, dims=3, encoding="f32le", fields=fields)
        assert not path.exists()


@pytest.mark.parametrize("encoding", ["text19", "f64le", "f32le", "f16le", "bf16le", "u8", "i8", "u16le"])
def test_every_encoding_is_created(path, encoding):
    own = {
        "text19": "f8",
        "f64le": "f8",
        "f32le": "f4",
        "f16le": "f2",
        "bf16le": "f4",
        "u8": "u1",
        "i8": "i1",
        "u16le": "u2",
    }
    rows = np.arange(12).reshape(2, 6).astype(own[encoding])
    with aeformat.create(path, dims=6, encoding=encoding) as file:
        file.write(rows)
    assert aeformat.open(path, mmap=True)[:].tolist() == rows.tolist()


def test_bfloat16_of_another_library_is_taken(path):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    rows = np.arange(6).reshape(2, 3).astype(ml_dtypes.bfloat16)
    with aeformat.create(path, dims=3, encoding="bf16le") as file:
        file.write(rows)
    assert aeformat.open(path)[:].tolist() == rows.tolist()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system cannot kill so")
@pytest.mark.parametrize("write", [crash_table.append_rows, crash_table.add_shards], ids=["a file", "a set"])
def test_a_killed_process_loses_no_row_that_it_acknowledged(write, tmp_path):
    """tools/crash_table.py does it more often."""
    counts = crash_table.run(write, tmp_path / "x", "zstd", kills=4, rng=Random(7))

    assert (counts.kills, counts.lost, counts.wrong) == (4, 0, 0)
    assert counts.found >= counts.acknowledged
