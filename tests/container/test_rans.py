"""Codec rans: every prior and every row come back, at the size that the prior promises; hostile payloads end by their rule."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeformat.cli.validate import exit_code_of
from aeformat.container import costs, rans
from aeformat.container.header import LatentsHeader
from aeformat.container.limits import RANS_STEPS, Limits
from aeformat.container.parser import ChunkRead
from aeformat.container.prior import Prior, symbol_costs
from aeformat.container.writer import LatentsWriter
from aeformat.errors import (
    DecoderMismatch,
    DecoderMissing,
    FormatError,
    HeaderInvalid,
    LimitExceeded,
    ValueInvalid,
)
from aeformat.model.file_io import package_bytes
from aeformat.model.match import prior_of
from aeformat.reader import events, open_latents, stream_latents
from aeformat.transport.transfer_limits import TransferLimits
from aeformat.transport.verify import Verifier
from aeformat.validator import validate

from .files import row_names, split
from .priors import decoder_of, draw, random_prior


def decoded(stored: bytes, prior: Prior, n_rows: int) -> np.ndarray:
    kind = np.uint8 if prior.lo >= 0 else np.int8
    return np.frombuffer(rans.decode_rows(stored, prior, n_rows=n_rows), kind).reshape(n_rows, *prior.dims)


@st.composite
def any_prior(chosen):
    is_signed = chosen(st.booleans())
    least, most = (-128, 127) if is_signed else (0, 255)
    lo = chosen(st.integers(least, most - 1))
    return random_prior(
        chosen(st.integers(0, 2**32)),
        dims=chosen(st.sampled_from([(1,), (5,), (2, 1, 3)])),
        lo=lo,
        hi=chosen(st.integers(lo + 1, most)),
        bits=chosen(st.integers(8, 16)),
        n_classes=chosen(st.integers(1, 40)),
        n_tables=chosen(st.integers(1, 5)),
        peak=chosen(st.sampled_from([0.0, 1.0, 9.0])),
    )


@settings(max_examples=60)
@given(
    prior=any_prior(), n_rows=st.integers(1, 50), log2=st.integers(0, 5), seed=st.integers(0, 99), likely=st.booleans()
)
def test_any_rows_come_back_under_any_prior(prior, n_rows, log2, seed, likely):
    """Likely rows and unlikely ones, in any number of lanes."""
    rng = np.random.default_rng(seed)
    rows = draw(prior, n_rows, seed) if likely else rng.integers(prior.lo, prior.hi + 1, (n_rows, *prior.dims))
    n_lanes = min(1 << log2, 1 << n_rows.bit_length() - 1)

    stored = rans.encode_rows(rows, prior, n_lanes=n_lanes)

    np.testing.assert_array_equal(decoded(stored, prior, n_rows), rows)


@pytest.mark.parametrize("n_lanes", [1, 64, 256])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_the_size_is_within_one_percent_of_the_ideal_code(bits, n_lanes):
    """Besides one byte and four a lane."""
    prior = random_prior(3, dims=(24,), bits=bits, n_classes=20)
    rows = draw(prior, 2_000)

    n_bytes = len(rans.encode_rows(rows, prior, n_lanes=n_lanes))

    _, costs = prior.choose(rows)
    ideal = int(costs.sum()) / 65_536 / 8
    assert ideal <= n_bytes <= 1.01 * ideal + 1 + 4 * n_lanes


@given(prior=any_prior(), seed=st.integers(0, 99))
def test_each_row_is_in_its_cheapest_class(prior, seed):
    """The lowest of equals; the costs are those of the symbols, one by one."""
    rows = np.random.default_rng(seed).integers(prior.lo, prior.hi + 1, (9, *prior.dims))

    classes, costs = prior.choose(rows)

    symbols = (rows[:, None] - prior.lo - prior.means) % prior.n_symbols
    each = prior.table_costs[prior.picks[None], symbols].astype(np.int64)
    total = each.reshape(9, prior.n_classes, -1).sum(axis=2) + prior.class_costs
    np.testing.assert_array_equal(classes, total.argmin(axis=1))
    np.testing.assert_array_equal(costs, total.min(axis=1))


def test_choosing_is_the_same_where_costs_are_not_kept(monkeypatch):
    """Large priors have no table of all costs."""
    rows = draw(random_prior(1), 300)
    kept = random_prior(1).choose(rows)

    monkeypatch.setattr("aeformat.container.prior._KEPT_BYTES", 0)
    monkeypatch.setattr("aeformat.container.prior._BLOCK_BYTES", 1)

    for a, b in zip(kept, random_prior(1).choose(rows), strict=True):
        np.testing.assert_array_equal(a, b)


def test_choosing_in_one_class_takes_no_step_for_each_position(monkeypatch):
    """Rows may have a million values: the cost is that of a prior of many classes, and nothing goes position by position."""
    prior = random_prior(4, dims=(3, 50), n_classes=1, lo=-100, hi=27)
    rows = np.random.default_rng(0).integers(-100, 28, (90, 3, 50)).astype(np.int8)
    twice = Prior(
        bits=13, lo=-100, hi=27, classes=np.concatenate([prior.classes] * 2), tables=2 * prior.tables,
        means=np.concatenate([prior.means] * 2), picks=np.concatenate([prior.picks] * 2),
    )  # fmt: skip
    _, costs = twice.choose(rows)
    monkeypatch.setattr(Prior, "value_costs", None)
    monkeypatch.setattr("aeformat.container.prior._BLOCK_BYTES", 8 * 150 * 7)

    classes, in_one = prior.choose(rows)

    np.testing.assert_array_equal(in_one, costs - 65_536, "naming one of two classes costs a bit")
    assert not classes.any() and classes.dtype == np.intp


def test_costs_are_logarithms_rounded_up():
    """For every frequency of 16 bits, to 1/65,536 bits, without a float in the path."""
    f = np.arange(1, 65_537)

    over = symbol_costs(f, 16) - 65_536 * (16 - np.log2(f))

    assert over.min() >= 0 and over.max() < 1.001


def test_a_symbol_of_all_frequency_takes_no_byte():
    """However many there are: the state at the end is the one at the beginning."""
    prior = Prior(
        bits=16, lo=0, hi=1, classes=np.array([65_536]), tables=np.array([[65_535, 1]]),
        means=np.zeros((1, 3), np.uint8), picks=np.zeros((1, 3), np.uint8),
    )  # fmt: skip

    assert len(rans.encode_rows(np.zeros((1_000, 3), np.int8), prior, n_lanes=1)) == 5


@pytest.mark.parametrize("n_lanes", [1, 2, 8])
def test_hostile_payloads_end_by_their_rule(n_lanes):
    """Every cut, every flipped bit, and noise: BadCode by a rule of section 6.1, or rows that are in the range."""
    prior = random_prior(2)
    rows = draw(prior, 20)
    good = rans.encode_rows(rows, prior, n_lanes=n_lanes)
    rng = np.random.default_rng(0)
    hostile = [good[:i] for i in range(1, len(good))]
    hostile += [bytes(b ^ (i == at) << bit for i, b in enumerate(good)) for at in range(len(good)) for bit in range(8)]
    hostile += [good[:1] + rng.bytes(len(good) - 1) for _ in range(200)] + [rng.bytes(30) for _ in range(200)]
    n_refused = 0

    for stored in hostile:
        try:
            values = decoded(stored, prior, 20)
        except rans.BadCode as error:
            assert error.rule.startswith("C6-") and 7 <= int(error.rule[3:]) <= 12
            n_refused += 1
        else:
            assert prior.lo <= values.min() and values.max() <= prior.hi

    assert n_refused == len(hostile), "a state at the end that is right by chance has a chance of 2^-16 and less"


@pytest.mark.parametrize("n_lanes", [1, rans.FEW_LANES, 2 * rans.FEW_LANES, 64])
def test_few_lanes_and_many_give_the_rows_back(n_lanes):
    """The lanes go one after the other, or at once."""
    prior = random_prior(5)
    rows = draw(prior, 150)

    stored = rans.encode_rows(rows, prior, n_lanes=n_lanes)

    np.testing.assert_array_equal(decoded(stored, prior, 150), rows)


@pytest.mark.parametrize("n_lanes", [rans.FEW_LANES, 2 * rans.FEW_LANES])
def test_a_code_of_more_or_fewer_words_is_refused(n_lanes):
    """C6-11, in the same words where the lanes go one after the other and where they go at once."""
    prior = random_prior(2)
    good = rans.encode_rows(draw(prior, 80), prior, n_lanes=n_lanes)
    n_words = (len(good) - 1 - 4 * n_lanes) // 2

    for stored, what in (
        (good[:-2], f"the {n_words - 1} words do not last for all rows"),
        (good[: 1 + 4 * n_lanes], "the 0 words do not last for all rows"),
        (good + bytes(2), "1 words are left over"),
    ):
        with pytest.raises(rans.BadCode) as caught:
            decoded(stored, prior, 80)
        assert (caught.value.rule, caught.value.what) == ("C6-11", what)


@pytest.mark.parametrize(
    "n_rows, n_values, lanes",
    [(1, 32, 1), (127, 32, 1), (249, 32, 2), (10_000, 32, 64), (16_384, 32, 128), (16_384, 128, 256), (64, 16_384, 64),
     (1, RANS_STEPS, 1), (3, RANS_STEPS // 2, 2)],
)  # fmt: skip
def test_the_writer_takes_lanes_by_the_number_of_symbols(n_rows, n_values, lanes):
    """Near one for 4,096, a power of two, at most 256 and one a row."""
    assert rans.usual_lanes(n_rows, n_values) == lanes


def test_rows_that_no_lanes_code_are_left_alone():
    """More than 2^20 values in one row: C6-8 would refuse the code, so there is none."""
    prior = random_prior(1, dims=(RANS_STEPS,), n_classes=1)

    assert rans.encode_rows(np.zeros((1, RANS_STEPS), np.int8), prior) is None


# Files.

PRIOR = random_prior(5, dims=(2, 3), n_classes=9, peak=3.0)
DECODER = decoder_of(PRIOR, lo=-6, hi=9, dims=(2, 3))
ROWS = draw(PRIOR, 400).astype(np.int8)


def header(codec="rans", decoder=DECODER) -> LatentsHeader:
    return LatentsHeader(decoder.model_id, (2, 3), (2, 2, 1), "i8", codec)


def file(rows=ROWS, *, codec="rans", names=None, embed=False, **more) -> bytes:
    sink = io.BytesIO()
    prior = prior_of(DECODER) if codec == "rans" else None
    decoder = package_bytes(DECODER) if embed else None
    with LatentsWriter(sink, header(codec), prior=prior, decoder=decoder, **more) as writer:
        writer.write(rows, names)
    return sink.getvalue()


def rows_of(data: bytes, prior=None) -> np.ndarray:
    stream = stream_latents(io.BytesIO(data))
    if prior is not None:
        stream.give_prior(prior)
    return np.concatenate([block.values for block in stream])


def test_twins_have_one_content_id():
    """none, zstd and rans hold the same; rans is the smallest."""
    files = {codec: file(codec=codec) for codec in ("none", "zstd", "rans")}
    streams = {codec: stream_latents(io.BytesIO(data)) for codec, data in files.items()}
    streams["rans"].give_prior(prior_of(DECODER))

    for stream in streams.values():
        np.testing.assert_array_equal(np.concatenate([block.values for block in stream]), ROWS)

    assert len({stream.trailer.content_id for stream in streams.values()}) == 1
    assert len(files["rans"]) < len(files["zstd"]) < len(files["none"])


def test_the_embedded_decoder_is_all_it_takes(tmp_path):
    """Forward and by random access, with names."""
    data = file(embed=True, chunk_rows=150, names=row_names(400))
    (tmp_path / "x.aef").write_bytes(data)

    np.testing.assert_array_equal(rows_of(data), ROWS)
    with open_latents(tmp_path / "x.aef") as latents:
        assert not latents.needs_prior
        np.testing.assert_array_equal(latents.rows(100, 320), ROWS[100:320])
        assert latents.names(399).names == ("digits/399.png",)


BROKEN_DECODERS = {
    "another manifest": (lambda package: split(package).change(0, stored=b"\x80", raw_len=None).join(), "M1-2"),
    "no container": (lambda package: package[1:], "C2-1"),
    "another decoder": (lambda _: package_bytes(decoder_of(None, lo=-6, hi=9, dims=(2, 3))), "C7-4"),
}


@pytest.mark.parametrize(("damage", "rule"), BROKEN_DECODERS.values(), ids=BROKEN_DECODERS)
@pytest.mark.parametrize("is_coded", [True, False], ids=["coded rows", "rows as they are"])
def test_a_broken_decoder_inside_is_refused_by_both_readers(damage, rule, is_coded, tmp_path):
    """Codec rans uses it as soon as it comes (section 6.1): nobody hands it out unchecked, also where no row needs it."""
    rows = ROWS if is_coded else ROWS[PRIOR.choose(ROWS)[1].argmax()][None]
    sink = io.BytesIO()
    with LatentsWriter(sink, header(), prior=prior_of(DECODER), decoder=damage(package_bytes(DECODER))) as writer:
        writer.write(rows)
    (tmp_path / "x.aef").write_bytes(sink.getvalue())
    broken = []

    with pytest.raises(FormatError) as forward:
        list(stream_latents(io.BytesIO(sink.getvalue())))
    with open_latents(tmp_path / "x.aef") as latents:
        for ask in (lambda: latents.embedded_decoder, lambda: latents.needs_prior, lambda: latents.embedded_decoder):
            with pytest.raises(FormatError) as caught:
                ask()
            broken.append((caught.value.rule, caught.value.at))

    assert forward.value.rule == rule
    assert broken == [(rule, forward.value.at)] * 3


def test_without_the_decoder_rows_are_missing_not_broken(tmp_path):
    """Exit code 4, the model id in the message; given the prior, the same reader goes on."""
    (tmp_path / "x.aef").write_bytes(file())

    with pytest.raises(DecoderMissing, match=DECODER.model_id.hex()):
        rows_of(file())
    stream = stream_latents(io.BytesIO(file()))
    assert stream.needs_prior and not stream_latents(io.BytesIO(file(embed=True))).needs_prior
    stream.give_prior(prior_of(DECODER))
    assert not stream.needs_prior
    with open_latents(tmp_path / "x.aef") as latents:
        assert latents.needs_prior
        with pytest.raises(DecoderMissing):
            latents[0]
        latents.give_prior(prior_of(DECODER))
        np.testing.assert_array_equal(latents[7], ROWS[7])


def test_rows_that_are_stored_as_they_are_need_no_decoder():
    """One row that the prior does not expect: its code would be longer than the row."""
    dearest = ROWS[PRIOR.choose(ROWS)[1].argmax()][None]

    np.testing.assert_array_equal(rows_of(file(dearest)), dearest)


CHEAP = Prior(
    bits=16, lo=-6, hi=9, classes=np.array([65_536]), tables=np.array([[65_521] + [1] * 15]),
    means=np.zeros((1, 2, 3), np.uint8), picks=np.zeros((1, 2, 3), np.uint8),
)  # fmt: skip
CHEAP_DECODER = decoder_of(CHEAP, lo=-6, hi=9, dims=(2, 3))
CHEAP_ROWS = np.full((6_000, 2, 3), -6, np.int8)


def cheap(*, embed: bool) -> bytes:
    """Six chunks of 1,000 rows in 7,000 steps and a few bytes each."""
    sink, decoder = io.BytesIO(), package_bytes(CHEAP_DECODER) if embed else None
    prior = prior_of(CHEAP_DECODER)
    with LatentsWriter(sink, header(decoder=CHEAP_DECODER), prior=prior, decoder=decoder, chunk_rows=1_000) as writer:
        writer.write(CHEAP_ROWS)
    return sink.getvalue()


def test_the_steps_of_all_chunks_count_together():
    """C6-8, before the chunk that is too much is decoded: forward, by the validator, and without the decoder."""
    for embed in (False, True):
        data = cheap(embed=embed)
        at = [e.payload_at for e in events(io.BytesIO(data)) if isinstance(e, ChunkRead) and e.header.tag == b"ROWS"][3]
        few = Limits(rans_steps=4 * 7_000 - 16 * (at + 5) - 1)
        stream = stream_latents(io.BytesIO(data), limits=few)
        if not embed:
            stream.give_prior(prior_of(CHEAP_DECODER))
        with pytest.raises(LimitExceeded) as caught:
            list(stream)
        assert (caught.value.rule, caught.value.at) == ("C6-8", at)
        problems = validate(io.BytesIO(data), limits=few).problems
        assert (problems[0].rule, problems[0].at) == ("C6-8", at)
        np.testing.assert_array_equal(rows_of(data, None if embed else prior_of(CHEAP_DECODER)), CHEAP_ROWS)


def test_who_seeks_counts_a_chunk_once_and_all_bytes(tmp_path):
    """Three chunks may be read, as often as one likes, in any order; the fourth is refused, again and again."""
    data = cheap(embed=True)
    (tmp_path / "x.aef").write_bytes(data)

    with open_latents(tmp_path / "x.aef", limits=Limits(rans_steps=21_000 - 16 * len(data))) as latents:
        for chunk in (5, 0, 5, 2, 0, 2):
            assert latents[1_000 * chunk].tolist() == CHEAP_ROWS[0].tolist()
        for _ in range(2):
            with pytest.raises(LimitExceeded, match="C6-8"):
                latents[1_000]


def test_the_writer_keeps_to_the_steps_that_its_bytes_allow(monkeypatch):
    """More lanes where that is enough, else rows as they are, whose bytes pay for the code of others."""
    budget = costs.StepBudget
    monkeypatch.setattr("aeformat.container.costs.StepBudget", lambda steps=0, **more: budget(0, **more))
    data = cheap(embed=False)

    np.testing.assert_array_equal(rows_of(data, prior_of(CHEAP_DECODER)), CHEAP_ROWS)
    stored = [chunk.stored for chunk in split(data).chunks if chunk.tag == b"ROWS"]
    assert len(stored[0]) < 6_000 and stored[0][0] > 0, "in several lanes"
    monkeypatch.setattr("aeformat.container.costs.StepBudget", lambda steps=0, **more: budget(-3_000, **more))
    data = cheap(embed=False)
    np.testing.assert_array_equal(rows_of(data, prior_of(CHEAP_DECODER)), CHEAP_ROWS)
    stored = [len(chunk.stored) for chunk in split(data).chunks if chunk.tag == b"ROWS"]
    assert stored[0] == 6_000 and max(stored[1:]) < 6_000


OTHERS = {
    "another": (decoder_of(random_prior(6, dims=(2, 3)), lo=-6, hi=9, dims=(2, 3)), DecoderMismatch, None),
    "no prior": (decoder_of(None, lo=-6, hi=9, dims=(2, 3)), HeaderInvalid, "C3-16"),
    "other dims": (decoder_of(random_prior(6, dims=(6,)), lo=-6, hi=9, dims=(6,)), HeaderInvalid, "C3-14"),
    "u8": (decoder_of(random_prior(6, dims=(2, 3), lo=0, hi=15), lo=0, hi=15, dims=(2, 3)), HeaderInvalid, "C3-14"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_a_decoder_that_does_not_fit_is_refused(case):
    """Another one by its model id, the right one without what it takes by the rule; by reader and writer alike."""
    decoder, kind, rule = OTHERS[case]
    head = header(decoder=DECODER if rule is None else decoder)

    with pytest.raises(kind) as caught:
        LatentsWriter(io.BytesIO(), head, prior=prior_of(decoder))
    if rule is None:
        with pytest.raises(kind):
            rows_of(file(), prior_of(decoder))
    else:
        assert caught.value.rule == rule


@pytest.mark.parametrize("value", [-7, 10])
def test_a_latent_outside_the_decoder_s_range_is_not_written(value):
    """M4-7; the row is named, and the byte is that of the number in all rows (model.md, section 8), however they are cut."""
    rows = ROWS.copy()
    rows[123, 1, 2] = value

    for more in ({}, {"chunk_rows": 50}, {"embed": True}):
        with pytest.raises(ValueInvalid, match="row 123 holds") as caught:
            file(rows, **more)

        assert (caught.value.rule, caught.value.at) == ("M4-7", 6 * 123 + 5)


def test_a_value_outside_the_prior_has_no_code():
    """A caller's mistake, where the writer is not asked."""
    for value in (-7, 10):
        with pytest.raises(ValueError, match="outside the prior's range, -6 to 9"):
            rans.encode_rows(np.full((1, 2, 3), value, np.int16), PRIOR)


