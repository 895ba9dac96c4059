"""Promise: every container vector means the same however it arrives, and every broken one is refused by its own rule."""

from __future__ import annotations

import contextlib
import hashlib
import io
from pathlib import Path

import pytest

from aeformat.backends.golden_check import check
from aeformat.backends.numpy_passes import prior_of
from aeformat.container.header import LatentsHeader
from aeformat.container.receipts import Receipts
from aeformat.errors import FormatError, UsageError
from aeformat.pipeline.checking import Decoders
from aeformat.reader import open_latents, stream_latents
from aeformat.validator import validate

from .reading import plain_fields, plain_names, plain_sizes, plain_values, read_forward, with_prior
from .vectors import Vector, cases, every_feed

_APART = {
    "about",
    "rules",
    "kind",
    "names",
    "receipts",
    "sizes",
    "fields",
    "format",
    "values_hex",
    "file_work",
    "described",
    "foreign_decoder",
}  # seen to apart


def _as_json(value: object) -> object:
    if isinstance(value, dict):
        return {key: _as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_json(item) for item in value]
    return {"hex": value.hex()} if isinstance(value, bytes) else value


def _digests(receipts: Receipts | None) -> list[str] | None:
    return (
        None if receipts is None else [receipts.digests[i : i + 32].hex() for i in range(0, len(receipts.digests), 32)]
    )


@every_feed
@cases("container/valid")
def test_valid_file_reads_to_its_json(case: Vector, feed: str) -> None:
    """Header, values, names and counts are those of the JSON, however the bytes arrive."""
    want = case.expected

    got = read_forward(case.feed(feed))

    header, trailer = got.header, got.trailer
    assert isinstance(header, LatentsHeader) and trailer is not None
    assert {
        "dims": list(header.dims), "image": [*header.image, "u8"] if header.image else None, "encoding": header.encoding, "codec": header.codec,
        "filter": header.filter, "values": header.values, "decoder": header.decoder.hex() or None,
        "encoder": None if header.encoder is None else header.encoder.hex(), "ext": _as_json(header.ext),
        "n_rows": trailer.n_rows, "n_chunks": trailer.n_chunks, "has_index": bool(trailer.index_at),
        "content_id": trailer.content_id.hex(), "values_sha256": hashlib.sha256(got.values).hexdigest(),
    } == {key: want[key] for key in want if key not in _APART}  # fmt: skip
    described = None if header.described is None else _as_json(header.described.to_map())
    assert (described, header.foreign_decoder.hex()) == (want.get("described"), want.get("foreign_decoder", ""))
    assert got.sizes == want.get("sizes", [None] * len(got.sizes))
    assert got.values.hex() == want.get("values_hex", got.values.hex())
    assert [plain_names(names) for names in got.names] == want.get("names", [None] * len(got.names))
    assert [plain_fields(fields) for fields in got.fields] == want.get("fields", [None] * len(got.fields))
    assert [_digests(receipts) for receipts in got.receipts] == want.get("receipts", [None] * len(got.receipts))


@cases("container/valid")
def test_valid_file_gives_the_same_rows_to_a_reader_that_seeks(case: Vector) -> None:
    """Random access hands out every row, alone and with all others, and its names."""
    want = case.expected

    with open_latents(case.path) as latents:
        with_prior(latents)
        rows = latents.rows(0, latents.n_rows)
        alone = [plain_values(latents[i][None], latents.header) for i in reversed(range(len(latents)))]
        names = [latents.names(i) for i in range(len(latents))]
        blocks = list(latents.blocks(0, latents.n_rows))
        receipts = [_digests(block.receipts) for block in blocks]
        shapes = [latents.sizes(i, i + 1).dims(0) for i in range(len(latents))]

    assert plain_values(rows, latents.header) == b"".join(reversed(alone))
    assert hashlib.sha256(b"".join(reversed(alone))).hexdigest() == want["values_sha256"]
    assert shapes == [row.shape for row in rows]
    assert [plain_sizes(block.values) for block in blocks] == want.get("sizes", [None] * len(blocks))
    wanted = [entry for block in want.get("names", []) if block for entry in next(iter(block.values()))]
    assert sum(entry is not None for entry in names) == len(wanted)
    assert latents.trailer.content_id.hex() == want["content_id"]
    assert receipts == want.get("receipts", [None] * len(receipts))
    assert [plain_fields(block.fields) for block in blocks] == want.get("fields", [None] * len(blocks))


