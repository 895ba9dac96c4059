"""Light: the sun and what keeps it off, what things are made of, the air between, and the sky."""

from __future__ import annotations

import numpy as np

from tools.draw_photograph.noise import Colour, Reals, byte_of, hashed, mix, octaves, step, unit
from tools.draw_photograph.solids import SOLIDS, through

SUN = unit(-0.78, -0.30, 0.40)
WARM, SKY_LIGHT = np.array([1.5, 1.16, 0.80]), np.array([0.20, 0.27, 0.40])
HAZE = np.array([0.56, 0.64, 0.76])


def sunlit(x: Reals, y: Reals, z: Reals) -> Reals:
    """How much of the sun solids leave to points, 0 or 1; the sun's place is shaken for each, so that shadows have soft edges."""
    bits = hashed(np.floor(x * 300), np.floor(y * 300 + z * 700), 60)
    spread = 0.05
    way = [SUN[i] + spread * (byte_of(bits, i) - 0.5) for i in range(3)]
    free = np.ones_like(x)
    for solid in SOLIDS:
        enter, leave, _ = through(solid, (x, y, z), (way[0], way[1], way[2]))
        free = np.where((enter < leave) & (leave > 0.01) & (enter > -0.01), 0, free)
    return free


def shaded(place: tuple[Reals, Reals, Reals], right: Reals, away: Reals, tree: Reals, tint: Reals) -> Colour:
    """Light from the ground: what it is made of, times what falls on it."""
    x, y, z = place
    length = np.sqrt(right * right + away * away + 1)
    facing = np.maximum((SUN[2] - right * SUN[0] - away * SUN[1]) / length, 0)
    is_near = y < 16
    free = np.ones_like(x)
    at = y < 90
    free[at] = sunlit(x[at], y[at], z[at] + 0.02)
    open_sky = 0.55 + 0.45 / length
    own = material(place, 1 / length, tint)
    leaves = mix(np.array([0.042, 0.075, 0.034]), np.array([0.42, 0.22, 0.035]), step(tint, 0.60, 0.72))
    rough = np.clip(1 + 0.75 * octaves(x * 2.3, z * 2.9 + y * 0.4, 71, 4, gain=0.8), 0.15, 2.1)
    leaves = leaves * ((0.75 + 0.6 * tint) * rough)[..., None]
    is_tree = tree > 0
    own = np.where(is_tree[..., None], leaves, own)
    depth = np.where(is_tree, 0.15 + 0.85 * step(tree, 0.0, 0.7), 1.0)
    direct = np.where(is_tree, 0.35 * facing + 0.45 * np.maximum(-right * 0.08 + 0.45, 0), facing) * free * depth
    wet = np.where(is_near, 0.45 + 0.55 * step(z, 0.02, 0.12), 1)
    fallen: Colour = direct[..., None] * WARM + (open_sky * depth)[..., None] * SKY_LIGHT
    return own * wet[..., None] * fallen


def material(place: tuple[Reals, Reals, Reals], flat: Reals, tint: Reals) -> Colour:
    """Of the ground without trees: pebbles, grass, rock and snow.  flat: 1 where it is level, 0 where it is steep."""
    x, y, z = place
    pebble = mix(np.array([0.17, 0.165, 0.16]), np.array([0.42, 0.36, 0.29]), tint)
    pebble = mix(pebble, np.array([0.30, 0.17, 0.12]), step(np.abs(tint - 0.33), 0.07, 0.0))
    speckled = np.clip(1 + 0.5 * octaves(x * 55, y * 55, 72, 4, gain=0.7), 0.4, 1.7)
    pebble = pebble * speckled[..., None]
    patches = octaves(x / 14, y / 14, 73, 7, gain=0.62)
    grass = mix(np.array([0.16, 0.15, 0.045]), np.array([0.30, 0.21, 0.07]), np.clip(0.5 + patches, 0, 1))
    grass = mix(grass, np.array([0.30, 0.28, 0.25]), step(z, 0.75, 0.25) * (y < 120))
    layers = octaves(x / 700, z / 90 + y / 900, 74, 7, gain=0.6)
    rock = mix(np.array([0.20, 0.19, 0.19]), np.array([0.37, 0.33, 0.29]), np.clip(0.5 + 0.7 * layers, 0, 1))
    meadow = step(z + 130 * octaves(x / 400, y / 400, 75, 5), 360, 120) * step(flat, 0.45, 0.75)
    rock = mix(rock, np.array([0.17, 0.15, 0.06]), meadow)
    white = step(z + 170 * octaves(x / 500, y / 500, 76, 7, gain=0.6), 430, 560) * step(flat, 0.42, 0.62)
    rock = mix(rock, np.array([0.86, 0.89, 0.95]), white)
    colour = np.where((y > 1700)[..., None], rock, grass)
    return np.where((y < 16)[..., None], pebble, colour)


def hazy(light: Colour, distance: Reals, height: Reals) -> Colour:
    """What air leaves of it, and adds: more of both low down."""
    thick = distance / (9000 + 12 * np.maximum(height, 0))
    left = 1 / (1 + thick * (1 + thick))
    return mix(HAZE * np.array([1.0, 1.0, 1.0]), light, left) if light.size else light


def sky(u: Reals, r: Reals) -> Colour:
    """Light from the sky in directions (u, 1, r)."""
    up = np.maximum(r, 0)
    blue = mix(np.array([0.66, 0.70, 0.74]), np.array([0.13, 0.27, 0.56]), 1 - 1 / (1 + 5.5 * up))
    glow = 1 / (1 + 3 * (u + 0.6) * (u + 0.6) + 30 * up * up)
    blue = blue + glow[..., None] * np.array([0.26, 0.13, 0.02])
    far = 1 / (up + 0.10)
    x, y = u * far * 1.1, far * 0.9
    bend = octaves(x * 0.6 + 5, y * 0.6, 80, 4)
    cover = octaves(x * 0.55 + 0.8 * bend, y * 1.1 + 1.7, 81, 8, gain=0.55)
    thick = step(cover, -0.25, 0.60) * step(up, 0.0, 0.10)
    shade = np.clip(0.55 + 1.5 * (octaves(x * 0.55 + 0.8 * bend - 0.16, y * 1.1 + 1.7, 81, 5, gain=0.55) - cover), 0, 1)
    cloud = mix(np.array([1.02, 0.90, 0.80]), np.array([0.46, 0.48, 0.56]), shade)
    wisp = step(octaves(x * 0.35 + 9, y * 2.2, 90, 6, gain=0.6), 0.0, 0.9) * 0.35 * step(up, 0.02, 0.15)
    return mix(mix(blue, np.array([0.95, 0.90, 0.88]), wisp), cloud, thick)
