"""The demo digits: 100 small drawings in MNIST's conventions that are part of the package.

They were drawn by tools/draw_digits.py from strokes, so no data set's licence applies to them.
"""

from __future__ import annotations

import gzip
import importlib.resources
from typing import TYPE_CHECKING, Final

import numpy as np

from aeformat.images.idx import read_header

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEMO_FILE: Final = "demo-digits-images-idx3-ubyte.gz"


def demo_digits() -> NDArray[np.uint8]:
    """The drawings: (100, 28, 28, 1) uint8, white ink on black."""
    resource = importlib.resources.files("aeformat") / "data" / DEMO_FILE
    with resource.open("rb") as packed, gzip.open(packed) as file:
        dims = read_header(file, DEMO_FILE)
        return np.frombuffer(file.read(), np.uint8).reshape(*dims, 1)
