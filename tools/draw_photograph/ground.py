"""The ground: a height above (x, y), with stones, trees and mountains; the water is z = 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tools.draw_photograph.noise import Reals, byte_of, cells, noise, octaves, step


@dataclass
class Ground:
    """Points of the ground.  z: height.  tree: 0 for none, else how high up in a tree, to 1.  tint: random, one for each tree or stone."""

    z: Reals
    tree: Reals
    tint: Reals


def mountains(x: Reals, y: Reals) -> Reals:
    """Heights of what is behind the hills."""
    rise = step(y, 1800, 6500)
    shape = octaves(x / 2600 + 3.7, y / 2600 + 1.2, 11, 9, gain=0.48, ridged=True)
    return rise * (190 + 400 * shape + 330 * step(np.abs(x + 1100), 2400, 100))


def shore(x: Reals, y: Reals) -> Reals:
    """Heights without stones and trees, negative under water."""
    near = (8.0 - 1.3 * (x + 2.2) + 0.7 * octaves(x / 1.7, y / 1.7, 21, 4) - y) * 0.17
    bay = y - 300 - 90 * octaves(x / 210, np.zeros_like(x), 22, 3) + 0.35 * np.abs(x + 60)
    hills = np.maximum(1.2 + 1.5 * octaves(x / 420, y / 420, 23, 5), 0)
    far = np.where(bay > 0, np.minimum(bay, 200) * 0.05 + 42 * step(bay, 20, 900) * hills, bay * 0.05)
    across, along = (x + 14) / 17, (y - 62) / 13
    spit = 1.7 * (1 - np.sqrt(across * across + along * along)) + 0.35 * octaves(x / 5, y / 5, 24, 4)
    arm = 2.6 * (1 - np.sqrt((x + 52) / 44 * ((x + 52) / 44) + along * along))
    return np.maximum(np.maximum(near, far), np.maximum(spit, arm))


def ground(x: Reals, y: Reals) -> Ground:
    """The ground at each point."""
    z, tree, tint = shore(x, y), np.zeros_like(x), np.zeros_like(x)
    at = y < 16
    z[at], tint[at] = stones(x[at], y[at], z[at])
    at = (y > 40) & (y < 2600) & (z > 0.5)
    z[at], tree[at], tint[at] = forest(x[at], y[at], z[at])
    at = y > 1700
    z[at] = np.maximum(z[at], mountains(x[at], y[at]) - 60)
    return Ground(z, tree, tint)


def stones(x: Reals, y: Reals, z: Reals) -> tuple[Reals, Reals]:
    """Heights with pebbles of three sizes, and their tints."""
    low, tint = z, 0.5 + 0.2 * noise(x * 3, y * 3, 30)
    for number, side in enumerate((1.5, 0.55, 0.19, 0.07)):
        for away, bits in cells(x / side, y / side, 31 + number):
            radius = 0.25 + 0.45 * byte_of(bits, 2) * (1 + 0.3 * noise(x / side * 3, y / side * 3, 36))
            top = low - 0.1 * side + side * 0.55 * np.sqrt(np.maximum(radius * radius - away * away, 0))
            stands = (away < radius) & (top > z) & ((number > 0) | (byte_of(bits, 3) > 0.72))
            z, tint = np.where(stands, top, z), np.where(stands, byte_of(bits, 3), tint)
    return z + 0.004 * octaves(x * 40, y * 40, 35, 3), tint


def forest(x: Reals, y: Reals, z: Reals) -> tuple[Reals, Reals, Reals]:
    """Heights with conifers; how high up in one, 0 to 1; their tints."""
    floor, tree, tint = z, np.zeros_like(z), np.zeros_like(z)
    grows, golden = octaves(x / 90, y / 90, 40, 3), 0.45 * octaves(x / 50, y / 80, 39, 3) - 0.12
    clear = (np.abs(x + 9.5) < 7.5) & (y < 68)  # around the cabin
    for side, seed, tall in ((4.6, 41, 13.0), (3.1, 42, 7.0)):
        for away, bits in cells(x / side, y / side, seed):
            branch = 1 + 0.34 * octaves(x * 1.9 + byte_of(bits, 1) * 9, y * 1.9, seed + 2, 3, gain=0.8)
            part = 1 - away * branch / (0.30 + 0.24 * byte_of(bits, 2))
            height = tall * (0.45 + 0.75 * byte_of(bits, 3))
            top = floor + height * part
            stands = (part > 0) & (top > z) & ~clear & (grows + byte_of(bits, 0) > 0.15)
            z, tree = np.where(stands, top, z), np.where(stands, np.maximum(part, 0.02), tree)
            tint = np.where(stands, np.clip(byte_of(bits, 2) + golden, 0, 1), tint)
    return z, tree, tint
