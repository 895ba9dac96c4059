"""Files whose rows have sizes of their own: written and read to the same rows, whatever the header and however the bytes come."""

from __future__ import annotations

import hashlib
import io
import struct
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeformat.container import limits
from aeformat.container.names import RowNames
from aeformat.container.parser import ChunkRead, Parser
from aeformat.container.ragged import RaggedRows, join_rows
from aeformat.container.receipts import Receipts
from aeformat.container.seeking import Framing
from aeformat.container.writer import LatentsWriter
from aeformat.errors import FormatError, StructureInvalid, ValueInvalid
from aeformat.reader import open_latents, stream_latents

from .files import (
    FEEDS,
    PAIRS,
    Chunk,
    Stream,
    header,
    read_sized,
    row_names,
    same_rows,
    sized_header,
    sized_rows,
    split,
    write,
)

SIZES = [(2, 3, 16, 24), (2, 3, 16, 24), (3, 2, 24, 16), (1, 1, 1, 1), (1, 9, 1, 70), (2, 2, 9, 9)]
HEAD = sized_header("f32le")
ROWS = sized_rows(HEAD, SIZES)
NAMES = row_names(6)


def batches(head, rows, cuts, names=None, **options) -> bytes:
    """A file of these rows, handed over in pieces that end at the cuts."""
    sink = io.BytesIO()
    with LatentsWriter(sink, head, **options) as writer:
        for start, stop in zip([0, *cuts], [*cuts, len(rows)], strict=True):
            if stop > start:
                writer.write(rows[start:stop], None if names is None else names.slice(start, stop))
    assert (writer.n_rows, writer.n_bytes) == (len(rows), len(sink.getvalue()))
    return sink.getvalue()


@pytest.fixture(scope="module")
def open_bytes(tmp_path_factory):
    """Random access to a file of these bytes."""
    path = tmp_path_factory.mktemp("sized") / "x.aef"

    def opened(data: bytes):
        path.write_bytes(data)
        return open_latents(path)

    return opened


@st.composite
def _files(draw):
    """(header, rows, names or None, options of the writer, where the batches end)."""
    encoding, values = draw(st.sampled_from(PAIRS))
    codec, filter = draw(st.sampled_from([("none", "none"), ("zstd", "none"), ("zstd", "shuffle")]))
    dims = tuple(draw(st.permutations([0, *draw(st.lists(st.integers(0, 3), max_size=3))])))
    image = draw(st.sampled_from([(0, 0, 3), (28, 28, 1)]))
    head = sized_header(encoding, dims, image, values=values, codec=codec, filter=filter)
    pool = draw(st.lists(st.tuples(*[st.integers(1, 4)] * head.form.n_free), min_size=1, max_size=4))
    sizes = draw(st.lists(st.sampled_from(pool), min_size=1, max_size=10))
    names = row_names(len(sizes)) if draw(st.booleans()) else None
    options = {
        "chunk_rows": draw(st.none() | st.integers(1, 5)),
        "decoder": draw(st.none() | st.binary(min_size=1, max_size=9)),
    }
    cuts = sorted(draw(st.sets(st.integers(0, len(sizes)), max_size=4)))
    return head, sized_rows(head, sizes), names, options, cuts


@given(_files())
@settings(max_examples=60)
def test_rows_come_back_bit_for_bit_however_they_were_handed_over(open_bytes, file):
    """Forward in every way, and by random access; the bytes do not depend on the batches."""
    head, rows, names, options, cuts = file

    data = batches(head, rows, cuts, names, **options)

    assert data == batches(head, rows, [], names, **options)
    assert data[9:12] == b"\x01\x01\x00"
    for pieces in FEEDS.values():
        got = read_sized(pieces(data))
        assert same_rows(got, rows) and got.image_sizes == rows.image_sizes
    with open_bytes(data) as latents:
        assert latents.header == head and (latents.shape, latents.ndim) == ((len(rows),), 1)
        assert same_rows(latents[:], rows) and same_rows([latents[i] for i in range(len(rows))], rows)
        assert latents.sizes() == rows.sizes
        assert names is None or [latents.names(i) for i in range(len(rows))] == [
            names.slice(i, i + 1) for i in range(len(rows))
        ]


