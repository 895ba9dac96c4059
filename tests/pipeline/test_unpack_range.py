"""Promise: a value that the decoder does not take is named by its row and its byte in the file (M4-7), run by run with receipts."""

from __future__ import annotations

import io

import pytest

from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.errors import FormatError
from aeformat.model.file_io import read_package
from aeformat.pipeline.unpack import unpack_with
from aeformat.reader import open_latents, stream_latents
from tests.spec.vectors import VECTORS, load

STEMS = [
    "880-receipts-row-out-of-range",
    "881-receipts-f64-out-of-range",
    "882-receipts-compressed-out-of-range",
    "883-receipts-digest-before-a-later-row",
    "884-receipts-row-before-its-digest",
]


def decoder(data: bytes):
    """The one inside, ready to run."""
    package = stream_latents(io.BytesIO(data)).embedded_decoder
    return NumpyBackend().load(read_package(package))


@pytest.mark.parametrize("stem", STEMS)
def test_whoever_decodes_reports_what_a_validator_does(stem):
    """Read forward and by seeking: the rule and the byte of the vector."""
    path = VECTORS / "container/invalid" / f"{stem}.aef"
    case = load(path)
    network = decoder(case.data)

    with pytest.raises(FormatError) as forward:
        list(unpack_with(stream_latents(io.BytesIO(case.data)), network))
    with open_latents(path) as latents, pytest.raises(FormatError) as seeking:
        list(unpack_with(latents, network))

    for caught in (forward, seeking):
        assert (caught.value.code, caught.value.rule, caught.value.at) == case.error


def test_rows_without_receipts_and_rows_of_their_own():
    """The byte is that of the file also where the rows before are not asked for."""
    path = VECTORS / "container/valid/142-out-of-range-without-receipts.aef"
    data = path.read_bytes()
    network = decoder(data)
    at = data.index(b"ROWS") + 32 + 2 * 65 + 1

    for start in (0, 60, 65):
        with open_latents(path) as latents, pytest.raises(FormatError, match="row 65 holds 255") as caught:
            list(unpack_with(latents, network, [(start, 70)]))
        assert (caught.value.rule, caught.value.at) == ("M4-7", at)
    with open_latents(path) as latents:
        assert sum(len(block.images) for block in unpack_with(latents, network, [(0, 65)])) == 65
