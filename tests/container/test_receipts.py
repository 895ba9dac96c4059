"""Receipts in files: digests of runs of 64 rows, however the rows were written, and however they are read."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest

from aeformat.container import receipts
from aeformat.container.names import RowNames
from aeformat.container.writer import LatentsWriter
from aeformat.errors import FormatError, ReceiptMismatch
from aeformat.reader import open_latents, stream_latents

from .files import FEEDS, Stream, header, row_names, split

HEAD = header("u8", dims=(3,))
ROWS = np.arange(3 * 300, dtype=np.uint64).reshape(300, 3).astype(np.uint8)


def pixels(rows: np.ndarray) -> np.ndarray:
    """What stands in for a decoder: (n, 3) -> (n, 28, 28, 1)."""
    return np.repeat(rows, 262, axis=1)[:, :784].reshape(-1, 28, 28, 1)


def written(rows: np.ndarray, cuts: tuple[int, ...] = (), *, names: bool = False, **more: int) -> bytes:
    """A file with receipts; the rows are handed over in pieces that end at `cuts`."""
    sink = io.BytesIO()
    with LatentsWriter(sink, HEAD, **more) as writer:
        for start, stop in zip((0, *cuts), (*cuts, len(rows)), strict=True):
            own = row_names(stop - start, start) if names else None
            writer.write(rows[start:stop], own, receipts.digests_of(pixels(rows[start:stop])))
    return sink.getvalue()


@pytest.mark.parametrize("n_rows", [1, 63, 64, 65, 128, 129])
def test_a_digest_is_that_of_the_pixels_of_64_rows_or_of_what_is_left(n_rows):
    """SHA-256, 32 bytes each, in order."""
    images = pixels(ROWS[:n_rows])

    made = receipts.digests_of(images)

    runs = [images[i : i + 64].tobytes() for i in range(0, n_rows, 64)]
    assert made == b"".join(hashlib.sha256(run).digest() for run in runs)
    assert len(made) == receipts.size_of(n_rows)


@pytest.mark.parametrize("cuts", [(64,), (128, 192), (64, 128, 192, 256)])
@pytest.mark.parametrize("chunk_rows", [64, 100, 200, 4096])
def test_how_rows_were_handed_over_does_not_show(cuts, chunk_rows):
    """Pieces of whole runs give the same bytes as all rows at once; chunks end where runs do."""
    whole = written(ROWS, chunk_rows=chunk_rows)

    assert written(ROWS, cuts, chunk_rows=chunk_rows) == whole
    sizes = [chunk.n_rows for chunk in split(whole).chunks if chunk.tag == b"ROWS"]
    assert all(size == max(chunk_rows // 64, 1) * 64 for size in sizes[:-1])


def test_a_piece_that_is_no_whole_run_ends_a_chunk():
    """Its last digest is for fewer rows, so no other row can join them."""
    data = written(ROWS, (100, 164, 299))

    assert [chunk.n_rows for chunk in split(data).chunks if chunk.tag == b"ROWS"] == [100, 64 + 135, 1]


MISTAKES = {
    "too few": (lambda w: w.write(ROWS, receipts=receipts.digests_of(pixels(ROWS[:64]))), "bytes of receipts"),
    "too many": (lambda w: w.write(ROWS[:1], receipts=receipts.digests_of(pixels(ROWS))), "bytes of receipts"),
    "without, after rows with": (lambda w: w.write(ROWS), "or none"),
}


@pytest.mark.parametrize(("mistake", "what"), MISTAKES.values(), ids=MISTAKES)
def test_a_callers_mistake_is_refused(mistake, what):
    """All rows have receipts or none, and as many as they need."""
    writer = LatentsWriter(io.BytesIO(), HEAD)
    writer.write(ROWS, receipts=receipts.digests_of(pixels(ROWS)))

    with pytest.raises(ValueError, match=what):
        mistake(writer)


@pytest.mark.parametrize("feed", FEEDS.values(), ids=FEEDS)
@pytest.mark.parametrize("cuts", [(), (100,), (1, 2)])
def test_receipts_prove_the_rows_they_came_with(feed, cuts):
    """Forward, however the bytes arrive, and in every chunk."""
    n_rows = 0
    for block in stream_latents(Stream(feed(written(ROWS, cuts, names=True, chunk_rows=64)))):
        block.receipts.check(pixels(block.values))
        n_rows += len(block.values)
    assert n_rows == len(ROWS)


@pytest.mark.parametrize("names", [False, True])
def test_any_rows_can_be_proved_alone(names, tmp_path):
    """By seeking: rows asked for come with those that their digests are also for, and with no more."""
    (tmp_path / "r.aef").write_bytes(written(ROWS, (100,), names=names, chunk_rows=128))
    with open_latents(tmp_path / "r.aef") as latents:
        assert latents.has_receipts
        for start, stop in ((0, 1), (63, 64), (64, 65), (99, 100), (99, 101), (299, 300), (0, 300), (130, 230)):
            blocks = list(latents.blocks(start, stop))
            for block in blocks:
                block.receipts.check(pixels(block.values))
                assert (block.names is not None) == names
            got = np.concatenate([block.values for block in blocks])
            first = blocks[0].first_row
            assert first <= start and np.array_equal(got, ROWS[first : first + len(got)])
            assert stop <= first + len(got) <= stop + 63 and start - first < 64


@pytest.mark.parametrize("row", [0, 63, 64, 99, 100, 163, 164, 299])
def test_a_wrong_pixel_is_found_in_its_run(row):
    """The error names the run's rows and the byte of its digest, by rule C7-6."""
    data = written(ROWS, (100,))
    blocks = list(stream_latents(io.BytesIO(data)))
    block = blocks[row >= 100]
    images = pixels(block.values)
    images[row - block.first_row, 27, 27, 0] ^= 1

    with pytest.raises(ReceiptMismatch) as caught:
        block.receipts.check(images)

    run = (row - block.first_row) // 64
    own = receipts.digests_of(pixels(block.values))[32 * run : 32 * run + 32]
    assert (caught.value.code, caught.value.rule, caught.value.at) == ("receipt", "C7-6", data.index(own))
    assert f"rows {block.first_row + 64 * run} to " in str(caught.value)


