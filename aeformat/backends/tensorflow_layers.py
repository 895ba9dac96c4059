"""The layer kinds in TensorFlow (spec/model.md, sections 3 and 4).

Owns what each kind computes, on tensors (n, *shape).  Takes the tensorflow module as `tf`; does not import it.  Each
function takes a step of the plan and returns an Op, which computes it.  Knows nothing of blocks or of which layer follows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from aeformat.backends import tensorflow_pixels
from aeformat.model.bounds import FLOAT32_EXACT, half_step
from aeformat.model.package import Step

Tensor = Any
Op = Callable[..., Tensor]  # all inputs of a step
ACTIVATIONS: Final = frozenset({"relu", "sigmoid", "tanh", "elu", "gelu", "silu", "softplus"})


def make_op(tf: Any, step: Step) -> Op:
    """The op that computes a step."""
    match step.kind:
        case "dense" | "conv2d" | "conv2d_transpose" | "affine":
            return _LINEAR[step.kind](tf, step)
        case "add":
            kind = _sum_type(tf, step)
            return lambda *xs: sum(tf.cast(x, kind) for x in xs)
        case "concat" | "upsample" | "max_pool" | "average_pool" | "pad" | "crop":
            return tensorflow_pixels.MAKERS[step.kind](tf, step)
        case "lookup":
            return _lookup(tf, step)
        case "reshape" | "flatten":
            return lambda x: tf.reshape(x, (-1, *step.made.shape))
        case "scale":
            num, den = np.float32(step.integer("num")), np.float32(step.integer("den"))
            return lambda x: tf.cast(x, tf.float32) * num / den
        case "leaky_relu":
            num, den = np.float32(step.integer("num")), np.float32(step.integer("den"))
            return lambda x: tf.where(x >= 0, x, x * num / den)
        case kind:
            return _activation(tf, kind)


def _sum_type(tf: Any, step: Step) -> Any:
    """Exact for integers: float32 below 2^24, float64 below M4-1's 2^31."""
    return tf.float32 if step.bounds is None or step.bound < FLOAT32_EXACT else tf.float64


def _linear(tf: Any, step: Step) -> tuple[Any, Tensor, Tensor]:
    """The type of the sums, weights, bias."""
    kind = _sum_type(tf, step)
    if step.kind == "conv2d" and len(set(step.integers("strides"))) == 2:
        # TensorFlow 2.21 with oneDNN computes wrong float32 sums for strides (1, n), one input channel, one output column.
        kind = tf.float64
    weights, bias = (tf.constant(step.arrays[key].astype(kind.as_numpy_dtype)) for key in ("weights", "bias"))
    return kind, weights, bias


def _dense(tf: Any, step: Step) -> Op:
    kind, weights, bias = _linear(tf, step)
    return lambda x: tf.matmul(tf.cast(x, kind), weights) + bias


def _conv2d(tf: Any, step: Step) -> Op:
    kind, weights, bias = _linear(tf, step)
    made = kind if step.bounds is not None else tf.float32
    top, bottom, left, right = step.integers("padding")
    around = ((0, 0), (top, bottom), (left, right), (0, 0))
    strides = step.integers("strides")

    def run(x: Tensor) -> Tensor:
        return tf.cast(tf.nn.conv2d(tf.pad(tf.cast(x, kind), around), weights, strides, "VALID") + bias, made)

    return run


def _conv2d_transpose(tf: Any, step: Step) -> Op:
    kind, weights, bias = _linear(tf, step)
    top, _, left, _ = step.integers("crop")
    strides = step.integers("strides")
    n_tall, n_wide = ((step.input_shape[i] - 1) * strides[i] + weights.shape[i] for i in range(2))
    height, width, n_made = step.made.shape

    def run(x: Tensor) -> Tensor:
        full = (tf.shape(x)[0], n_tall, n_wide, n_made)
        sums = tf.nn.conv2d_transpose(tf.cast(x, kind), weights, full, strides, "VALID")
        return sums[:, top : top + height, left : left + width] + bias

    return run


def _affine(tf: Any, step: Step) -> Op:
    kind, weights, bias = _linear(tf, step)
    return lambda x: tf.cast(x, kind) * weights + bias


_LINEAR: Final = {"dense": _dense, "conv2d": _conv2d, "conv2d_transpose": _conv2d_transpose, "affine": _affine}


def _lookup(tf: Any, step: Step) -> Op:
    """Computed in float64, where every operation is exact (M4-4): product, sum, division by a power of two, floor."""
    table = step.arrays["table"]
    multiplier = step.arrays["multiplier"].astype(np.float64)
    shift = step.integer("shift")
    half, unit, middle = float(half_step(shift)), 0.5**shift, len(table) // 2

    def run(x: Tensor) -> Tensor:
        index = tf.floor((tf.cast(x, tf.float64) * multiplier + half) * unit) + middle
        return tf.gather(table, tf.cast(tf.clip_by_value(index, 0, len(table) - 1), tf.int32))

    return run


def _activation(tf: Any, kind: str) -> Op:
    half = np.float32(0.5)
    table: dict[str, Op] = {
        "relu": tf.nn.relu,
        "sigmoid": tf.sigmoid,
        "tanh": tf.tanh,
        "elu": tf.nn.elu,
        "gelu": lambda x: x * (half + half * tf.math.erf(x * np.float32(0.5**0.5))),
        "silu": lambda x: x * tf.sigmoid(x),
        "softplus": tf.nn.softplus,
        "to_u8": lambda x: tf.cast(tf.floor(_unit(tf, x) * np.float32(255) + half), tf.uint8),
    }
    return table[kind]


def _unit(tf: Any, x: Tensor) -> Tensor:
    """min(max(x, 0), 1), and 0 for a NaN."""
    return tf.where(x > 0, tf.minimum(x, np.float32(1)), np.float32(0))
