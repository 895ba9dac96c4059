"""What a network computes in float64, a whole array at a time: what section 5 of spec/model.md measures by.

Owns one plain formula for each kind of layer, apart from every backend.  Takes the steps of a package or of a graph.  All
golden sets are made with it.  In the exact profile its float64 sums are integers below 2^53, so it is exact there, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from aeformat.model import plain
from aeformat.model.bounds import half_step
from aeformat.model.free_sizes import Size
from aeformat.model.manifest import ENCODER
from aeformat.model.package import ModelPackage, Step
from aeformat.model.values import DTYPES

Array = NDArray[Any]


def golden_output(package: ModelPackage, rows: Array, image: Size | None = None) -> Array:
    """(n, *input.shape) -> (n, *output.shape) in the output's type.

    image: height and width that a decoder with free sizes is to make; by default all that its layers make.
    """
    scale = package.manifest.scale
    if scale is None:
        return evaluate(package.plan, rows)
    if package.role == ENCODER:
        around = [(0, -rows.shape[axis] % scale[axis - 1]) for axis in (1, 2)]
        return evaluate(package.plan, np.pad(rows, ((0, 0), *around, (0, 0)), mode="edge"))
    made = evaluate(package.plan, rows)
    return made if image is None else made[:, : image[0], : image[1]]


def evaluate(steps: Sequence[Step], rows: Array) -> Array:
    """(n, *input.shape) -> what the last step makes, (n, *shape) in its type; computed one row at a time."""
    made = np.concatenate([all_values(steps, rows[i : i + 1])[-1] for i in range(len(rows))])
    return made.astype(np.dtype(DTYPES[steps[-1].made.type]).newbyteorder("="))


def all_values(steps: Sequence[Step], rows: Array) -> list[Array]:
    """Every value for (n, *input.shape) rows, the input first: (n, *shape) float64 each."""
    values = [rows.astype(np.float64)]
    for step in steps:
        values.append(value_of(step, [values[i] for i in step.inputs]))
    return values


def value_of(step: Step, xs: Sequence[Array]) -> Array:
    """(n, *step.made.shape) float64: what one step makes of its inputs, (n, *shape) float64 each."""
    x, *others = xs
    match step.kind:
        case "add":
            return sum(others, start=x)
        case "concat":
            return np.concatenate(xs, axis=step.integer("axis") + 1)
        case "slice":
            return x[..., step.integer("start") : step.integer("stop")]
        case "reshape" | "flatten":
            return x.reshape(-1, *step.made.shape)
        case "scale":
            product = np.float32(step.integer("num")) * x.astype(np.float32)
            return (product / np.float32(step.integer("den"))).astype(np.float64)
        case "leaky_relu":
            return np.where(x >= 0, x, x * step.integer("num") / step.integer("den"))
        case kind if kind in _FLOATS:
            return _FLOATS[kind](x)
        case kind:
            return _STEPS[kind](step, x)


def _weights(step: Step) -> tuple[Array, Array]:
    return step.arrays["weights"].astype(np.float64), step.arrays["bias"].astype(np.float64)


def _dense(step: Step, x: Array) -> Array:
    weights, bias = _weights(step)
    return plain.dense(x, weights) + bias


def _affine(step: Step, x: Array) -> Array:
    weights, bias = _weights(step)
    return x * weights + bias


def _conv2d(step: Step, x: Array) -> Array:
    weights, bias = _weights(step)
    return plain.conv2d(x, weights, _two(step), _four(step, "padding")) + bias


def _conv2d_transpose(step: Step, x: Array) -> Array:
    weights, bias = _weights(step)
    return plain.conv2d_transpose(x, weights, _two(step), _four(step, "crop")) + bias


def _two(step: Step) -> tuple[int, int]:
    sh, sw = step.integers("strides")
    return sh, sw


def _four(step: Step, key: str) -> plain.Sides:
    top, bottom, left, right = step.integers(key)
    return top, bottom, left, right


def _upsample(step: Step, x: Array) -> Array:
    fh, fw = step.integers("factors")
    return x.repeat(fh, axis=1).repeat(fw, axis=2)


def _pool(step: Step, x: Array) -> Array:
    """Pixels outside the input are NaN, which nanmax and nanmean pass over."""
    sh, sw = step.integers("strides")
    windows = sliding_window_view(_around(step, x, np.nan), step.integers("size"), axis=(1, 2))[:, ::sh, ::sw]
    reduce = np.nanmax if step.kind == "max_pool" else np.nanmean
    return np.asarray(reduce(windows, axis=(4, 5)))


def _around(step: Step, x: Array, value: float) -> Array:
    top, bottom, left, right = step.integers("padding")
    return np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=value)


def _inside(step: Step, x: Array) -> Array:
    top, bottom, left, right = step.integers("crop")
    return x[:, top : x.shape[1] - bottom, left : x.shape[2] - right]


def _lookup(step: Step, x: Array) -> Array:
    multiplier, table = step.arrays["multiplier"].astype(np.int64), step.arrays["table"]
    shift, n = step.integer("shift"), len(table)
    index = (x.astype(np.int64) * multiplier + half_step(shift)) >> shift
    return np.asarray(table[np.clip(index + n // 2, 0, n - 1)], np.float64)


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x)."""
    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + np.exp(-x)))


erf = np.vectorize(math.erf, otypes=[np.float64])


def gelu(x: Array) -> Array:
    """x (1 + erf(x / sqrt 2)) / 2."""
    return np.asarray(x * (1 + erf(x / math.sqrt(2))) / 2)


_FLOATS: Final[dict[str, Callable[[Array], Array]]] = {
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "gelu": gelu,
    "silu": lambda x: x * sigmoid(x),
    "softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
    "to_u8": lambda x: np.floor(255 * np.clip(np.nan_to_num(x, nan=0.0), 0, 1) + 0.5),
}
_STEPS: Final[dict[str, Callable[[Step, Array], Array]]] = {
    "dense": _dense,
    "affine": _affine,
    "conv2d": _conv2d,
    "conv2d_transpose": _conv2d_transpose,
    "upsample": _upsample,
    "max_pool": _pool,
    "average_pool": _pool,
    "pad": lambda step, x: _around(step, x, step.integer("value")),
    "crop": _inside,
    "lookup": _lookup,
}
