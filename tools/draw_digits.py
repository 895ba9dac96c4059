"""Draw the demo digits: ten of each, in MNIST's conventions, from strokes; no data set is used.

    python tools/draw_digits.py             writes aeformat/data/demo-digits-{images-idx3,labels-idx1}-ubyte.gz

A digit is one or more strokes: control points of a smooth curve in a box of 1 x 1.4, y downwards, as a hand would
draw it.  Each drawing wobbles them, slants, turns and stretches the whole, and follows it with a pen of varying
width.  Then MNIST's own rule: scaled to fit 20 x 20 pixels, anti-aliased, centred on 28 x 28 by centre of mass.
The same seed draws the same pixels.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import math
import random
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]  # (n, 2): x to the right, y downwards

SIDE, BOX = 28, 20  # pixels: the image, and the square that holds the digit
FINE = 8  # samples per pixel and axis
WOBBLE = 0.06  # of a control point, in widths of a digit
SEED = 2018
DATA = Path(__file__).resolve().parent.parent / "aeformat" / "data"

# Control points of Catmull-Rom curves; a point given twice in a row makes a corner.
STYLES: dict[int, list[list[list[tuple[float, float]]]]] = {
    0: [
        [[(0.55, 0.02), (0.2, 0.2), (0.05, 0.7), (0.2, 1.22), (0.52, 1.38), (0.85, 1.15), (0.95, 0.65), (0.8, 0.18),
          (0.5, 0.02)]],
        [[(0.72, 0.1), (0.42, 0.05), (0.14, 0.35), (0.06, 0.85), (0.25, 1.3), (0.6, 1.32), (0.88, 0.95), (0.92, 0.45),
          (0.7, 0.1), (0.48, 0.1)]],
    ],
    1: [
        [[(0.5, 0.0), (0.5, 0.45), (0.49, 0.95), (0.5, 1.4)]],
        [[(0.62, 0.0), (0.55, 0.45), (0.47, 0.95), (0.4, 1.4)]],
        [[(0.3, 0.32), (0.42, 0.2), (0.56, 0.0), (0.56, 0.0), (0.55, 0.5), (0.53, 0.95), (0.52, 1.4)]],
    ],
    2: [
        [[(0.1, 0.32), (0.25, 0.07), (0.58, 0.0), (0.83, 0.2), (0.78, 0.55), (0.45, 0.95), (0.08, 1.32), (0.08, 1.32),
          (0.5, 1.3), (0.95, 1.33)]],
        [[(0.12, 0.25), (0.38, 0.03), (0.72, 0.1), (0.82, 0.42), (0.62, 0.85), (0.3, 1.25), (0.1, 1.25), (0.14, 1.05),
          (0.36, 1.08), (0.62, 1.32), (0.98, 1.22)]],
        [[(0.08, 0.16), (0.45, 0.02), (0.8, 0.2), (0.74, 0.6), (0.4, 1.0), (0.06, 1.3), (0.06, 1.3), (0.42, 1.24),
          (0.92, 1.28)]],
    ],
    3: [
        [[(0.12, 0.16), (0.4, 0.0), (0.75, 0.12), (0.76, 0.42), (0.4, 0.66), (0.4, 0.66), (0.78, 0.78), (0.88, 1.1),
          (0.58, 1.38), (0.1, 1.28)]],
        [[(0.15, 0.08), (0.5, 0.02), (0.8, 0.2), (0.66, 0.52), (0.34, 0.64), (0.7, 0.74), (0.86, 1.02), (0.64, 1.34),
          (0.3, 1.38), (0.08, 1.2)]],
    ],
    4: [
        [[(0.2, 0.0), (0.14, 0.38), (0.1, 0.72), (0.1, 0.72), (0.5, 0.74), (0.9, 0.68)],
         [(0.78, 0.05), (0.74, 0.5), (0.68, 0.95), (0.64, 1.4)]],
        [[(0.62, 0.02), (0.34, 0.42), (0.05, 0.85), (0.05, 0.85), (0.5, 0.86), (0.98, 0.84)],
         [(0.66, 0.02), (0.66, 0.5), (0.64, 0.95), (0.63, 1.4)]],
        [[(0.14, 0.06), (0.08, 0.4), (0.2, 0.66), (0.5, 0.66), (0.84, 0.44)],
         [(0.88, 0.0), (0.84, 0.45), (0.76, 0.95), (0.72, 1.4)]],
    ],
    5: [
        [[(0.26, 0.04), (0.2, 0.32), (0.16, 0.6), (0.16, 0.6), (0.48, 0.52), (0.82, 0.72), (0.84, 1.1), (0.54, 1.37),
          (0.1, 1.28)],
         [(0.26, 0.05), (0.56, 0.06), (0.88, 0.02)]],
        [[(0.9, 0.04), (0.58, 0.06), (0.3, 0.08), (0.3, 0.08), (0.24, 0.34), (0.2, 0.62), (0.2, 0.62), (0.54, 0.6),
          (0.78, 0.84), (0.7, 1.2), (0.4, 1.38), (0.08, 1.22)]],
    ],
    6: [
        [[(0.72, 0.02), (0.4, 0.28), (0.15, 0.72), (0.14, 1.12), (0.4, 1.38), (0.74, 1.26), (0.8, 0.96), (0.55, 0.8),
          (0.26, 0.92), (0.15, 1.1)]],
        [[(0.5, 0.0), (0.26, 0.4), (0.14, 0.88), (0.26, 1.3), (0.6, 1.36), (0.82, 1.08), (0.64, 0.82), (0.34, 0.9),
          (0.2, 1.16)]],
    ],
    7: [
        [[(0.08, 0.12), (0.45, 0.1), (0.88, 0.06), (0.88, 0.06), (0.68, 0.5), (0.5, 0.95), (0.4, 1.4)]],
        [[(0.1, 0.2), (0.16, 0.06), (0.5, 0.1), (0.9, 0.04), (0.9, 0.04), (0.74, 0.45), (0.56, 0.9), (0.44, 1.4)]],
        [[(0.08, 0.12), (0.48, 0.08), (0.86, 0.1), (0.86, 0.1), (0.66, 0.55), (0.5, 0.98), (0.4, 1.4)],
         [(0.34, 0.72), (0.6, 0.7), (0.84, 0.66)]],
    ],
    8: [
        [[(0.8, 0.2), (0.52, 0.02), (0.24, 0.18), (0.34, 0.5), (0.66, 0.78), (0.8, 1.1), (0.54, 1.38), (0.22, 1.2),
          (0.32, 0.84), (0.64, 0.54), (0.82, 0.24), (0.7, 0.08)]],
        [[(0.5, 0.66), (0.24, 0.44), (0.3, 0.12), (0.58, 0.02), (0.8, 0.22), (0.7, 0.5), (0.48, 0.68), (0.2, 0.96),
          (0.28, 1.3), (0.58, 1.38), (0.8, 1.12), (0.7, 0.84), (0.5, 0.66)]],
    ],
    9: [
        [[(0.8, 0.3), (0.6, 0.04), (0.26, 0.14), (0.14, 0.46), (0.34, 0.7), (0.64, 0.58), (0.8, 0.26), (0.8, 0.26),
          (0.78, 0.7), (0.7, 1.05), (0.62, 1.4)]],
        [[(0.76, 0.2), (0.48, 0.02), (0.18, 0.24), (0.22, 0.58), (0.54, 0.64), (0.78, 0.3), (0.78, 0.3), (0.8, 0.78),
          (0.68, 1.2), (0.38, 1.38), (0.14, 1.28)]],
    ],
}  # fmt: skip


def smooth(control: Points) -> Points:
    """Points close together on the Catmull-Rom curve through the control points."""
    ends = np.vstack([2 * control[0] - control[1], control, 2 * control[-1] - control[-2]])
    steps = np.linspace(0, 1, 12, endpoint=False)[:, None]
    curve = []
    for p0, p1, p2, p3 in zip(ends[:-3], ends[1:-2], ends[2:-1], ends[3:], strict=True):
        if np.array_equal(p1, p2):  # a corner: the curves on its two sides end here
            continue
        before = p1 - (p2 - p1) if np.array_equal(p0, p1) else p0
        after = p2 + (p2 - p1) if np.array_equal(p2, p3) else p3
        slope_1, slope_2 = (p2 - before) / 2, (after - p1) / 2
        t2, t3 = steps**2, steps**3
        curve.append(
            (2 * t3 - 3 * t2 + 1) * p1 + (t3 - 2 * t2 + steps) * slope_1 + (3 * t2 - 2 * t3) * p2 + (t3 - t2) * slope_2
        )
    return np.vstack([*curve, control[-1:]])


def hand(strokes: list[Points], dice: random.Random) -> list[Points]:
    """The strokes as one hand would draw them this time: wobbled, stretched, slanted, turned."""
    slant, turn = dice.uniform(-0.1, 0.42), dice.uniform(-0.12, 0.12)
    across = dice.uniform(0.85, 1.25)
    matrix = (
        np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        @ np.array([[1, -slant], [0, 1]])
        @ np.diag([across, 1])
    )
    drawn = []
    for stroke in strokes:
        wobbled: list[Points] = []
        for at, point in enumerate(stroke):
            if at and np.array_equal(point, stroke[at - 1]):  # a corner stays one
                wobbled.append(wobbled[-1])
            else:
                wobbled.append(point + np.array([dice.uniform(-WOBBLE, WOBBLE), dice.uniform(-WOBBLE, WOBBLE)]))
        drawn.append(smooth(np.array(wobbled)) @ matrix.T)
    return drawn


def ink(strokes: list[Points], radii: list[NDArray[np.float64]], shift: Points) -> NDArray[np.float64]:
    """Cover the image with a round pen: (28, 28), 0..1.  Strokes, radii and shift are in pixels."""
    axis = (np.arange(SIDE * FINE) + 0.5) / FINE
    covered = np.zeros((SIDE * FINE, SIDE * FINE), dtype=bool)
    for stroke, radius in zip(strokes, radii, strict=True):
        for (x, y), r in zip(stroke + shift, radius, strict=True):
            rows, columns = np.searchsorted(axis, [y - r, y + r]), np.searchsorted(axis, [x - r, x + r])
            window = np.s_[rows[0] : rows[1], columns[0] : columns[1]]
            covered[window] |= (axis[window[0], None] - y) ** 2 + (axis[window[1]] - x) ** 2 < r * r
    share = covered.reshape(SIDE, FINE, SIDE, FINE).mean(axis=(1, 3))
    soft = np.pad(share, 1)  # a little of each neighbour, as a scanner sees it, but no new edge
    cross = soft[:-2, 1:-1] + soft[2:, 1:-1] + soft[1:-1, :-2] + soft[1:-1, 2:]
    return np.where(share > 0, np.minimum(1, 0.8 * share + 0.06 * cross), 0)


def draw(strokes: list[Points], dice: random.Random) -> NDArray[np.uint8]:
    """One image: (28, 28) uint8, white on black."""
    pen, swell, phase = dice.uniform(0.95, 1.6), dice.uniform(0.05, 0.22), dice.uniform(0, 2 * math.pi)
    curves = [dense(curve) for curve in hand(strokes, dice)]
    every = np.vstack(curves)
    low, high = every.min(axis=0), every.max(axis=0)
    scale = (BOX - 2 * pen) / (high - low).max()
    curves = [(curve - (low + high) / 2) * scale for curve in curves]
    radii = [pen * pressure(len(curve), swell, phase) for curve in curves]
    centre = np.full(2, SIDE / 2)
    picture = ink(curves, radii, centre)
    mass = np.array([picture.sum(axis=0) @ np.arange(SIDE), picture.sum(axis=1) @ np.arange(SIDE)]) / picture.sum()
    picture = ink(curves, radii, centre + np.round(SIDE / 2 - mass))  # MNIST: whole pixels, to index 14
    return np.round(picture * 255).astype(np.uint8)


def pressure(n_points: int, swell: float, phase: float) -> NDArray[np.float64]:
    """How hard the pen is pressed along a stroke, at most 1: it swells, and is lighter where it lands and lifts."""
    along = np.linspace(0, 1, n_points)
    ends = np.minimum(1, 0.72 + 4 * np.minimum(along, 1 - along))
    return (1 - swell * (1 + np.sin(phase + 5 * along)) / 2) * ends


def dense(curve: Points) -> Points:
    """The same line with a point at least every 1/100 of the digit's width."""
    pieces = [
        a + (b - a) * np.linspace(0, 1, max(2, math.ceil(math.dist(a, b) * 100)), endpoint=False)[:, None]
        for a, b in itertools.pairwise(curve)
    ]
    return np.vstack([*pieces, curve[-1:]])


