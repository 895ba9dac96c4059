"""aeformat.container.passes, rans_passes: latents of any size through a code with passes and back, and where one is refused."""

from __future__ import annotations

import io
from math import log2
from pathlib import Path

import numpy as np
import pytest

from aeformat.container import rans_passes
from aeformat.container.costs import StepBudget
from aeformat.container.decoder_prior import DecoderPrior, read_decoder_prior
from aeformat.container.header import LatentsHeader
from aeformat.container.limits import PASS_ELEMENTS
from aeformat.container.parser import ChunkRead, Parser
from aeformat.container.passes import PHASES, NetworkCost, PassesPrior, phase_sizes
from aeformat.container.payloads import RowReader
from aeformat.container.prior import BadPrior
from aeformat.container.ragged import RaggedRows
from aeformat.container.rans import BadCode
from aeformat.container.reader import Latents
from aeformat.container.sizes import RowForm, RowSizes
from aeformat.container.stream import LatentStream, stream_latents
from aeformat.container.work import work_of
from aeformat.container.writer import LatentsWriter
from aeformat.errors import DecoderMissing, LimitExceeded, ValueInvalid

VECTORS = Path(__file__).parents[2] / "spec" / "vectors"
GROUPS = (1, 2)
FORM = RowForm((0, 0, 3), (0, 0, 1))
SIZES = [(1, 1), (2, 3), (1, 7), (6, 1), (5, 5), (5, 5), (12, 9)]
LO, HI = -4, 3


class Neighbours:
    """A network of no layers: a symbol's mean is the last latent of its pass' group so far, its table a mix of place and row."""

    n_elements = 10

    def row(self, height, width):
        return _Row(height, width)

    def cost(self, height, width):
        return NetworkCost(2, 80 * height * width, self.n_elements * height * width)


class _Row:
    def __init__(self, height, width):
        self._passes = [(n, size) for n in GROUPS for size in phase_sizes(height, width) if min(size)]
        self._last = 0

    def expect(self):
        n, size = self._passes.pop(0)
        shape = (*size, n)
        picks = (np.arange(np.prod(shape)).reshape(shape) + self._last) % 3
        return np.full(shape, self._last, np.int16), picks.astype(np.uint8)

    def put(self, values):
        self._last = int(values.flat[-1])


TABLES = np.array([
    [200, 20, 0, 0, 0, 0, 0, 20, 16], [100, 50, 30, 10, 6, 10, 20, 30, 0], [0] * 8 + [256],
], np.int32)  # fmt: skip
PRIOR = PassesPrior(bits=8, lo=LO, hi=HI, groups=GROUPS, tables=TABLES, network=Neighbours())
HEADER = LatentsHeader(bytes(32), (0, 0, 3), (0, 0, 1), "i8", codec="rans")
OF_DECODER = DecoderPrior(bytes(32), "i8", (0, 0, 3), (0, 0, 1), PRIOR, has_passes=True)


def rows(seed=0, sizes=SIZES):
    """Latents near 0, some far."""
    draw = np.random.default_rng(seed)
    made = [np.clip(np.rint(draw.laplace(0, 0.7, (h, w, 3))), LO, HI).astype(np.int8) for h, w in sizes]
    return RaggedRows.of(FORM, made, sizes)


def raw(latents):
    return latents.flat.astype(np.int8).tobytes()


@pytest.mark.parametrize("log2_lanes", range(9))
def test_rows_come_back_from_any_number_of_lanes(log2_lanes):
    """Few lanes and many go different ways."""
    latents = rows()

    code = rans_passes.encode_passes(latents.flat, latents.sizes, PRIOR, n_lanes=1 << log2_lanes)

    assert code[0] == log2_lanes
    assert bytes(rans_passes.decode_passes(code, PRIOR, latents.sizes)) == raw(latents)


def test_a_code_is_near_its_ideal_length():
    """The information content of each symbol, with that of its escape, by plain logarithms."""
    latents = rows(sizes=[(40, 40)] * 4)
    bits = 0.0
    for row in latents:
        passing = Neighbours().row(*row.shape[:2])
        for place in PRIOR.passes(*row.shape[:2]):
            means, picks = passing.expect()
            symbols = (row[place] - means) % 8
            f = TABLES[picks, symbols]
            escape = TABLES[picks, 8]
            bits -= np.log2(np.where(f > 0, f, np.maximum(escape, 1)) / 256).sum() - 3 * (f == 0).sum()
            passing.put(row[place])

    code = rans_passes.encode_passes(latents.flat, latents.sizes, PRIOR)

    assert bits / 8 < len(code) < 1.015 * bits / 8


