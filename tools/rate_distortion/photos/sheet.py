"""Crops of photographs side by side at equal bits: the original, JPEG, WebP, AVIF and ours.

Owns which photographs and crops are shown, how large a rival's file may be, and the look.  It shows pieces of the photographs, so it
may go where they may, and nowhere else.

Photographs: up to four, evenly spaced.  Crop: the one of greatest variance.  A rival's file: the largest that is not above ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.atomic import AtomicFile
from tools.rate_distortion.photos.codecs import ANCHORS, HIGHEST, RIVALS
from tools.rate_distortion.photos.curves import psnr_of
from tools.rate_distortion.photos.measured import Codec, mean_square
from tools.rate_distortion.photos.photographs import Photo, Pixels

MOST_PHOTOS: Final = 4
SIDE: Final = 192  # pixels of a crop
_STEP: Final = 16  # pixels between the places that a crop may have
_ZOOM: Final = 2
_GAP: Final = 12  # of the sheet, in pixels; so are the next
_LABEL: Final = 32
_TITLE: Final = 84
_FONT: Final = 20


@dataclass(frozen=True, slots=True)
class Cell:
    """One crop.  label: left and right under it."""

    pixels: Pixels
    label: tuple[str, str]


def write(path: Path, ours: Codec, quality: str, photos: Sequence[Photo], told: Callable[[str], None]) -> None:
    """A sheet of one of our models, as PNG: a row a photograph."""
    chosen = spread(photos, MOST_PHOTOS)
    columns = [codec for codec in RIVALS if ANCHORS.get(codec.family) == codec.setting]
    rows = []
    for photo in chosen:
        told(f"crops of {photo.name} at the bits of {quality}")
        rows.append(_row(photo.pixels(), ours, quality, columns))
    titles = [("original", ""), *((codec.family, codec.setting) for codec in columns), (quality, ours.setting)]
    with AtomicFile(path, force=True) as file:
        _draw(rows, titles).save(file, format="PNG")


def spread(photos: Sequence[Photo], most: int) -> list[Photo]:
    """Up to `most`, evenly spaced, each from the middle of its stretch."""
    n = min(most, len(photos))
    return [photos[(2 * i + 1) * len(photos) // (2 * n)] for i in range(n)]


def _row(pixels: Pixels, ours: Codec, quality: str, columns: Sequence[Codec]) -> list[Cell]:
    crop = busiest(pixels, SIDE)
    data = ours.encode(pixels, quality)
    height, width = pixels.shape[:2]
    cells = [Cell(pixels[crop], (f"{width} x {height}", "24 bits a pixel"))]
    for codec in columns:
        rival = largest_below(lambda step, codec=codec: codec.encode(pixels, str(step)), len(data))  # type: ignore[misc]
        cells.append(_cell(pixels, codec.decode(rival, ""), rival, crop))
    return [*cells, _cell(pixels, ours.decode(data, quality), data, crop)]


def _cell(pixels: Pixels, decoded: Pixels, data: bytes, crop: tuple[slice, slice]) -> Cell:
    bits = 8 * len(data) / (pixels.shape[0] * pixels.shape[1])
    return Cell(decoded[crop], (f"{bits:.3f} bits a pixel", f"{psnr_of(mean_square(pixels, decoded)):.2f} dB"))


def largest_below(encode: Callable[[int], bytes], n_bytes: int) -> bytes:
    """The file of the highest quality with at most n_bytes, of those that a search by halves meets; the smallest where none is."""
    low, high, best = 0, HIGHEST, encode(1)
    while low < high:
        middle = (low + high + 1) // 2
        data = encode(middle)
        if len(data) <= n_bytes:
            low, best = middle, data
        else:
            high = middle - 1
    return best


def busiest(pixels: Pixels, side: int) -> tuple[slice, slice]:
    """The crop of side x side pixels, or what the photograph has, with the greatest variance of the mean of R, G and B."""
    grey = pixels.mean(axis=2)
    height, width = (min(side, length) for length in grey.shape)
    rows = range(0, grey.shape[0] - height + 1, _STEP)
    columns = range(0, grey.shape[1] - width + 1, _STEP)
    sums, squares = _summed(grey), _summed(grey**2)
    best, place = -1.0, (0, 0)
    for y in rows:
        for x in columns:
            mean, mean_of_squares = (
                (s[y + height, x + width] - s[y, x + width] - s[y + height, x] + s[y, x]) / (height * width)
                for s in (sums, squares)
            )
            variance = float(mean_of_squares - mean**2)
            if variance > best:
                best, place = variance, (y, x)
    return slice(place[0], place[0] + height), slice(place[1], place[1] + width)


def _summed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """At (y, x) the sum of all values above and to the left."""
    made: NDArray[np.float64] = np.pad(values, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    return made


def _draw(rows: list[list[Cell]], titles: list[tuple[str, str]]) -> Any:
    """The sheet, as Pillow's image: titles above, rows of crops with a line under each."""
    from PIL import Image, ImageDraw, ImageFont

    width, height = _ZOOM * SIDE, _ZOOM * SIDE + _LABEL
    size = _GAP + len(titles) * (width + _GAP), _TITLE + len(rows) * (height + _GAP)
    picture = Image.new("RGB", size, "white")
    draw, large, small = ImageDraw.Draw(picture), ImageFont.load_default(_FONT + 6), ImageFont.load_default(_FONT)
    for column, (name, setting) in enumerate(titles):
        left = _GAP + column * (width + _GAP)
        draw.text((left, 10), name, "black", large)
        draw.text((left, 46), setting, "#444444", small)
        for number, row in enumerate(rows):
            top, cell = _TITLE + number * (height + _GAP), row[column]
            crop = Image.fromarray(np.ascontiguousarray(cell.pixels))
            picture.paste(crop.resize((crop.width * _ZOOM, crop.height * _ZOOM), Image.Resampling.NEAREST), (left, top))
            draw.text((left, top + _ZOOM * SIDE + 2), cell.label[0], "black", small)
            draw.text((left + width, top + _ZOOM * SIDE + 2), cell.label[1], "black", small, anchor="ra")
    return picture