def test_the_content_id_is_that_of_the_rows_not_of_their_storage():
    """Encoding, codec, chunks: one content id.  It is the digest that section 9 describes."""
    head = sized_header("f32le")
    ids = {
        write(ROWS, sized_header(encoding, values="f32", codec=codec, filter=filter), chunk_rows=n)[-36:-4]
        for encoding in ("f32le", "f64le", "text19")
        for codec, filter in (("none", "none"), ("zstd", "shuffle"))
        for n in (1, 2, 100)
    }
    made = sha256(head.content_head)
    for row, sizes in zip(ROWS, SIZES, strict=True):
        made.update(struct.pack("<4I", *sizes) + row.astype("<f4").tobytes())

    assert ids == {made.digest()}


@pytest.mark.parametrize("shift", [0, 1])
def test_the_content_id_goes_in_pieces(monkeypatch, shift):
    """Rows larger than a piece, many rows in a piece, a last piece of few."""
    monkeypatch.setattr("aeformat.container.content._PIECE", 12)
    sizes = [(1, 1 + shift, 1, 1)] * 17 + [(5, 3, 1, 1)] * 2 + [(1, 2, 1, 1)]
    rows = sized_rows(HEAD, sizes)
    made = sha256(HEAD.content_head)
    for row, of_row in zip(rows, sizes, strict=True):
        made.update(struct.pack("<4I", *of_row) + row.astype("<f4").tobytes())

    assert write(rows, HEAD)[-36:-4] == made.digest()


PICKS = [
    slice(2, 5),
    slice(None),
    slice(4, 2),
    slice(None, None, -1),
    [5, 0, 0, 3],
    [],
    np.array([4, 1]),
    [True, False] * 3,
    ...,
]


@pytest.mark.parametrize("chunk_rows", [1, 2, 6])
@pytest.mark.parametrize("rows", PICKS, ids=str)
def test_rows_are_picked_as_from_a_list(open_bytes, chunk_rows, rows):
    """Always a RaggedRows, also where all rows are of one size; read-only."""
    numbers = np.arange(6)[
        np.array(rows, bool if rows and rows[0] is True else int) if isinstance(rows, list) else rows
    ]

    with open_bytes(write(ROWS, HEAD, chunk_rows=chunk_rows)) as latents:
        got = latents[rows]

    assert isinstance(got, RaggedRows) and same_rows(got, [ROWS[int(number)] for number in numbers])
    assert not got.flat.flags.writeable


def test_an_open_file_says_the_sizes_without_reading_rows(open_bytes):
    """The payload of every ROWS is broken, and nobody sees it."""
    parts = split(write(ROWS, HEAD, NAMES, chunk_rows=2))
    spoiled = bytearray(parts.join())
    for place, chunk in zip(parts.places(), parts.chunks, strict=False):
        if chunk.tag == b"ROWS":
            spoiled[place + 32 + -(place + 32) % 64] ^= 1

    with open_bytes(bytes(spoiled)) as latents:
        assert latents.sizes() == ROWS.sizes
        assert latents.sizes(1, 4) == ROWS.sizes.slice(1, 4) and latents.sizes(5).dims(0) == (2, 2, 2)
        assert repr(latents) == f"<aeformat.Latents {latents.name}, 6 rows of (None, None, 2), f32>"
        for start, stop in ((0, 7), (-1, 2), (3, 3)):
            with pytest.raises(IndexError):
                latents.sizes(start, stop)
        with pytest.raises(ValueError, match="sizes of their own"):
            np.asarray(latents)
        with pytest.raises(FormatError, match="C4-11"):
            latents[0]


