"""The photograph of aeformat demo: packed and unpacked by the middle photograph model, beside JPEG and WebP of as many bits.

Owns its table and its part of the picture.
"""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from aeformat.cli import common
from aeformat.cli.demo_files import round_trip
from aeformat.pipeline.default_model import PHOTO_MODEL

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image as Images

    Pixels = NDArray[np.uint8]  # (h, w, 3)

# What Pillow is told beside the quality: the settings that make the smallest files of each at its PSNR.
_RIVALS: Final[dict[str, dict[str, Any]]] = {"JPEG": {"optimize": True, "progressive": True}, "WebP": {"method": 6}}
_QUALITIES: Final = range(1, 96)
_PART: Final = (165, 150, 140, 210)  # what the picture shows enlarged: top, left, height, width


@dataclass(frozen=True, slots=True)
class Coded:
    """One way to store the photograph, and what came of it.  seconds: of encoding and of decoding."""

    name: str
    n_bytes: int
    pixels: Pixels
    seconds: tuple[float, float]


def why_not() -> str | None:
    """Why the photograph is not shown; None where it is."""
    from aeformat.model import store

    if find_spec("PIL") is None:
        return 'Pillow is not installed; pip install "aeformat[images]"'
    return None if PHOTO_MODEL in store.shipped_names() else f"its model, {PHOTO_MODEL}, is not here"


def show(folder: Path, backend: str) -> Images.Image:
    """Print the table; the page for the picture.  folder: for the file, which is removed with it.  Raises AeformatError."""
    from aeformat.images.photograph import demo_photograph

    photo = demo_photograph()
    height, width = photo.shape[:2]
    print(f"\nPhotograph: drawn by a program for this demo, {width} x {height} pixels, 8-bit RGB.\n")
    ours = _ours(folder, photo, backend)
    coded = [ours, *(_rival(name, photo, ours.n_bytes) for name in _RIVALS)]
    rows = [["stored as", "bits a pixel", "bytes", "PSNR", "encode", "decode"]]
    for one in coded:
        seconds = (f"{part:.2f} s" for part in one.seconds)
        rows.append([one.name, _bits(one, photo), f"{one.n_bytes:,}", common.decibels(_psnr(photo, one)), *seconds])
    rows.append(["raw pixels", "24.00", f"{photo.size:,}", "lossless", "", ""])
    common.print_table(rows)
    return _page(photo, coded)


def _ours(folder: Path, photo: Pixels, backend: str) -> Coded:
    done = round_trip(folder / "photograph.aef", photo[None], PHOTO_MODEL, None, None, backend)
    return Coded(f".aef, {PHOTO_MODEL}", done.n_bytes, done.images[0], done.seconds)


def _rival(name: str, photo: Pixels, n_bytes: int) -> Coded:
    """The smallest file of a rival that is not smaller than ours, so that it has at least as many bits."""
    import numpy as np
    from PIL import Image

    picture = Image.fromarray(photo)
    for quality in _QUALITIES:
        file, began = io.BytesIO(), time.perf_counter()
        picture.save(file, format=name, quality=quality, **_RIVALS[name])
        encoding = time.perf_counter() - began
        if file.tell() >= n_bytes:
            break
    began = time.perf_counter()
    pixels = np.asarray(Image.open(file).convert("RGB"))
    return Coded(f"{name}, quality {quality}", len(file.getvalue()), pixels, (encoding, time.perf_counter() - began))


def _bits(coded: Coded, photo: Pixels) -> str:
    return f"{8 * coded.n_bytes / (photo.shape[0] * photo.shape[1]):.3f}"


def _psnr(photo: Pixels, coded: Coded) -> float:
    from aeformat.images.picture import psnr

    return psnr(photo, coded.pixels)


def _page(photo: Pixels, coded: list[Coded]) -> Images.Image:
    from aeformat.images.panels import Panel, Part, panels_page

    panels = [Panel(photo, "original", "24 bits a pixel")]
    for one in coded:
        panels.append(
            Panel(one.pixels, one.name, f"{_bits(one, photo)} bits a pixel, {common.decibels(_psnr(photo, one))}")
        )
    return panels_page(panels[:3], Part(*_PART))
