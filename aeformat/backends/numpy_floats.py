"""Elementwise functions of the float32 profile in NumPy (spec/model.md, section 3).

Owns their formulas, in float32, within the tolerance of section 5.  Each function takes the numbers and the array
for the results.  Overflow to infinity is intended: 1 / (1 + inf) is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Function = Callable[[Array, Array], object]

_ZERO: Final = np.float32(0)
_HALF: Final = np.float32(0.5)
_ONE: Final = np.float32(1)
_SQRT_HALF: Final = np.float32(0.5**0.5)


def relu(x: Array, out: Array) -> None:
    """max(x, 0)."""
    np.maximum(x, _ZERO, out=out)


def sigmoid(x: Array, out: Array) -> None:
    """1 / (1 + e^-x)."""
    np.negative(x, out=out)
    with np.errstate(over="ignore"):
        np.exp(out, out=out)
    out += _ONE
    np.divide(_ONE, out, out=out)


def tanh(x: Array, out: Array) -> None:
    """tanh x."""
    np.tanh(x, out=out)


def elu(x: Array, out: Array) -> None:
    """x if x > 0 else e^x - 1."""
    np.expm1(np.minimum(x, _ZERO), out=out)
    np.copyto(out, x, where=x > 0)


def gelu(x: Array, out: Array) -> None:
    """x (1 + erf(x / sqrt 2)) / 2."""
    np.multiply(erf(x * _SQRT_HALF), _HALF, out=out)
    out += _HALF
    out *= x


def silu(x: Array, out: Array) -> None:
    """x sigmoid(x)."""
    sigmoid(x, out)
    out *= x


def softplus(x: Array, out: Array) -> None:
    """ln(1 + e^x), without overflow: max(x, 0) + ln(1 + e^-|x|)."""
    np.abs(x, out=out)
    np.negative(out, out=out)
    np.exp(out, out=out)
    np.log1p(out, out=out)
    out += np.maximum(x, _ZERO)


def erf(x: Array) -> Array:
    """The error function to 6e-7: 1.5e-7 of the series (Abramowitz and Stegun, 7.1.26), the rest is float32 rounding."""
    size = np.abs(x)
    t = size * np.float32(0.3275911)
    t += _ONE
    np.divide(_ONE, t, out=t)
    series = t * np.float32(1.061405429)
    for factor in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series += np.float32(factor)
        series *= t
    with np.errstate(over="ignore", under="ignore"):
        np.multiply(size, size, out=size)
        np.negative(size, out=size)
        series *= np.exp(size, out=size)
    np.subtract(_ONE, series, out=series)
    np.copysign(series, x, out=series)
    return series


def leaky_relu(num: int, den: int) -> Function:
    """x if x >= 0 else x * num / den."""

    def function(x: Array, out: Array) -> None:
        np.multiply(x, np.float32(num), out=out)
        out /= np.float32(den)
        np.copyto(out, x, where=x >= 0)

    return function


def scale(num: int, den: int) -> Function:
    """x * num / den: one float32 product, then one float32 quotient."""

    def function(x: Array, out: Array) -> None:
        np.multiply(x, np.float32(num), out=out, dtype=np.float32)
        out /= np.float32(den)

    return function


def to_u8(x: Array, out: Array) -> None:
    """floor(255 * min(max(x, 0), 1) + 1/2); fmax makes a NaN 0."""
    y = np.fmax(x, _ZERO)
    np.minimum(y, _ONE, out=y)
    y *= np.float32(255)
    y += _HALF
    np.copyto(out, y, casting="unsafe")


PLAIN: Final[dict[str, Function]] = {
    "relu": relu,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "elu": elu,
    "gelu": gelu,
    "silu": silu,
    "softplus": softplus,
    "to_u8": to_u8,
}
