"""float64 <-> 19 significant decimal digits and an exponent, many values at once.

Owns the arithmetic.  Knows nothing of text.  Both directions take float64 operations whose results are exact, or whose error is
bounded; docs/performance/text19.md has the bounds.  What the bounds leave open is named, for a slower way to settle.
The arithmetic is IEEE 754's, one operation at a time and rounded to nearest, which NumPy gives on every machine.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from aeformat.container.powers_of_ten import split, ten_to_the

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_BIAS: Final = 1023
_FRACTION: Final = (1 << 52) - 1  # the bits of a float64 below its exponent
_LOW_27: Final = (1 << 27) - 1
_LEAST: Final = (
    -348
)  # the powers of ten that are needed: 19 digits reach further down than float64, and a scale further up
_MOST: Final = 330
_OPEN: Final = 2.0**-32  # how near to a tie a value is looked at again: its error is below 2^-39 of a last digit
_TINY: Final = -250  # decimal exponents below it are worked on 2^300 times as large
_LARGEST: Final = 308


class Digits(NamedTuple):
    """The digits of n values, as integers in [10^18, 10^19), or 0.

    scales: (n,) of which entry of `decimal_exponents` the exponent is.  open: indices of values whose digits are not
    settled: subnormals, and what may lie on either side of a tie.
    """

    digits: NDArray[np.uint64]
    scales: NDArray[np.int64]
    open: NDArray[np.int64]


class _Scales(NamedTuple):
    """What a value in [2^e, 2^(e+1)) is multiplied by, as if it were in [1, 2); twice for every e: below and from `limit` on.

    power = upper + lower, of 26 bits each; power + rest is 10^(18 - exponent) * 2^e.
    """

    limit: Floats  # (2048,) from which on the decimal exponent is the next one; infinite where it never is
    exponent: NDArray[np.int64]  # (4096,), as all below
    power: Floats
    upper: Floats
    lower: Floats
    rest: Floats


@cache
def _scales() -> _Scales:
    import numpy as np

    tens = ten_to_the(range(_LEAST, _MOST))
    binary = np.arange(2048) - _BIAS
    lower_exponent = (binary * 78_913) >> 18  # floor(e * log10(2)) for every e in question
    next_power = lower_exponent + 1 - _LEAST
    limit = np.where(tens.low > 0, np.nextafter(tens.high, 2.0), tens.high)[next_power]  # rounded up
    limit[tens.exponent[next_power] != binary] = np.inf
    exponent = np.repeat(lower_exponent, 2) + np.tile([0, 1], 2048)
    at = 18 - exponent - _LEAST
    shift = tens.exponent[at] + np.repeat(binary, 2)
    power, rest = np.ldexp(tens.high[at], shift), np.ldexp(tens.low[at], shift)
    limit[0] = np.inf  # zero, and subnormals, which are left open
    for table in (exponent, power, rest):
        table[:2] = 0
    return _Scales(limit, exponent, power, *split(power, 26), rest)


def decimal_exponents() -> NDArray[np.int64]:
    """(4096,): the decimal exponent of every entry of `Digits.scales`."""
    return _scales().exponent


def digits_of(values: Floats) -> Digits:
    """(n,) finite values -> the 19 digits nearest to each, of two as near the even one.  Signs are left out."""
    import numpy as np

    bits = values.view(np.uint64)
    binary = ((bits >> np.uint64(52)) & np.uint64(2047)).view(np.int64)
    bits = (bits & np.uint64(_FRACTION)) | np.uint64(_BIAS << 52)  # as if in [1, 2)
    scales = binary + binary
    scales += bits.view(np.float64) >= _scales().limit.take(binary)
    whole, rest = _scaled(bits, scales)
    near = np.rint(rest)
    digits = whole.astype(np.uint64)
    digits += near.astype(np.int64).view(np.uint64)
    rest -= near
    is_open = np.abs(rest, out=rest) > 0.5 - _OPEN
    if not binary.all():
        is_open |= (binary == 0) & (bits != np.uint64(_BIAS << 52))
    open_ = np.flatnonzero(is_open)
    return Digits(digits, scales, open_[~_are_ties(values[open_], scales[open_])])


def _scaled(bits: NDArray[np.uint64], scales: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Bits of values in [1, 2), times their scale -> the product as a sum of two, the first of which is an integer.

    The error of the sum is below 2^-39.  It is 0 where the product has few enough bits: always at a tie (T. J. Dekker's
    product, 1971; every step but the last two is exact).
    """
    import numpy as np

    _, _, power, upper, lower, rest = _scales()
    x = bits.view(np.float64)
    x_upper = (bits & np.uint64(2**64 - 1 - _LOW_27)).view(np.float64)
    x_lower = x - x_upper
    factor = upper.take(scales)
    whole = x * power.take(scales)
    error = x_upper * factor
    error -= whole
    factor *= x_lower
    error += factor
    factor = lower.take(scales)
    x_upper *= factor
    error += x_upper
    x_lower *= factor
    error += x_lower
    factor = rest.take(scales)
    factor *= x
    error += factor
    return whole, error


def _are_ties(values: Floats, scales: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which values lie in the middle between two decimals of 19 digits.

    With 10^k their scale, twice value * 10^k is an odd integer there, and so is value * 2^(k + 1), which is exact.  For k < 0
    there are none: the odd integer has 61 bits or more.
    """
    import numpy as np

    k = 18 - decimal_exponents()[scales]
    ties: NDArray[np.bool_] = np.fmod(np.ldexp(np.abs(values), k + 1), 2.0) == 1.0
    return ties


class _Tens(NamedTuple):
    """For decimal exponents 0 to 999, then 0 to -999: the powers by which nine digits and ten more become a value.

    upper + lower: 10^(exponent - 8), upper of 23 bits; second: 10^(exponent - 18).  All times `1 / size`.  Zero beyond float64.
    """

    upper: Floats
    lower: Floats
    second: Floats
    size: Floats


@cache
def _tens() -> _Tens:
    import numpy as np

    tens = ten_to_the(range(_LEAST, _MOST))
    exponent = np.concatenate([np.arange(1000), -np.arange(1000)])
    known = (exponent <= _LARGEST) & (exponent - 18 >= _LEAST)
    bits = np.where(exponent < _TINY, 300, 0)
    first, second = (np.where(known, exponent - less - _LEAST, 0) for less in (8, 18))
    shift = np.where(known, tens.exponent[first] + bits, -5_000)  # what is too small for float64 becomes zero
    upper, lower = split(np.ldexp(tens.high[first], shift), 23)
    lower += np.ldexp(tens.low[first], shift)
    return _Tens(
        upper,
        lower,
        np.ldexp(tens.high[second], np.where(known, tens.exponent[second] + bits, -5_000)),
        np.ldexp(1.0, -bits),
    )


def nearest(first: Floats, second: Floats, exponents: NDArray[np.int64]) -> Floats:
    """(n,) digits -> the values, each right if it is within 2^-60 of a float64, as every float64 with its 19 digits is.

    first: nine digits with the point behind the first of them; second: the ten that follow.  Both are overwritten.
    exponents: 0 to 999, and 1000 to 1999 for 0 to -999.  What is too large becomes infinite or 0.
    """
    import numpy as np

    upper, lower, tens, size = _tens()
    with np.errstate(over="ignore", under="ignore"):
        second *= tens.take(exponents)
        values = first * lower.take(exponents)
        values += second
        first *= upper.take(exponents)
        values += first
        values *= size.take(exponents)
    return values
