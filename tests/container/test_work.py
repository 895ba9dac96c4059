"""aeformat.container.work: what a chunk costs, by the table of spec/container.md, section 13, and who pays for it (C13-1)."""

from __future__ import annotations

import io

import numpy as np
import pytest

from aeformat.container.header import LatentsHeader
from aeformat.container.limits import Limits
from aeformat.container.parser import ChunkRead, HeaderRead
from aeformat.container.work import WorkBudget, work_of
from aeformat.container.writer import LatentsWriter
from aeformat.errors import LimitExceeded
from aeformat.model.match import prior_of
from aeformat.reader import events

from .files import Chunk, edges, header, row_names, split, write
from .priors import decoder_of, draw, random_prior


def works(data: bytes) -> list[int]:
    """Of each chunk of a file."""
    head, *rest = events(io.BytesIO(data))
    assert isinstance(head, HeaderRead)
    return [work_of(event, head.header) for event in rest if isinstance(event, ChunkRead)]


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_raw_bytes_and_names_have_their_price(codec):
    """4 a raw byte, compressed or not; 512 more for one of names; nothing for a decoder or what is not known."""
    names = row_names(40)
    data = write(edges("f32", 40), header(codec=codec), names, decoder=b"decoder")
    n_bytes = len(names.to_bytes())

    assert works(split(data).insert(0, Chunk(b"xXXx", bytes(99))).join()) == [0, 0, (4 + 512) * n_bytes, 4 * 40 * 3 * 4]


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_a_cell_of_text_has_its_price(codec):
    """1,024, beside its 27 raw bytes."""
    assert works(write(edges("f64", 10), header("text19", codec=codec, values="f64"))) == [10 * 3 * (4_096 + 27 * 4)]


PRIOR = random_prior(5, dims=(2, 3), n_classes=9, peak=3.0)
DECODER = decoder_of(PRIOR, lo=-6, hi=9, dims=(2, 3))
ROWS = draw(PRIOR, 2_000).astype(np.int8)


def coded(rows: np.ndarray) -> bytes:
    """A file of codec rans."""
    sink = io.BytesIO()
    head = LatentsHeader(DECODER.model_id, (2, 3), (2, 2, 1), "i8", "rans")
    with LatentsWriter(sink, head, prior=prior_of(DECODER)) as writer:
        writer.write(rows)
    return sink.getvalue()


def test_coded_rows_have_the_price_of_their_steps_and_symbols():
    """256 for what all lanes do at once, 16 for what each does; in more lanes there are fewer steps."""
    data = coded(ROWS)
    n_lanes = 1 << split(data).chunks[0].stored[0]
    assert 1 < n_lanes < 2_000

    n_steps = -(-2_000 // n_lanes) * (6 + 1)
    assert works(data) == [4 * 2_000 * 6 + 256 * n_steps + 16 * 2_000 * (6 + 1)]


def test_rows_that_were_not_coded_cost_their_bytes_alone():
    """Codec rans, and one row that its code would not make smaller."""
    dearest = ROWS[PRIOR.choose(ROWS)[1].argmax()][None]

    assert works(coded(dearest)) == [4 * 6]


def test_a_code_that_is_refused_at_its_first_bytes_costs_nothing():
    """C6-7 says what is wrong with it, so C13-1 must not."""
    parts = split(coded(ROWS))

    assert works(parts.change(0, stored=b"\x0b" + parts.chunks[0].stored[1:]).join()) == [0]


def test_what_is_allowed_can_be_used_to_the_last_unit():
    """Limits.work and 16,384 a byte; all chunks count together, and later bytes pay for what comes later."""
    budget = WorkBudget(Limits(work=1_000))

    budget.charge(900, n_bytes=0, at=10, what="chunk 0")
    budget.charge(100 + 2 * 16_384, n_bytes=2, at=20, what="chunk 1")
    with pytest.raises(LimitExceeded, match="chunk 2 takes 16385 units of work, 16384 are left") as caught:
        budget.charge(16_385, n_bytes=3, at=30, what="chunk 2")
    assert (caught.value.rule, caught.value.at) == ("C13-1", 30)
    budget.charge(16_384, n_bytes=3, at=30, what="chunk 2")
    with pytest.raises(LimitExceeded, match="0 are left"):
        budget.charge(1, n_bytes=0, at=40, what="chunk 3")


def test_without_limits_a_file_has_two_to_the_thirty():
    """Section 13."""
    WorkBudget().charge(2**30 + 16_384, n_bytes=1, at=0, what="chunk 0")
    with pytest.raises(LimitExceeded):
        WorkBudget().charge(2**30 + 16_384 + 1, n_bytes=1, at=0, what="chunk 0")
