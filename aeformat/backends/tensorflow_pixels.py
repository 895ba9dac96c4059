"""The layer kinds that rearrange or pool pixels, in TensorFlow (spec/model.md, section 3).

Owns concat, upsample, the pools, pad and crop, on tensors (n, *shape) of any type.  Takes the tensorflow module as `tf`; does
not import it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from aeformat.model.package import Step

Tensor = Any
Op = Callable[..., Tensor]


def _concat(tf: Any, step: Step) -> Op:
    axis = step.integer("axis") + 1  # axis 0 is that of the rows
    return lambda *xs: tf.concat(xs, axis)


def _upsample(tf: Any, step: Step) -> Op:
    fh, fw = step.integers("factors")
    height, width, n_channels = step.input_shape

    def run(x: Tensor) -> Tensor:
        spread = tf.broadcast_to(
            x[:, :, tf.newaxis, :, tf.newaxis], (tf.shape(x)[0], height, fh, width, fw, n_channels)
        )
        return tf.reshape(spread, (-1, height * fh, width * fw, n_channels))

    return run


def _max_pool(tf: Any, step: Step) -> Op:
    """Computed in float32, which holds all 8-bit integers.  The padding is -infinity, so it is never the maximum."""
    around = _around(step)

    def run(x: Tensor) -> Tensor:
        wide = tf.pad(tf.cast(x, tf.float32), around, constant_values=-np.inf)
        return tf.cast(tf.nn.max_pool2d(wide, step.integers("size"), step.integers("strides"), "VALID"), x.dtype)

    return run


def _average_pool(tf: Any, step: Step) -> Op:
    """TensorFlow's mean counts padding as pixels; dividing by the share of real pixels in the window undoes that."""
    around, size, strides = _around(step), step.integers("size"), step.integers("strides")
    inside = np.pad(np.ones((1, *step.input_shape[:2], 1), np.float32), around)
    share = tf.nn.avg_pool2d(tf.constant(inside), size, strides, "VALID")

    def run(x: Tensor) -> Tensor:
        return tf.nn.avg_pool2d(tf.pad(x, around), size, strides, "VALID") / share

    return run


def _pad(tf: Any, step: Step) -> Op:
    around, value = _around(step), step.integer("value")
    return lambda x: tf.pad(x, around, constant_values=tf.cast(value, x.dtype))


def _crop(_tf: Any, step: Step) -> Op:
    top, _, left, _ = step.integers("crop")
    height, width, _ = step.made.shape
    return lambda x: x[:, top : top + height, left : left + width]


def _around(step: Step) -> tuple[tuple[int, int], ...]:
    top, bottom, left, right = step.integers("padding")
    return (0, 0), (top, bottom), (left, right), (0, 0)


MAKERS: Final[dict[str, Callable[[Any, Step], Op]]] = {
    "concat": _concat,
    "upsample": _upsample,
    "max_pool": _max_pool,
    "average_pool": _average_pool,
    "pad": _pad,
    "crop": _crop,
}
