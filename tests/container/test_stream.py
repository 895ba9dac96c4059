"""aeformat.container.parser and the forward reader: what is seen, when, and what is left of a cut file (sections 4 and 10)."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import zstandard

from aeformat.container.chunk_writer import ContainerWriter
from aeformat.container.header import ModelHeader
from aeformat.container.parser import ChunkRead, HeaderRead, Parser, TrailerRead
from aeformat.container.payloads import Block
from aeformat.errors import FormatError, StructureInvalid, Truncated, UsageError
from aeformat.reader import events, stream_latents

from .files import DECODER, FEEDS, Chunk, Stream, edges, header, row_names, same_bits, split, write

ROWS = edges("f32", 6)
FILE = write(ROWS, header(), row_names(6), chunk_rows=2, decoder=b"decoder")


@pytest.mark.parametrize("feed", FEEDS.values(), ids=FEEDS)
def test_events_are_the_structures_of_the_file(feed):
    """Header, then chunks with their places, then the trailer, however the bytes come."""
    seen = list(events(Stream(feed(FILE))))
    parts = split(FILE)

    assert isinstance(seen[0], HeaderRead)
    assert [(e.number, e.at, e.header.tag, e.stored) for e in seen if isinstance(e, ChunkRead)] == [
        (number, at, chunk.tag, chunk.stored)
        for number, (at, chunk) in enumerate(zip(parts.places(), parts.chunks, strict=False))
    ]
    assert isinstance(seen[-1], TrailerRead)
    assert seen[-1].at == len(FILE) - 64


def test_an_event_comes_with_the_last_byte_of_its_structure():
    """A resumable transfer acknowledges up to `verified_at`: neither sooner nor later than it can be checked."""
    parser = Parser()
    assert parser.verified_at == 0
    ends = [24 + len(split(FILE).head)]
    ends += split(FILE).places()[1:]
    ends[1:] = [*ends[1:], len(FILE)]
    seen = []
    for at in range(len(FILE)):
        if parser.feed(FILE[at : at + 1]):
            seen.append(at + 1)
            assert parser.verified_at == at + 1
    parser.close()

    assert seen == ends
    assert parser.is_complete


BAD = {
    "payload": lambda parts, data: data[: parts.places()[3] + 100] + b"\xff" + data[parts.places()[3] + 101 :],
    "trailing": lambda parts, data: data + b"\0",
    "second-file": lambda parts, data: data + data,
    "zip-behind": lambda parts, data: data + b"PK\x05\x06" + bytes(18),
}


@pytest.mark.parametrize("feed", FEEDS.values(), ids=FEEDS)
@pytest.mark.parametrize("damage", BAD.values(), ids=BAD)
def test_good_structures_are_handed_out_before_the_error(damage, feed):
    """What a reader sees before a broken rule does not depend on how the bytes were cut."""
    data = damage(split(FILE), FILE)
    seen, errors = [], []
    for pieces in (FEEDS["bytes"](data), feed(data)):
        places = []
        with pytest.raises(FormatError) as caught:
            for event in events(Stream(pieces)):
                places.append(getattr(event, "at", 0))
        seen.append(places)
        errors.append((caught.value.rule, caught.value.at))

    assert seen[0] == seen[1]
    assert errors[0] == errors[1]


def test_a_parser_that_failed_stays_failed():
    """Bytes after an error are not taken for the next structure."""
    parser = Parser()
    bad = bytearray(FILE)
    bad[30] ^= 1
    for _ in range(3):
        with pytest.raises(FormatError, match="C2-6"):
            parser.feed(bytes(bad))
    with pytest.raises(FormatError, match="C2-6"):
        parser.feed(FILE)
    with pytest.raises(FormatError, match="C2-6"):
        parser.close()


def test_what_is_no_container_is_refused_at_once():
    """After the first wrong byte, not after 24."""
    with pytest.raises(FormatError, match="C2-1"):
        Parser().feed(b"P")


@pytest.mark.parametrize("feed", ["whole", "halves"])
def test_recovery_gives_the_rows_of_every_whole_chunk(feed):
    """Cut at any byte: exactly the rows whose chunk's last byte is there, and word that the file is cut."""
    parts = split(FILE)
    ends = [(chunk, end) for chunk, end in zip(parts.chunks, parts.places()[1:], strict=True) if chunk.tag == b"ROWS"]
    for n_bytes in range(len(FILE)):
        pieces = FEEDS[feed](FILE[:n_bytes])
        if n_bytes < 24 + len(parts.head):
            with pytest.raises(Truncated, match="C2-7"):
                stream_latents(Stream(pieces), recover=True)
            continue
        whole = [chunk for chunk, end in ends if end <= n_bytes]
        stream = stream_latents(Stream(pieces), recover=True)
        blocks = list(stream)

        n_rows = sum(chunk.n_rows for chunk in whole)
        assert same_bits(np.concatenate([ROWS[:0], *(block.values for block in blocks)]), ROWS[:n_rows])
        assert [block.names for block in blocks] == [row_names(c.n_rows, c.first_row) for c in whole]
        assert isinstance(stream.damage, Truncated)
        assert stream.trailer is None


