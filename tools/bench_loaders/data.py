"""Latents whose statistics are like those of a VAE: channels that differ and go together, smooth over space, with noise on top.

No row is a copy of another, and none is taken from a photograph: all are drawn from a seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_BLOCK: Final = 256
_SCALES: Final = ((8, 0.55), (4, 0.45), (2, 0.4), (1, 0.45))  # (pixels of one drawn value, its weight)
_MIX: Final = np.array(
    [[0.9, 0.2, -0.1, 0.3], [-0.2, 1.1, 0.25, 0.1], [0.15, -0.3, 0.8, 0.2], [0.1, 0.2, -0.25, 0.7]], np.float32
)  # of four channels
_MEAN: Final = np.array([0.15, -0.1, 0.25, -0.3], np.float32)


def kept_bits(path: Path, n_rows: int, size: int) -> Iterator[NDArray[np.uint16]]:
    """bits_of, drawn once: afterwards read from that file."""
    if not path.exists():
        beside = path.with_suffix(".new")
        with beside.open("wb") as file:
            for block in bits_of(n_rows, size):
                file.write(block.tobytes())
        beside.replace(path)
    rows = np.memmap(path, np.uint16, "r", shape=(n_rows, 4, size, size))
    yield from (np.array(rows[first : first + _BLOCK]) for first in range(0, n_rows, _BLOCK))


def bits_of(n_rows: int, size: int, seed: int = 0) -> Iterator[NDArray[np.uint16]]:
    """The bits of bf16, (n, 4, size, size), until there are n_rows; 256 rows each but the last."""
    return map(_rounded, values_of(n_rows, size, seed))


def values_of(n_rows: int, size: int, seed: int = 0) -> Iterator[NDArray[np.float32]]:
    """The same rows before they are rounded."""
    for first in range(0, n_rows, _BLOCK):
        rng = np.random.default_rng([seed, first])
        n = min(_BLOCK, n_rows - first)
        fields = sum(_smooth(rng, n, size, step) * np.float32(weight) for step, weight in _SCALES)
        values = np.einsum("dc,nchw->ndhw", _MIX, fields) + _MEAN[:, None, None]
        values *= rng.uniform(0.7, 1.3, (n, 1, 1, 1)).astype(np.float32)  # pictures differ in contrast
        yield values


def _smooth(rng: np.random.Generator, n: int, size: int, step: int) -> NDArray[np.float32]:
    drawn = rng.standard_normal((n, 4, size // step, size // step), np.float32)
    return drawn.repeat(step, 2).repeat(step, 3)


def _rounded(values: NDArray[Any]) -> NDArray[np.uint16]:
    """float32 -> the bits of the nearest bf16, ties to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