def test_rows_of_one_size_say_it_too(open_bytes):
    """`sizes` is there for every file."""
    with open_bytes(write(np.zeros((5, 3), np.float32), header(), chunk_rows=2)) as latents:
        assert (latents.sizes().dims(4), latents.sizes(1, 4).n_rows) == ((3,), 3)


@pytest.mark.parametrize("encoding", ["f32le", "bf16le", "u8"])
def test_stored_rows_are_views_of_the_file(open_bytes, encoding):
    """As they are stored, chunk by chunk."""
    head = sized_header(encoding)
    rows = sized_rows(head, SIZES)

    with open_bytes(write(rows, head, chunk_rows=4)) as latents:
        stored = join_rows(list(latents.stored_chunks()))

    bits = (stored.flat.astype(np.uint32) << 16).view(np.float32) if encoding == "bf16le" else stored.flat
    assert same_rows(RaggedRows(bits.astype(rows.dtype), stored.sizes), rows)


def test_a_chunk_holds_as_many_rows_as_make_a_mebibyte(monkeypatch):
    """A larger row is alone; the chunk that it would not fit into ends before it."""
    monkeypatch.setattr(limits, "WRITER_CHUNK_BYTES", 100)
    head = sized_header("u8", (0,), (28, 28, 1))
    sizes = [40, 60, 1, 99, 1, 100, 101, 250, 3, 3]

    parts = split(batches(head, sized_rows(head, [(n,) for n in sizes]), [1, 4, 7]))

    assert [c.n_rows for c in parts.chunks if c.tag == b"ROWS"] == [2, 2, 1, 1, 1, 1, 2]
    assert [c.raw_len for c in parts.chunks if c.tag == b"ROWS"] == [100, 100, 1, 100, 101, 250, 6]


class TestReceipts:
    """Receipts by pixels: 64 rows, or 1,048,576 pixels, or one image (section 7)."""

    HEAD = sized_header("u8", (0,))
    SIZES = ((1, 1024, 512), (1, 512, 1024), (1, 2, 2), (1, 2000, 2000), *((1, 1, 1),) * 66, (2, 1024, 1000))
    ENDS = (2, 3, 4, 68, 70, 71)

    def digests(self, n: int, first: int = 0) -> bytes:
        return b"".join(sha256(bytes([i])).digest() for i in range(first, first + n))

    @pytest.fixture
    def data(self) -> bytes:
        rows, sink = sized_rows(self.HEAD, self.SIZES), io.BytesIO()
        with LatentsWriter(sink, self.HEAD) as writer:
            writer.write(rows[:70], receipts=self.digests(5))
            writer.write(rows[70:], receipts=self.digests(1, 5))
        return sink.getvalue()

    def test_a_chunk_ends_where_the_last_run_could_go_on(self, data, open_bytes):
        """What is written next begins a chunk, and so a run."""
        parts = split(data)
        assert [(c.tag, c.n_rows) for c in parts.chunks[:-1]] == [
            (tag, n) for n in (70, 1) for tag in (b"SIZE", b"rCPT", b"ROWS")
        ]
        with open_bytes(data) as latents:
            first, last = latents.blocks(0, 71)
        assert list(first.receipts.ends) == [2, 3, 4, 68, 70] and list(last.receipts.ends) == [1]
        assert first.receipts.digests + last.receipts.digests == self.digests(6)

    def test_a_block_is_cut_where_runs_end(self, data, open_bytes):
        """What one row needs: the rows of its run, and the digest of it."""
        with open_bytes(data) as latents:
            for row in range(71):
                (block,) = latents.blocks(row, row + 1)
                run = next(i for i, end in enumerate(self.ENDS) if row < end)
                start = self.ENDS[run - 1] if run else 0
                assert (block.first_row, len(block.values)) == (start, self.ENDS[run] - start)
                assert (block.receipts.first_row, block.receipts.digests) == (start, self.digests(1, run))
                assert block.place.at == latents.block_of(row).byte_of(
                    latents.block_of(row).values.sizes.start(start % 70)
                )

    def test_rows_are_widened_to_whole_runs(self, data, open_bytes):
        """Scattered rows of both chunks."""
        with open_bytes(data) as latents:
            assert latents.with_receipted(np.array([1, 3, 69, 70])).tolist() == [0, 1, 3, 68, 69, 70]
            assert latents.with_receipted(np.array([70])).tolist() == [70]
            assert latents.with_receipted(np.array([], np.int64)).tolist() == []

    def test_a_chunk_is_cut_where_a_run_ends(self, monkeypatch):
        """Also where it is longer than a chunk should be."""
        monkeypatch.setattr(limits, "WRITER_CHUNK_BYTES", 3)
        rows = sized_rows(self.HEAD, self.SIZES)
        sink = io.BytesIO()
        with LatentsWriter(sink, self.HEAD) as writer:
            writer.write(rows[:70], receipts=self.digests(5))
        parts = split(sink.getvalue())

        assert [c.n_rows for c in parts.chunks if c.tag == b"ROWS"] == [3, 1, 64, 2]
        assert b"".join(c.stored for c in parts.chunks if c.tag == b"rCPT") == self.digests(5)
        assert same_rows(read_sized([sink.getvalue()]), rows[:70])

    def test_as_many_digests_as_runs(self):
        """Others are a caller's mistake."""
        with LatentsWriter(io.BytesIO(), self.HEAD) as writer:
            rows = sized_rows(self.HEAD, self.SIZES[:3])
            with pytest.raises(ValueError, match="32 bytes of receipts for 3 rows"):
                writer.write(rows, receipts=self.digests(1))
            writer.write(rows, receipts=self.digests(2))

    def test_receipts_of_some_runs(self):
        """Cut where runs end, their places with them."""
        whole = Receipts(10, 1000, self.digests(3), [2, 3, 70])

        assert whole.slice(2, 70) == Receipts(12, 1032, self.digests(2, 1), [1, 68])
        assert whole.widened(1, 3) == (0, 3)


