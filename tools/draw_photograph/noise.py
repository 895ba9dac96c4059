"""Noise of one seed: hashes of whole numbers, gradient noise, and cells of a lattice.

Only + - * /, floor and comparisons of float64, and integers: every machine makes the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]
Bits = NDArray[np.uint32]
Colour = Reals  # (..., 3): light, red, green and blue


def unit(x: float, y: float, z: float) -> Reals:
    """The vector of length 1 in that direction."""
    vector: Reals = np.array([x, y, z]) / np.sqrt(x * x + y * y + z * z)
    return vector


def hashed(x: Reals, y: Reals, seed: int) -> NDArray[np.uint32]:
    """32 random bits for each point of whole numbers."""
    a = x.astype(np.int64).astype(np.uint32) * np.uint32(0x9E3779B1)
    bits = a ^ (y.astype(np.int64).astype(np.uint32) * np.uint32(0x85EBCA77) + np.uint32(seed * 0x27D4EB2F % 2**32))
    for shift, factor in ((15, 0x2C1B3C6D), (12, 0x297A2D39), (15, 1)):
        bits = (bits ^ (bits >> np.uint32(shift))) * np.uint32(factor)
    return bits


def byte_of(bits: NDArray[np.uint32], number: int) -> Reals:
    """One of the four bytes, as 0 to 1."""
    return ((bits >> np.uint32(8 * number)) & np.uint32(255)) / 255.0


def noise(x: Reals, y: Reals, seed: int) -> Reals:
    """Gradient noise with a grain of 1: about -1 to 1."""
    left, top = np.floor(x), np.floor(y)
    u, v = x - left, y - top
    fade_u, fade_v = u * u * u * (u * (u * 6 - 15) + 10), v * v * v * (v * (v * 6 - 15) + 10)
    lines = []
    for dy in (0, 1):
        ends = []
        for dx in (0, 1):
            bits = hashed(left + dx, top + dy, seed)
            ends.append((byte_of(bits, 0) - 0.5) * (u - dx) + (byte_of(bits, 1) - 0.5) * (v - dy))
        lines.append(ends[0] + (ends[1] - ends[0]) * fade_u)
    return (lines[0] + (lines[1] - lines[0]) * fade_v) * 2.6


def octaves(x: Reals, y: Reals, seed: int, n: int, *, gain: float = 0.5, ridged: bool = False) -> Reals:
    """A sum of noises, each of half the grain and `gain` times the strength of the one before, and turned against it."""
    total, strength = np.zeros_like(x), 1.0
    for octave in range(n):
        layer = noise(x, y, seed + octave)
        total = total + (1 - 2 * np.abs(layer) if ridged else layer) * strength
        strength *= gain
        x, y = 1.6 * x - 1.2 * y + 7.3, 1.2 * x + 1.6 * y + 3.1
    return total


def step(x: Reals, low: float, high: float) -> Reals:
    """0 up to `low`, 1 from `high` on, smooth between them."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def mix(a: Reals, b: Reals, share: Reals) -> Colour:
    """a where the share is 0, b where it is 1: colours, one or one for each point, by a share for each point."""
    made: Colour = a + (b - a) * share[..., None]
    return made


def cells(x: Reals, y: Reals, seed: int) -> Iterator[tuple[Reals, NDArray[np.uint32]]]:
    """Of the four nearest cells of a lattice of 1: the distance from a point somewhere inside, and random bits."""
    left, top = np.floor(x - 0.5), np.floor(y - 0.5)
    for dy in (0, 1):
        for dx in (0, 1):
            bits = hashed(left + dx, top + dy, seed)
            across = x - (left + dx + 0.25 + byte_of(bits, 0) / 2)
            along = y - (top + dy + 0.25 + byte_of(bits, 1) / 2)
            yield np.sqrt(across * across + along * along), bits
