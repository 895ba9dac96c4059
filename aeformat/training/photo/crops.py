"""Photographs to train with, and the crops that are seen of them.

Owns reading a folder and the choice of crops, which a seed fixes.  Knows nothing of networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aeformat.errors import UsageError
from aeformat.images.files import load_pixels
from aeformat.images.listing import list_images

Photo = NDArray[np.uint8]  # (h, w, 3)


def read_photos(folder: Path, side: int) -> list[Photo]:
    """All image files of a folder and what it holds, in the order of their names, as RGB.  side: rows and columns at least.

    Raises ImageError for one that cannot be read, UsageError where there is none or one is too small.
    """
    listing = list_images(folder)
    if not listing.files:
        raise UsageError(f"{folder} has no image files to train with")
    photos = []
    for name, path in listing.files:
        pixels = load_pixels(path)
        if min(pixels.shape[:2]) < side:
            raise UsageError(f"{folder / name} is smaller than {side} x {side} pixels")
        photos.append(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))
    return photos


def random_crops(photos: Sequence[Photo], n: int, side: int, rng: np.random.Generator) -> Photo:
    """(n, side, side, 3): crops of photographs chosen at random, each mirrored or turned one of eight ways."""
    return np.stack([_random_crop(photos[int(rng.integers(len(photos)))], side, rng) for _ in range(n)])


def _random_crop(photo: Photo, side: int, rng: np.random.Generator) -> Photo:
    top, left = (int(rng.integers(length - side + 1)) for length in photo.shape[:2])
    crop = photo[top : top + side, left : left + side]
    across, along, turned = rng.random(3) < 0.5
    crop = crop[:, ::-1] if across else crop
    crop = crop[::-1] if along else crop
    return crop.transpose(1, 0, 2) if turned else crop


def whole_blocks(photo: Photo, side: int) -> Photo:
    """The photograph with its last row and column repeated until both sizes are multiples of `side`."""
    below, right = (-length % side for length in photo.shape[:2])
    return np.pad(photo, ((0, below), (0, right), (0, 0)), mode="edge")
