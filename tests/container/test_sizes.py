"""Sizes of rows: the arithmetic by entries is that of a plain list of rows (section 5.1)."""

from __future__ import annotations

import struct
from itertools import groupby
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeformat.container import limits, sizes
from aeformat.container.sizes import BadSizes, RowForm, RowSizes, Run

from .files import sized_header

FORM = RowForm((0, 3, 0), (0, 0, 3))
ROWS = [(2, 1, 8, 8), (2, 1, 8, 8), (1, 1, 1, 1), (2, 1, 8, 8), (4, 5, 9, 7)]
WITHOUT_IMAGE = RowForm((0, 2), (28, 28, 1))

of_rows = st.lists(st.tuples(*[st.integers(1, 3)] * 4), min_size=1, max_size=12)


def words(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)


@given(of_rows)
def test_the_arithmetic_is_that_of_a_list_of_rows(rows):
    """Counts, shapes, places, runs, bytes, and what a slice has."""
    made = RowSizes.of(FORM, rows)
    counts = [3 * a * b for a, b, _, _ in rows]
    ends = [sum(counts[: i + 1]) for i in range(len(rows))]

    assert (len(made), made.n_rows, made.n_values) == (len(rows), len(rows), ends[-1])
    assert [made.dims(i) for i in range(len(rows))] == [(a, 3, b) for a, b, _, _ in rows]
    assert [made.image(i) for i in range(len(rows))] == [(h, w, 3) for _, _, h, w in rows]
    assert [made.start(i) for i in range(len(rows) + 1)] == [0, *ends]
    assert [made.row_of(i) for i in range(ends[-1])] == [i for i, n in enumerate(counts) for _ in range(n)]
    assert made.row_ends().tolist() == ends
    assert list(made.runs()) == [Run(len(list(same)), s, 3 * s[0] * s[1]) for s, same in groupby(rows)]
    assert RowSizes.parse(FORM, made.to_bytes(), len(rows), value_bytes=2) == made
    for start in range(len(rows)):
        for stop in range(start + 1, len(rows) + 1):
            assert made.slice(start, stop) == RowSizes.of(FORM, rows[start:stop])
            joined = RowSizes.join([made.slice(0, start), made.slice(start, stop), made.slice(stop, len(rows))])
            assert joined == made and hash(joined) == hash(made)


@given(of_rows, st.integers(0, 11), st.integers(-5, 200), st.integers(0, 12))
def test_no_more_rows_are_taken_than_fit(rows, start, most_values, most_rows):
    """By bytes and by rows; one more would not fit."""
    made = RowSizes.of(FORM, rows)
    start %= len(rows)

    stop = made.stop_within(start, most_values, most_rows)

    def fits(end: int) -> bool:
        return made.start(end) - made.start(start) <= max(0, most_values) and end - start <= most_rows

    assert start <= stop <= len(rows) and fits(stop)
    assert stop == len(rows) or not fits(stop + 1)


@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.sampled_from([1, 700, 1024, 1449, 3000]), st.integers(1, 1025)), min_size=1
    )
)
def test_runs_of_receipts_are_those_of_a_reader_that_goes_row_by_row(rows):
    """64 rows at most, and no more than 1,048,576 pixels unless it is one image (section 7)."""
    made = RowSizes.of(RowForm((0,), (0, 0, 1)), [s for s in rows for _ in range(s[0] ** 4)])
    plain, pixels = [0], 0
    for i in range(len(made)):
        height, width, _ = made.image(i)
        if plain[-1] and (plain[-1] == 64 or pixels + height * width > 1_048_576):
            plain.append(0)
            pixels = 0
        plain[-1] += 1
        pixels += height * width

    assert [rows for n, rows in made.receipt_runs() for _ in range(n)] == plain