@cases("container/valid")
def test_valid_file_has_no_problem(case: Vector) -> None:
    """The validator finds nothing in it, and proves all receipts where the decoder is inside."""
    report = validate(io.BytesIO(case.data), find_receipt_check=Decoders().receipt_check, prior_of=prior_of)

    assert report.problems == []
    assert report.n_receipts == sum(map(len, case.expected.get("receipts", [])))
    assert report.n_proved == (report.n_receipts if b"dECo" in case.data else 0)


@every_feed
@cases("container/invalid")
def test_hostile_file_is_refused_by_the_promised_rule(case: Vector, feed: str) -> None:
    """Each invalid vector fails with its own code, rule and byte, however it arrives."""
    if case.expected.get("only") == "validator":
        read_forward(case.feed(feed))  # a reader need not look into the decoder that travels along
        return

    with pytest.raises(FormatError) as caught:
        read_forward(case.feed(feed))

    assert (caught.value.code, caught.value.rule, caught.value.at) == case.error, str(caught.value)


@cases("container/invalid")
def test_hostile_file_is_refused_by_the_stream_that_others_use(case: Vector) -> None:
    """`stream_latents` raises the very error, on the first row or before it was asked for one."""
    if case.expected.get("only") == "validator":
        assert list(with_prior(stream_latents(io.BytesIO(case.data))))
        return

    with pytest.raises((FormatError, UsageError)) as caught:
        list(with_prior(stream_latents(io.BytesIO(case.data))))

    if isinstance(caught.value, FormatError):
        assert (caught.value.code, caught.value.rule, caught.value.at) == case.error
    else:  # a model package: not for this reader
        assert case.data.count(b"\xa4kind\xa5model") == 1


@cases("container/invalid")
def test_first_problem_of_the_validator_is_the_promised_one(case: Vector) -> None:
    """The validator goes on after a problem, and still names the right one first."""
    problems = validate(
        io.BytesIO(case.data), find_receipt_check=Decoders().receipt_check, check_golden=check, prior_of=prior_of
    ).problems

    first = problems[0]
    assert (first.code, first.rule, first.at) == case.error, problems
    assert first.inside == case.expected.get("inside", "")


@cases("container/invalid")
def test_hostile_file_does_not_fool_a_reader_that_seeks(case: Vector) -> None:
    """Random access refuses it too, by this rule or another, unless the rule needs the whole file."""
    if "only" in case.expected or "seek" in case.expected:
        with contextlib.suppress(FormatError):
            _read_all(case.path)
        return

    with pytest.raises((FormatError, UsageError)):
        _read_all(case.path)


def _read_all(path: Path) -> None:
    with open_latents(path) as latents:
        with_prior(latents)
        latents.rows(0, latents.n_rows)
        for row in range(latents.n_rows):
            latents.names(row)


def test_decoder_in_decoder_in_decoder_is_not_followed() -> None:
    """A thousand containers in each other are one C7-4, not a thousand levels of recursion."""
    from tools.build_vectors.framing import Chunk
    from tools.build_vectors.latents import SMALL

    data = b"the innermost is no container"
    for _ in range(1_000):
        data = SMALL.with_(before={0: [Chunk(b"dECo", data)]}).draft.build().data

    assert [(p.rule, p.inside) for p in validate(io.BytesIO(data)).problems] == [("C7-4", "")]
