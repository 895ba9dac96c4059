"""What the server has checked of a container when it acknowledges it, and what it leaves to the reader (T4-2, T4-5)."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace

import numpy as np
import pytest
from container.test_rans import CHEAP_DECODER, header, prior_of, split
from container.test_rans import file as coded

from aeformat.container.limits import RANS_STEPS, Limits
from aeformat.container.parser import ChunkRead
from aeformat.container.writer import LatentsWriter
from aeformat.errors import ContentMismatch, FormatError
from aeformat.model.file_io import package_bytes, read_package
from aeformat.reader import events, stream_latents
from aeformat.transport.transfer_limits import TransferLimits
from aeformat.transport.upload_actions import Answer, Append
from aeformat.transport.upload_server import UploadServer
from aeformat.transport.upload_states import State
from aeformat.transport.verify import Verifier
from spec.vectors import cases
from transport.containers import latents

FILE = latents()
SERVER = TransferLimits()

# What it takes all rows, a decoder or its golden set to check.
LEFT_TO_THE_READER = {"C9-6", "C7-5", "C7-6", "M6-2"}
BROKEN_INSIDE = range(540, 553)  # numbers of vectors whose embedded decoder is broken, or another one
BROKEN_BY_PASSES = range(1106, 1115)  # numbers of vectors that take the passes of a prior to be read
NEXT_BROKEN = {
    "863-trailer-content-before-what-follows": ("structure", "C9-7", 238)
}  # behind what is left to the reader
OWN_LIMIT = {"022-tensor-256-mib"}  # the server's, lower, is broken first


def refusal(data: bytes) -> tuple[str, str, int] | None:
    """Code, rule and byte of the server's answer to a container; None if the container is accepted."""
    verifier = Verifier(SERVER)
    try:
        verifier.feed(data)
        verifier.close()
        if verifier.model_bytes is not None:  # what a server does for Prove
            read_package(data, limits=Limits(chunk_bytes=SERVER.chunk_bytes, package_bytes=SERVER.model_bytes))
    except FormatError as error:
        return error.code, error.rule, error.at
    assert verifier.is_complete and verifier.sha256 == hashlib.sha256(data).digest()
    return None


@cases("container/valid", "model/valid")
def test_good_containers_are_accepted_and_named_by_their_own_digest(case):
    """T4-2, T4-13."""
    assert refusal(case.data) is None


@cases("container/invalid", "model/invalid")
def test_broken_containers_are_refused_unless_only_the_rows_or_the_decoder_show_it(case):
    """T4-2: by their own rule, at their own byte."""
    number = int(case.path.stem.partition("-")[0]) if case.path.parts[-3] == "container" else 0
    is_left = case.expected["rule"] in LEFT_TO_THE_READER or case.expected.get("only") == "validator"
    if case.path.stem in NEXT_BROKEN:
        assert refusal(case.data) == NEXT_BROKEN[case.path.stem]
    elif is_left or number in BROKEN_INSIDE or number in BROKEN_BY_PASSES:
        assert refusal(case.data) is None
    elif case.path.stem in OWN_LIMIT:
        assert refusal(case.data)[0] == "limit"
    else:
        assert refusal(case.data) == case.error


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_a_wrong_content_id_is_found_by_the_reader_of_all_rows(codec):
    """C9-6, T4-2: the server stores the bytes as they were sent; a reader who decodes the file notices."""
    data = replace(split(latents(codec=codec)), content_id=bytes(32)).join()
    assert refusal(data) is None
    with pytest.raises(ContentMismatch) as caught:
        list(stream_latents(io.BytesIO(data)))
    assert caught.value.rule == "C9-6"


def cheap(n_rows: int, chunk_rows: int | None = None) -> bytes:
    """Rows that the prior predicts almost perfectly, with the decoder that reading them needs."""
    sink, more = io.BytesIO(), {} if chunk_rows is None else {"chunk_rows": chunk_rows}
    decoder, prior = package_bytes(CHEAP_DECODER), prior_of(CHEAP_DECODER)
    with LatentsWriter(sink, header(decoder=CHEAP_DECODER), prior=prior, decoder=decoder, **more) as writer:
        writer.write(np.full((n_rows, 2, 3), -6, np.int8))
    return sink.getvalue()


def answered(data: bytes) -> tuple[int, str, tuple[str, int], UploadServer]:
    """The status and type of the answer to bytes that are refused; the rule and byte that it names; the upload."""
    upload = UploadServer(TransferLimits(), now=0)
    upload.append(Append(0, True), now=0, quota_left=1 << 20)
    error = upload.check(data)
    assert error is not None
    answer = upload.broken(error)[-1]
    assert isinstance(answer, Answer)
    return answer.status, answer.problem.type.slug, (error.rule, error.at), upload


def test_a_server_decodes_for_a_second_not_for_a_minute():
    """C6-8 with the limit of section 7: a small file whose rows take many steps is refused before all are decoded."""
    data = cheap(20_000, chunk_rows=1_000)
    assert 16 * len(data) + 65_536 < 20 * 7_000 < RANS_STEPS, "by the format it is good"
    chunks = [
        event for event in events(io.BytesIO(data)) if isinstance(event, ChunkRead) and event.header.tag == b"ROWS"
    ]
    allowed = [65_536 + 16 * (chunk.payload_at + len(chunk.stored)) for chunk in chunks]
    first = next(i for i, most in enumerate(allowed) if 7_000 * (i + 1) > most)
    assert answered(data)[:3] == (413, "too-large", ("C6-8", chunks[first].payload_at))


@pytest.mark.parametrize("n_rows", [1, 585, 9_000, 100_000])
def test_files_of_the_writer_are_within_the_limit(n_rows):
    """Even if rows cost almost no bytes: the more rows there are, the more lanes they are in."""
    assert refusal(cheap(n_rows)) is None


def test_an_error_inside_a_whole_chunk_is_no_damage():
    """T4-5: the embedded decoder is broken, the chunk around it is not.

    The upload is over; the chunk is not requested again.
    """
    parts = split(coded(embed=True))
    inside = bytearray(parts.chunks[0].stored)
    inside[-200] ^= 1
    data = parts.change(0, stored=bytes(inside)).join()
    status, slug, (rule, _), upload = answered(data)
    assert (status, slug, rule, upload.state) == (422, "invalid-container", "C4-11", State.FAILED)
