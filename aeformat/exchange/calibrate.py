"""What numbers occur in a float network on sample images, and the 8-bit integers that stand for them.

Owns quantisers: an integer q stands for scale * (q - zero).  Knows nothing of layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.model.graph import Graph
from aeformat.model.reference import all_values

Array = NDArray[Any]

_KEPT: Final = 1 << 15  # numbers of each value that are looked at for its quantiser
_BATCH_NUMBERS: Final = 1 << 22  # of all values together
_SHARES: Final = np.linspace(1, 0.4, 13)  # of the range that occurs: what is outside is clipped


@dataclass(frozen=True, slots=True)
class Quantiser:
    """q from lo to hi, of type "u8" or "i8", stands for scale * (q - zero)."""

    scale: float
    zero: float
    type: str = "u8"
    lo: int = 0
    hi: int = 255

    def of(self, real: Array) -> Array:
        """The nearest integers, half up, clipped."""
        return np.clip(np.floor(real / self.scale + self.zero + 0.5), self.lo, self.hi)

    def real(self, q: Array) -> Array:
        """What integers stand for."""
        return self.scale * (q - self.zero)


@dataclass(frozen=True, slots=True)
class Seen:
    """What one value was on the samples.  peak: its largest magnitude.  numbers: some of them, float64."""

    peak: float
    numbers: Array


def look(graph: Graph, rows: Array) -> tuple[list[Seen], Array]:
    """What every value of a graph is on (n, *shape) rows; and all of the last one, (n, *shape) float64."""
    n_rows = max(1, _BATCH_NUMBERS // max(1, sum(value.n_elements for value in graph.values)))
    rng = np.random.default_rng(0)
    peaks = np.zeros(len(graph.values))
    kept: list[list[Array]] = [[] for _ in graph.values]
    last = []
    for start in range(0, len(rows), n_rows):
        values = all_values(graph.steps, rows[start : start + n_rows])
        last.append(values[-1])
        share = len(values[-1]) / len(rows)
        for number, value in enumerate(values):
            flat = value.reshape(-1)
            peaks[number] = max(peaks[number], np.abs(flat).max())
            kept[number].append(flat[rng.integers(0, flat.size, max(1, round(_KEPT * share)))])
    seen = [Seen(float(peak), np.concatenate(parts)) for peak, parts in zip(peaks, kept, strict=True)]
    return seen, np.concatenate(last)


def fit(numbers: Array, *, keep_zero: bool) -> Quantiser:
    """The quantiser with the least mean squared error.  keep_zero: 0 must be the integer 0."""
    lo, hi = min(0.0, float(numbers.min())), max(0.0, float(numbers.max()))
    choices = [
        _spread(lo * a, hi * b, keep_zero) for a in _SHARES for b in (_SHARES if lo and hi and not keep_zero else (a,))
    ]
    return min(choices, key=lambda q: float(np.square(q.real(q.of(numbers)) - numbers).mean()))


def cover(numbers: Array) -> Quantiser:
    """A quantiser that clips none of these, nor 0."""
    return _spread(min(0.0, float(numbers.min())), max(0.0, float(numbers.max())), keep_zero=False)


def _spread(lo: float, hi: float, keep_zero: bool) -> Quantiser:
    if lo == 0:
        return Quantiser(max(hi, 1e-6) / 255, 0.0)
    if keep_zero:
        return Quantiser(max(-lo, hi) / 127, 0.0, "i8", -127, 127)
    scale = (hi - lo) / 255
    return Quantiser(scale, float(np.rint(-lo / scale)))
