"""ONNX operators on single numbers: activations, and arithmetic with constants and between values.

Owns which function is which.  An operator that has no form alone, such as Erf, is kept as a function until what follows
makes it one that has: x (1 + erf(x / sqrt 2)) / 2 is a gelu, x sigmoid(x) a silu.  Functions are told by their values, not by
how they are written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.exchange.activations import (
    NoForm,
    channelwise,
    clipped,
    elu,
    hard_sigmoid,
    leaky,
    prelu,
    selu,
)
from aeformat.exchange.onnx_arithmetic import needs_constant, sorted_inputs
from aeformat.exchange.onnx_canvas import Canvas, Tensor, finite
from aeformat.exchange.onnx_file import Node
from aeformat.exchange.onnx_functions import KNOWN, Maker, applied, without_form
from aeformat.model.graph import Graph
from aeformat.model.reference import erf

Array = NDArray[Any]

# Functions of one value.


def _plain(kind: str) -> Maker:
    def make(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
        return applied(canvas, node, xs[0], lambda graph, x: graph.add(kind, x, name=node.name), KNOWN[kind])

    return make


def _leaky_relu(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    slope = node.number("alpha", 0.01)
    return applied(
        canvas, node, xs[0], lambda g, x: leaky(g, x, slope, node.name), lambda x: np.where(x >= 0, x, x * slope)
    )


def _elu(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    alpha = node.number("alpha", 1.0)
    return applied(canvas, node, xs[0], lambda g, x: elu(g, x, alpha, node.name), lambda x: _elu_of(x, alpha))


def _elu_of(x: Array, alpha: float) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _celu(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    """max(x, 0) + min(alpha (e^(x / alpha) - 1), 0) = alpha elu(x / alpha)."""
    alpha, name = node.number("alpha", 1.0), node.name

    def make(graph: Graph, x: int) -> int:
        return channelwise(
            graph, graph.add("elu", channelwise(graph, x, 1 / alpha, 0, name), name=name), alpha, 0, name
        )

    if alpha <= 0:
        raise NoForm(f"alpha {alpha}")
    return applied(canvas, node, xs[0], make, lambda x: alpha * _elu_of(x / alpha, 1.0))


def _selu(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    alpha, gamma = node.number("alpha", 1.67326319217681884765625), node.number("gamma", 1.05070102214813232421875)
    return applied(
        canvas, node, xs[0], lambda g, x: selu(g, x, node.name, alpha, gamma), lambda x: gamma * _elu_of(x, alpha)
    )


def _hard_sigmoid(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    alpha, beta = node.number("alpha", 0.2), node.number("beta", 0.5)
    return applied(
        canvas,
        node,
        xs[0],
        lambda g, x: hard_sigmoid(g, x, alpha, node.name, beta),
        lambda x: np.clip(alpha * x + beta, 0, 1),
    )


def _prelu(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    x, slope = xs
    needs_constant(slope, "the slope")
    value, axes = canvas.natural(x, node.name)
    alpha = finite(np.broadcast_to(slope, (1, *x.shape))[0].transpose(axes))
    if (alpha != alpha.reshape(-1, alpha.shape[-1])[0]).any():
        raise NoForm("its slope differs from pixel to pixel")
    per_channel = alpha.reshape(-1, alpha.shape[-1])[0]
    return canvas.with_axes(prelu(canvas.graph, value, per_channel, node.name), axes)


def _gelu(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    if node.text("approximate", "none") != "none":
        raise NoForm('approximate "tanh"; there is the exact one: nn.GELU()')
    return _plain("gelu")(canvas, node, xs)


def _swish(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    if node.number("alpha", 1.0) != 1:
        raise NoForm(f"alpha {node.number('alpha')}; there is x sigmoid(x)")
    return _plain("silu")(canvas, node, xs)


def _clip(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    ends = [_end(node, xs, number, key) for number, key in ((1, "min"), (2, "max"))]
    return _between(canvas, node, xs[0], *ends)


def _end(node: Node, xs: Sequence[Any], number: int, key: str) -> float | None:
    given = xs[number] if number < len(xs) else node.attributes.get(key)
    if given is None:
        return None
    needs_constant(np.asarray(given) if not isinstance(given, Tensor) else given, key)
    end = float(np.asarray(given).reshape(-1)[0])
    return None if abs(end) > 1e30 else end  # exporters write the largest float for none


def _between(canvas: Canvas, node: Node, x: Tensor, lo: float | None, hi: float | None) -> Tensor:
    """min(max(x, lo), hi), with only one end max(x - lo, 0) + lo or hi - max(hi - x, 0)."""
    name = node.name

    def make(graph: Graph, value: int) -> int:
        if lo is not None and hi is not None:
            return clipped(graph, value, lo, hi, name)
        sign, end = (1, lo) if lo is not None else (-1, hi)
        assert end is not None
        if end == 0 and sign == 1:
            return graph.add("relu", value, name=name)
        above = graph.add("relu", channelwise(graph, value, sign, -sign * end, name), name=name)
        return channelwise(graph, above, sign, end, name)

    if lo is None and hi is None:
        return x
    ends = (-np.inf if lo is None else lo, np.inf if hi is None else hi)
    return applied(canvas, node, x, make, lambda v: np.clip(v, *ends))


def _bound(is_lower: bool) -> Maker:
    """Max or Min of a value and a constant."""

    def make(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
        tensors, constants = sorted_inputs(xs)
        if len(tensors) != 1 or len(constants) != 1 or constants[0].size != 1:
            raise NoForm("takes several values; there is one with a constant")
        end = float(constants[0].reshape(-1)[0])
        return _between(canvas, node, tensors[0], end if is_lower else None, None if is_lower else end)

    return make


def _abs(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    def make(graph: Graph, x: int) -> int:
        below = graph.add("relu", channelwise(graph, x, -1, 0, node.name), name=node.name)
        return graph.add("add", graph.add("relu", x, name=node.name), below, name=node.name)

    return applied(canvas, node, xs[0], make, np.abs)


POINTWISE_OPS: Final[dict[str, Maker]] = {
    **{op: _plain(op.lower()) for op in ("Relu", "Sigmoid", "Tanh", "Softplus")},
    "LeakyRelu": _leaky_relu,
    "Elu": _elu,
    "Celu": _celu,
    "Selu": _selu,
    "HardSigmoid": _hard_sigmoid,
    "PRelu": _prelu,
    "Gelu": _gelu,
    "Swish": _swish,
    "Clip": _clip,
    "Max": _bound(is_lower=True),
    "Min": _bound(is_lower=False),
    "Abs": _abs,
    "Erf": without_form(erf),
    "Exp": without_form(np.exp),
    "Log": without_form(np.log),
    "Sqrt": without_form(np.sqrt),
    "Reciprocal": without_form(np.reciprocal),
    "Softsign": without_form(lambda x: x / (1 + np.abs(x))),
    "Mish": without_form(lambda x: x * np.tanh(np.logaddexp(x, 0))),
    "HardSwish": without_form(lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
    "ThresholdedRelu": without_form(lambda x: np.where(x > 1, x, 0)),
}
