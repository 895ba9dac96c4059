"""ONNX operators that move numbers about: shapes, joins, cuts, pools, padding, and larger pixels.

Owns which of them make a layer.  Reshaping and transposing make none here (onnx_canvas.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.exchange.activations import NoForm
from aeformat.exchange.onnx_canvas import Canvas, Tensor
from aeformat.exchange.onnx_constants import integers_of, reshaped, split_sizes
from aeformat.exchange.onnx_file import Node
from aeformat.exchange.onnx_weighted import sides, two

Array = NDArray[Any]
Maker = Callable[[Canvas, Node, Sequence[Any]], Tensor | list[Tensor]]

_MOST_CROPPED: Final = 64  # by one layer (spec/model.md, section 3)
_NEAREST: Final = frozenset(  # (coordinate_transformation_mode, nearest_mode) of which y[i] = x[floor(i / f)]
    {("asymmetric", "floor")}
    | {
        (mode, rounding)
        for mode in ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric")
        for rounding in ("round_prefer_floor", "round_prefer_ceil")
    }
)


def _nothing(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    x: Tensor = xs[0]
    return x


def _dropout(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    if len(xs) > 2 and xs[2] is not None and (isinstance(xs[2], Tensor) or np.any(xs[2])):
        raise NoForm("in training mode; export model.eval()")
    return _nothing(canvas, node, xs)


def _cast(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    if node.integer("to") not in _FLOATS:
        raise NoForm("makes whole numbers of what depends on the image")
    return _nothing(canvas, node, xs)


_FLOATS: Final = (1, 10, 11, 16)  # float32, float16, double, bfloat16 in onnx.TensorProto.DataType


# Shapes: the row axis is the first and has one row here.


def _with_shape(x: Tensor, shape: Sequence[int]) -> Tensor:
    """The tensor with another shape, the row axis included."""
    if not shape or shape[0] != 1:
        raise NoForm(f"moves numbers between rows: it makes {list(shape)} of {[1, *x.shape]}")
    return Tensor(x.value, x.order.reshape(tuple(shape[1:])), x.pending)


def _reshape(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    wanted = integers_of(node, xs, 1, "shape")
    if wanted is None:
        raise NoForm("says no shape")
    return _with_shape(xs[0], reshaped(node, (1, *xs[0].shape), wanted))


def _flatten(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    shape, axis = (1, *xs[0].shape), node.integer("axis", 1)
    axis %= len(shape) + 1 if axis >= 0 else len(shape)
    return _with_shape(xs[0], (prod(shape[:axis]), prod(shape[axis:])))


def _squeeze(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    shape = (1, *xs[0].shape)
    axes = integers_of(node, xs, 1, "axes")
    if axes is None:
        axes = tuple(i for i, size in enumerate(shape) if size == 1 and i)
    gone = {axis % len(shape) for axis in axes}
    if any(shape[i] != 1 for i in gone):
        raise NoForm(f"takes axes {sorted(gone)} from {list(shape)}")
    return _with_shape(xs[0], [size for i, size in enumerate(shape) if i not in gone])


def _unsqueeze(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    axes = integers_of(node, xs, 1, "axes") or ()
    n = len(xs[0].shape) + 1 + len(axes)
    new = {axis % n for axis in axes}
    rest = iter((1, *xs[0].shape))
    return _with_shape(xs[0], [1 if i in new else next(rest) for i in range(n)])


def _transpose(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    n = len(xs[0].shape) + 1
    perm = node.integers("perm") or tuple(reversed(range(n)))
    if perm[0] != 0:
        raise NoForm(f"moves the row axis: perm {list(perm)}")
    return Tensor(xs[0].value, xs[0].order.transpose([axis - 1 for axis in perm[1:]]), xs[0].pending)


# Joins and cuts.


def _own_axis(node: Node, axis: int, n: int) -> int:
    """An axis of one row."""
    found = axis % (n + 1) - 1
    if found < 0:
        raise NoForm("works on the row axis")
    return found


def _concat(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    if not all(isinstance(x, Tensor) for x in xs):
        raise NoForm("joins a constant with what depends on the image")
    axis = _own_axis(node, node.integer("axis"), len(xs[0].shape))
    if len(xs) == 1:
        return _nothing(canvas, node, xs)
    first, axes = canvas.natural(xs[0], node.name)
    if any(len(x.shape) != len(axes) for x in xs):
        raise NoForm("joins values with different numbers of axes")
    others = [canvas.arranged(x, axes, node.name) for x in xs[1:]]
    made = canvas.graph.add("concat", first, *others, name=node.name, axis=axes.index(axis))
    return canvas.with_axes(made, axes)


def _part(canvas: Canvas, node: Node, x: Tensor, axis: int, start: int, stop: int) -> Tensor:
    """Places start to stop - 1 of one axis."""
    if (start, stop) == (0, x.shape[axis]):
        return x
    if not 0 <= start < stop <= x.shape[axis]:
        raise NoForm(f"takes {start} to {stop} of {x.shape[axis]}")
    value, axes = canvas.natural(x, node.name)
    at, graph = axes.index(axis), canvas.graph
    if at == len(axes) - 1:
        return canvas.with_axes(graph.add("slice", value, name=node.name, start=start, stop=stop), axes)
    if len(axes) != 3:
        raise NoForm(f"takes a part of axis {axis} of {list(x.shape)}; here parts are of channels, rows or columns")
    before, behind = start, x.shape[axis] - stop
    while before or behind:
        ends = min(before, _MOST_CROPPED), min(behind, _MOST_CROPPED)
        value = graph.add("crop", value, name=node.name, crop=(*ends, 0, 0) if at == 0 else (0, 0, *ends))
        before, behind = before - ends[0], behind - ends[1]
    return canvas.with_axes(value, axes)


def _slice(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    x: Tensor = xs[0]
    starts, ends = integers_of(node, xs, 1, "starts") or (), integers_of(node, xs, 2, "ends") or ()
    axes = integers_of(node, xs, 3, "axes") or tuple(range(len(starts)))
    steps = integers_of(node, xs, 4, "steps") or (1,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise NoForm("says its ends for some axes only")
    shape = (1, *x.shape)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step != 1:
            raise NoForm(f"takes every {step}th place")
        n = shape[axis]
        first, last, _ = slice(start, end).indices(n)
        if axis % len(shape) == 0:
            if (first, last) != (0, 1):
                raise NoForm("works on the row axis")
            continue
        x = _part(canvas, node, x, axis % len(shape) - 1, first, last)
    return x


def _split(canvas: Canvas, node: Node, xs: Sequence[Any]) -> list[Tensor]:
    x: Tensor = xs[0]
    axis = _own_axis(node, node.integer("axis"), len(x.shape))
    made, at = [], 0
    for size in split_sizes(node, xs, x.shape[axis]):
        made.append(_part(canvas, node, x, axis, at, at + size))
        at += size
    return made


# Pixels.


def _pads(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    """Rows and columns of one number around the image; negative ones are cut off."""
    x: Tensor = xs[0]
    mode = node.text("mode", "constant")
    if mode != "constant":
        raise NoForm(f"mode {mode}; there is constant")
    value = _pad_value(node, xs)
    n = len(x.shape) + 1
    given = integers_of(node, xs, 1, "pads") or ()
    axes = integers_of(node, xs, 3, "axes") or tuple(range(n))
    if len(given) != 2 * len(axes):
        raise NoForm(f"pads {list(given)}")
    around = {axis % n: (given[i], given[i + len(axes)]) for i, axis in enumerate(axes)}
    others = [ends for axis, ends in around.items() if axis < n - 2 and any(ends)]
    if others or n != 4:
        if not any(map(any, around.values())):
            return x
        raise NoForm(f"pads {list(given)}; here rows and columns are padded")
    ends = [*around.get(2, (0, 0)), *around.get(3, (0, 0))]
    made = canvas.as_pixels(x, node.name)
    added, cut = tuple(max(0, end) for end in ends), tuple(max(0, -end) for end in ends)
    if any(cut):
        made = canvas.graph.add("crop", made, name=node.name, crop=cut)
    if any(added):
        made = canvas.graph.add("pad", made, name=node.name, padding=added, value=value)
    return canvas.pixels(made)


def _pad_value(node: Node, xs: Sequence[Any]) -> int:
    given = xs[2] if len(xs) > 2 and xs[2] is not None else np.asarray(node.number("value"))
    if isinstance(given, Tensor) or given.size != 1 or float(given.reshape(-1)[0]) % 1:
        raise NoForm("its value is no whole number")
    return int(given.reshape(-1)[0])


def _resize(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    mode = node.text("mode", "nearest")
    if mode != "nearest":
        raise NoForm(f"mode {mode}; there is nearest")
    how = node.text("coordinate_transformation_mode", "half_pixel"), node.text("nearest_mode", "round_prefer_floor")
    if node.op == "Resize" and len(xs) > 2 and how not in _NEAREST:
        raise NoForm(f"nearest in another way ({', '.join(how)}); there is asymmetric with floor")
    x: Tensor = xs[0]
    factors = _factors(node, xs, (1, *x.shape))
    if len(factors) != 4 or factors[:2] != (1, 1):
        raise NoForm(f"scales {list(factors)}; here rows and columns are scaled")
    if factors == (1, 1, 1, 1):
        return x
    value = canvas.as_pixels(x, node.name)
    return canvas.pixels(canvas.graph.add("upsample", value, name=node.name, factors=factors[2:]))


def _factors(node: Node, xs: Sequence[Any], shape: Sequence[int]) -> tuple[int, ...]:
    """By how much each axis, the row axis included, becomes larger.  Raises NoForm."""
    scales = xs[{"Upsample": 1}.get(node.op, 2 if len(xs) > 2 else 1)] if len(xs) > 1 else node.attributes.get("scales")
    sizes = integers_of(node, xs, 3, "sizes") if len(xs) > 3 else None
    axes = node.integers("axes") or tuple(range(len(shape)))
    if isinstance(scales, Tensor):
        raise NoForm("scales that depend on the image")
    given = [] if scales is None else [float(one) for one in np.asarray(scales).reshape(-1)]
    if sizes is not None and not given:
        given = [size / shape[axis] for size, axis in zip(sizes, axes, strict=False)]
    if len(given) != len(axes) or any(one % 1 or one < 1 for one in given):
        raise NoForm(f"scales {given}; there are whole numbers, 1 or more")
    found = dict.fromkeys(range(len(shape)), 1) | {
        axis % len(shape): int(one) for axis, one in zip(axes, given, strict=True)
    }
    return tuple(found.values())


def _pool(kind: str) -> Maker:
    def make(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
        size, strides = two(node, "kernel_shape"), two(node, "strides")
        if two(node, "dilations") != (1, 1) or len(node.outputs) > 1:
            raise NoForm("dilated, or with the places of its numbers")
        x = canvas.as_pixels(xs[0], node.name)
        padding = sides(node, canvas.graph.shape(x)[:2], size, strides)
        counts_pad = kind == "average_pool" and any(padding) and bool(node.integer("count_include_pad"))
        if node.integer("ceil_mode"):
            longer = _with_ceil(canvas.graph.shape(x), size, strides, padding)
            if counts_pad and longer != padding:
                raise NoForm("ceil_mode with count_include_pad")
            padding = longer
        if counts_pad:
            x, padding = canvas.graph.add("pad", x, name=node.name, padding=padding, value=0), (0, 0, 0, 0)
        made = canvas.graph.add(kind, x, name=node.name, size=size, strides=strides, padding=padding)
        return canvas.pixels(made)

    return make


def _with_ceil(shape: Sequence[int], size: Sequence[int], strides: Sequence[int], padding: Any) -> Any:
    """The padding with which a last window that is not full is one, if it begins in the image or the padding before it."""
    found: list[int] = []
    for axis in range(2):
        n, k, s = shape[axis], size[axis], strides[axis]
        before, behind = padding[2 * axis : 2 * axis + 2]
        count = -(-(n + before + behind - k) // s) + 1
        if (count - 1) * s >= n + before:
            count -= 1
        found += [before, max(behind, (count - 1) * s + k - n - before)]
    return tuple(found)


def _global_pool(kind: str) -> Maker:
    return lambda canvas, node, xs: _whole(canvas, node, xs[0], kind, keepdims=True)


def _reduce(kind: str) -> Maker:
    """ReduceMean or ReduceMax over rows and columns."""

    def make(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
        n = len(xs[0].shape) + 1
        axes = integers_of(node, xs, 1, "axes")
        if axes is None or {axis % n for axis in axes} != {2, 3}:
            raise NoForm("over other axes than rows and columns")
        return _whole(canvas, node, xs[0], kind, keepdims=bool(node.integer("keepdims", 1)))

    return make


def _whole(canvas: Canvas, node: Node, x: Tensor, kind: str, *, keepdims: bool) -> Tensor:
    value = canvas.as_pixels(x, node.name)
    size = canvas.graph.shape(value)[:2]
    made = canvas.graph.add(kind, value, name=node.name, size=size, strides=(1, 1), padding=(0, 0, 0, 0))
    pixels = canvas.pixels(made)
    return pixels if keepdims else Tensor(made, pixels.order.reshape(-1))


SHAPE_OPS: Final[dict[str, Maker]] = {
    "Identity": _nothing,
    "Dropout": _dropout,
    "Cast": _cast,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Concat": _concat,
    "Slice": _slice,
    "Split": _split,
    "Pad": _pads,
    "Resize": _resize,
    "Upsample": _resize,
    "MaxPool": _pool("max_pool"),
    "AveragePool": _pool("average_pool"),
    "GlobalMaxPool": _global_pool("max_pool"),
    "GlobalAveragePool": _global_pool("average_pool"),
    "ReduceMean": _reduce("average_pool"),
    "ReduceMax": _reduce("max_pool"),
}
