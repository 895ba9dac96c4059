"""Functions of single numbers, and what the registry calls them.

Owns how a function is told: by its values.  An operator that has no form alone, such as Erf, is kept as a function until what
follows makes it one that has: x (1 + erf(x / sqrt 2)) / 2 is a gelu, x sigmoid(x) a silu, however they are written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.exchange.activations import NoForm
from aeformat.exchange.onnx_canvas import Canvas, Function, Pending, Tensor
from aeformat.exchange.onnx_file import Node
from aeformat.model.graph import Graph
from aeformat.model.reference import gelu, sigmoid

Array = NDArray[Any]
Maker = Callable[[Canvas, Node, Sequence[Any]], Tensor]

_TRIED: Final = np.concatenate([np.linspace(-9, 9, 721), np.linspace(-50, 50, 101)])
_CLOSE: Final = 2e-6  # of a function's values, or of its largest one
KNOWN: Final[dict[str, Function]] = {
    "gelu": gelu,
    "silu": lambda x: x * sigmoid(x),
    "softplus": lambda x: np.logaddexp(x, 0),
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
}


def applied(canvas: Canvas, node: Node, x: Tensor, make: Callable[[Graph, int], int], function: Function) -> Tensor:
    """The function as a layer; of something that is itself a function without a form, as one more of those."""
    if x.pending is not None:
        return kept(canvas, node, x, function)
    return canvas.pointwise(x, lambda value: make(canvas.graph, value), function)


def without_form(function: Function) -> Maker:
    """For an operator that the registry has no kind for, alone."""
    return lambda canvas, node, xs: kept(canvas, node, xs[0], function)


def kept(canvas: Canvas, node: Node, x: Tensor, function: Function) -> Tensor:
    """A function that has no form yet, of a tensor."""
    before = x.pending
    label = node.label if before is None else before.label
    whole = function if before is None else after(function, before.function)
    return known(canvas, Tensor(x.value, x.order, Pending(whole, label)), node.name)


def known(canvas: Canvas, x: Tensor, name: str) -> Tensor:
    """A function without a form, or the layer that it is after all, of the value or of one that the value is a function of."""
    assert x.pending is not None
    for source, inner in canvas.sources(x.value):
        kind = _kind_of(after(x.pending.function, inner))
        if kind is not None:
            add = partial(canvas.graph.add, kind, name=name)
            return canvas.pointwise(Tensor(source, x.order), add, KNOWN[kind])
    return x


def _kind_of(function: Function) -> str | None:
    with np.errstate(all="ignore"):
        made = np.asarray(function(_TRIED))
        for kind, known in KNOWN.items():
            wanted = known(_TRIED)
            if made.shape == wanted.shape and (np.abs(made - wanted) <= _CLOSE * np.maximum(1, np.abs(wanted))).all():
                return kind
    return None


def after(second: Function, first: Function) -> Function:
    """second(first(x))."""
    return lambda x: second(first(x))


def combined(canvas: Canvas, node: Node, xs: Sequence[Tensor], function: Callable[..., Array], why: str) -> Tensor:
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
            return known(canvas, Tensor(source, first.order, Pending(_all(function, parts), label)), node.name)
    for x in xs:
        canvas.value_of(x)
    raise NoForm(why)


def _all(function: Callable[..., Array], parts: Sequence[Function]) -> Function:
    return lambda x: function(*(part(x) for part in parts))


def _whole(x: Tensor, inner: Function) -> Function:
    return inner if x.pending is None else after(x.pending.function, inner)