def test_the_writer_wants_a_prior_for_codec_rans_and_for_no_other():
    """A caller's mistake."""
    with pytest.raises(ValueError, match="prior"):
        LatentsWriter(io.BytesIO(), header())
    with pytest.raises(ValueError, match="prior"):
        LatentsWriter(io.BytesIO(), header("zstd"), prior=prior_of(DECODER))


def test_the_validator_says_what_it_could_not_check():
    """Without the decoder a file is good as far as it can be seen, and the report says how far that is."""
    report = validate(io.BytesIO(file()))
    assert (report.problems, exit_code_of(report)) == ([], 0)
    assert "400 rows" in report.not_checked and DECODER.model_id.hex() in report.as_dict()["not_checked"]

    report = validate(io.BytesIO(file()), find_prior=lambda head: prior_of(DECODER))
    assert (report.problems, report.not_checked) == ([], "")

    report = validate(io.BytesIO(file(embed=True)))
    assert (report.problems, report.not_checked) == ([], "")


@pytest.mark.parametrize("embed", [False, True])
def test_who_sends_it_on_checks_what_can_be_checked(embed):
    """The transport takes it with and without its decoder, and refuses what it sees is broken."""
    good = file(embed=embed)
    verifier = Verifier(TransferLimits())
    verifier.feed(good)
    verifier.close()
    assert verifier.is_complete

    parts = split(good)
    code = parts.chunks[-1].stored
    broken = [b"\x0b" + code[1:]] + [code[:-2]] * embed
    for stored in broken:
        with pytest.raises(FormatError) as caught:
            Verifier(TransferLimits()).feed(parts.change(-1, stored=stored).join())
        assert caught.value.rule == ("C6-7" if stored is broken[0] else "C6-11")


def test_the_validator_finds_what_only_the_decoder_shows():
    """The code of other rows, then one that is cut."""
    parts = split(file())
    for stored, rule in (
        (rans.encode_rows(ROWS[::-1], PRIOR), "C9-6"),
        (parts.chunks[0].stored[:-2], "C6-11"),
        (b"\x0b" + parts.chunks[0].stored[1:], "C6-7"),
    ):
        data = parts.change(0, stored=stored).join()
        unread = validate(io.BytesIO(data))
        read = validate(io.BytesIO(data), find_prior=lambda head: prior_of(DECODER))

        assert [p.rule for p in unread.problems] == ([rule] if rule == "C6-7" else [])
        assert [p.rule for p in read.problems] == [rule]


def test_noise_in_a_package_never_surprises_the_reader_of_priors():
    """Every flipped byte of an embedded decoder ends in a FormatError, and most flips are found by a checksum."""
    data = file(ROWS[:50], embed=True)
    front = data.index(b"dECo") + 32
    size = len(package_bytes(DECODER))

    for at in range(front, front + size, 7):
        bad = bytearray(data)
        bad[at] ^= 0x41
        with pytest.raises(FormatError):
            rows_of(bytes(bad))