def test_recovery_of_a_whole_file_reports_no_damage():
    """`damage` says whether there was any."""
    stream = stream_latents(io.BytesIO(FILE), recover=True)

    assert sum(len(block.values) for block in stream) == 6
    assert stream.damage is None
    assert stream.trailer is not None


def test_recovery_stops_at_damage_of_any_kind():
    """Rows behind a broken chunk cannot be trusted to be where they should (section 10)."""
    bad = bytearray(FILE)
    bad[split(FILE).places()[5] - 1] ^= 1  # last byte of the second ROWS
    stream = stream_latents(io.BytesIO(bytes(bad)), recover=True)

    assert [block.first_row for block in stream] == [0]
    assert (stream.damage.rule, stream.damage.code) == ("C4-11", "checksum")


@pytest.mark.parametrize("n_before", [0, 1, 2, 3])
def test_asking_for_the_decoder_loses_no_rows(n_before):
    """Before the first block, between blocks and after the last."""
    for decoder in (b"decoder", None):
        data = write(ROWS, header(), chunk_rows=2, decoder=decoder)
        stream = stream_latents(io.BytesIO(data))
        blocks = []
        if n_before == 0:
            assert stream.embedded_decoder == decoder
        for block in stream:
            blocks.append(block.values)
            if len(blocks) == n_before:
                assert stream.embedded_decoder == decoder
        assert same_bits(np.concatenate(blocks), ROWS)
        assert stream.trailer is not None


def test_the_decoder_is_found_behind_an_unknown_chunk():
    """C4-6 lets ancillary chunks stand in front of it."""
    data = split(FILE).insert(0, Chunk(b"xXXx", b"?")).insert(0, Chunk(b"yYYy", b"?"))
    data = replace(data, chunks=data.chunks[:-1]).join()  # its index would be wrong now
    stream = stream_latents(io.BytesIO(data))

    assert stream.embedded_decoder == b"decoder"
    assert same_bits(np.concatenate([block.values for block in stream]), ROWS)


@pytest.mark.parametrize("recover", [False, True])
def test_damage_that_was_found_while_looking_for_the_decoder_is_not_forgotten(recover):
    """Iterating afterwards does not end as if the file were empty."""
    bad = bytearray(FILE)
    bad[split(FILE).places()[0] + 33] ^= 1
    stream = stream_latents(io.BytesIO(bytes(bad)), recover=recover)
    if recover:
        assert stream.embedded_decoder is None
        assert list(stream) == []
    else:
        for attempt in (lambda: stream.embedded_decoder, lambda: list(stream), lambda: list(stream)):
            with pytest.raises(FormatError, match="C4-11"):
                attempt()
    assert stream.damage.rule == "C4-11"


