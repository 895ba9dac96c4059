"""The cabin and the jetty: each solid is what lies behind all of its planes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tools.draw_photograph.noise import Colour, Reals, byte_of, hashed, noise, octaves, step

Faces = NDArray[np.int64]  # numbers of planes
Paint = Callable[[Reals, Reals, Reals, Faces], Colour]

TURN: Final = (0.8, -0.6)  # of the cabin
CABIN: Final = (-9.6, 59.0)
LINE: Final = (0.28, 0.96)  # of the jetty
JETTY: Final = (2.35, 6.6)
RED, WHITE = np.array([0.42, 0.055, 0.035]), np.array([0.80, 0.78, 0.72])


@dataclass(frozen=True)
class Solid:
    """A convex body.  planes: normal and distance from the origin.  paint: the colour at points (x, y, z), by number of a plane."""

    planes: tuple[tuple[Reals, float], ...]
    paint: Callable[[Reals, Reals, Reals, NDArray[np.int64]], Colour]


def through(
    solid: Solid, start: tuple[Any, Any, Any], way: tuple[Any, Any, Any]
) -> tuple[Reals, Reals, NDArray[np.int64]]:
    """Where rays enter and leave, in lengths of `way` (they miss where they leave first), and the plane that they enter by."""
    enter, leave, face = np.full(way[0].shape, -1e9), np.full(way[0].shape, 1e9), np.zeros(way[0].shape, np.int64)
    for number, (normal, distance) in enumerate(solid.planes):
        slope = way[0] * normal[0] + way[1] * normal[1] + way[2] * normal[2]
        room = distance - (start[0] * normal[0] + start[1] * normal[1] + start[2] * normal[2])
        at = room / np.where(slope == 0, 1e-12, slope)
        is_entry = (slope < 0) & (at > enter)
        enter, face = np.where(is_entry, at, enter), np.where(is_entry, number, face)
        leave = np.where((slope > 0) & (at < leave), at, leave)
    return enter, leave, face


def prism(corner: tuple[float, float], turn: tuple[float, float], size: tuple[float, float, float], base: float,
          ridge: float, paint: Callable[[Reals, Reals, Reals, NDArray[np.int64]], Colour]) -> Solid:  # fmt: skip
    """A house: a box of `size` about `corner`, turned by the direction `turn`, with a roof that rises by `ridge`; 0: a box."""
    ax, ay = np.array([turn[0], turn[1], 0.0]), np.array([-turn[1], turn[0], 0.0])
    middle = np.array([*corner, base])
    half, depth, height = size[0] / 2, size[1] / 2, size[2]

    def plane(normal: Reals, at: Reals) -> tuple[Reals, float]:
        return normal, float(normal[0] * at[0] + normal[1] * at[1] + normal[2] * at[2])

    up = np.array([0.0, 0.0, 1.0])
    planes = [plane(ax, middle + ax * half), plane(-ax, middle - ax * half), plane(ay, middle + ay * depth),
              plane(-ay, middle - ay * depth), plane(-up, middle)]  # fmt: skip
    top = middle + up * (height + ridge)
    slant = np.sqrt(ridge * ridge + half * half)
    for side in (ax, -ax) if ridge else ():
        planes.append(plane((side * ridge + up * half) / slant, top))
    if not ridge:
        planes.append(plane(up, top))
    return Solid(tuple(planes), paint)


def along(x: Reals, y: Reals, middle: tuple[float, float]) -> tuple[Reals, Reals]:
    """Coordinates in the frame of the cabin."""
    return (x - middle[0]) * TURN[0] + (y - middle[1]) * TURN[1], (y - middle[1]) * TURN[0] - (x - middle[0]) * TURN[1]


def boards(at: Reals, width: float, seed: int, other: Reals) -> Reals:
    """Brightness of a wall of boards: each its own, with grain, and dark gaps between them."""
    number = np.floor(at / width)
    inside = np.abs(at / width - number - 0.5)
    own = byte_of(hashed(number, number * 0, seed), 0)
    return (0.72 + 0.4 * own + 0.16 * noise(at * 30, other * 3 + own * 50, seed)) * (1 - 0.75 * step(inside, 0.42, 0.5))


def wall_paint(x: Reals, y: Reals, z: Reals, face: NDArray[np.int64]) -> Colour:
    """Red boards, white corners and windows."""
    a, b = along(x, y, CABIN)
    gable = (face == 2) | (face == 3)
    where, half = np.where(gable, a, b), np.where(gable, 2.1, 2.9)
    colour = np.array([0.42, 0.055, 0.035]) * boards(where, 0.17, 51, z)[..., None]
    high = z - 1.1
    white = (np.abs(np.abs(where) - half) < 0.14) & (high < 2.45)
    windows = np.where(gable, np.abs(where + 0.9), np.abs(np.abs(where) - 1.35))
    frame, pane = (windows < 0.50) & (np.abs(high - 1.45) < 0.58), (windows < 0.40) & (np.abs(high - 1.45) < 0.48)
    bars = (windows < 0.035) | (np.abs(high - 1.45) < 0.035)
    door = gable & (np.abs(where - 0.95) < 0.45) & (high < 2.0)
    colour = np.where((white | frame)[..., None], np.array([0.80, 0.78, 0.72]), colour)
    colour = np.where((pane & ~bars)[..., None], np.array([0.05, 0.075, 0.10]), colour)
    return np.where(door[..., None], np.array([0.10, 0.22, 0.20]) * boards(where, 0.15, 52, z)[..., None], colour)


def roof_paint(x: Reals, y: Reals, z: Reals, face: NDArray[np.int64]) -> Colour:
    """Slates; below them, on the gables, boards and a white edge."""
    a, b = along(x, y, CABIN)
    rows = np.floor(z / 0.16)
    own = byte_of(hashed(rows, np.floor(b / 0.32 + 0.5 * (rows - 2 * np.floor(rows / 2))), 53), 0)
    edge = step(z / 0.16 - rows, 0.25, 0.0)
    slates = np.array([0.17, 0.17, 0.19]) * ((0.55 + 0.8 * own) * (1 - 0.6 * edge))[..., None]
    red = np.array([0.42, 0.055, 0.035]) * boards(a, 0.17, 51, z)[..., None]
    edges = (z < 4.17) | (6.44 - z - np.abs(a) * 0.92 < 0.24)
    return np.where((face >= 5)[..., None], slates, np.where(edges[..., None], np.array([0.80, 0.78, 0.72]), red))


def jetty_paint(x: Reals, y: Reals, z: Reals, face: NDArray[np.int64]) -> Colour:
    """Grey boards across."""
    a, b = (x - JETTY[0]) * LINE[0] + (y - JETTY[1]) * LINE[1], (y - JETTY[1]) * LINE[0] - (x - JETTY[0]) * LINE[1]
    worn = 0.85 + 0.3 * octaves(a * 1.3, b * 1.3, 56, 4)
    return np.array([0.36, 0.31, 0.26]) * (boards(a, 0.16, 54, b) * worn)[..., None]


def post_paint(x: Reals, y: Reals, z: Reals, face: NDArray[np.int64]) -> Colour:
    """Dark, wet wood."""
    return (
        np.array([0.20, 0.155, 0.12])
        * (0.8 + 0.5 * octaves((x + y) * 30, z * 4, 55, 3) * step(z, -0.1, 0.4))[..., None]
    )


def _scene() -> list[Solid]:
    built = [
        prism(CABIN, TURN, (4.2, 5.8, 3.0), 1.1, 0, wall_paint),
        prism(CABIN, TURN, (5.0, 6.5, 0.14), 4.0, 2.3, roof_paint),
        prism((CABIN[0] + 0.9, CABIN[1] + 1.3), TURN, (0.6, 0.6, 5.7), 1.1, 0, post_paint),
        prism(JETTY, LINE, (9.4, 1.5, 0.10), 0.42, 0, jetty_paint),
    ]
    for along_it in (-1.2, 1.4, 4.4):
        for side in (-0.78, 0.78):
            place = (JETTY[0] + LINE[0] * along_it - LINE[1] * side, JETTY[1] + LINE[1] * along_it + LINE[0] * side)
            built.append(prism(place, LINE, (0.13, 0.13, 1.15 + 0.25 * (side > 0)), -0.3, 0, post_paint))
    return built


SOLIDS: Final = _scene()
