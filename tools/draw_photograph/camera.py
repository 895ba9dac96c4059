"""The camera: what each pixel sees of the ground, the solids, the sky and the water, and the film.

Heights are computed on a fan of points, one line of sight for each column.  Along a line of sight the first point whose slope as
seen from the camera reaches that of a pixel is what the pixel shows.  The water shows the scene as seen from the mirror image of
the camera below it.  No column depends on another but for slopes to the right, so any columns can be drawn alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tools.draw_photograph.ground import Ground, ground, shore, stones
from tools.draw_photograph.light import SKY_LIGHT, SUN, WARM, hazy, shaded, sky, sunlit
from tools.draw_photograph.noise import Colour, Reals, byte_of, hashed, mix, octaves, step
from tools.draw_photograph.solids import SOLIDS, through

WIDTH, HEIGHT = 768, 512
FINE: Final = 2  # samples per pixel and axis
FOCUS: Final = 1.15  # focal length in widths of the picture
HORIZON: Final = 0.47  # of the height, from the top
EYE: Final = 1.75  # m above the water
NEAR, FAR = 1.6, 14_000.0  # m
SHORE, BEYOND = 16.0, 90.0  # m: the near shore ends before the first, the cabin stands between them
BEHIND: Final = 74.0  # m: the water that reflects nothing of that
PIXEL: Final = 1 / (WIDTH * FINE * FOCUS)  # as a slope
N_MIRRORED: Final = int(0.5 / PIXEL)  # rows of what the water reflects
HIDDEN: Final = -9.0  # a slope below all others
GRAIN: Final = 2.0  # grey levels


def distances() -> Reals:
    """Where the ground is looked at along a line of sight: dense near the camera."""
    made, at = [], NEAR
    while at < FAR:
        made.append(at)
        at *= 1.0022 if at < 14 else 1.0042
    return np.array(made)


@dataclass(frozen=True)
class Fan:
    """The ground along lines of sight: arrays (columns, distances), and slopes of z to the right and away."""

    u: Reals  # x / y of each column
    d: Reals
    ground: Ground
    right: Reals
    away: Reals


def fan(first: int, last: int) -> Fan:
    """Everything that both cameras look at, in the fine columns first to last - 1."""
    u = ((np.arange(first - 1, last + 1) + 0.5) / (WIDTH * FINE) - 0.5) / FOCUS
    d = distances()
    found = ground(u[:, None] * d, np.broadcast_to(d, (len(u), len(d))).copy())
    inner = Ground(found.z[1:-1], found.tree[1:-1], found.tint[1:-1])
    sideways = (found.z[2:] - found.z[:-2]) / ((2 / (WIDTH * FINE * FOCUS)) * d)
    outward = np.zeros_like(sideways)
    outward[:, 1:-1] = (inner.z[:, 2:] - inner.z[:, :-2]) / (d[2:] - d[:-2])
    return Fan(u[1:-1], d, inner, sideways, outward - u[1:-1, None] * sideways)


@dataclass(frozen=True)
class Hit:
    """Where lines of sight end: arrays (rows, columns).  after: the first distance of the fan that is not before that point.

    share: how far the point lies from the distance before `after` to it, 0 to 1.
    """

    is_sky: NDArray[np.bool_]
    after: NDArray[np.int64]
    share: Reals
    distance: Reals


def hits(scene: Fan, rows: Reals, eye: float, nearest: float) -> Hit:
    """Where lines of sight with the slopes `rows` meet what is at least `nearest` away; from below the water, above it only."""
    if eye > 0:
        slopes = (np.maximum(scene.ground.z, 0) - eye) / scene.d
    else:
        slopes = np.where((scene.ground.z > 0) & (scene.d > nearest), (scene.ground.z - eye) / scene.d, HIDDEN)
    highest = np.maximum.accumulate(slopes, axis=1)
    found = np.stack([np.searchsorted(line, rows) for line in highest], axis=1)
    after = np.clip(found, 1, len(scene.d) - 1)
    column = np.arange(len(scene.u))[None, :]
    low, high = slopes[column, after - 1], slopes[column, after]
    share = np.clip((rows[:, None] - low) / np.where(high == low, 1, high - low), 0, 1)
    share = np.where(low == HIDDEN, 1, share)
    return Hit(found == len(scene.d), after, share, between(scene.d, after, share))


def between(values: Reals, after: NDArray[np.int64], share: Reals) -> Reals:
    """What lies between two neighbours."""
    return values[after - 1] + (values[after] - values[after - 1]) * share


def view(scene: Fan, rows: Reals, eye: float, nearest: float = 0.0) -> Colour:
    """Light (rows, columns, 3) as a camera at the height `eye` sees it under the slopes `rows`; NaN where it sees water."""
    hit = hits(scene, rows, eye, nearest)
    u, r = np.broadcast_arrays(scene.u[None, :], rows[:, None])
    height = eye + r * hit.distance
    is_water = ~hit.is_sky & (height < 0.004) & (eye > 0)
    light = sky(u, r)
    at = ~hit.is_sky & ~is_water
    column, after, share = np.broadcast_to(np.arange(len(scene.u)), at.shape)[at], hit.after[at], hit.share[at]
    slopes = []
    for values in (scene.right, scene.away):
        before = values[column, after - 1]
        slopes.append(before + (values[column, after] - before) * share)
    place = (u * hit.distance)[at], hit.distance[at], height[at]
    lit = shaded(place, slopes[0], slopes[1], scene.ground.tree[column, after], scene.ground.tint[column, after])
    light[at] = hazy(lit, place[1], place[2])
    light[is_water] = np.nan
    return with_solids(light, u, r, np.where(hit.is_sky, FAR, hit.distance), eye, nearest)


def with_solids(light: Colour, u: Reals, r: Reals, distance: Reals, eye: float, nearest: float) -> Colour:
    """The same light, with the solids before it."""
    one = np.ones_like(u)
    for solid in SOLIDS:
        enter, leave, face = through(solid, (0.0, 0.0, eye), (u, one, r))
        at = (enter < leave) & (enter > 0.3) & (enter < distance)
        if eye < 0:
            at &= (eye + r * enter > 0) & ((enter > nearest) | (nearest < BEYOND))
        y = enter[at]
        x, z = u[at] * y, eye + r[at] * y
        across, along, up = np.moveaxis(np.array([normal for normal, _ in solid.planes])[face[at]], -1, 0)
        facing = across * SUN[0] + along * SUN[1] + up * SUN[2]
        direct = np.maximum(facing, 0) * sunlit(x + across * 0.02, y + along * 0.02, z + up * 0.02)
        fallen = direct[..., None] * WARM + (0.75 + 0.35 * up)[..., None] * SKY_LIGHT
        light[at] = hazy(solid.paint(x, y, z, face[at]) * fallen, y, z)
        distance = np.where(at, enter, distance)
    return light


def water(scene: Fan, rows: Reals) -> Colour:
    """Light (rows, columns, 3) from the water under negative slopes `rows`."""
    top = (
        np.arange(N_MIRRORED, dtype=np.float64)[::-1] * PIXEL
    )  # slopes from the mirror image of the camera, from the horizon upwards
    u, r = np.broadcast_arrays(scene.u[None, :], rows[:, None])
    distance = EYE / -r
    x, y = u * distance, distance
    calm = 0.25 + 0.75 * step(octaves(x / 26, y / 60, 61, 3), -0.35, 0.35)
    waves = octaves(x * 1.1, y * 2.3, 62, 6, gain=0.62) * calm
    smooth = 1 / (1 + distance / 60)
    row = np.floor(N_MIRRORED - 1 - (0.020 * waves * (0.35 + 0.65 * smooth) - r) / PIXEL).astype(np.int64)
    at = np.clip(row, 0, N_MIRRORED - 1), np.arange(len(scene.u))[None, :]
    near, far = (view(scene, top[::-1], -EYE, nearest)[::-1][at] for nearest in (SHORE, BEYOND))
    reflected = np.where((distance < BEHIND)[..., None], near, far)
    steep = 1 + r
    mirrored = 0.05 + 0.95 * (steep * steep) * (steep * steep) * steep  # Schlick's approximation
    mirrored = np.clip(mirrored * (1 + 0.35 * waves * smooth), 0, 1)
    stony, tint = stones(x, y, np.zeros_like(x))
    bed = mix(np.array([0.13, 0.11, 0.08]), np.array([0.24, 0.20, 0.14]), tint) * (1 + 3 * stony)[..., None]
    clear = (y < SHORE) / (1 + 9 * np.maximum(-shore(x, y), 0))
    return mix(mix(np.array([0.020, 0.052, 0.055]), bed, clear), reflected, mirrored)


def developed(light: Colour, first: int) -> NDArray[np.uint8]:
    """8-bit pixels of linear light: a film's curve, grain, and a lens that is darker at its edges.  first: column of the picture."""
    rows, columns = np.arange(HEIGHT)[:, None], first + np.arange(light.shape[1])[None, :]
    y, x = (rows + 0.5) / HEIGHT - 0.5, (columns + 0.5) / WIDTH - 0.5
    light = light * (1 - 0.45 * (x * x + y * y))[..., None] * 1.12
    curve = light * (2.2 * light + 0.35) / (light * (1.75 * light + 0.95) + 0.22)
    bits = hashed(columns + 0.0 * rows, rows + 0.0 * columns, 99)
    grain = byte_of(bits, 0) + byte_of(bits, 1) + byte_of(bits, 2) + byte_of(bits, 3) - 2
    tone = np.sqrt(np.clip(curve, 0, 1)) * 255
    green = np.floor(np.clip(tone[..., 1:2] + (grain * GRAIN)[..., None] + 0.5, 0, 255))
    return np.clip(green + coarse(tone - tone[..., 1:2]), 0, 255).astype(np.uint8)


