"""ONNX operators on single numbers: activations, and arithmetic with constants and between values.

Owns which function is which.  An operator that has no form alone, such as Erf, is kept as a function until what follows
makes it one that has: x (1 + erf(x / sqrt 2)) / 2 is a gelu, x sigmoid(x) a silu.  Functions are told by their values, not by
how they are written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
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
from aeformat.exchange.onnx_canvas import Canvas, Function, Pending, Tensor, finite
from aeformat.exchange.onnx_file import Node
from aeformat.model.graph import Graph
from aeformat.model.reference import erf, gelu, sigmoid

Array = NDArray[Any]
Maker = Callable[[Canvas, Node, Sequence[Any]], Tensor]

_TRIED: Final = np.concatenate([np.linspace(-9, 9, 721), np.linspace(-50, 50, 101)])
_CLOSE: Final = 2e-6  # of a function's values, or of its largest one
_KNOWN: Final[dict[str, Function]] = {
    "gelu": gelu,
    "silu": lambda x: x * sigmoid(x),
    "softplus": lambda x: np.logaddexp(x, 0),
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
}


# Functions of one value.


def _plain(kind: str) -> Maker:
    def make(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
        return _applied(canvas, node, xs[0], lambda graph, x: graph.add(kind, x, name=node.name), _KNOWN[kind])

    return make


def _applied(canvas: Canvas, node: Node, x: Tensor, make: Callable[[Graph, int], int], function: Function) -> Tensor:
    """The function as a layer; of something that is itself a function without a form, as one more of those."""
    if x.pending is not None:
        return _kept(canvas, node, x, function)
    return canvas.pointwise(x, lambda value: make(canvas.graph, value), function)


def _without_form(function: Function) -> Maker:
    return lambda canvas, node, xs: _kept(canvas, node, xs[0], function)


def _kept(canvas: Canvas, node: Node, x: Tensor, function: Function) -> Tensor:
    before = x.pending
    label = node.label if before is None else before.label
    whole = function if before is None else _after(function, before.function)
    return _known(canvas, Tensor(x.value, x.order, Pending(whole, label)), node.name)


def _known(canvas: Canvas, x: Tensor, name: str) -> Tensor:
    """A function without a form, or the layer that it is after all, of the value or of one that the value is a function of."""
    assert x.pending is not None
    for source, inner in canvas.sources(x.value):
        kind = _kind_of(_after(x.pending.function, inner))
        if kind is not None:
            add = partial(canvas.graph.add, kind, name=name)
            return canvas.pointwise(Tensor(source, x.order), add, _KNOWN[kind])
    return x


def _kind_of(function: Function) -> str | None:
    with np.errstate(all="ignore"):
        made = np.asarray(function(_TRIED))
        for kind, known in _KNOWN.items():
            wanted = known(_TRIED)
            if made.shape == wanted.shape and (np.abs(made - wanted) <= _CLOSE * np.maximum(1, np.abs(wanted))).all():
                return kind
    return None


def _after(second: Function, first: Function) -> Function:
    return lambda x: second(first(x))


def _leaky_relu(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    slope = node.number("alpha", 0.01)
    return _applied(
        canvas, node, xs[0], lambda g, x: leaky(g, x, slope, node.name), lambda x: np.where(x >= 0, x, x * slope)
    )


def _elu(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    alpha = node.number("alpha", 1.0)
    return _applied(canvas, node, xs[0], lambda g, x: elu(g, x, alpha, node.name), lambda x: _elu_of(x, alpha))


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
    return _applied(canvas, node, xs[0], make, lambda x: alpha * _elu_of(x / alpha, 1.0))


def _selu(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    alpha, gamma = node.number("alpha", 1.67326319217681884765625), node.number("gamma", 1.05070102214813232421875)
    return _applied(
        canvas, node, xs[0], lambda g, x: selu(g, x, node.name, alpha, gamma), lambda x: gamma * _elu_of(x, alpha)
    )


def _hard_sigmoid(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    alpha, beta = node.number("alpha", 0.2), node.number("beta", 0.5)
    return _applied(
        canvas,
        node,
        xs[0],
        lambda g, x: hard_sigmoid(g, x, alpha, node.name, beta),
        lambda x: np.clip(alpha * x + beta, 0, 1),
    )


def _prelu(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    x, slope = xs
    _constant(slope, "the slope")
    value, axes = canvas.natural(x, node.name)
    alpha = finite(np.broadcast_to(slope, (1, *x.shape))[0].transpose(axes))
    if (alpha != alpha.reshape(-1, alpha.shape[-1])[0]).any():
        raise NoForm("its slope differs from pixel to pixel")
    per_channel = alpha.reshape(-1, alpha.shape[-1])[0]
    return _back(canvas, prelu(canvas.graph, value, per_channel, node.name), axes)


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
    _constant(np.asarray(given) if not isinstance(given, Tensor) else given, key)
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
    return _applied(canvas, node, x, make, lambda v: np.clip(v, *ends))


def _bound(is_lower: bool) -> Maker:
    """Max or Min of a value and a constant."""

    def make(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
        tensors, constants = _sorted(xs)
        if len(tensors) != 1 or len(constants) != 1 or constants[0].size != 1:
            raise NoForm("takes several values; there is one with a constant")
        end = float(constants[0].reshape(-1)[0])
        return _between(canvas, node, tensors[0], end if is_lower else None, None if is_lower else end)

    return make


def _abs(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    def make(graph: Graph, x: int) -> int:
        below = graph.add("relu", channelwise(graph, x, -1, 0, node.name), name=node.name)
        return graph.add("add", graph.add("relu", x, name=node.name), below, name=node.name)

    return _applied(canvas, node, xs[0], make, np.abs)


def _neg(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    return _scaled(canvas, node, xs[0], np.asarray(-1.0), np.asarray(0.0))


# Arithmetic.


def _sorted(xs: Sequence[Any]) -> tuple[list[Tensor], list[Array]]:
    return [x for x in xs if isinstance(x, Tensor)], [x for x in xs if isinstance(x, np.ndarray)]


def _constant(x: Any, what: str) -> None:
    if isinstance(x, Tensor):
        raise NoForm(f"{what} depends on the image")


def _scaled(canvas: Canvas, node: Node, x: Tensor, factor: Array, offset: Array) -> Tensor:
    """x * factor + offset, constants that ONNX broadcasts over [1, *shape]."""
    if factor.size == offset.size == 1:
        a, b = float(factor.reshape(-1)[0]), float(offset.reshape(-1)[0])
        return _applied(canvas, node, x, lambda g, v: channelwise(g, v, a, b, node.name), lambda v: v * a + b)
    value, axes = canvas.natural(x, node.name)
    try:
        factor, offset = (np.broadcast_to(v, (1, *x.shape))[0].transpose(axes) for v in (factor, offset))
    except ValueError as error:
        raise NoForm(f"a constant of another shape than {list(x.shape)}") from error
    return _back(canvas, affine(canvas, value, factor, offset, node.name), axes)


def affine(canvas: Canvas, value: int, factor: Array, offset: Array, name: str) -> int:
    """value * factor + offset, of the value's shape each; by channels if they are alike in all pixels."""
    graph, shape = canvas.graph, canvas.graph.shape(value)
    rows = [finite(v).reshape(-1, shape[-1]) for v in (factor, offset)]
    if all((row == row[0]).all() for row in rows):
        return channelwise(graph, value, rows[0][0], rows[1][0], name)
    flat = graph.add("flatten", value, name=name)
    made = channelwise(graph, flat, rows[0].reshape(-1), rows[1].reshape(-1), name)
    return graph.add("reshape", made, name=name, shape=shape)


