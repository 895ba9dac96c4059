"""A smooth curve through points that neither overshoots nor turns where they do not: piecewise cubic Hermite, "pchip".

Owns the slopes (Fritsch and Butland 1984, as SciPy's PchipInterpolator has them), values and integrals.  Nothing is extrapolated.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

_Numbers = NDArray[np.float64]


class Pchip:
    """Through points with rising x; two at least."""

    def __init__(self, x: Sequence[float], y: Sequence[float]) -> None:
        self._x, self._y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        if len(self._x) < 2 or not (np.diff(self._x) > 0).all():
            raise ValueError("a curve takes two points or more, with rising x")
        self._slopes = _slopes(np.diff(self._x), np.diff(self._y) / np.diff(self._x))

    def __call__(self, x: float) -> float:
        """The value at x, which lies between the first point and the last."""
        if not self._x[0] <= x <= self._x[-1]:
            raise ValueError(f"{x:g} lies outside of the curve")
        i = min(int(np.searchsorted(self._x, x, side="right")) - 1, len(self._x) - 2)
        width = self._x[i + 1] - self._x[i]
        t = (x - self._x[i]) / width
        ends = (1 + 2 * t) * (1 - t) ** 2 * self._y[i] + t**2 * (3 - 2 * t) * self._y[i + 1]
        slopes = t * (1 - t) ** 2 * self._slopes[i] - t**2 * (1 - t) * self._slopes[i + 1]
        return float(ends + width * slopes)

    def integral(self, low: float, high: float) -> float:
        """From low to high; Simpson's rule, which is exact for the cubic between two neighbours."""
        inner = [float(x) for x in self._x if low < x < high]
        places = [low, *inner, high]
        pairs = pairwise(places)
        return sum((b - a) / 6 * (self(a) + 4 * self((a + b) / 2) + self(b)) for a, b in pairs)


def _slopes(widths: _Numbers, rises: _Numbers) -> _Numbers:
    """At every point.  widths, rises: of the stretches between neighbours."""
    if len(rises) == 1:
        return np.repeat(rises, 2)
    inner = np.zeros(len(rises) - 1)
    turns = rises[:-1] * rises[1:] <= 0
    first, second = 2 * widths[1:] + widths[:-1], widths[1:] + 2 * widths[:-1]
    with np.errstate(divide="ignore"):
        mean = (first + second) / (first / rises[:-1] + second / rises[1:])
    inner[~turns] = mean[~turns]
    return np.array([_end(widths[:2], rises[:2]), *inner, _end(widths[:-3:-1], rises[:-3:-1])])


def _end(widths: _Numbers, rises: _Numbers) -> float:
    """The slope at an end, from the two stretches next to it, the nearer one first: a parabola's, kept from turning."""
    slope = ((2 * widths[0] + widths[1]) * rises[0] - widths[0] * rises[1]) / (widths[0] + widths[1])
    if slope * rises[0] <= 0:
        return 0.0
    if rises[0] * rises[1] <= 0 and abs(slope) > 3 * abs(rises[0]):
        return float(3 * rises[0])
    return float(slope)
