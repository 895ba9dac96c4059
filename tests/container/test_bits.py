"""Promise: bf16 can be had as its 16 bits, checked as ever, with what a loader asks of a reader beside it."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from aeformat.container.encodings import BadValue, decode, encode, sizes_of
from aeformat.container.ragged import RaggedRows
from aeformat.errors import UsageError
from aeformat.reader import open_latents
from container.files import EDGES, PAIRS, from_bits, header, sized_header, write

HOLDS_BF16 = [encoding for encoding, values in PAIRS if values == "bf16"]
VALUES = from_bits(EDGES["bf16"] * 6, "bf16")


def widened(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


@pytest.mark.parametrize("encoding", HOLDS_BF16)
def test_the_bits_are_those_of_the_widened_values(encoding):
    """Whatever holds them; rows of their own size too."""
    head = header(encoding, (3,), values="bf16")
    sized = sized_header(encoding, (0,), (), values="bf16")
    rows = VALUES.reshape(-1, 3)
    ragged = RaggedRows.of(sized.form, [VALUES[:7], VALUES[7:30]])

    bits = decode(bytes(encode(rows, head)), head, bf16_bits=True)
    sized_bits = decode(bytes(encode(ragged, sized)), sized, sizes_of(ragged, sized), bf16_bits=True)

    assert bits.dtype == sized_bits.dtype == np.uint16
    np.testing.assert_array_equal(widened(bits).view(np.uint32), rows.view(np.uint32))
    np.testing.assert_array_equal(widened(sized_bits[1]), VALUES[7:30])


@pytest.mark.parametrize("bits", [0x7F80, 0xFF80, 0x7FC0, 0x7F81])
def test_bits_that_are_not_finite_are_refused(bits):
    """C5-3, at the same byte and in the same words as when they are widened."""
    raw = bytes(4) + bits.to_bytes(2, "little")
    head = header("bf16le", (1,))

    with pytest.raises(BadValue) as caught, np.errstate(all="ignore"):
        decode(raw, head, bf16_bits=True)
    with pytest.raises(BadValue) as wide:
        decode(raw, head)

    assert (caught.value.rule, caught.value.at, caught.value.what) == (wide.value.rule, 4, wide.value.what)


@pytest.mark.parametrize(("encoding", "dtype"), [("bf16le", np.uint16), ("f16le", np.float16)])
def test_a_reader_opens_its_file_again_for_bits(tmp_path, encoding, dtype):
    """And is told apart from the one that widens; it can be pickled."""
    path = tmp_path / "a.aef"
    values = from_bits(EDGES[encoding.removesuffix("le")] * 6, encoding.removesuffix("le"))[:60].reshape(-1, 3)
    path.write_bytes(write(values, header(encoding, (3,)), chunk_rows=8))
    with open_latents(path) as latents, latents.as_bits() as bits:
        assert (latents.has_bf16_bits, bits.has_bf16_bits, bits.dtype) == (False, True, dtype)
        assert latents.chunk_starts() == bits.chunk_starts() == [0, 8, 16]
        again = pickle.loads(pickle.dumps(bits))
        for rows in (3, slice(2, 17), [19, 0, 9], []):
            found = widened(bits[rows]) if dtype is np.uint16 else bits[rows]
            np.testing.assert_array_equal(found, latents[rows])
            assert again[rows].dtype == bits[rows].dtype == dtype


def test_another_file_of_that_name_is_not_opened_for_bits(tmp_path):
    path = tmp_path / "a.aef"
    path.write_bytes(write(VALUES[:6].reshape(-1, 3), header("bf16le", (3,))))
    with open_latents(path) as latents:
        path.unlink()
        path.write_bytes(write(VALUES[3:9].reshape(-1, 3), header("bf16le", (3,))))
        with pytest.raises(UsageError, match="another file"):
            latents.as_bits()
