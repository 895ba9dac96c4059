"""Functions of single numbers as layers of the registry (spec/model.md, section 3), whatever file they come from.

Owns what several importers share: functions that are made of several layers, and NoForm.  Knows nothing of any file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.model.graph import Graph

Array = NDArray[Any]

_MAX_RATIO: Final = 65_536  # num and den of a leaky_relu


class NoForm(Exception):
    """A layer that the registry has no form for, and why.  label: of the layer, where it is not the one at hand."""

    def __init__(self, what: str, label: str | None = None) -> None:
        super().__init__(what)
        self.label = label


def channelwise(graph: Graph, x: int, factor: Array | float, offset: Array | float, name: str) -> int:
    """x * factor + offset, for each channel its own or one for all."""
    shape = graph.shape(x)[-1:]
    weights, bias = (np.broadcast_to(np.asarray(v, np.float64), shape).astype(np.float32) for v in (factor, offset))
    return graph.add("affine", x, name=name, weights=weights, bias=bias)


def clipped(graph: Graph, x: int, lo: float, hi: float, name: str) -> int:
    """min(max(x, lo), hi) = lo + max(x - lo, 0) - max(x - hi, 0)."""
    above = [graph.add("relu", channelwise(graph, x, 1, -end, name), name=name) for end in (lo, hi)]
    return channelwise(
        graph, graph.add("add", above[0], channelwise(graph, above[1], -1, 0, name), name=name), 1, lo, name
    )


def leaky(graph: Graph, x: int, slope: float, name: str) -> int:
    """x if x >= 0 else x * slope.  Raises NoForm where the slope is no ratio of small integers."""
    if slope == 0:
        return graph.add("relu", x, name=name)
    ratio = Fraction(slope).limit_denominator(math.floor(_MAX_RATIO / max(1.0, abs(slope))))
    if abs(ratio - Fraction(slope)) > 1e-6 * abs(slope):
        raise NoForm(f"negative slope {slope}")
    return graph.add("leaky_relu", x, name=name, num=ratio.numerator, den=ratio.denominator)


def elu(graph: Graph, x: int, alpha: float, name: str) -> int:
    """max(x, 0) + alpha min(e^x - 1, 0) = alpha elu(x) + (1 - alpha) relu(x)."""
    made = graph.add("elu", x, name=name)
    return made if alpha == 1 else mixed(graph, [(made, alpha), (graph.add("relu", x, name=name), 1 - alpha)], name)


def mixed(graph: Graph, parts: Sequence[tuple[int, Array | float]], name: str) -> int:
    """The sum of values times factors."""
    return graph.add("add", *(channelwise(graph, x, factor, 0, name) for x, factor in parts), name=name)


_SELU_SCALE: Final = 1.0507009873554804934193349852946
_SELU_ALPHA: Final = 1.6732632423543772848170429916717


def selu(graph: Graph, x: int, name: str, alpha: float = _SELU_ALPHA, scale: float = _SELU_SCALE) -> int:
    """scale elu(x), with an alpha."""
    return channelwise(graph, elu(graph, x, alpha, name), scale, 0, name)


def hard_sigmoid(graph: Graph, x: int, slope: float, name: str, offset: float = 0.5) -> int:
    """min(max(slope x + offset, 0), 1)."""
    return clipped(graph, channelwise(graph, x, slope, offset, name), 0, 1, name)


def prelu(graph: Graph, x: int, alpha: Array, name: str) -> int:
    """max(x, 0) + alpha min(x, 0) = relu(x) - alpha relu(-x), for each channel its own alpha."""
    below = graph.add("relu", channelwise(graph, x, -1, 0, name), name=name)
    return mixed(graph, [(graph.add("relu", x, name=name), 1), (below, -alpha.reshape(-1))], name)
