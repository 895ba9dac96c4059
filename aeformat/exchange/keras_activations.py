"""What each Keras activation becomes: layers of the registry (spec/model.md, section 3).

Owns which function is which; activations.py makes those of several layers.  Knows nothing of weights and shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.backends.runtime import load_keras
from aeformat.exchange.activations import NoForm, channelwise, clipped, elu, hard_sigmoid, leaky, mixed, prelu, selu
from aeformat.model.graph import Graph

Array = NDArray[Any]

Convert = Callable[[Graph, Any, Sequence[int], str], int]


def activate(graph: Graph, function: Any, x: int, name: str) -> int:
    """Add an activation: a function of keras.activations, or a layer."""
    kind = getattr(function, "__name__", None)
    if kind is None and type(function).__module__.startswith("keras.") and type(function).__name__ in ACTIVATION_LAYERS:
        return ACTIVATION_LAYERS[type(function).__name__](graph, function, (x,), name)
    if function is hard_sigmoid_of_keras_2:
        return hard_sigmoid(graph, x, 0.2, name)
    module = getattr(function, "__module__", "")
    if kind not in _ACTIVATIONS or not module.startswith("keras."):
        raise NoForm(f"activation {kind or type(function).__name__}")
    return _ACTIVATIONS[kind](graph, x, name)


def hard_sigmoid_of_keras_2(x: Any) -> Any:
    """What Keras computed by that name before version 3: clip(x / 5 + 1/2, 0, 1).  Now it is relu6(x + 3) / 6."""
    return load_keras().ops.clip(0.2 * x + 0.5, 0.0, 1.0)


def _plain(kind: str) -> Callable[[Graph, int, str], int]:
    return lambda graph, x, name: graph.add(kind, x, name=name)


_ACTIVATIONS: Final[dict[str, Callable[[Graph, int, str], int]]] = {
    "linear": lambda graph, x, name: x,
    "relu": _plain("relu"),
    "sigmoid": _plain("sigmoid"),
    "tanh": _plain("tanh"),
    "elu": _plain("elu"),
    "gelu": _plain("gelu"),
    "silu": _plain("silu"),
    "softplus": _plain("softplus"),
    "leaky_relu": lambda graph, x, name: leaky(graph, x, 0.2, name),
    "relu6": lambda graph, x, name: clipped(graph, x, 0, 6, name),
    "hard_tanh": lambda graph, x, name: clipped(graph, x, -1, 1, name),
    "hard_sigmoid": lambda graph, x, name: hard_sigmoid(graph, x, 1 / 6, name),
    "selu": selu,
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
        return leaky(graph, x, slope, name)
    if not slope:
        return clipped(graph, x, 0, float(layer.max_value), name)
    above = graph.add("relu", channelwise(graph, x, 1, -float(layer.max_value), name), name=name)
    return mixed(graph, [(leaky(graph, x, slope, name), 1), (above, -1)], name)


def _prelu(graph: Graph, layer: Any, xs: Sequence[int], name: str) -> int:
    (x,) = xs
    alpha = np.asarray(layer.alpha)
    if alpha.size != alpha.shape[-1]:
        raise NoForm("alpha differs from pixel to pixel; share it (shared_axes=[1, 2])")
    return prelu(graph, x, alpha, name)


ACTIVATION_LAYERS: Final[dict[str, Convert]] = {
    "Activation": _activation,
    "ReLU": _relu,
    "LeakyReLU": lambda graph, layer, xs, name: leaky(graph, xs[0], float(layer.negative_slope), name),
    "ELU": lambda graph, layer, xs, name: elu(graph, xs[0], float(layer.alpha), name),
    "PReLU": _prelu,
}
