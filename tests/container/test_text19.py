"""aeformat.container.text19: 19 digits, correctly rounded, and nothing but them (C5-1 to C5-3)."""

from __future__ import annotations

import struct
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeformat.container.text19 import BadText, format_rows, parse_rows

from .files import EDGES, from_bits

CELL = 27

# Each digit here was worked out on paper or stands in a book: powers of two are exact in decimal.
KNOWN = {
    0.0: "+0.000000000000000000e+000",
    1.0: "+1.000000000000000000e+000",
    -1.0: "-1.000000000000000000e+000",
    0.5: "+5.000000000000000000e-001",
    1e100: "+1.000000000000000016e+100",
    0.1: "+1.000000000000000056e-001",
    1e22: "+1.000000000000000000e+022",
    2.0**63: "+9.223372036854775808e+018",
    2.0**-27: "+7.450580596923828125e-009",  # 19 digits exactly
    2.0**-28: "+3.725290298461914062e-009",  # 3.7252902984619140625e-9: a tie, to even
    3 * 2.0**-28: "+1.117587089538574219e-008",  # 1.11758708953857421875e-8: no tie
    1 + 2.0**-19: "+1.000001907348632812e+000",  # 1.0000019073486328125: a tie, to even
    1 + 3 * 2.0**-19: "+1.000005722045898438e+000",  # 1.0000057220458984375: a tie, to even, up
    5e-324: "+4.940656458412465442e-324",
    2.2250738585072014e-308: "+2.225073858507201383e-308",
    1.7976931348623157e308: "+1.797693134862315708e+308",
}


def _cell(value: float) -> str:
    """The cell of a value by exact decimal arithmetic."""
    exact = Context(prec=2000).create_decimal(Fraction(value).numerator) / Decimal(1)
    with_denominator = Context(prec=2000).divide(exact, Decimal(Fraction(value).denominator))
    rounded = Context(prec=19, rounding=ROUND_HALF_EVEN).plus(with_denominator)
    sign = "-" if struct.pack(">d", value)[0] & 0x80 else "+"
    digits = "".join(map(str, rounded.as_tuple().digits)).ljust(19, "0")
    exponent = rounded.adjusted() if rounded else 0
    return f"{sign}{digits[0]}.{digits[1:]}e{'-' if exponent < 0 else '+'}{abs(exponent):03d}"


def _format(*values: float, n_columns: int = 1) -> bytes:
    return bytes(format_rows(np.array(values, np.float64), n_columns))


@pytest.mark.parametrize(("value", "cell"), KNOWN.items(), ids=KNOWN.values())
def test_a_value_has_the_known_digits(value, cell):
    """The nearest decimal of 19 digits, a tie to the even one, three digits of exponent."""
    assert _format(value).decode() == cell + "\n"
    assert parse_rows(cell.encode() + b"\n", 1)[0] == value


def test_negative_zero_keeps_its_sign():
    """Both ways."""
    assert _format(-0.0) == b"-0.000000000000000000e+000\n"
    assert np.signbit(parse_rows(_format(-0.0), 1)[0])


def test_rows_are_lines_and_a_space_stands_between_cells():
    """The page of the spec, as text."""
    assert _format(1.0, -0.5, 2e-200, 4.0, n_columns=2).decode() == (
        f"+1.000000000000000000e+000 -5.000000000000000000e-001\n{_cell(2e-200)} +4.000000000000000000e+000\n"
    )


@pytest.mark.parametrize("value", from_bits(EDGES["f64"], "f64").tolist(), ids=str)
def test_the_edges_agree_with_exact_arithmetic(value):
    """Subnormals, the largest, the smallest normal."""
    assert _format(value).decode() == _cell(value) + "\n"


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_any_value_agrees_with_exact_arithmetic_and_comes_back(values):
    """Every binary64, bit for bit, whatever stands beside it."""
    text = _format(*values)

    assert text.decode().split() == [_cell(value) for value in values]
    assert parse_rows(text, 1).tobytes() == np.array(values).tobytes()


def test_long_exponents_among_short_ones_stand_in_their_place():
    """A block in which %e gives cells of two widths."""
    values = [1.0, 1e-300, -2.0, 5e-324, 1e99, 1e100, 3.0]

    assert _format(*values).decode().split() == [_cell(value) for value in values]


def test_more_values_than_a_block_come_back():
    """Rows across the 65,536 cells that are worked on at once; a long exponent in the second block only."""
    values = np.random.default_rng(1).standard_normal((1_000, 67))
    values[-1, -1] = 1e-300
    text = bytes(format_rows(values.reshape(-1), 67))

    assert parse_rows(text, 67).tobytes() == values.tobytes()
    assert len(text) == values.size * CELL
    bad = bytearray(text)
    bad[-3] ^= 1  # the last exponent
    with pytest.raises(BadText) as caught:
        parse_rows(bytes(bad), 67)
    assert (caught.value.rule, caught.value.at) == ("C5-2", (values.size - 1) * CELL)