def coarse(colour: Colour) -> Colour:
    """Whole numbers, one for four pixels: the sensors of cameras see colours no finer."""
    parts = colour.reshape(HEIGHT // 2, 2, -1, 2, 3)
    means = ((parts[:, 0, :, 0] + parts[:, 0, :, 1]) + (parts[:, 1, :, 0] + parts[:, 1, :, 1])) / 4
    return np.repeat(np.repeat(np.floor(means + 0.5), 2, axis=0), 2, axis=1)


def draw(first: int = 0, last: int = WIDTH) -> NDArray[np.uint8]:
    """The columns first to last - 1 of the photograph, both even: (512, last - first, 3) uint8."""
    scene = fan(first * FINE, last * FINE)
    rows = (HORIZON * HEIGHT * FINE - 0.5 - np.arange(HEIGHT * FINE, dtype=np.float64)) * PIXEL  # slopes, from the top
    light = view(scene, rows[::-1], EYE)[::-1].copy()
    below = rows < 0
    light[below] = np.where(np.isnan(light[below]), water(scene, rows[below]), light[below])
    parts = light.reshape(HEIGHT, FINE, last - first, FINE, 3)
    whole = parts[:, 0, :, 0]
    for i in range(1, FINE * FINE):
        whole = whole + parts[:, i // FINE, :, i % FINE]
    return developed(whole / FINE**2, first)
