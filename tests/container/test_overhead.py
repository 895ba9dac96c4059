"""What the container costs beyond its payload (section 4, and the promises of the design)."""

from __future__ import annotations

import numpy as np
import pytest

from aeformat.container.assigned import ENCODINGS
from aeformat.container.names import RowNames
from aeformat.reader import open_latents, stream_latents

from .files import ENCODER, PAIRS, Stream, edges, header, split, write

DIMS = (64,)


@pytest.mark.parametrize("encoder", [None, ENCODER], ids=["", "encoder"])
@pytest.mark.parametrize(("encoding", "values"), PAIRS)
def test_a_file_of_one_image_costs_320_bytes_at_most(encoding, values, encoder):
    """Everything but the numbers: preamble, header, chunk header, padding, trailer."""
    head = header(encoding, DIMS, values=values, encoder=encoder)

    assert len(write(edges(values, 1, DIMS), head)) - head.row_bytes <= 320


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_a_name_for_the_one_image_fits_in_too(codec):
    """u8, which is what a quantised latent is, with a name of 11 letters."""
    head = header("u8", DIMS, codec=codec, filter="shuffle" if codec == "zstd" else "none")
    data = write(np.arange(64, dtype=np.uint8).reshape(1, 64), head, RowNames(names=("digit-7.png",)))

    assert len(data) - head.row_bytes <= 320


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_ten_thousand_rows_cost_two_bytes_a_row_at_most(encoding):
    """With the chunks that a writer makes by itself, index included."""
    head = header(encoding, DIMS)
    data = write(np.ones((10_000, 64), edges(head.values, 1).dtype), head)

    assert len(data) - 10_000 * head.row_bytes <= 20_000


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_compression_never_costs_more_than_it_saves(encoding):
    """What does not shrink is stored as it is: a zstd file of noise is larger by the header's two words only."""
    plain = header(encoding, DIMS)
    noise = np.random.default_rng(2).integers(0, 256, 640, np.uint8)
    rows = (noise.view(np.uint16) if encoding == "u16le" else noise.astype(edges(plain.values, 1).dtype)).reshape(
        -1, 64
    )
    size = len(write(rows, plain))

    assert len(write(rows, header(encoding, DIMS, codec="zstd", filter="shuffle"))) <= size + len("filter") + 9 + 1


@pytest.mark.parametrize("encoding", ["f64le", "f32le", "f16le", "bf16le", "u16le"])
@pytest.mark.parametrize("chunk_rows", [1, 3, 5])
def test_wide_payloads_lie_at_multiples_of_64_and_can_be_had_without_a_copy(encoding, chunk_rows, tmp_path):
    """C4-9: mapped into memory, the file is the array."""
    head = header(encoding)
    rows = edges(head.values, 10)
    path = tmp_path / "x.aef"
    path.write_bytes(write(rows, head, chunk_rows=chunk_rows, decoder=b"odd length"))
    with open_latents(path) as latents:
        mapped = np.frombuffer(latents._file.view(), np.uint8)
        start = 0
        for view in latents.stored_chunks():
            assert view.dtype.byteorder != ">"
            assert np.shares_memory(view, mapped)
            assert not view.flags.writeable
            offset = view.__array_interface__["data"][0] - mapped.__array_interface__["data"][0]
            assert offset % 64 == 0
            raw = rows[start : start + len(view)]
            raw = (raw.view(np.uint32) >> 16).astype("<u2") if encoding == "bf16le" else raw.astype(view.dtype)
            assert view.tobytes() == raw.tobytes()
            start += len(view)
        assert start == 10


@pytest.mark.parametrize("encoding", ["u8", "i8"])
def test_bytes_can_be_had_without_a_copy_and_need_no_padding(encoding, tmp_path):
    """One byte is always aligned."""
    head = header(encoding)
    rows = edges(head.values, 10)
    data = write(rows, head, chunk_rows=3)
    path = tmp_path / "x.aef"
    path.write_bytes(data)
    with open_latents(path) as latents:
        assert np.concatenate(list(latents.stored_chunks())).tobytes() == rows.tobytes()
    fixed = 24 + len(split(data).head) + 32 * 5 + 24 * 4 + 64
    assert len(data) == fixed + rows.nbytes


def test_a_forward_block_of_the_stored_type_is_not_converted():
    """f32le read as float32 is a view of the payload: no copy on a little-endian machine."""
    (block,) = stream_latents(Stream([write(edges("f32", 4), header())]))

    assert block.values.base is not None
