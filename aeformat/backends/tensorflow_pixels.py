"""The layer kinds that rearrange or pool pixels, in TensorFlow (spec/model.md, section 3).

Owns concat, upsample, slice, the pools, pad and crop, on tensors (n, *shape) of any type.  Takes the tensorflow module as
`tf`; does not import it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from aeformat.model.package import Step

Tensor = Any
Sides = Any  # top, bottom, left, right: four numbers, or a tensor of them
Op = Callable[..., Tensor]  # all inputs of a step, then its padding or crop


def around(tf: Any, x: Tensor, sides: Sides, value: float = 0) -> Tensor:
    """The pixels with rows and columns of one value around them."""
    return tf.pad(
        x, ((0, 0), (sides[0], sides[1]), (sides[2], sides[3]), (0, 0)), constant_values=tf.cast(value, x.dtype)
    )


def inside(tf: Any, x: Tensor, sides: Sides) -> Tensor:
    """The pixels without those at the edges."""
    shape = tf.shape(x)
    return x[:, sides[0] : shape[1] - sides[1], sides[2] : shape[2] - sides[3]]


def _concat(tf: Any, step: Step) -> Op:
    axis = step.integer("axis") + 1  # axis 0 is that of the rows
    return lambda *xs: tf.concat(xs[:-1], axis)


def _upsample(tf: Any, step: Step) -> Op:
    fh, fw = step.integers("factors")
    n_channels = step.input_shape[2]

    def run(x: Tensor, sides: Sides) -> Tensor:
        n, height, width, _ = tf.unstack(tf.shape(x))
        spread = tf.broadcast_to(x[:, :, tf.newaxis, :, tf.newaxis], (n, height, fh, width, fw, n_channels))
        return inside(tf, tf.reshape(spread, (n, height * fh, width * fw, n_channels)), sides)

    return run


def _slice(_tf: Any, step: Step) -> Op:
    start, stop = step.integer("start"), step.integer("stop")
    return lambda x, _sides: x[..., start:stop]


def _max_pool(tf: Any, step: Step) -> Op:
    """Computed in float32, which holds all 8-bit integers.  The padding is -infinity, so it is never the maximum."""

    def run(x: Tensor, sides: Sides) -> Tensor:
        wide = around(tf, tf.cast(x, tf.float32), sides, -np.inf)
        return tf.cast(tf.nn.max_pool2d(wide, step.integers("size"), step.integers("strides"), "VALID"), x.dtype)

    return run


def _average_pool(tf: Any, step: Step) -> Op:
    """TensorFlow's mean counts padding as pixels; dividing by the share of real pixels in the window undoes that."""
    size, strides = step.integers("size"), step.integers("strides")
    ones = around(tf, tf.ones((1, *step.input_shape[:2], 1), tf.float32), step.integers("padding"))
    share = tf.nn.avg_pool2d(ones, size, strides, "VALID")

    def run(x: Tensor, sides: Sides) -> Tensor:
        return tf.nn.avg_pool2d(around(tf, x, sides), size, strides, "VALID") / share

    return run


def _pad(tf: Any, step: Step) -> Op:
    value = step.integer("value")
    return lambda x, sides: around(tf, x, sides, value)


def _crop(tf: Any, _step: Step) -> Op:
    return lambda x, sides: inside(tf, x, sides)


MAKERS: Final[dict[str, Callable[[Any, Step], Op]]] = {
    "concat": _concat,
    "upsample": _upsample,
    "slice": _slice,
    "max_pool": _max_pool,
    "average_pool": _average_pool,
    "pad": _pad,
    "crop": _crop,
}