def test_a_model_package_is_no_file_of_latents():
    """UsageError, and not a word about damage."""
    sink = io.BytesIO()
    ContainerWriter(sink, ModelHeader(DECODER))
    with pytest.raises(UsageError):
        stream_latents(io.BytesIO(sink.getvalue()))


STRUCTURE = {
    "rows-missing": (lambda p: replace(p, chunks=p.chunks[1:3] + p.chunks[5:7]), "C4-7"),
    "rows-twice": (lambda p: replace(p, chunks=(*p.chunks[1:3], *p.chunks[1:3])), "C4-7"),
    "no-rows-in-chunk": (lambda p: p.change(2, n_rows=0), "C4-7"),
    "names-of-other-rows": (lambda p: p.change(1, first_row=2), "C4-7"),
    "names-of-more-rows": (lambda p: p.change(1, n_rows=3, stored=row_names(3).to_bytes(), raw_len=None), "C4-7"),
    "names-of-fewer-rows-than-said": (lambda p: p.change(1, n_rows=3), "C7-1"),
    "decoder-counts-rows": (lambda p: p.change(0, n_rows=1), "C4-7"),
    "decoder-late": (lambda p: replace(p, chunks=(*p.chunks[1:-1], p.chunks[0])), "C4-6"),
    "decoder-twice": (lambda p: p.insert(0, p.chunks[0]), "C4-6"),
    "names-twice": (lambda p: p.insert(1, p.chunks[1]), "C4-6"),
    "unknown-between-names-and-rows": (lambda p: p.insert(2, Chunk(b"xXXx", b"?")), "C4-6"),
    "names-last": (lambda p: replace(p, chunks=p.chunks[:2]), "C4-6"),
    "rows-after-index": (lambda p: replace(p, chunks=(*p.chunks, replace(p.chunks[2], first_row=6))), "C4-6"),
    "unknown-after-index": (lambda p: replace(p, chunks=(*p.chunks, Chunk(b"xXXx", b"?"))), "C4-6"),
    "manifest": (lambda p: p.insert(0, Chunk(b"MANF", b"?")), "C4-6"),
    "unknown-critical": (lambda p: p.insert(0, Chunk(b"XXXX", b"?")), "C4-5"),
    "more-rows-than-bytes": (lambda p: p.change(2, n_rows=3), "C4-7"),
    "rows-of-another-length": (lambda p: p.change(2, stored=p.chunks[2].stored[:-4], raw_len=None), "C4-8"),
    "compressed-where-codec-is-none": (lambda p: p.change(2, stored=p.chunks[2].stored[:-4]), "C4-8"),
    "decoder-compressed": (lambda p: p.change(0, raw_len=100), "C4-8"),
    "padding-not-zero": (lambda p: p.spoil_padding(2), "C4-9"),
    "index-entry-missing": (lambda p: p.with_index(p.entries()[:-1]), "C8-1"),
    "index-entry-more": (lambda p: p.with_index([*p.entries(), (0, 6, 1, 9)]), "C8-1"),
    "index-reordered": (lambda p: p.with_index(p.entries()[::-1]), "C8-1"),
    "index-odd": (lambda p: p.change(-1, stored=p.chunks[-1].stored + b"\0", raw_len=None), "C8-1"),
    "index-empty-rows": (lambda p: p.with_index([(*e[:2], 1, e[3]) for e in p.entries()]), "C8-1"),
    "fewer-chunks-stated": (lambda p: replace(p, n_chunks=7), "C9-3"),
    "more-rows-stated": (lambda p: replace(p, n_rows=7), "C9-3"),
    "no-rows": (lambda p: replace(p, chunks=()), "C9-3"),
    "index-elsewhere": (lambda p: replace(p, index_at=100), "C9-4"),
    "index-unsaid": (lambda p: replace(p, index_at=0), "C9-4"),
    "index-said-but-absent": (lambda p: replace(p, chunks=p.chunks[:-1], index_at=p.places()[-2]), "C9-4"),
    "another-content": (lambda p: replace(p, content_id=bytes(32)), "C9-6"),
}