@pytest.mark.parametrize(
    ("head", "values", "what"),
    [
        (HEAD, np.zeros((1, 2, 2, 2), np.float32), "written as RaggedRows"),
        (header(), ROWS, "rows of form"),
        (HEAD, sized_rows(sized_header("f32le", (0, 0, 3)), [(1, 1, 1, 1)]), "rows of form"),
    ],
)  # fmt: skip
def test_rows_of_another_form_are_a_caller_s_mistake(head, values, what):
    """Nothing of them is written."""
    writer = LatentsWriter(io.BytesIO(), head)

    with pytest.raises(ValueError, match=what):
        writer.write(values)


def test_a_value_that_cannot_be_stored_is_named_by_its_row():
    """Counted over all rows, whatever their sizes."""
    rows = sized_rows(HEAD, SIZES).copy()
    rows[4][0, 3, 1] = np.nan

    with pytest.raises(ValueInvalid, match="row 5 cannot be stored"), LatentsWriter(io.BytesIO(), HEAD) as writer:
        writer.write(rows[:1])
        writer.write(rows)


def test_a_value_that_is_none_has_its_byte_and_row():
    """C5-3 in a chunk of rows of several sizes."""
    parts = split(write(ROWS, sized_header("f32le"), chunk_rows=6))
    stored = bytearray(parts.chunks[1].stored)
    at = 4 * (ROWS.sizes.start(3) + 1)
    stored[at : at + 4] = struct.pack("<f", np.inf)
    broken = parts.change(1, stored=bytes(stored)).join()

    with pytest.raises(ValueInvalid, match="row 3 of this chunk") as caught:
        read_sized([broken])

    assert caught.value.at == broken.index(bytes(stored)) + at


