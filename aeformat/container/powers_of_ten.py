"""Powers of ten as sums of two float64, for arithmetic that is exact or nearly so.

Owns the numbers.  Knows nothing of digits or text.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BITS: Final = 160  # of a power, before it becomes two float64 of 53 bits each


class Powers(NamedTuple):
    """10^k = (high + low) * 2^exponent: exact for k from 0 to 45, else to 2^-106 of the power.  Arrays of one size.

    high is in [1, 2) and is the float64 nearest to the sum; |low| is at most 2^-53.
    """

    high: NDArray[np.float64]
    low: NDArray[np.float64]
    exponent: NDArray[np.int64]


def ten_to_the(exponents: range) -> Powers:
    """10^k for every k of a range."""
    import numpy as np

    high, low, exponent = zip(*map(_power, exponents), strict=True)
    return Powers(np.array(high), np.array(low), np.array(exponent))


def _power(k: int) -> tuple[float, float, int]:
    """High, low and exponent of 10^k, from an integer of at most 160 bits that is cut off below."""
    bits = (10 ** abs(k)).bit_length()
    shift = max(0, bits - _BITS) if k >= 0 else -(bits + _BITS)
    cut = 10**k >> shift if k >= 0 else (1 << -shift) // 10**-k
    high = float(cut)
    low = float(cut - int(high))
    top = cut.bit_length() - 1
    return math.ldexp(high, -top), math.ldexp(low, -top), shift + top


def split(values: NDArray[np.float64], n_bits: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values as the sum of two: the first has at most n_bits significant bits, the second what is left, exactly.

    The first is the nearest such number, so that half a unit of its last bit is the most that is left.
    """
    import numpy as np

    rest = 53 - n_bits
    bits = values.view(np.uint64) + np.uint64(1 << (rest - 1))
    first = (bits & np.uint64(2**64 - (1 << rest))).view(np.float64)
    return first, values - first