@pytest.mark.parametrize("feed", FEEDS.values(), ids=FEEDS)
@pytest.mark.parametrize(("change", "rule"), STRUCTURE.values(), ids=STRUCTURE)
def test_structures_that_do_not_fit_together_are_refused(change, rule, feed):
    """With every checksum right: only the rules of sections 4, 8 and 9 stand against these."""
    data = change(split(FILE)).join()
    with pytest.raises(FormatError) as caught:
        list(stream_latents(Stream(feed(data))))

    assert caught.value.rule == rule
    assert not isinstance(caught.value, Truncated)


_ZSTD = split(write(np.zeros((40, 3), np.float32), header(codec="zstd", filter="shuffle")))
_NAN_FRAME = zstandard.ZstdCompressor(write_checksum=True).compress(b"\xff" * 480)  # shuffled or not
PLACES = {
    "header": (lambda p: replace(p, head=p.head.replace(b"none", b"nono")), "C3-9", lambda p: 24),
    "chunk-counts-rows": (lambda p: p.change(0, first_row=1), "C4-7", lambda p: p.places()[0] + 8),
    "padding": (lambda p: p.spoil_padding(2), "C4-9", lambda p: p.places()[3] - 24 - 1),
    "value": (
        lambda p: p.change(2, stored=p.chunks[2].stored[:8] + b"\0\0\x80\x7f" + p.chunks[2].stored[12:]),
        "C5-3",
        lambda p: p.places()[3] - 24 + 8,
    ),
    "frame": (lambda p: _ZSTD.change(0, stored=b"no frame"), "C6-1", lambda p: _ZSTD.places()[0] + 32),
    "value-in-a-frame": (lambda p: _ZSTD.change(0, stored=_NAN_FRAME), "C5-3", lambda p: _ZSTD.places()[0] + 32),
    "names": (lambda p: p.change(1, stored=b"\x80", raw_len=None), "C7-1", lambda p: p.places()[1] + 32),
    "index": (
        lambda p: p.with_index([*p.entries()[:2], (0, 0, 0, 0)]),
        "C8-1",
        lambda p: p.places()[-2] + 32 + 48,
    ),
    "index-long": (
        lambda p: p.with_index([*p.entries(), (0, 0, 0, 0)]),
        "C8-1",
        lambda p: p.places()[-2] + 32 + 72,
    ),
    "n-rows": (lambda p: replace(p, n_rows=7), "C9-3", lambda p: p.places()[-1] + 8),
    "content": (lambda p: replace(p, content_id=bytes(32)), "C9-6", lambda p: p.places()[-1] + 28),
}


@pytest.mark.parametrize(("change", "rule", "at"), PLACES.values(), ids=PLACES)
def test_an_error_names_the_byte_of_what_is_wrong(change, rule, at):
    """The field, the value, the entry; inside a compressed payload its first byte (section 16)."""
    with pytest.raises(FormatError) as caught:
        list(stream_latents(io.BytesIO(change(split(FILE)).join())))

    assert (caught.value.rule, caught.value.at) == (rule, at(split(FILE)))


def test_a_validator_is_told_of_every_problem_and_which_chunks_to_leave_alone():
    """With on_problem the parser goes on where it can, and marks each chunk by itself."""
    parts = split(FILE)
    bad = replace(parts.change(0, n_rows=1).spoil_padding(4), content_id=bytes(32), n_rows=7).join()
    problems = []
    parser = Parser(on_problem=lambda error: problems.append(error.rule))
    seen = parser.feed(bad)
    parser.close()

    assert problems == ["C4-7", "C4-9", "C9-3"]
    assert [event.is_good for event in seen if isinstance(event, ChunkRead)] == [i not in (0, 4) for i in range(8)]
    assert isinstance(seen[-1], TrailerRead)


