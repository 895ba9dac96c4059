"""What a network was given for a pixel, and what it gives for one (spec/model.md: images are u8).

Owns the three ranges that networks are trained with, as layers and as arithmetic.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.exchange.activations import channelwise
from aeformat.model.graph import Graph

Array = NDArray[Any]

RANGES: Final = {"unit": "0 to 1", "signed": "-1 to 1", "raw": "0 to 255"}
_TOP: Final = 255


def add_pixels_in(graph: Graph, pixels: str) -> int:
    """From u8 pixels, value 0, to the numbers that the network takes."""
    name = "the pixels"
    if pixels == "signed":
        return channelwise(graph, graph.add("scale", 0, name=name, num=2, den=_TOP), 1, -1, name)
    return graph.add("scale", 0, name=name, num=1, den=_TOP if pixels == "unit" else 1)


def add_pixels_out(graph: Graph, x: int, pixels: str) -> int:
    """From the numbers that the network gives to u8 pixels."""
    name = "the pixels"
    if pixels == "signed":
        x = channelwise(graph, x, 0.5, 0.5, name)
    elif pixels == "raw":
        x = channelwise(graph, x, 1 / _TOP, 0, name)
    return graph.add("to_u8", x, name=name)


def numbers_of(images: Array, pixels: str) -> Array:
    """(n, h, w, c) u8 -> float32 as `add_pixels_in` computes it."""
    scaled = images.astype(np.float32) * np.float32(2 if pixels == "signed" else 1)
    if pixels == "raw":
        return scaled
    return scaled / np.float32(_TOP) - np.float32(1 if pixels == "signed" else 0)


def pixels_of(numbers: Array, pixels: str) -> Array:
    """The network's float numbers -> u8: floor(255 * min(max(x, 0), 1) + 1/2)."""
    wide = numbers.astype(np.float64)
    unit = {"unit": wide, "signed": wide / 2 + 0.5, "raw": wide / _TOP}[pixels]
    return np.floor(_TOP * np.clip(np.nan_to_num(unit), 0, 1) + 0.5).astype(np.uint8)


def real_range(pixels: str) -> tuple[float, float]:
    """What pixel 0 and pixel 255 are to the network."""
    return {"unit": (0.0, 1.0), "signed": (-1.0, 1.0), "raw": (0.0, 255.0)}[pixels]
