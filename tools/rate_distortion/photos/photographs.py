"""The photographs that everything is measured on: where they are, and their pixels.

Owns what is compared: 8-bit RGB as `aeformat pack` reads it, so turned as EXIF says and in sRGB.  One is in memory at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aeformat.errors import UsageError
from aeformat.images.files import load_pixels
from aeformat.images.listing import list_images

Pixels = NDArray[np.uint8]  # (h, w, 3)


@dataclass(frozen=True, slots=True)
class Photo:
    """One image file.  name: its path in the folder."""

    name: str
    path: Path

    def pixels(self) -> Pixels:
        """(h, w, 3); grey is widened.  Raises ImageError, naming the file."""
        pixels = load_pixels(self.path)
        return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


def find_photos(folder: Path, every: int = 1) -> list[Photo]:
    """Each `every`-th image file of a folder and what it holds, in the order of their names.  Raises UsageError for none."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder")
    files = list_images(folder).files
    if not files:
        raise UsageError(f"{folder} has no image files")
    return [Photo(str(name), path) for name, path in files[::every]]


def digest_of(pixels: Pixels) -> str:
    """Tells one photograph from another, whatever its file is."""
    shape = "x".join(map(str, pixels.shape)).encode()
    return hashlib.sha256(shape + pixels.tobytes()).hexdigest()[:16]


def digest_of_all(digests: Iterable[str]) -> str:
    """Tells one sequence of photographs from another."""
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()[:16]
