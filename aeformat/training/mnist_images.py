"""MNIST as one array, for those who train on it or measure with it.

Owns nothing but the size of a block.  Where the files lie is for images/mnist.py to say, fetching them for backends/runtime.py.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from aeformat.backends.runtime import fetch_mnist
from aeformat.images import ImageFit, open_source
from aeformat.training.recipe import IMAGE
from aeformat.training.trained import Images

_BLOCK: Final = 10_000


def all_mnist(split: str) -> Images:
    """(n, 28, 28, 1) u8: every image of "train" or "test", in order.

    Fetched with TensorFlow where they are not on this machine.  Raises UsageError where that cannot be.
    """
    source = open_source([f"mnist:{split}"], ImageFit(IMAGE), fetch_mnist=fetch_mnist)
    return np.concatenate([block.images for block in source.blocks(_BLOCK)])