def draw_all(seed: int = SEED) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The demo set: images (100, 28, 28), and labels (100,), 0 to 9 ten times over."""
    dice = random.Random(seed)
    labels = [digit for digit in range(10) for _ in range(10)]
    images = []
    for at, digit in enumerate(labels):
        styles = STYLES[digit]
        strokes = [np.array(stroke, dtype=np.float64) for stroke in styles[at % 10 % len(styles)]]
        images.append(draw(strokes, dice))
    order = [digit * 10 + nth for nth in range(10) for digit in range(10)]
    return np.array(images)[order], np.array(labels, dtype=np.uint8)[order]


def write_idx(path: Path, array: NDArray[np.uint8]) -> None:
    """One gzipped IDX file, the same bytes each time."""
    dims = b"".join(size.to_bytes(4, "big") for size in array.shape)
    with path.open("wb") as file, gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
        packed.write(bytes([0, 0, 8, array.ndim]) + dims + array.tobytes())


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the demo digits.")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--to", type=Path, default=DATA, help="folder to write to")
    args = parser.parse_args()
    images, labels = draw_all(args.seed)
    args.to.mkdir(parents=True, exist_ok=True)
    write_idx(args.to / "demo-digits-images-idx3-ubyte.gz", images)
    write_idx(args.to / "demo-digits-labels-idx1-ubyte.gz", labels)
    print(f"drew {len(images)} digits into {args.to}")


if __name__ == "__main__":
    main()