@pytest.mark.parametrize("n_rows", [1, 63, 64, 65, 128, 130])
def test_runs_of_images_of_one_size_have_64_rows(n_rows):
    """Also where latents have sizes of their own."""
    for made in (RowSizes.equal(RowForm((3,), (28, 28, 1)), n_rows), RowSizes.of(WITHOUT_IMAGE, [(1,)] * n_rows)):
        runs = [rows for n, rows in made.receipt_runs() for _ in range(n)]
        assert runs == [64] * (n_rows // 64) + [n_rows % 64] * (n_rows % 64 > 0)


def test_rows_of_one_size_are_one_entry_without_sizes():
    """What the header fixes is not stated again."""
    made = RowSizes.equal(RowForm((2, 3), (4, 5, 1)), 7)

    assert list(made.runs()) == [Run(7, (), 6)]
    assert (made.dims(6), made.image(0), made.n_values, made.start(7), made.row_of(41)) == (
        (2, 3),
        (4, 5, 1),
        42,
        42,
        6,
    )
    assert made.slice(2, 4) == RowSizes.equal(made.form, 2)


def test_no_rows_are_no_entries():
    """The end of a slice that takes nothing."""
    nothing = RowSizes.of(FORM, ROWS).slice(3, 3)

    assert (nothing.n_rows, nothing.n_values, list(nothing.runs())) == (0, 0, [])
    assert nothing == RowSizes.none(FORM) != RowSizes.none(WITHOUT_IMAGE)
    assert nothing != "no sizes"


def test_millions_of_rows_are_one_entry():
    """Twelve bytes stand for 2^32 - 1 rows, and nothing is made for each of them."""
    made = RowSizes.parse(WITHOUT_IMAGE, words(2**32 - 1, 9), 2**32 - 1, value_bytes=4)

    assert (made.n_rows, made.n_values) == (2**32 - 1, 18 * (2**32 - 1))
    assert (made.start(2**31), made.row_of(18 * 2**31 + 17), made.dims(2**31)) == (18 * 2**31, 2**31, (9, 2))
    assert sum(n for n, _ in made.receipt_runs()) == 2**26
    assert made.slice(5, 2**31).n_rows == 2**31 - 5
    assert repr(made) == "<sizes of 4294967295 rows of (0, 2)>"


@pytest.mark.parametrize(
    ("rows", "rule", "at", "is_limit"),
    [
        ([(1, 1, 1, 1), (0, 1, 1, 1)], "C5-7", 24, False), ([(1, 1, 0, 1)], "C5-7", 12, False),
        ([(2**31, 1, 1, 1)], "C5-7", 4, True), ([(1, 2**64, 1, 1)], "C5-7", 8, True), ([(1, 1, 1, 65_536)], "C5-7", 16, True),
        ([(-1, 1, 1, 1)], "C5-7", 4, False), ([(1, 1, 1, 1), (2**20, 2**8, 1, 1)], "C5-8", 20, True),
        ([(1, 1, 65_535, 65_535)], "C5-8", 0, True),
    ],
)  # fmt: skip
def test_sizes_that_break_the_rules_are_not_written(rows, rule, at, is_limit):
    """C5-7 and C5-8, by the byte in the payload that the sizes would make."""
    with pytest.raises(BadSizes) as caught:
        RowSizes.of(FORM, rows)

    assert (caught.value.rule, caught.value.at, caught.value.is_limit) == (rule, at, is_limit)


def test_the_largest_rows_are_allowed():
    """A row of 2^28 bytes, an image of 2^30 elements."""
    form = RowForm((0, 0), (0, 0, 4))

    made = RowSizes.of(form, [(2**14, 2**14, 2**14, 2**14)])

    assert (made.n_values, prod(made.image(0))) == (limits.ROW_BYTES, limits.IMAGE_ELEMENTS)


@pytest.mark.parametrize(
    ("dims", "image", "what"),
    [
        ((2, 4, 1), (1, 1), "shape"), ((2, 3), (1, 1), "shape"), ((2, 3, 1, 1), (1, 1), "shape"), ((2, 3, 1), None, "have sizes"),
    ],
)  # fmt: skip
def test_rows_of_another_form_are_refused(dims, image, what):
    """A fixed size that differs, another number of axes, an image that is missing."""
    with pytest.raises(ValueError, match=what):
        FORM.sizes_of(dims, image)


def test_images_of_one_size_are_not_stated():
    """The header has said it."""
    assert WITHOUT_IMAGE.sizes_of((5, 2)) == (5,)
    with pytest.raises(ValueError, match="do not have sizes"):
        WITHOUT_IMAGE.sizes_of((5, 2), (28, 28))


def test_the_header_says_the_form():
    """dims, image, and the bytes of a value."""
    head = sized_header("bf16le", (4, 0, 0), (28, 28, 1))

    assert head.form == RowForm((4, 0, 0), (28, 28, 1))
    assert (head.has_free_sizes, head.flags, head.sizes_of(3)) == (True, 1, None)
    assert (head.form.n_free, head.form.entry_bytes) == (2, 12)


def test_the_file_s_byte_order_is_little_on_every_machine(monkeypatch):
    """A machine that has the other one turns the numbers around."""
    monkeypatch.setattr(sizes.sys, "byteorder", {"little": "big", "big": "little"}[sizes.sys.byteorder])

    turned = RowSizes.of(WITHOUT_IMAGE, [(1,)]).to_bytes()

    assert turned == struct.pack(">2I", 1, 1)


@pytest.mark.parametrize(
    ("payload", "n_rows", "rule", "at", "is_limit"),
    [
        (words(0, 1, 1, 1, 1), 3, "C5-5", 0, False), (words(2, 1, 1, 1, 1, 2, 2, 1, 1, 1), 3, "C5-5", 20, False),
        (words(1, 1, 1, 1, 1, 1, 2, 1, 1, 1), 3, "C5-5", 20, False), (words(1, 1, 1, 1, 1, 2, 1, 1, 1, 1), 3, "C5-6", 20, False),
        (words(1, 1, 1, 1, 1, 2, 1, 0, 1, 1), 3, "C5-7", 28, False), (words(3, 1, 1, 65_536, 1), 3, "C5-7", 12, True),
        (words(3, 2**14, 2**14, 1, 1), 3, "C5-8", 0, True), (words(3, 1, 1, 65_535, 65_535), 3, "C5-8", 0, True),
    ],
)  # fmt: skip
def test_a_payload_that_breaks_the_rules_is_refused(payload, n_rows, rule, at, is_limit):
    """By the first broken rule, at its byte."""
    with pytest.raises(BadSizes) as caught:
        RowSizes.parse(FORM, payload, n_rows, value_bytes=1)

    assert (caught.value.rule, caught.value.at, caught.value.is_limit) == (rule, at, is_limit)