def _back(canvas: Canvas, value: int, axes: Sequence[int]) -> Tensor:
    """The tensor whose axes, in this order, are those of a value."""
    return Tensor(value, canvas.plain(value).order.transpose(np.argsort(axes)))


def _add(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    tensors, constants = _sorted(xs)
    made = tensors[0]
    for other in tensors[1:]:
        made = _summed(canvas, node, made, other, 1)
    for one in constants:
        made = _scaled(canvas, node, made, np.asarray(1.0), one)
    return made


def _sub(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    a, b = xs
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return _summed(canvas, node, a, b, -1)
    if isinstance(a, Tensor):
        return _scaled(canvas, node, a, np.asarray(1.0), -np.asarray(b, np.float64))
    return _scaled(canvas, node, b, np.asarray(-1.0), a)


def _mul(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    a, b = xs
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return _combined(canvas, node, (a, b), np.multiply, "multiplies two values that depend on the image")
    x, factor = (a, b) if isinstance(a, Tensor) else (b, a)
    return _scaled(canvas, node, x, factor, np.asarray(0.0))


def _div(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    a, b = xs
    if isinstance(b, Tensor):
        if isinstance(a, Tensor):
            return _combined(canvas, node, (a, b), np.divide, "divides by a value that depends on the image")
        if np.asarray(a).size == 1:
            top = float(np.asarray(a).reshape(-1)[0])
            return _kept(canvas, node, b, lambda x: top / x)
        raise NoForm("divides by a value that depends on the image")
    if not np.all(b):
        raise NoForm("divides by 0")
    return _scaled(canvas, node, a, 1 / np.asarray(b, np.float64), np.asarray(0.0))


def _pow(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    x, power = xs
    if not isinstance(x, Tensor) or isinstance(power, Tensor) or power.size != 1:
        raise NoForm("a power that depends on the image")
    exponent = float(power.reshape(-1)[0])
    return _kept(canvas, node, x, lambda v: v**exponent)


def _compared(function: Callable[[Array, float], Array]) -> Maker:
    def make(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
        x, than = xs
        if not isinstance(x, Tensor) or isinstance(than, Tensor) or than.size != 1:
            raise NoForm("compares with something else than a constant")
        end = float(than.reshape(-1)[0])
        return _kept(canvas, node, x, lambda v: function(v, end))

    return make


def _where(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    """One function or another of one value, as exporters write those of two pieces."""
    if not all(isinstance(x, Tensor) for x in xs):
        raise NoForm("chooses between constants")
    return _combined(canvas, node, xs, np.where, "chooses between values that depend on the image")


def _summed(canvas: Canvas, node: Node, a: Tensor, b: Tensor, sign: int) -> Tensor:
    if a.pending is not None or b.pending is not None:
        return _combined(canvas, node, (a, b), np.add if sign == 1 else np.subtract, "")
    if a.shape != b.shape:
        raise NoForm(f"takes {list(a.shape)} and {list(b.shape)}; here all have one shape")
    other = canvas.same_order(b, a, node.name)
    if sign == -1:
        other = channelwise(canvas.graph, other, -1, 0, node.name)
    return Tensor(canvas.graph.add("add", a.value, other, name=node.name), a.order)


def _combined(canvas: Canvas, node: Node, xs: Sequence[Tensor], function: Callable[..., Array], why: str) -> Tensor:
    """Of several functions of one value the function that they make together."""
    first, *others = xs
    found = [dict(reversed(canvas.sources(x.value))) for x in others]
    for source, inner in canvas.sources(first.value):
        is_common = all(source in sources for sources in found)
        if is_common and all(x.shape == first.shape and (x.order == first.order).all() for x in others):
            parts = [
                _whole(first, inner),
                *(_whole(x, sources[source]) for x, sources in zip(others, found, strict=True)),
            ]
            label = next((x.pending.label for x in xs if x.pending is not None), node.label)
            return _known(canvas, Tensor(source, first.order, Pending(_all(function, parts), label)), node.name)
    for x in xs:
        canvas.value_of(x)
    raise NoForm(why)


def _all(function: Callable[..., Array], parts: Sequence[Function]) -> Function:
    return lambda x: function(*(part(x) for part in parts))


def _whole(x: Tensor, inner: Function) -> Function:
    return inner if x.pending is None else _after(x.pending.function, inner)


def _batch_normalization(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    if node.integer("training_mode"):
        raise NoForm("in training mode; export model.eval()")
    x, *given = xs
    for one in given[:4]:
        _constant(one, "what it is trained to")
    scale, offset, mean, variance = (np.asarray(one, np.float64) for one in given[:4])
    factor = scale / np.sqrt(variance + node.number("epsilon", 1e-5))
    along = (-1, *(1 for _ in x.shape[1:]))
    return _scaled(canvas, node, x, factor.reshape(along), (offset - mean * factor).reshape(along))


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
    "Neg": _neg,
    "Add": _add,
    "Sum": _add,
    "Sub": _sub,
    "Mul": _mul,
    "Div": _div,
    "Pow": _pow,
    "Greater": _compared(np.greater),
    "Less": _compared(np.less),
    "Where": _where,
    "BatchNormalization": _batch_normalization,
    "Erf": _without_form(erf),
    "Exp": _without_form(np.exp),
    "Log": _without_form(np.log),
    "Sqrt": _without_form(np.sqrt),
    "Reciprocal": _without_form(np.reciprocal),
    "Softsign": _without_form(lambda x: x / (1 + np.abs(x))),
    "Mish": _without_form(lambda x: x * np.tanh(np.logaddexp(x, 0))),
    "HardSwish": _without_form(lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
    "ThresholdedRelu": _without_form(lambda x: np.where(x > 1, x, 0)),
}
