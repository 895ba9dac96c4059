"""What each Keras activation becomes: layers of the registry (spec/model.md, section 3).

Owns the functions and the layers that are functions of single numbers; some are made of several layers here.  Knows nothing of
weights and shapes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.backends.runtime import load_keras
from aeformat.model.graph import Graph

Array = NDArray[Any]


class NoForm(Exception):
    """A layer that the registry has no form for, and why."""


Convert = Callable[[Graph, Any, Sequence[int], str], int]

_MAX_RATIO: Final = 65_536  # num and den of a leaky_relu


def activate(graph: Graph, function: Any, x: int, name: str) -> int:
    """Add an activation: a function of keras.activations, or a layer."""
    kind = getattr(function, "__name__", None)
    if kind is None and type(function).__module__.startswith("keras.") and type(function).__name__ in ACTIVATION_LAYERS:
        return ACTIVATION_LAYERS[type(function).__name__](graph, function, (x,), name)
    if function is hard_sigmoid_of_keras_2:
        return _hard_sigmoid(graph, x, 0.2, name)
    module = getattr(function, "__module__", "")
    if kind not in _ACTIVATIONS or not module.startswith("keras."):
        raise NoForm(f"activation {kind or type(function).__name__}")
    return _ACTIVATIONS[kind](graph, x, name)


def hard_sigmoid_of_keras_2(x: Any) -> Any:
    """What Keras computed by that name before version 3: clip(x / 5 + 1/2, 0, 1).  Now it is relu6(x + 3) / 6."""
    return load_keras().ops.clip(0.2 * x + 0.5, 0.0, 1.0)


# Pieces that several are made of.


def channelwise(graph: Graph, x: int, factor: Array | float, offset: Array | float, name: str) -> int:
    """x * factor + offset, for each channel its own or one for all."""
    shape = graph.shape(x)[-1:]
    weights, bias = (np.broadcast_to(np.asarray(v, np.float64), shape).astype(np.float32) for v in (factor, offset))
    return graph.add("affine", x, name=name, weights=weights, bias=bias)


def _clipped(graph: Graph, x: int, lo: float, hi: float, name: str) -> int:
    """min(max(x, lo), hi) = lo + max(x - lo, 0) - max(x - hi, 0)."""
    above = [graph.add("relu", channelwise(graph, x, 1, -end, name), name=name) for end in (lo, hi)]
    return channelwise(
        graph, graph.add("add", above[0], channelwise(graph, above[1], -1, 0, name), name=name), 1, lo, name
    )


def _leaky(graph: Graph, x: int, slope: float, name: str) -> int:
    if slope == 0:
        return graph.add("relu", x, name=name)
    ratio = Fraction(slope).limit_denominator(math.floor(_MAX_RATIO / max(1.0, abs(slope))))
    if abs(ratio - Fraction(slope)) > 1e-6 * abs(slope):
        raise NoForm(f"negative slope {slope}")
    return graph.add("leaky_relu", x, name=name, num=ratio.numerator, den=ratio.denominator)


def _elu(graph: Graph, x: int, alpha: float, name: str) -> int:
    """max(x, 0) + alpha min(e^x - 1, 0) = alpha elu(x) + (1 - alpha) relu(x)."""
    elu = graph.add("elu", x, name=name)
    return elu if alpha == 1 else _mixed(graph, [(elu, alpha), (graph.add("relu", x, name=name), 1 - alpha)], name)


def _mixed(graph: Graph, parts: Sequence[tuple[int, Array | float]], name: str) -> int:
    """The sum of values times factors."""
    return graph.add("add", *(channelwise(graph, x, factor, 0, name) for x, factor in parts), name=name)


_SELU_SCALE: Final = 1.0507009873554804934193349852946
_SELU_ALPHA: Final = 1.6732632423543772848170429916717


def _selu(graph: Graph, x: int, name: str) -> int:
    return channelwise(graph, _elu(graph, x, _SELU_ALPHA, name), _SELU_SCALE, 0, name)


def _plain(kind: str) -> Callable[[Graph, int, str], int]:
    return lambda graph, x, name: graph.add(kind, x, name=name)


def _hard_sigmoid(graph: Graph, x: int, slope: float, name: str) -> int:
    return _clipped(graph, channelwise(graph, x, slope, 0.5, name), 0, 1, name)


_ACTIVATIONS: Final[dict[str, Callable[[Graph, int, str], int]]] = {
    "linear": lambda graph, x, name: x,
    "relu": _plain("relu"),
    "sigmoid": _plain("sigmoid"),
    "tanh": _plain("tanh"),
    "elu": _plain("elu"),
    "gelu": _plain("gelu"),
    "silu": _plain("silu"),
    "softplus": _plain("softplus"),
    "leaky_relu": lambda graph, x, name: _leaky(graph, x, 0.2, name),
    "relu6": lambda graph, x, name: _clipped(graph, x, 0, 6, name),
    "hard_tanh": lambda graph, x, name: _clipped(graph, x, -1, 1, name),
    "hard_sigmoid": lambda graph, x, name: _hard_sigmoid(graph, x, 1 / 6, name),
    "selu": _selu,
}


# Activations that are layers.


def _activation(graph: Graph, layer: Any, xs: Sequence[int], name: str) -> int:
    return activate(graph, layer.activation, xs[0], name)


def _relu(graph: Graph, layer: Any, xs: Sequence[int], name: str) -> int:
    (x,) = xs
    if layer.threshold:
        raise NoForm(f"threshold {layer.threshold}")
    slope = float(layer.negative_slope)
    if layer.max_value is None:
        return _leaky(graph, x, slope, name)
    if not slope:
        return _clipped(graph, x, 0, float(layer.max_value), name)
    above = graph.add("relu", channelwise(graph, x, 1, -float(layer.max_value), name), name=name)
    return _mixed(graph, [(_leaky(graph, x, slope, name), 1), (above, -1)], name)


def _prelu(graph: Graph, layer: Any, xs: Sequence[int], name: str) -> int:
    """max(x, 0) + alpha min(x, 0) = relu(x) - alpha relu(-x)."""
    (x,) = xs
    alpha = np.asarray(layer.alpha)
    if alpha.size != alpha.shape[-1]:
        raise NoForm("alpha differs from pixel to pixel; share it (shared_axes=[1, 2])")
    below = graph.add("relu", channelwise(graph, x, -1, 0, name), name=name)
    return _mixed(graph, [(graph.add("relu", x, name=name), 1), (below, -alpha.reshape(-1))], name)


ACTIVATION_LAYERS: Final[dict[str, Convert]] = {
    "Activation": _activation,
    "ReLU": _relu,
    "LeakyReLU": lambda graph, layer, xs, name: _leaky(graph, xs[0], float(layer.negative_slope), name),
    "ELU": lambda graph, layer, xs, name: _elu(graph, xs[0], float(layer.alpha), name),
    "PReLU": _prelu,
}