def test_chunks_of_another_file_or_place_do_not_pass():
    """Swapped, repeated, dropped, spliced with their checksums as they were: C4-2, for they are bound to file and place."""
    parts = split(FILE)
    chunks = parts.chunks
    moved = {
        "swapped": parts.change(2, stored=chunks[4].stored, number=4).change(4, stored=chunks[2].stored, number=2),
        "repeated": parts.insert(3, replace(chunks[2], number=2)),
        "dropped": replace(parts, chunks=tuple(replace(c, number=n) for n, c in enumerate(chunks) if n != 2)),
    }
    for file in moved.values():
        with pytest.raises(FormatError, match="C4-2"):
            list(stream_latents(io.BytesIO(file.join())))
    other = split(write(ROWS, header(ext={"x": 1}), row_names(6), chunk_rows=2, decoder=b"decoder")).join()
    at, end = parts.places()[0:2]
    shift = len(other) - len(FILE)
    with pytest.raises(FormatError, match="C4-2"):
        list(stream_latents(io.BytesIO(FILE[:at] + other[at + shift : end + shift] + FILE[end:])))


def test_the_trailer_of_another_file_does_not_pass():
    """C9-5: header, counts and index are the same, and its own checksum is right; the chunks are others."""
    other = write(ROWS[::-1], header(), row_names(6), chunk_rows=2, decoder=b"decoder")
    at = len(FILE) - 64

    with pytest.raises(FormatError) as caught:
        list(events(io.BytesIO(FILE[:at] + other[at:])))

    assert (caught.value.rule, caught.value.at) == ("C9-5", at + 24)


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_a_block_knows_where_in_the_file_its_values_stand(codec):
    """Each value where it is stored as it is, also in a part of a block; else all at the payload, whose bytes are others."""
    data = write(edges("f32", 200), header(codec=codec), chunk_rows=100)
    chunks = [event for event in events(io.BytesIO(data)) if isinstance(event, ChunkRead)]
    payloads = [chunk.payload_at for chunk in chunks if chunk.header.tag == b"ROWS"]
    assert len(payloads) == 2

    for block, payload_at in zip(stream_latents(io.BytesIO(data)), payloads, strict=True):
        part = block.slice(1, 3)
        if codec == "zstd":
            assert {block.byte_of(0), block.byte_of(8), part.byte_of(5)} == {payload_at}
            continue
        for piece in (block, part):
            places = [piece.byte_of(number) for number in range(piece.values.size)]
            assert b"".join(data[at : at + 4] for at in places) == piece.values.tobytes()


def test_a_block_of_no_file_counts_from_its_first_byte():
    """What a caller made, or a network."""
    block = Block(7, ROWS)

    assert [block.byte_of(0), block.byte_of(5), block.slice(2, 4).byte_of(1)] == [0, 20, 4]


def test_structure_errors_survive_pickling():
    """A worker process hands its errors to its parent."""
    import pickle

    error = pickle.loads(pickle.dumps(StructureInvalid("C4-6", 7, "what")))
    assert (error.rule, error.at, error.what, str(error)) == ("C4-6", 7, "what", "what (rule C4-6, byte 7)")


def test_a_file_that_was_opened_by_its_path_is_closed(tmp_path):
    """At the end of the `with`, or at once where it is no good; a file that was handed over stays open."""
    path = tmp_path / "x.aef"
    path.write_bytes(FILE)
    with stream_latents(path) as stream:
        assert len(next(iter(stream)).values) == 2
    with pytest.raises(ValueError, match="closed"):
        list(stream)
    with path.open("rb") as file:
        with stream_latents(file):
            pass
        assert not file.closed
    path.write_bytes(FILE[:-1] + b"?")
    with stream_latents(str(path)) as stream, pytest.raises(FormatError, match="C9-2"):
        list(stream)
    path.write_bytes(FILE[:30])
    with pytest.raises(FormatError, match="C2-7"):
        stream_latents(path)