@pytest.mark.parametrize("n_bytes", [32, 64 + 1, 96])
def test_receipts_that_are_not_one_for_each_run_are_refused(n_bytes):
    """C4-8, at the length, before any image is made: 128 rows have two digests."""
    parts = split(written(ROWS[:128]))
    digests = (parts.chunks[0].stored + bytes(32))[:n_bytes]

    with pytest.raises(FormatError) as caught:
        list(stream_latents(io.BytesIO(parts.change(0, stored=digests, raw_len=None).join())))

    assert (caught.value.rule, caught.value.at) == ("C4-8", parts.places()[0] + 20)


def test_more_images_than_receipts_are_a_mistake():
    """Of the caller: every digest that there is holds."""
    (block,) = stream_latents(io.BytesIO(written(ROWS[:64])))

    with pytest.raises(ValueError, match="64 bytes of receipts for 65 images, not 32"):
        block.receipts.check(pixels(ROWS[:65]))


def test_receipts_of_some_rows_only_are_found_by_a_reader_that_seeks(tmp_path):
    """With an index nobody walks past all chunks, so it is seen when both kinds of rows were read (C4-6)."""
    parts = split(written(ROWS, chunk_rows=100))
    parts = parts.change([chunk.tag for chunk in parts.chunks].index(b"rCPT", 1), tag=b"rCPx")
    (tmp_path / "some.aef").write_bytes(parts.with_index(parts.entries()).join())
    with open_latents(tmp_path / "some.aef") as latents:
        latents.rows(0, 64)
        with pytest.raises(FormatError, match="C4-6"):
            latents.rows(0, 300)


def test_a_reader_that_does_not_know_receipts_skips_them():
    """Under a tag that nobody knows, in the same place, the chunk changes nothing: values and names are all there."""
    data = written(ROWS, (100,), names=True)
    parts = split(data)
    for place, chunk in enumerate(parts.chunks):
        if chunk.tag == b"rCPT":
            parts = parts.change(place, tag=b"rCPx")

    blocks = list(stream_latents(io.BytesIO(parts.join())))

    assert np.array_equal(np.concatenate([block.values for block in blocks]), ROWS)
    assert RowNames.join([block.names for block in blocks]) == row_names(300)
    assert [block.receipts for block in blocks] == [None, None]