FILES = {
    "names, chunks, index": write(ROWS, HEAD, NAMES, chunk_rows=2),
    "zstd": write(
        sized_rows(sized_header("u8"), [(9, 9, 70, 70)] * 3), sized_header("u8", codec="zstd", filter="none")
    ),
    "text": write(ROWS[3:], sized_header("text19", values="f32"), chunk_rows=2),
    "no index": write(ROWS[:3], HEAD),
}


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_any_flipped_byte_is_refused(data, open_bytes):
    """Forward, and by whoever reads all rows by random access."""
    for at in range(len(data)):
        flipped = data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]
        with pytest.raises(FormatError):
            read_sized([flipped])
        if at < len(data) - 64:
            with pytest.raises(FormatError), open_bytes(flipped) as latents:
                latents[:]


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_any_cut_gives_the_rows_of_the_whole_chunks(data):
    """And says that the file is incomplete."""
    rows = read_sized([data])
    for end in range(split(data).places()[0], len(data)):
        with stream_latents(Stream([data[:end]]), recover=True) as stream:
            blocks = list(stream)
        assert stream.damage is not None and stream.damage.code == "truncated"
        if blocks:
            found = join_rows([block.values for block in blocks])
            assert same_rows(found, rows[: len(found)])


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_framing_by_offset_is_that_of_the_forward_parser(data):
    """All chunk headers, with the sizes that they need; of a broken SIZE the same error."""
    parts = split(data)

    def scan(data: bytes):
        return list(Framing(lambda at, n: data[at : at + n], len(data)).scan())

    assert [place.header.tag for place in scan(data)] == [chunk.tag for chunk in parts.chunks]
    broken = parts.change(0, stored=bytes(len(parts.chunks[0].stored))).join()
    for read in (scan, lambda data: read_sized([data])):
        with pytest.raises(StructureInvalid, match="C5-5"):
            read(broken)


class TestSeeking:
    """What a reader that seeks finds in front of rows."""

    PARTS = split(write(ROWS, HEAD, chunk_rows=2))  # SIZE ROWS, three times, iNDX

    def refused(self, parts, open_bytes, match: str, row: int = 2) -> None:
        indexed = parts.with_index(parts.entries())
        with pytest.raises(StructureInvalid, match=match), open_bytes(indexed.join()) as latents:
            latents[row]

    def test_rows_without_sizes(self, open_bytes):
        chunks = self.PARTS.chunks[:2] + self.PARTS.chunks[3:]
        self.refused(self.PARTS.__class__(**{**vars(self.PARTS), "chunks": chunks}), open_bytes, "C4-6")

    def test_sizes_that_are_not_whole_entries(self, open_bytes):
        self.refused(self.PARTS.change(2, stored=self.PARTS.chunks[2].stored[:-1], raw_len=None), open_bytes, "C4-8")

    def test_sizes_of_other_rows(self, open_bytes):
        self.refused(self.PARTS.change(2, first_row=0), open_bytes, "C4-7")

    def test_sizes_of_more_values(self, open_bytes):
        entry = struct.pack("<5I", 2, 9, 9, 1, 1)
        self.refused(self.PARTS.change(2, stored=entry, raw_len=None), open_bytes, "C4-8")

    def test_sizes_twice(self, open_bytes):
        self.refused(self.PARTS.insert(2, self.PARTS.chunks[2]), open_bytes, "C4-6")

    def test_names_in_front_of_sizes(self, open_bytes):
        names = Chunk(b"nAMe", RowNames(labels=(1, 2)).to_bytes(), 2, 2)
        self.refused(self.PARTS.insert(2, names), open_bytes, "C4-6")


def test_a_million_rows_of_one_byte_take_no_memory_each(monkeypatch):
    """Handing out a block makes nothing for its rows before they are asked for."""
    import tracemalloc

    monkeypatch.setattr(limits, "WRITER_CHUNK_BYTES", 1 << 20)
    head = sized_header("u8", (0,), (28, 28, 1), codec="zstd", filter="none")
    values = np.zeros(1 << 20, np.uint8)
    sink = io.BytesIO()
    with LatentsWriter(sink, head, chunk_rows=1 << 20) as writer:
        writer.write(RaggedRows(values, head.form and sized_sizes(head, 1 << 20)))
    data = sink.getvalue()
    assert len(data) < 1_000

    tracemalloc.start()
    (block,) = stream_latents(io.BytesIO(data))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert len(block.values) == 1 << 20
    assert peak < 24 << 20
    assert hashlib.sha256(block.values.flat.tobytes()).digest() == sha256(values.tobytes()).digest()


