"""Variants of training images: turned, sheared, stretched and moved a little, as other hands would write them.

Owns the random affine maps.  Knows nothing of networks.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

ANGLE: Final = 0.15  # radians either way
STRETCH: Final = 0.08
SHEAR: Final = 0.15
SHIFT: Final = 0.7  # pixels either way


def random_maps(rng: np.random.Generator, n_images: int, shape: tuple[int, int], share: float) -> NDArray[np.float32]:
    """(n, 8) projective maps from output to input pixels; a part `share` of the images is changed, the others are kept."""
    changed = rng.random(n_images) < share
    angle, shear, right, down = (
        rng.uniform(-limit, limit, n_images) * changed for limit in (ANGLE, SHEAR, SHIFT, SHIFT)
    )
    wide, high = (1 + rng.uniform(-STRETCH, STRETCH, n_images) * changed for _ in range(2))
    a, b = np.cos(angle) * wide, -np.sin(angle) * high + shear
    c, d = np.sin(angle) * wide, np.cos(angle) * high
    y, x = (shape[0] - 1) / 2, (shape[1] - 1) / 2  # the centre stays where it is
    maps = np.zeros((n_images, 8), np.float32)
    maps[:, 0], maps[:, 1], maps[:, 2] = a, b, x - a * x - b * y + right
    maps[:, 3], maps[:, 4], maps[:, 5] = c, d, y - c * x - d * y + down
    return maps


def transform(tf: Any, images: Any, maps: Any) -> Any:
    """Images (n, h, w, c) float32 seen through maps (n, 8): bilinear, zeros outside."""
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images, transforms=maps, output_shape=images.shape[1:3], fill_value=0.0, interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )  # fmt: skip
