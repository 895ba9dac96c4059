"""What one way of storing the test images costs and loses, and the cache that keeps it between runs.

Owns Point, its JSON, and how squared errors are counted.  Knows no codec.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.atomic import AtomicFile
from aeformat.pipeline.evaluate import Fidelity, compare

Images = NDArray[np.uint8]  # (n, h, w, 1), 0..255

EACH: Final = "a file each"
SOLID: Final = "all in one"


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement.  bits: of an image, on average.  mse: over all pixels in 0..1, decoded again; 0 is lossless.

    kind: "ours" or "rival".  family: what belongs on one curve.  layout: how the images lie in files.  decoder_bytes: what a
    receiver needs beside the files and a general-purpose program.  is_real: from bytes that were written and decoded again;
    else from code lengths.
    """

    kind: str
    family: str
    setting: str
    layout: str
    n_images: int
    bits: float
    mse: float
    decoder_bytes: int = 0
    is_real: bool = True

    @property
    def psnr(self) -> float:
        """dB; infinite where nothing is lost."""
        return Fidelity(self.n_images, self.mse).psnr

    @property
    def is_lossless(self) -> bool:
        """Whether every pixel comes back."""
        return self.mse == 0

    def amortised(self, n_images: int) -> float:
        """Bits an image with the decoder sent once for n_images."""
        return self.bits + 8 * self.decoder_bytes / n_images


def measured(originals: Images, decoded: Images) -> float:
    """Mean squared error of pixels in 0..1."""
    return compare([originals], [decoded]).mse


def digest(images: Images) -> str:
    """Tells one set of images from another."""
    return hashlib.sha256(images.tobytes()).hexdigest()[:16]


class PointCache:
    """Points by key in one JSON file, written after each, so that a run can stop anywhere and go on.

    What another run has added meanwhile is kept.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._points = self._read()

    def _read(self) -> dict[str, list[dict[str, Any]]]:
        points: dict[str, list[dict[str, Any]]] = {}
        if self._path.exists():
            points = json.loads(self._path.read_text(encoding="utf-8"))
        return points

    def has(self, key: str) -> bool:
        """Whether this was measured before."""
        return key in self._points

    def get(self, key: str, measure: Callable[[], list[Point]]) -> list[Point]:
        """The points under `key`, measured now if they are not here."""
        if key not in self._points:
            found = [asdict(point) for point in measure()]
            self._points = {**self._read(), key: found}
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with AtomicFile(self._path, force=True) as file:
                file.write(json.dumps(self._points, indent=0).encode())
        return [Point(**fields) for fields in self._points[key]]


def front(points: list[Point]) -> list[Point]:
    """Those that no other beats in both bits and error, by rising PSNR."""
    best: list[Point] = []
    for point in sorted(points, key=lambda point: (point.bits, point.mse)):
        if not best or point.mse < best[-1].mse:
            best.append(point)
    return best


def curves(points: list[Point]) -> list[list[Point]]:
    """Lossy points by family, layout and setting, its quality set aside: the front of each, by rising PSNR."""
    groups: dict[tuple[str, str, str], list[Point]] = {}
    for point in points:
        if not point.is_lossless:
            quality, _, rest = point.setting.partition(", ")
            setting = rest if quality.startswith("q ") else ""
            groups.setdefault((point.family, point.layout, setting), []).append(point)
    return [front(group) for group in groups.values()]


def bits_at(points: list[Point], psnr: float) -> float | None:
    """The fewest bits at `psnr` dB on any curve, linear in dB between neighbours; None outside what was measured."""
    found = []
    for curve in curves(points):
        for low, high in pairwise(curve):
            if low.psnr <= psnr <= high.psnr:
                found.append(low.bits + (high.bits - low.bits) * (psnr - low.psnr) / (high.psnr - low.psnr))
        found += [point.bits for point in curve if math.isclose(point.psnr, psnr)]
    return min(found, default=None)
