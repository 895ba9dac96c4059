"""A decoder that travels in a file with codec rans is as hostile as the file: its shapes and sizes are checked before use."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest

from aeformat.container import canonical
from aeformat.container.chunk_writer import ContainerWriter
from aeformat.container.decoder_prior import read_decoder_prior
from aeformat.container.header import LatentsHeader, ModelHeader
from aeformat.errors import FormatError, LimitExceeded, ManifestInvalid
from aeformat.reader import stream_latents
from aeformat.transport.transfer_limits import TransferLimits
from aeformat.transport.verify import Verifier

WILD = {
    "negative": [-1, -4],
    "zero": [0],
    "none": [],
    "many": [1] * 80,
    "huge": [2**50] * 300,
    "long": [2**52 - 1] * 30_000,
}


def package(shape: list[int], means: bytes, n_classes: int = 1) -> tuple[bytes, bytes]:
    """A decoder of just a prior, with that input shape, and its model id; every checksum is right."""
    classes = np.full(n_classes, 65_536 // n_classes, "<i4").tobytes()
    tables = np.full((1, 256), 256, "<i4").tobytes()
    payloads = {"classes": classes, "means": means, "picks": bytes(len(means)), "tables": tables}
    shapes = {"classes": [n_classes], "means": [n_classes, *shape], "picks": [n_classes, *shape], "tables": [1, 256]}
    kinds = {"classes": "i32", "means": "u8", "picks": "u8", "tables": "i32"}
    manifest = canonical.pack({
        "role": "decoder", "profile": "exact", "layers": [], "golden": {"input": 0, "output": 0},
        "input": {"shape": shape, "type": "u8"}, "output": {"shape": [4, 4, 1], "type": "u8"},
        "tensors": [
            {"shape": shapes[key], "type": kinds[key], "sha256": hashlib.sha256(payloads[key]).digest()} for key in payloads
        ],
        "prior": {"bits": 16, **{key: number for number, key in enumerate(payloads)}},
    })  # fmt: skip
    sink, model = io.BytesIO(), hashlib.sha256(manifest).digest()
    writer = ContainerWriter(sink, ModelHeader(model=model, codec="zstd", filter="none"))
    writer.chunk(b"MANF", manifest)
    for payload in payloads.values():
        writer.chunk(b"TENS", payload)
    writer.trailer(model)
    return sink.getvalue(), model


def carrying(decoder: bytes, model: bytes, dims: tuple[int, ...]) -> bytes:
    """A file of ten rows that carries the decoder."""
    sink = io.BytesIO()
    header = LatentsHeader(
        decoder=model, encoder=None, dims=dims, image=(4, 4, 1), encoding="u8", codec="rans", filter="none", values="u8"
    )
    writer = ContainerWriter(sink, header)
    writer.chunk(b"dECo", decoder)
    coded = b"\0" + np.array([65_536], "<u4").tobytes()
    writer.chunk(b"ROWS", bytes(10 * int(np.prod(dims))), n_rows=10, first_row=0, stored=coded)
    writer.trailer(bytes(32))
    return sink.getvalue()


@pytest.mark.parametrize("shape", WILD.values(), ids=WILD)
def test_wild_shapes_are_refused_at_once(shape):
    """M2-2, by the reader of priors, the reader of latents and the server's verifier alike."""
    decoder, model = package(shape, b"\0")
    with pytest.raises(ManifestInvalid) as caught:
        read_decoder_prior(decoder)
    assert caught.value.rule == "M2-2"

    data = carrying(decoder, model, (4,))
    with pytest.raises(FormatError):
        list(stream_latents(io.BytesIO(data)))
    with pytest.raises(FormatError):
        Verifier(TransferLimits()).feed(data)


def test_a_server_takes_no_larger_prior_than_its_models():
    """A few kilobytes of zstd stand for 16 MiB of tensors: over the limit, and refused before they are unpacked."""
    n = 1 << 13
    decoder, model = package([n], bytes(1024 * n), n_classes=1024)
    data = carrying(decoder, model, (n,))
    assert len(data) < 20_000
    with pytest.raises(LimitExceeded):
        Verifier(TransferLimits(model_bytes=1 << 20)).feed(data)


def test_the_builder_of_this_page_makes_good_decoders():
    """Else everything above would be refused for another reason."""
    decoder, model = package([4], bytes(4))
    prior = read_decoder_prior(decoder)
    assert (prior.model, prior.dims) == (model, (4,))
