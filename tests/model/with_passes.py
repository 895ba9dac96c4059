"""A pair of packages of any size whose decoder has a prior with passes, small enough to compute in an instant."""

from __future__ import annotations

import numpy as np

from aeformat.container.passes import PHASES
from aeformat.model.builder import PackageBuilder
from aeformat.model.layers import Layer
from aeformat.model.pair import Pair, build_pair
from aeformat.model.parts import PassesSpec
from model.test_pair import FREE_LATENTS, SIZES, free_halves

_BITS = 12


def pair_with_passes(name: str = "any") -> Pair:
    """Latents of two channels, 2 x 2 pixels each; a group for each channel."""
    golden = [np.arange(2 * h * w * 3, dtype=np.uint8).reshape(2, h, w, 3) for h, w in SIZES]
    return build_pair(*free_halves(), golden, latents=FREE_LATENTS, name=name, prior=_give)


def _give(builder: PackageBuilder) -> None:
    bias, multiplier = builder.tensor(np.zeros(1, np.int32)), builder.tensor(np.ones(1, np.int32))
    kernel = builder.tensor(np.array([1, 4, 1, 4, 9, 4, 1, 4, 1], np.int8).reshape(3, 3, 1, 1))
    table_of = {
        "mean": builder.tensor(np.clip(np.arange(-128, 128), -127, 127).astype(np.int8)),
        "pick": builder.tensor((np.abs(np.arange(-128, 128)) > 20).astype(np.uint8)),
    }
    layers: list[Layer] = []
    outputs = []
    for group in range(2):
        for phase, (y, x) in enumerate(PHASES):
            known = 5 * group + phase if phase or not group else 4
            padding = (1 - y, 1, 1 - x, 1)
            layers.append(
                Layer("conv2d", (known,), {"weights": kernel, "bias": bias, "strides": (2, 2), "padding": padding})
            )
            sums = 9 + len(layers)
            for table in table_of.values():
                layers.append(Layer("lookup", (sums,), {"multiplier": multiplier, "shift": 5, "table": table}))
            outputs.append((sums + 1, sums + 2))
    builder.passes(_BITS, _tables(), PassesSpec((1, 1), tuple(layers), tuple(outputs)))


def _tables() -> np.ndarray:
    """Two of 256 symbols and an escape: differences up to 15, and up to 80."""
    made = np.zeros((2, 257), np.int32)
    for table, reach in zip(made, (15, 80), strict=True):
        away = np.minimum(np.arange(256), 256 - np.arange(256))
        weight = np.where(away <= reach, 1 / (1 + away), 0)
        table[:256] = np.where(away <= reach, np.maximum(1, np.floor(weight / weight.sum() * (1 << _BITS) * 0.9)), 0)
        table[256] = 16
        table[0] += (1 << _BITS) - table.sum()
    return made
