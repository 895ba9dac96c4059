"""aeformat.container.decimal_digits, text_cells and powers_of_ten: 19 digits in bulk are those of Python's own "%.18e"."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeformat.container import decimal_digits, text19
from aeformat.container.decimal_digits import digits_of
from aeformat.container.powers_of_ten import ten_to_the
from aeformat.container.text19 import BadText, format_rows, parse_rows
from aeformat.container.text_cells import plain_cells, read_cells, write_cells

from .files import EDGES, from_bits


def _cells(values: np.ndarray) -> np.ndarray:
    """(n, 26) characters, in bulk."""
    cells = np.zeros((len(values), 27), np.uint8)
    write_cells(values, cells)
    assert (cells[:, 26] == ord(" ")).all()
    return cells[:, :26]


def _with_neighbours(values: np.ndarray, steps: int = 3) -> np.ndarray:
    """Finite positive values, those up to `steps` float64 beside them, and all of them negative."""
    bits = np.asarray(values, np.float64).view(np.int64)[:, None] + np.arange(-steps, steps + 1)
    near = np.maximum(bits, 0).reshape(-1).view(np.float64)
    near = near[np.isfinite(near)]
    return np.concatenate([near, -near])


def _ties() -> np.ndarray:
    """Values in the middle between two decimals of 19 digits: odd * 2^-(k + 1), where odd * 5^k has 19 digits and a half."""
    rng = np.random.default_rng(5)
    found = []
    for k in range(4, 28):
        least, most = -(-(2 * 10**18) // 5**k), min(2 * 10**19 // 5**k, 1 << 53)
        odd = rng.integers(least // 2, most // 2, 200) * 2 + 1
        found.append(np.ldexp(odd[odd < most].astype(np.float64), -(k + 1)))
    return np.concatenate(found)


def _near_ties() -> np.ndarray:
    """Values whose 19 digits and what follows are within 2^-33 of a tie, and none: 2^-s is their distance from one."""
    found = []
    for s, distance in product(range(36, 54), (-3, -1, 1, 3)):
        for k in range(18, 28):
            m = ((1 << (s - 1)) + distance) * pow(5**k, -1, 1 << s) % (1 << s)
            m += ((1 << 52) - m + (1 << s) - 1 >> s << s) if m < 1 << 52 else 0
            if m < 1 << 53 and 10**18 << s <= m * 5**k < 10**19 << s:
                found.append(np.ldexp(float(m), -(s + k)))
    return np.array(found)


def _single(n: int) -> np.ndarray:
    values = np.random.default_rng(2).integers(0, 2**32, n, np.uint32).view(np.float32)
    return values[np.isfinite(values)].astype(np.float64)


def _random(n: int) -> np.ndarray:
    values = np.random.default_rng(1).integers(0, 2**64, n, np.uint64).view(np.float64)
    return values[np.isfinite(values)]


VALUES = {
    "powers-of-two": lambda: _with_neighbours(np.ldexp(1.0, np.arange(-1074, 1024))),
    "powers-of-ten": lambda: _with_neighbours(np.array([float(f"1e{k}") for k in range(-323, 309)])),
    "subnormals": lambda: np.random.default_rng(3).integers(0, 2**52, 3_000).view(np.float64),
    "edges": lambda: from_bits(EDGES["f64"], "f64").astype(np.float64),
    "largest": lambda: _with_neighbours(np.array([np.finfo(np.float64).max, np.finfo(np.float64).tiny]), 50),
    "integers": lambda: np.arange(-70_000, 70_000).astype(np.float64),
    "large-integers": lambda: np.random.default_rng(4).integers(2**53, 2**63, 20_000).astype(np.float64),
    "ties": lambda: _with_neighbours(_ties(), 1),
    "near-ties": _near_ties,
    "binary16": lambda: from_bits([bits for bits in range(65_536) if bits & 0x7C00 != 0x7C00], "f16").astype(
        np.float64
    ),
    "binary32": lambda: _single(60_000),
    "sigmoid": lambda: (1 / (1 + np.exp(-_single(30_000).clip(-9, 9)))).astype(np.float32).astype(np.float64),
    "decimals": lambda: np.random.default_rng(6).integers(-(10**9), 10**9, 20_000) / 1e6,
    "random-bits": lambda: _random(100_000),
}


@pytest.mark.parametrize("make", VALUES.values(), ids=VALUES)
def test_cells_in_bulk_are_those_of_printf_and_come_back(make):
    """Digit for digit, bit for bit."""
    values = make()
    cells = _cells(values)

    assert cells.tobytes() == plain_cells(values).tobytes()
    assert read_cells(np.insert(cells, 26, ord(" "), axis=1)).tobytes() == values.tobytes()


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_any_cells_in_bulk_are_those_of_printf(values):
    """Whatever stands beside a value."""
    array = np.array(values)

    assert _cells(array).tobytes() == plain_cells(array).tobytes()


def test_few_values_are_left_open():
    """Ties are settled in bulk; what lies next to one, and subnormals, is not."""
    assert digits_of(_ties()).open.size == 0
    assert digits_of(_random(10_000)).open.size < 50
    near = _near_ties()
    assert len(near) > 40
    assert digits_of(near).open.tolist() == list(range(len(near)))
    assert digits_of(np.array([0.0, 5e-324, 1.0, -0.0, -1e-310])).open.tolist() == [1, 4]


def test_what_is_left_open_is_settled_one_by_one(monkeypatch):
    """If all is left open, the digits are the same."""
    values = _random(1_000)
    values = values[np.abs(values) < 1e-20]  # no ties
    cells = _cells(values)
    monkeypatch.setattr(decimal_digits, "_OPEN", 1.0)

    assert digits_of(values).open.size == values.size
    assert _cells(values).tobytes() == cells.tobytes()


def test_settled_digits_are_the_nearest_by_exact_arithmetic():
    """Half a unit at most from value * 10^k; what is left open, 2^-32 more at most."""
    values = np.abs(np.concatenate([_random(2_000), _single(500), np.arange(1.0, 500.0)]))
    values = values[values > np.finfo(np.float64).tiny]
    made = digits_of(values)
    exponents = decimal_digits.decimal_exponents()[made.scales].tolist()

    settled = np.ones(len(values), np.bool_)
    settled[made.open] = False
    for value, digits, exponent, good in zip(values.tolist(), made.digits.tolist(), exponents, settled, strict=True):
        exact = Fraction(value) * Fraction(10) ** (18 - exponent)
        assert 10**18 <= exact < 10**19
        assert abs(exact - digits) <= Fraction(1, 2) + (0 if good else Fraction(1, 2**32))


def test_powers_of_ten_are_as_exact_as_promised():
    """To 2^-106, and with no error from 10^0 to 10^45."""
    first = -348
    powers = ten_to_the(range(first, 330))
    for k, (high, low, exponent) in enumerate(zip(*(part.tolist() for part in powers), strict=True), first):
        right = Fraction(10) ** k / Fraction(2) ** exponent
        assert 1 <= high < 2
        assert abs(low) <= 2.0**-53
        assert abs(Fraction(high) + Fraction(low) - right) <= (0 if 0 <= k <= 45 else right / 2**106)


BASES = (0.0, -1.0, 0.1, 5e-324, -1.7976931348623157e308, 2.0**-28, 1e10, 1e100, -3e-7)


def _plainly(text: bytes, lines: int, monkeypatch) -> object:
    """What the plain path says of a text."""
    with monkeypatch.context() as patch:
        patch.setattr(text19, "read_cells", lambda cells: np.full(len(cells), np.nan))
        return _said(text, lines)


def _said(text: bytes, lines: int) -> object:
    try:
        return parse_rows(text, lines).tobytes()
    except BadText as error:
        return error.rule, error.at, error.what


@pytest.mark.parametrize("base", BASES, ids=str)
def test_no_other_byte_passes_for_a_cell(base, monkeypatch):
    """Every byte of a cell changed to every other: in bulk as one by one."""
    good = np.frombuffer(format_rows(np.array([base]), 1), np.uint8)
    changed = np.repeat(good[None], 27 * 256, axis=0)
    changed[np.arange(27 * 256), np.repeat(np.arange(27), 256)] = np.tile(np.arange(256), 27)
    changed = changed[(changed != good).any(axis=1)]
    values = read_cells(changed)
    again = np.zeros_like(changed)
    write_cells(np.where(np.isfinite(values), values, 0.0), again)
    again[:, 26] = ord("\n")
    same = (again == changed).all(axis=1) & np.isfinite(values)

    for cell in changed[same]:  # another value's own cell
        assert _plainly(cell.tobytes(), 1, monkeypatch) == _said(cell.tobytes(), 1) != _said(good.tobytes(), 1)
        assert isinstance(_said(cell.tobytes(), 1), bytes)
    for cell in changed[~same][::97]:
        assert isinstance(_said(cell.tobytes(), 1), tuple)


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=6, max_size=6),
    st.lists(
        st.tuples(st.integers(0, 161), st.sampled_from(b"0123456789+-.e \n\r_\x00\xb0\xff")), min_size=1, max_size=4
    ),
    st.sampled_from([1, 2, 3, 6]),
)
def test_damaged_text_is_refused_as_the_plain_path_does(values, changes, lines):
    """The same rule, byte and words, or the same values."""
    text = bytearray(format_rows(np.array(values), lines))
    for at, byte in changes:
        text[at] = byte
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert _said(bytes(text), lines) == _plainly(bytes(text), lines, monkeypatch)


@pytest.mark.parametrize(
    "exponent", [b"e+309", b"e-324", b"e-325", b"e-999", b"e+999", b"e+350", b"e-350", b"e-000", b"e\xff\xff\xff\xff"]
)
@pytest.mark.parametrize("first", [b"+0.000000000000000000", b"-9.999999999999999999", b"+1.797693134862315908"])
def test_exponents_beyond_the_ends_are_refused_as_the_plain_path_does(first, exponent, monkeypatch):
    """No table is read beyond its end, and no warning comes out."""
    text = first + exponent + b"\n"

    assert _said(text, 1) == _plainly(text, 1, monkeypatch)
    assert isinstance(_said(text, 1), tuple)


@pytest.mark.parametrize("wrong", [np.nan, 0.5], ids=["not-finite", "another-value"])
def test_what_is_not_read_in_bulk_is_read_one_by_one(monkeypatch, wrong):
    """The bulk path is trusted with nothing: what it does not give back byte for byte goes the plain way."""
    values = _random(100)
    text = format_rows(values, 5)
    monkeypatch.setattr(text19, "read_cells", lambda cells: np.full(len(cells), wrong))

    assert parse_rows(text, 5).tobytes() == values.tobytes()