def sized_sizes(head, n_rows):
    """The sizes of n_rows rows of one value."""
    from aeformat.container.sizes import RowSizes

    return RowSizes.parse(head.form, struct.pack("<2I", n_rows, 1), n_rows, value_bytes=1)


def test_a_broken_size_is_one_problem_and_its_rows_are_left():
    """Who goes on after a problem (a validator) hears of no rows whose sizes are not known."""
    parts = split(write(ROWS, HEAD, chunk_rows=2))
    good = {chunk.tag for chunk in parts.chunks}
    for stored, rules in (
        (bytes(20), ["C5-5"]),
        (parts.chunks[0].stored[:-1], ["C4-8"]),
        (parts.chunks[0].stored + bytes(20), ["C5-5"]),
    ):
        problems: list[FormatError] = []
        parser = Parser(on_problem=problems.append)

        events = parser.feed(parts.change(0, stored=stored, raw_len=None).join())

        assert [error.rule for error in problems if error.rule != "C8-1"] == rules
        chunks = [event for event in events if isinstance(event, ChunkRead)]
        assert [chunk.is_good for chunk in chunks[:4]] == [False, False, True, True]
        assert chunks[1].sizes is None and chunks[3].sizes == ROWS.sizes.slice(2, 4)
        assert {chunk.header.tag for chunk in chunks} == good


def test_a_size_whose_checksum_is_wrong_stops_a_scan():
    """C4-11: a reader of headers alone has read this payload."""
    data = bytearray(FILES["no index"])
    at = split(bytes(data)).places()[0] + 32
    data[at] ^= 1

    with pytest.raises(FormatError, match="C4-11") as caught:
        list(Framing(lambda at, n: bytes(data[at : at + n]), len(data)).scan())

    assert caught.value.at == at


class TestUnknownDecoder:
    """Files that name no decoder (C3-19): rows are read, and nothing in them speaks of a decoder (C4-6)."""

    def test_rows_come_back(self, open_bytes):
        head = sized_header("bf16le", (4, 0, 0), ())._replace(decoder=b"")
        rows = sized_rows(head, [(2, 3), (1, 1), (1, 1)])
        data = write(rows, head, row_names(3))

        assert data[9:12] == b"\x01\x03\x00"
        assert same_rows(read_sized([data]), rows)
        with open_bytes(data) as latents, stream_latents(io.BytesIO(data)) as stream:
            assert same_rows(latents[:], rows) and latents[:].image_sizes == [()] * 3
            assert (latents.embedded_decoder, latents.has_receipts, stream.embedded_decoder) == (None, False, None)
            assert latents.sizes().image(0) == () and latents.sizes().image_bytes == 0

    def test_sizes_of_images_count_their_bytes(self):
        assert ROWS.sizes.image_bytes == 3 * sum(height * width for _, _, height, width in SIZES)

    @pytest.mark.parametrize("tag", [b"dECo", b"rCPT"])
    def test_what_takes_a_decoder_has_no_place(self, open_bytes, tag):
        parts = split(write(np.zeros((2, 3), np.float32), header()._replace(decoder=b"")))
        data = parts.insert(0, Chunk(tag, bytes(32), 2 if tag == b"rCPT" else 0)).join()

        with pytest.raises(StructureInvalid, match="C4-6") as caught:
            list(stream_latents(io.BytesIO(data)))
        assert caught.value.at == parts.places()[0]
        with pytest.raises(StructureInvalid, match="C4-6"), open_bytes(data) as latents:
            latents[0]
