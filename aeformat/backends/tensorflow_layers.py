"""The layer kinds in TensorFlow (spec/model.md, sections 3 and 4).

Owns what each kind computes, on tensors (n, *shape).  Takes the tensorflow module as `tf`; does not import it.  Each
function takes a step of the plan and returns an Op, which computes it; padding and crop come with the rows, since a tile has
others than the whole.  Knows nothing of blocks or of which layer follows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from aeformat.backends import tensorflow_pixels
from aeformat.backends.exact_sums import LEAST_EXPONENT, slice_weights
from aeformat.model.bounds import FLOAT32_EXACT, half_step
from aeformat.model.memory import ROW_BITS
from aeformat.model.package import Step

Tensor = Any
Sides = Any  # top, bottom, left, right: four numbers, or a tensor of them
Op = Callable[..., Tensor]  # all inputs of a step, then its padding or crop
ACTIVATIONS: Final = frozenset({"relu", "sigmoid", "tanh", "elu", "gelu", "silu", "softplus"})


def make_op(tf: Any, step: Step) -> Op:
    """The op that computes a step."""
    match step.kind:
        case "dense" | "conv2d" | "conv2d_transpose" if step.bounds is None:
            return _float_sums(tf, step)
        case "dense" | "conv2d" | "conv2d_transpose" | "affine":
            return _with_bias(tf, step, _sum_type(tf, step))
        case "add":
            kind = _sum_type(tf, step)
            return lambda *xs: sum(tf.cast(x, kind) for x in xs[:-1])
        case "concat" | "upsample" | "slice" | "max_pool" | "average_pool" | "pad" | "crop":
            return tensorflow_pixels.MAKERS[step.kind](tf, step)
        case "lookup":
            return _lookup(tf, step)
        case "reshape" | "flatten":
            return lambda x, _sides: tf.reshape(x, (-1, *step.made.shape))
        case "scale":
            num, den = np.float32(step.integer("num")), np.float32(step.integer("den"))
            return lambda x, _sides: tf.cast(x, tf.float32) * num / den
        case "leaky_relu":
            num, den = np.float32(step.integer("num")), np.float32(step.integer("den"))
            return lambda x, _sides: tf.where(x >= 0, x, x * num / den)
        case kind:
            function = _activation(tf, kind)
            return lambda x, _sides: function(x)


def _sum_type(tf: Any, step: Step) -> Any:
    """Exact for integers: float32 below 2^24, float64 below M4-1's 2^31."""
    return tf.float32 if step.bounds is None or step.bound < FLOAT32_EXACT else tf.float64


def _with_bias(tf: Any, step: Step, kind: Any) -> Op:
    op = _LINEAR[step.kind](tf, step, kind)
    bias = tf.constant(step.arrays["bias"].astype(kind.as_numpy_dtype))
    return lambda x, sides: op(x, sides) + bias


def _float_sums(tf: Any, step: Step) -> Op:
    """Sums that are the same in any order: numpy_float_sums step by step, with the same bits (exact_sums.py)."""
    sliced = slice_weights(step)
    op = _LINEAR[step.kind](tf, sliced.step, tf.float64)
    plain = _LINEAR[step.kind](tf, step, tf.float64)
    bias = step.arrays["bias"].astype(np.float64)
    axes = tuple(range(1, len(step.input_shape) + 1))

    def power(exponents: Tensor, shape: Sequence[int]) -> Tensor:
        return tf.reshape(_power(tf, exponents), (-1, *(1,) * len(shape)))

    def sums_of(integers: Tensor, exponents: Tensor, sides: Sides) -> Tensor:
        slices = tf.split(op(integers, sides), sliced.n_slices, axis=-1)
        sums = slices[0]
        for part in slices[1:]:
            sums += part
        return sums * power(exponents, step.made.shape)

    def run(x: Tensor, sides: Sides) -> Tensor:
        x = tf.cast(x, tf.float32)
        is_finite = tf.math.is_finite(x)
        finite = tf.where(is_finite, x, np.float32(0))
        largest = tf.reduce_max(tf.abs(finite), axes)
        exponents = tf.maximum(tf.bitwise.right_shift(tf.bitcast(largest, tf.int32), 23) - 126, LEAST_EXPONENT)
        integers = tf.round(finite * tf.cast(power(ROW_BITS - exponents, step.input_shape), tf.float32))
        sums = sums_of(integers, exponents - ROW_BITS, sides)
        needs_more = exponents > sliced.one_part_exponent

        def with_second_part() -> Tensor:
            rest = tf.cast(finite, tf.float64) - tf.cast(integers, tf.float64) * power(
                exponents - ROW_BITS, step.input_shape
            )
            rest = tf.round(rest * power(2 * ROW_BITS - exponents, step.input_shape))
            more = sums_of(rest, exponents - 2 * ROW_BITS, sides)
            return tf.where(tf.reshape(needs_more, (-1, *(1,) * len(step.made.shape))), sums + more, sums)

        def with_infinities() -> Tensor:
            rows = tf.reshape(tf.reduce_all(is_finite, axes), (-1, *(1,) * len(step.made.shape)))
            return tf.where(rows, whole, whole + plain(tf.where(is_finite, np.float32(0), x), sides))

        whole = tf.cond(tf.reduce_any(needs_more), with_second_part, lambda: sums) + bias
        return tf.cast(tf.cond(tf.reduce_all(is_finite), lambda: whole, with_infinities), tf.float32)

    return run