def test_costs_are_those_of_symbols_and_escapes():
    """In 1/65,536 bits."""
    assert PRIOR.costs[0, 0] / 65_536 == pytest.approx(8 - log2(200), abs=1e-4)
    assert PRIOR.costs[0, 3] / 65_536 == pytest.approx(8 - log2(16) + 3, abs=1e-4)
    assert PRIOR.costs[2, 5] / 65_536 == pytest.approx(3, abs=1e-4)


def test_lanes_grow_with_the_code():
    """One for a small file, at most what there are values for, at most 256."""
    assert [rans_passes.usual_passes_lanes(8 * n, n, 256) for n in (0, 300, 3_000, 30_000, 300_000)] == [
        1,
        1,
        4,
        32,
        256,
    ]
    assert rans_passes.usual_passes_lanes(8 * 300_000, 300_000, 16) == 16
    assert rans_passes.usual_passes_lanes(8 * 300, 393_216, 256) == 16


@pytest.mark.parametrize(
    ("tables", "what"),
    [
        ([[255] + [0] * 7 + [0]], "sum"),
        ([[257] + [0] * 6 + [-1, 0]], "sum"),
        ([[256] + [0] * 8], "no escape"),
        ([TABLES[1].tolist(), [100, 50, 30, 10, 6, 10, 20, 29, 1]], "table 1 has an escape that no symbol takes"),
    ],
)
def test_tables_that_break_m10_4_are_refused(tables, what):
    """M10-4."""
    with pytest.raises(BadPrior, match=what) as caught:
        PassesPrior(bits=8, lo=LO, hi=HI, groups=GROUPS, tables=np.array(tables, np.int32), network=Neighbours())
    assert caught.value.rule == "M10-4"


LATENTS = rows(3)
ONE, MANY = (rans_passes.encode_passes(LATENTS.flat, LATENTS.sizes, PRIOR, n_lanes=n) for n in (1, 16))


def _escaping():
    """A code that escapes to the most probable symbol: what a writer must not make."""
    one = RaggedRows.of(FORM, [np.zeros((1, 1, 3), np.int8)], [(1, 1)])
    tables = np.array([[0, 128, 0, 0, 0, 0, 0, 0, 128], TABLES[1], TABLES[2]], np.int32)
    lying = PassesPrior(bits=8, lo=LO, hi=HI, groups=GROUPS, tables=tables, network=Neighbours())
    honest = np.array([[1, 127, 0, 0, 0, 0, 0, 0, 128], TABLES[1], TABLES[2]], np.int32)
    return (
        one.sizes,
        rans_passes.encode_passes(one.flat, one.sizes, lying, n_lanes=1),
        PassesPrior(bits=8, lo=LO, hi=HI, groups=GROUPS, tables=honest, network=Neighbours()),
    )


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        (b"\x0b" + ONE[1:], "C6-7"), (b"\x0a" + ONE[1:], "C6-7"), (ONE[:-1], "C6-9"), (MANY[:60], "C6-9"), (b"\0", "C6-9"),
        (ONE[:1] + b"\xff\xff\0\0" + ONE[5:], "C6-10"), (ONE[:-2], "C6-11"), (MANY[:-2], "C6-11"), (ONE + b"\0\0", "C6-11"),
        (MANY + b"\0\0", "C6-11"),
    ],
)  # fmt: skip
def test_a_broken_code_is_refused_by_its_rule(code, rule):
    """With few lanes and with many."""
    with pytest.raises(BadCode) as caught:
        rans_passes.decode_passes(code, PRIOR, LATENTS.sizes)
    assert caught.value.rule == rule


def test_a_state_that_is_left_over_is_refused():
    """C6-12: the first state one higher, with the low bits of a symbol that has no neighbour to fall into."""
    one = RaggedRows.of(FORM, [np.full((1, 1, 3), -1, np.int8)], [(1, 1)])
    flat = PassesPrior(
        bits=8, lo=LO, hi=HI, groups=GROUPS, tables=np.array([[32] * 8 + [0]] * 3, np.int32), network=Neighbours()
    )
    code = rans_passes.encode_passes(one.flat, one.sizes, flat, n_lanes=1)
    state = int.from_bytes(code[1:5], "little") + 1
    with pytest.raises(BadCode) as caught:
        rans_passes.decode_passes(code[:1] + state.to_bytes(4, "little") + code[5:], flat, one.sizes)
    assert caught.value.rule == "C6-12"


def test_an_escape_for_nothing_is_refused():
    """C6-13, behind all other rules."""
    sizes, code, prior = _escaping()
    with pytest.raises(BadCode) as caught:
        rans_passes.decode_passes(code, prior, sizes)
    assert caught.value.rule == "C6-13"


