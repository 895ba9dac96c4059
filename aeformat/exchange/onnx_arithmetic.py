"""ONNX's arithmetic on values: with constants, between values, and what is a function of one of them.

Owns how a constant is broadcast: to one factor for all, for each channel, or for each place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.exchange.activations import NoForm, channelwise
from aeformat.exchange.onnx_canvas import Canvas, Tensor, finite
from aeformat.exchange.onnx_file import Node
from aeformat.exchange.onnx_functions import Maker, applied, combined, kept

Array = NDArray[Any]


def _neg(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    return _scaled(canvas, node, xs[0], np.asarray(-1.0), np.asarray(0.0))


def sorted_inputs(xs: Sequence[Any]) -> tuple[list[Tensor], list[Array]]:
    """What depends on the image, and the constants."""
    return [x for x in xs if isinstance(x, Tensor)], [x for x in xs if isinstance(x, np.ndarray)]


def needs_constant(x: Any, what: str) -> None:
    """Raises NoForm for what depends on the image."""
    if isinstance(x, Tensor):
        raise NoForm(f"{what} depends on the image")


def _scaled(canvas: Canvas, node: Node, x: Tensor, factor: Array, offset: Array) -> Tensor:
    """x * factor + offset, constants that ONNX broadcasts over [1, *shape]."""
    if factor.size == offset.size == 1:
        a, b = float(factor.reshape(-1)[0]), float(offset.reshape(-1)[0])
        return applied(canvas, node, x, lambda g, v: channelwise(g, v, a, b, node.name), lambda v: v * a + b)
    value, axes = canvas.natural(x, node.name)
    try:
        factor, offset = (np.broadcast_to(v, (1, *x.shape))[0].transpose(axes) for v in (factor, offset))
    except ValueError as error:
        raise NoForm(f"a constant of another shape than {list(x.shape)}") from error
    return canvas.with_axes(affine(canvas, value, factor, offset, node.name), axes)


def affine(canvas: Canvas, value: int, factor: Array, offset: Array, name: str) -> int:
    """value * factor + offset, of the value's shape each; by channels if they are alike in all pixels."""
    graph, shape = canvas.graph, canvas.graph.shape(value)
    rows = [finite(v).reshape(-1, shape[-1]) for v in (factor, offset)]
    if all((row == row[0]).all() for row in rows):
        return channelwise(graph, value, rows[0][0], rows[1][0], name)
    flat = graph.add("flatten", value, name=name)
    made = channelwise(graph, flat, rows[0].reshape(-1), rows[1].reshape(-1), name)
    return graph.add("reshape", made, name=name, shape=shape)


def _add(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    tensors, constants = sorted_inputs(xs)
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
        return combined(canvas, node, (a, b), np.multiply, "multiplies two values that depend on the image")
    x, factor = (a, b) if isinstance(a, Tensor) else (b, a)
    return _scaled(canvas, node, x, factor, np.asarray(0.0))


def _div(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    a, b = xs
    if isinstance(b, Tensor):
        if isinstance(a, Tensor):
            return combined(canvas, node, (a, b), np.divide, "divides by a value that depends on the image")
        if np.asarray(a).size == 1:
            top = float(np.asarray(a).reshape(-1)[0])
            return kept(canvas, node, b, lambda x: top / x)
        raise NoForm("divides by a value that depends on the image")
    if not np.all(b):
        raise NoForm("divides by 0")
    return _scaled(canvas, node, a, 1 / np.asarray(b, np.float64), np.asarray(0.0))


def _pow(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    x, power = xs
    if not isinstance(x, Tensor) or isinstance(power, Tensor) or power.size != 1:
        raise NoForm("a power that depends on the image")
    exponent = float(power.reshape(-1)[0])
    return kept(canvas, node, x, lambda v: v**exponent)


def _compared(function: Callable[[Array, float], Array]) -> Maker:
    def make(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
        x, than = xs
        if not isinstance(x, Tensor) or isinstance(than, Tensor) or than.size != 1:
            raise NoForm("compares with something else than a constant")
        end = float(than.reshape(-1)[0])
        return kept(canvas, node, x, lambda v: function(v, end))

    return make


def _where(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    """One function or another of one value, as exporters write those of two pieces."""
    if not all(isinstance(x, Tensor) for x in xs):
        raise NoForm("chooses between constants")
    return combined(canvas, node, xs, np.where, "chooses between values that depend on the image")


def _summed(canvas: Canvas, node: Node, a: Tensor, b: Tensor, sign: int) -> Tensor:
    if a.pending is not None or b.pending is not None:
        return combined(canvas, node, (a, b), np.add if sign == 1 else np.subtract, "")
    if a.shape != b.shape:
        raise NoForm(f"takes {list(a.shape)} and {list(b.shape)}; here all have one shape")
    other = canvas.same_order(b, a, node.name)
    if sign == -1:
        other = channelwise(canvas.graph, other, -1, 0, node.name)
    return Tensor(canvas.graph.add("add", a.value, other, name=node.name), a.order)


def _batch_normalization(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    if node.integer("training_mode"):
        raise NoForm("in training mode; export model.eval()")
    x, *given = xs
    for one in given[:4]:
        needs_constant(one, "what it is trained to")
    scale, offset, mean, variance = (np.asarray(one, np.float64) for one in given[:4])
    factor = scale / np.sqrt(variance + node.number("epsilon", 1e-5))
    along = (-1, *(1 for _ in x.shape[1:]))
    return _scaled(canvas, node, x, factor.reshape(along), (offset - mean * factor).reshape(along))


ARITHMETIC_OPS: Final[dict[str, Maker]] = {
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
}
