"""What follows from constants alone: the arithmetic on shapes that exporters write around a network.

Owns one plain formula for each operator that may be folded, and a bound on what it makes.  Whatever is not in the table is
refused by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.exchange.activations import NoForm
from aeformat.exchange.onnx_file import Node, load_onnx

Array = NDArray[Any]
Inputs = Sequence[Any]  # arrays, or None for one that is left out

_MOST: Final = 1 << 24  # numbers that a folded operator makes


def fold_constants(node: Node, inputs: Inputs) -> list[Array] | None:
    """What a node makes of constants; None where the table has no such operator.  Raises NoForm."""
    if node.op == "Constant":
        return [_constant(node)]
    if node.op not in _FOLDS or not inputs:
        return None
    try:
        with np.errstate(all="ignore"):
            made = _FOLDS[node.op](node, inputs)
    except (ValueError, IndexError, TypeError, KeyError, OverflowError, AttributeError, ZeroDivisionError) as error:
        raise NoForm("takes constants that do not go together") from error
    return [np.asarray(one) for one in made] if isinstance(made, list) else [np.asarray(made)]


def shape_of(node: Node, shape: Sequence[int]) -> list[Array] | None:
    """What `Shape` and `Size` make of a value of this shape; None for another operator."""
    if node.op == "Size":
        return [np.asarray(prod(shape), np.int64)]
    if node.op != "Shape":
        return None
    end = node.attributes.get("end")
    return [np.asarray(shape[node.integer("start") : None if end is None else int(end)], np.int64)]


def integers_of(node: Node, inputs: Inputs, number: int, key: str) -> tuple[int, ...] | None:
    """A list of integers that is input `number`, or in old opsets an attribute; None where it is left out.  Raises NoForm."""
    if number < len(inputs) and inputs[number] is not None:
        if not isinstance(inputs[number], np.ndarray):
            raise NoForm(f"{key} depends on the image")
        return tuple(int(one) for one in inputs[number].reshape(-1))
    return node.integers(key)


def _constant(node: Node) -> Array:
    for key, value in node.attributes.items():
        if key == "value":
            return np.asarray(value)
        if key in ("value_int", "value_ints"):
            return np.asarray(value, np.int64)
        if key in ("value_float", "value_floats"):
            return np.asarray(value, np.float32)
    raise NoForm("a constant that is no number")


def _bounded(n: int) -> int:
    if n > _MOST:
        raise NoForm(f"makes {n:,} numbers of constants, up to {_MOST:,} are taken")
    return n


def _pointwise(function: Callable[..., Any]) -> Callable[[Node, Inputs], Any]:
    def fold(node: Node, xs: Inputs) -> Any:
        _bounded(prod(np.broadcast_shapes(*(np.shape(x) for x in xs))))
        return function(*xs)

    return fold


def _cast(node: Node, xs: Inputs) -> Any:
    return xs[0].astype(load_onnx().helper.tensor_dtype_to_np_dtype(node.integer("to")))


def _divided(a: Array, b: Array) -> Any:
    """Of integers the quotient towards 0."""
    if a.dtype.kind in "iu":
        return (np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b))).astype(a.dtype)
    return a / b


def _gather(node: Node, xs: Inputs) -> Any:
    _bounded(xs[0].size * xs[1].size)
    return np.take(xs[0], xs[1].astype(np.int64), axis=node.integer("axis"))


def _joined(node: Node, xs: Inputs) -> Any:
    _bounded(sum(x.size for x in xs))
    return np.concatenate(xs, node.integer("axis"))


def _axes(node: Node, xs: Inputs, n: int) -> tuple[int, ...] | None:
    axes = integers_of(node, xs, 1, "axes")
    return None if axes is None else tuple(sorted(axis % n for axis in axes))


def _unsqueeze(node: Node, xs: Inputs) -> Any:
    given = integers_of(node, xs, 1, "axes") or ()
    return np.expand_dims(xs[0], given)


def _slice(node: Node, xs: Inputs) -> Any:
    found: list[slice] = [slice(None)] * xs[0].ndim
    starts, ends = integers_of(node, xs, 1, "starts") or (), integers_of(node, xs, 2, "ends") or ()
    axes = integers_of(node, xs, 3, "axes") or tuple(range(len(starts)))
    steps = integers_of(node, xs, 4, "steps") or (1,) * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        found[axis] = slice(start, None if step < 0 and end < -xs[0].shape[axis] else end, step)
    return xs[0][tuple(found)]


def reshaped(node: Node, shape: Sequence[int], wanted: Sequence[int]) -> tuple[int, ...]:
    """The shape that a Reshape asks for, with sizes for 0 and -1."""
    keeps = not node.integer("allowzero")
    made = [shape[i] if size == 0 and keeps else size for i, size in enumerate(wanted)]
    if made.count(-1) == 1:
        rest = -prod(made)
        made[made.index(-1)] = prod(shape) // rest if rest else -1
    if prod(made) != prod(shape) or min(made, default=1) < 0:
        raise NoForm(f"makes {list(wanted)} of {list(shape)}")
    return tuple(made)


def _range(node: Node, xs: Inputs) -> Any:
    start, stop, step = (one.item() for one in xs)
    _bounded(int((stop - start) / step) + 1)
    return np.arange(start, stop, step, dtype=xs[0].dtype)


def _filled(node: Node, xs: Inputs) -> Any:
    shape = tuple(int(size) for size in xs[0].reshape(-1))
    _bounded(prod(shape))
    value = np.asarray(node.attributes.get("value", np.zeros(1, np.float32))).reshape(-1)
    return np.full(shape, value[0], value.dtype)


def _expand(node: Node, xs: Inputs) -> Any:
    shape = np.broadcast_shapes(xs[0].shape, tuple(int(size) for size in xs[1].reshape(-1)))
    _bounded(prod(shape))
    return np.broadcast_to(xs[0], shape)


def _reduced(function: Callable[..., Any]) -> Callable[[Node, Inputs], Any]:
    def fold(node: Node, xs: Inputs) -> Any:
        return function(xs[0], axis=_axes(node, xs, xs[0].ndim), keepdims=bool(node.integer("keepdims", 1)))

    return fold


def _split(node: Node, xs: Inputs) -> Any:
    axis = node.integer("axis")
    sizes = split_sizes(node, xs, xs[0].shape[axis])
    return np.split(xs[0], np.cumsum(sizes)[:-1], axis)


def split_sizes(node: Node, inputs: Inputs, n: int) -> tuple[int, ...]:
    """How many of n each output of a Split gets.  Raises NoForm."""
    given = integers_of(node, inputs, 1, "split")
    if given is None:
        count = node.integer("num_outputs", len(node.outputs))
        each = -(-n // count) if count > 0 else 0
        given = (*(each for _ in range(count - 1)), n - each * (count - 1))
    if sum(given) != n or min(given, default=0) < 1 or len(given) != len(node.outputs):
        raise NoForm(f"cuts {n} into {list(given)}")
    return given


_FOLDS: Final[dict[str, Callable[[Node, Inputs], Any]]] = {
    "Identity": lambda node, xs: xs[0],
    "Dropout": lambda node, xs: xs[0],
    "Cast": _cast,
    "Gather": _gather,
    "Unsqueeze": _unsqueeze,
    "Squeeze": lambda node, xs: np.squeeze(xs[0], _axes(node, xs, xs[0].ndim)),
    "Concat": _joined,
    "Slice": _slice,
    "Split": _split,
    "Reshape": lambda node, xs: xs[0].reshape(reshaped(node, xs[0].shape, [int(n) for n in xs[1].reshape(-1)])),
    "Flatten": lambda node, xs: xs[0].reshape(prod(xs[0].shape[: node.integer("axis", 1)]), -1),
    "Transpose": lambda node, xs: xs[0].transpose(node.integers("perm")),
    "Range": _range,
    "ConstantOfShape": _filled,
    "Expand": _expand,
    "ReduceProd": _reduced(np.prod),
    "ReduceSum": _reduced(np.sum),
    "Shape": lambda node, xs: shape_of(node, xs[0].shape),
    "Size": lambda node, xs: shape_of(node, xs[0].shape),
    "Add": _pointwise(np.add),
    "Sub": _pointwise(np.subtract),
    "Mul": _pointwise(np.multiply),
    "Div": _pointwise(_divided),
    "Mod": _pointwise(np.mod),
    "Pow": _pointwise(np.power),
    "Min": _pointwise(lambda *xs: np.min(np.broadcast_arrays(*xs), axis=0)),
    "Max": _pointwise(lambda *xs: np.max(np.broadcast_arrays(*xs), axis=0)),
    "Equal": _pointwise(np.equal),
    "Greater": _pointwise(np.greater),
    "Less": _pointwise(np.less),
    "And": _pointwise(np.logical_and),
    "Or": _pointwise(np.logical_or),
    "Not": _pointwise(np.logical_not),
    "Where": _pointwise(np.where),
    "Neg": _pointwise(np.negative),
    "Abs": _pointwise(np.abs),
    "Sqrt": _pointwise(np.sqrt),
    "Exp": _pointwise(np.exp),
    "Reciprocal": _pointwise(np.reciprocal),
    "Floor": _pointwise(np.floor),
    "Ceil": _pointwise(np.ceil),
    "Round": _pointwise(np.rint),
}