def test_steps_count_layers_values_and_lanes():
    """C6-8, by hand: 5 x 5 positions in passes of 9, 4, 6 and 6 positions, for one and for two channels."""
    sizes = RowSizes.of(FORM, [(5, 5, 5, 5)] * 3)
    per_row = 2 * 10_000 + 16 * 75 + 512 * (3 + 1 + 2 + 2 + 5 + 2 + 3 + 3) + 80 * 25 // 8

    assert rans_passes.n_passes_steps(PRIOR, sizes, 4) == -(-3 * per_row // 4_096)


def test_more_steps_than_allowed_are_refused_and_not_written():
    """C6-8."""
    with pytest.raises(BadCode, match="allowed are 5 more") as caught:
        rans_passes.check_steps(ONE, PRIOR, LATENTS.sizes, 5)
    assert caught.value.rule == "C6-8"
    assert rans_passes.encode_passes(LATENTS.flat, LATENTS.sizes, PRIOR, most_steps=5) is None
    many = RowSizes.of(FORM, [(1, 1, 1, 1)] * 210_000)
    with pytest.raises(BadCode, match="in one chunk"):
        rans_passes.check_steps(ONE, PRIOR, many)


def test_more_lanes_are_taken_where_steps_are_scarce():
    """Between what the usual lanes take and what all of them do."""
    few, most = (rans_passes.n_passes_steps(PRIOR, LATENTS.sizes, n) for n in (1, 256))

    code = rans_passes.encode_passes(LATENTS.flat, LATENTS.sizes, PRIOR, most_steps=most)

    assert most < few and code[0] > 0
    assert bytes(rans_passes.decode_passes(code, PRIOR, LATENTS.sizes)) == raw(LATENTS)


class Greedy(Neighbours):
    n_elements = PASS_ELEMENTS


def test_layers_that_make_too_much_are_refused():
    """C6-8, before memory is taken."""
    greedy = PassesPrior(bits=8, lo=LO, hi=HI, groups=GROUPS, tables=TABLES, network=Greedy())
    with pytest.raises(BadCode, match="the layers of the passes make"):
        rans_passes.check_steps(ONE, greedy, LATENTS.sizes)
    assert rans_passes.encode_passes(LATENTS.flat, LATENTS.sizes, greedy) is None


def test_a_latent_out_of_range_is_refused():
    """Before anything is coded."""
    with pytest.raises(ValueError, match="outside the prior's range, -4 to 3"):
        rans_passes.encode_passes(np.array([0, 4, 0], np.int8), RowSizes.of(FORM, [(1, 1, 1, 1)]), PRIOR)


# --- Files ------------------------------------------------------------------------------------------------------------


def written(latents, prior=OF_DECODER, **more):
    sink = io.BytesIO()
    with LatentsWriter(sink, HEADER, prior=prior, **more) as writer:
        writer.write(latents)
    return sink.getvalue()


def test_a_file_comes_back_forward_and_by_random_access(tmp_path):
    """Several chunks, of which one is charged once however often it is read."""
    latents = rows(5)
    data = written(latents, chunk_rows=3)
    path = tmp_path / "a.aef"
    path.write_bytes(data)

    stream = LatentStream(io.BytesIO(data))
    assert stream.needs_prior
    stream.give_prior(OF_DECODER)
    assert b"".join(block.values.flat.tobytes() for block in stream) == raw(latents)
    with Latents(path) as file:
        assert file.needs_prior
        file.give_prior(OF_DECODER)
        assert not file.needs_prior
        for number in (6, 0, 4, 6):
            assert np.array_equal(file[number], latents[number])


def test_without_what_computes_the_passes_rows_are_missing_their_decoder(tmp_path):
    """Reading and writing; and a check reads on."""
    nobody = OF_DECODER._replace(prior=None)
    data = written(rows(5))
    stream = LatentStream(io.BytesIO(data))
    stream.give_prior(nobody)
    with pytest.raises(DecoderMissing, match="what computes the passes of its prior is not here"):
        list(stream)
    with pytest.raises(DecoderMissing):
        written(rows(5), prior=nobody)


def test_who_finds_priors_is_asked_when_rows_first_take_one(tmp_path):
    """Once, with the file that asks; never for rows that are not coded."""
    asked = []

    def find(latents):
        asked.append(latents)
        return OF_DECODER

    latents = rows(5)
    path, plain = tmp_path / "a.aef", tmp_path / "plain.aef"
    path.write_bytes(written(latents, chunk_rows=3))
    plain.write_bytes(written(rows(1, [(1, 1)])))  # larger as a code, so it is none
    with Latents(path, find_prior=find) as file, stream_latents(path, find_prior=find) as stream:
        assert file.header.codec == "rans" and len(file.sizes()) == len(latents) and not asked
        assert all(np.array_equal(file[number], latents[number]) for number in (6, 0, 4, 6)) and asked == [file]
        assert b"".join(block.values.flat.tobytes() for block in stream) == raw(latents) and asked == [file, stream]
    with path.open("rb") as opened:
        assert len(list(stream_latents(opened, find_prior=find))) > 1 and len(asked) == 3
    with Latents(plain, find_prior=find) as file, stream_latents(plain, find_prior=find) as stream:
        assert file[0].size == 3 and len(list(stream)) == 1
    assert len(asked) == 3


def test_a_latent_that_the_decoder_does_not_take_has_its_byte():
    """M4-7, in the rows handed over, chunks before it included."""
    sink = io.BytesIO()
    bad = RaggedRows.of(FORM, [np.zeros((1, 2, 3), np.int8), np.full((1, 1, 3), 4, np.int8)], [(1, 2), (1, 1)])
    writer = LatentsWriter(sink, HEADER, prior=OF_DECODER, chunk_rows=2)
    writer.write(rows(1, [(1, 1), (1, 1)]))
    with pytest.raises(ValueInvalid, match="row 3 holds 4, the decoder takes -4 to 3") as caught:
        writer.write(bad)
    assert (caught.value.rule, caught.value.at) == ("M4-7", 12)


def test_a_code_that_is_not_smaller_is_not_written():
    """One latent of one position takes three bytes as it is."""
    data = written(rows(1, [(1, 1)]))
    stream = LatentStream(io.BytesIO(data))
    assert next(iter(stream)).values.flat.size == 3


def test_a_file_may_take_so_many_steps(monkeypatch):
    """C6-8 for the chunks of a file together."""
    data = written(rows(5), chunk_rows=3)
    monkeypatch.setattr("aeformat.container.costs.RANS_STEPS_A_BYTE", 0)
    stream = LatentStream(io.BytesIO(data))
    stream._rows.budget = StepBudget(60)
    stream.give_prior(OF_DECODER)
    with pytest.raises(LimitExceeded, match="more after what came before") as caught:
        list(stream)
    assert caught.value.rule == "C6-8"


def test_phases_cover_every_position_once():
    """As long as there are rows and columns for them."""
    for height, width in SIZES:
        seen = np.zeros((height, width, 3), int)
        for place in PRIOR.passes(height, width):
            seen[place] += 1
        assert (seen == 1).all()
    assert [(y, x) for y, x in PHASES] == [(0, 0), (1, 1), (0, 1), (1, 0)]


def test_the_memory_of_a_prior_grows_with_what_is_looked_up():
    """Tables first, then what the coder makes of them."""
    fresh = PassesPrior(bits=8, lo=LO, hi=HI, groups=GROUPS, tables=TABLES, network=Neighbours())
    assert fresh.held_bytes == TABLES.nbytes
    assert fresh.symbols.bits == 8 and fresh.held_bytes == TABLES.nbytes + 3 * 256 * 2 + 2 * 27 * 8


def test_work_of_passes_is_known_with_the_prior():
    """C13-1: 0 without it, and 0 for what is refused at its first bytes."""
    data = written(LATENTS)
    reader, found = RowReader(HEADER), []
    for event in Parser().each(data):
        if isinstance(event, ChunkRead) and event.header.tag == b"ROWS":
            assert reader.n_steps(event) == 0
            reader.give_prior(OF_DECODER)
            found.append(reader.n_steps(event))
            assert work_of(event, HEADER) == 4 * event.header.raw_bytes
            assert reader.n_steps(event._replace(stored=b"\x0b" + bytes(event.stored[1:]))) == 0
    assert found == [rans_passes.n_passes_steps(PRIOR, LATENTS.sizes, 1)]


def test_a_decoder_with_passes_is_known_by_its_manifest():
    """Nothing of the passes is read: whoever computes them does."""
    found = read_decoder_prior((VECTORS / "model/valid/092-passes-tiny.aef").read_bytes())
    assert (found.type, found.dims, found.image) == ("u8", (0, 0, 1), (0, 0, 1))
    assert found.has_passes and found.prior is None


def test_rows_of_another_codec_need_no_prior():
    """However the file is read."""
    sink = io.BytesIO()
    with LatentsWriter(sink, HEADER._replace(codec="none")) as writer:
        writer.write(LATENTS)
    assert not LatentStream(io.BytesIO(sink.getvalue())).needs_prior