def _power(tf: Any, exponents: Tensor) -> Tensor:
    """2 to these powers, int32, exactly: the bits of float64, put together."""
    return tf.bitcast(tf.bitwise.left_shift(tf.cast(exponents, tf.int64) + 1023, tf.constant(52, tf.int64)), tf.float64)


def _weights(tf: Any, step: Step, kind: Any) -> Tensor:
    return tf.constant(step.arrays["weights"].astype(kind.as_numpy_dtype))


def _dense(tf: Any, step: Step, kind: Any) -> Op:
    weights = _weights(tf, step, kind)
    return lambda x, _sides: tf.matmul(tf.cast(x, kind), weights)


def _conv2d(tf: Any, step: Step, kind: Any) -> Op:
    strides = step.integers("strides")
    if len(set(strides)) == 2:
        # TensorFlow 2.21 with oneDNN computes wrong float32 sums for strides (1, n), one input channel, one output column.
        sums = _conv2d_of(tf, step, tf.float64)
        return lambda x, sides: tf.cast(sums(x, sides), kind)
    return _conv2d_of(tf, step, kind)


def _conv2d_of(tf: Any, step: Step, kind: Any) -> Op:
    weights = _weights(tf, step, kind)
    strides = step.integers("strides")
    return lambda x, sides: tf.nn.conv2d(
        tensorflow_pixels.around(tf, tf.cast(x, kind), sides), weights, strides, "VALID"
    )


def _conv2d_transpose(tf: Any, step: Step, kind: Any) -> Op:
    weights = _weights(tf, step, kind)
    strides = step.integers("strides")

    def run(x: Tensor, sides: Sides) -> Tensor:
        shape = tf.shape(x)
        tall, wide = ((shape[i + 1] - 1) * strides[i] + weights.shape[i] for i in range(2))
        full = (shape[0], tall, wide, weights.shape[2])
        sums = tf.nn.conv2d_transpose(tf.cast(x, kind), weights, full, strides, "VALID")
        return tensorflow_pixels.inside(tf, sums, sides)

    return run


def _affine(tf: Any, step: Step, kind: Any) -> Op:
    weights = _weights(tf, step, kind)
    return lambda x, _sides: tf.cast(x, kind) * weights


_LINEAR: Final = {"dense": _dense, "conv2d": _conv2d, "conv2d_transpose": _conv2d_transpose, "affine": _affine}


def _lookup(tf: Any, step: Step) -> Op:
    """Computed in float64, where every operation is exact (M4-4): product, sum, division by a power of two, floor."""
    table = step.arrays["table"]
    multiplier = step.arrays["multiplier"].astype(np.float64)
    shift = step.integer("shift")
    half, unit, middle = float(half_step(shift)), 0.5**shift, len(table) // 2

    def run(x: Tensor, _sides: Sides) -> Tensor:
        index = tf.floor((tf.cast(x, tf.float64) * multiplier + half) * unit) + middle
        return tf.gather(table, tf.cast(tf.clip_by_value(index, 0, len(table) - 1), tf.int32))

    return run


def _activation(tf: Any, kind: str) -> Callable[[Tensor], Tensor]:
    half = np.float32(0.5)
    table: dict[str, Callable[[Tensor], Tensor]] = {
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