@pytest.mark.parametrize(
    ("changes", "rule", "cell"),
    [
        ({65_536: b"+1.80000000000000000xe+308"}, "C5-1", 65_536),
        ({65_537: b"+1.000000000000000057e-001"}, "C5-2", 65_537),
        ({65_538: b"+1.800000000000000000e+308"}, "C5-3", 65_538),
        ({5: b"+1.800000000000000000e+308", 65_538: b"-1.800000000000000000e+308"}, "C5-3", 5),
        ({5: b"+1.800000000000000000e+308", 65_538: b"+1.000000000000000057e-001"}, "C5-2", 65_538),
    ],
)
def test_errors_beyond_the_first_block_have_their_place_too(changes, rule, cell):
    """Cells are worked on in blocks; rules are checked for the whole payload one after the other."""
    text = bytearray(_format(*[1.0] * 65_540))
    for at, new in changes.items():
        text[at * CELL : at * CELL + 26] = new
    with pytest.raises(BadText) as caught:
        parse_rows(bytes(text), 1)

    assert (caught.value.rule, caught.value.at) == (rule, cell * CELL + (20 if rule == "C5-1" else 0))


GOOD = b"+1.000000000000000000e+000 -5.000000000000000000e-001\n"


def _with(at: int, new: bytes) -> bytes:
    return GOOD[:at] + new + GOOD[at + len(new) :]


BAD_CHARACTERS = {
    "no-sign": (_with(0, b" "), 0),
    "sign-is-a-digit": (_with(27, b"1"), 27),
    "underscore": (_with(10, b"_"), 10),
    "space-inside": (_with(5, b" "), 5),
    "comma": (_with(2, b","), 2),
    "capital-E": (_with(21, b"E"), 21),
    "hexadecimal": (_with(1, b"x"), 1),
    "no-exponent-sign": (_with(22, b"0"), 22),
    "exponent-letter": (_with(25, b"a"), 25),
    "inf": (_with(0, b"+inf"), 1),
    "nan": (_with(27, b"nan"), 27),
    "tab-between": (_with(26, b"\t"), 26),
    "line-end-between": (_with(26, b"\n"), 26),
    "space-at-the-end": (_with(53, b" "), 53),
    "carriage-return": (_with(53, b"\r"), 53),
    "nul": (_with(12, b"\0"), 12),
    "arabic-digit": (_with(8, "٣".encode()), 8),
    "full-width-digit": (_with(8, "３".encode()), 8),
}


@pytest.mark.parametrize(("text", "at"), BAD_CHARACTERS.values(), ids=BAD_CHARACTERS)
def test_a_character_out_of_place_is_refused_where_it_stands(text, at):
    """C5-1: no space, underscore, other digit or line end that Python's float() would let pass."""
    with pytest.raises(BadText) as caught:
        parse_rows(text, 2)

    assert (caught.value.rule, caught.value.at) == ("C5-1", at)


BAD_NUMBERS = {
    "one-unit-up": (b"+1.000000000000000057e-001\n", "C5-2", 0),
    "one-unit-down": (b"+1.000000000000000055e-001\n", "C5-2", 0),
    "seventeen-digits": (b"+1.000000000000000100e-001\n", "C5-2", 0),
    "tie-to-odd": (b"+3.725290298461914063e-009\n", "C5-2", 0),
    "leading-zero": (b"+0.100000000000000000e+001\n", "C5-2", 0),
    "zero-with-exponent": (b"+0.000000000000000000e+001\n", "C5-2", 0),
    "zero-with-negative-exponent": (b"+0.000000000000000000e-000\n", "C5-2", 0),
    "one-with-negative-exponent": (b"+1.000000000000000000e-000\n", "C5-2", 0),
    "below-the-smallest": (b"+1.000000000000000000e-400\n", "C5-2", 0),
    "above-the-largest-but-rounds-to-it": (b"+1.797693134862315800e+308\n", "C5-2", 0),
    "beyond-the-largest": (b"+1.800000000000000000e+308\n", "C5-3", 0),
    "far-beyond": (b"-9.999999999999999999e+999\n", "C5-3", 0),
    "wrong-rounding-after-infinity": (b"+1.000000000000000000e+999\n+1.000000000000000057e-001\n", "C5-2", 27),
    "grammar-after-wrong-rounding": (b"+1.000000000000000057e-001\n+1.00000000000000000xe-001\n", "C5-1", 47),
}


@pytest.mark.parametrize(("text", "rule", "at"), BAD_NUMBERS.values(), ids=BAD_NUMBERS)
def test_a_number_that_is_not_the_rounded_one_is_refused_at_its_cell(text, rule, at):
    """C5-2 before C5-3, and C5-1 before both, wherever they stand."""
    with pytest.raises(BadText) as caught:
        parse_rows(text, 1)

    assert (caught.value.rule, caught.value.at) == (rule, at)


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 25), st.integers(0, 255))
def test_a_cell_is_the_only_text_of_its_value(value, at, byte):
    """Whatever byte of a cell is changed, it is refused or it is another value's own cell."""
    text = bytearray(_format(value))
    text[at] = byte
    try:
        parsed = parse_rows(bytes(text), 1)
    except BadText:
        return
    assert bytes(format_rows(parsed, 1)) == text
