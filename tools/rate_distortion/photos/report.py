"""The files that a measurement leaves: data, tables, picture; and this project's own record of it.

Owns the data file.  The tables and the picture are made from it alone.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import aeformat
from aeformat.atomic import AtomicFile
from tools import card
from tools.rate_distortion.photos import codecs, plot, tables
from tools.rate_distortion.photos.curves import Point
from tools.rate_distortion.photos.photographs import Photo
from tools.rate_distortion.photos.run import Results

RECORD: Final = "photo_rate_distortion"
TABLES: Final[dict[str, tuple[Callable[[list[Point]], list[list[str]]], int]]] = {
    "photo-at-bits": (tables.at_bits, 1),
    "photo-models": (tables.by_model, 1),
    "photo-bd-rates": (tables.bd_rates, 1),
    "photo-rate-distortion": (tables.everything, 2),
}
"""Name, what makes it, the first right-aligned column."""
CURVES: Final = "photo-curves"  # no tables, but they stand in the README as tables do
MADE_WITH: Final = "photo-made-with"

CURVES_LINE: Final = f"![PSNR and MS-SSIM against bits a pixel, for our models and their rivals]({RECORD}.png)\n"


def as_data(results: Results, photos: Sequence[Photo]) -> dict[str, Any]:
    """What the data file holds: no pixels, so it may go anywhere."""
    return {
        "photographs": {"names": [photo.name for photo in photos], "digest": results.digest},
        "bits": "a pixel, of whole files, the mean of the photographs; of one file of all: its bits by all pixels",
        "psnr": "of 8-bit RGB: the mean of the photographs; pooled: of one squared error over all pixels",
        "seconds": "a photograph, that one core computes from pixels to a file's bytes and back; models are loaded before",
        "made_with": {
            "python": platform.python_version(), "machine": f"{platform.machine()}, {platform.system()}",
            "aeformat": aeformat.__version__, "numpy": version("numpy"), **codecs.all_versions(),
        },
        "points": [asdict(point) for point in results.points],
    }  # fmt: skip


def points_of(data: dict[str, Any]) -> list[Point]:
    """The points of a data file."""
    return [Point(**fields) for fields in data["points"]]


def made_with(data: dict[str, Any]) -> str:
    """A sentence on photographs, versions and machine."""
    versions = dict(data["made_with"])
    python, machine = versions.pop("python"), versions.pop("machine")
    n_photos = len(data["photographs"]["names"])
    libraries = ", ".join(f"{name} {number}" for name, number in versions.items())
    return f"{n_photos} photographs; one core, Python {python} on {machine}; {libraries}.\n"


def as_markdown(data: dict[str, Any]) -> str:
    """All tables of a data file."""
    points = points_of(data)
    parts = [card.markdown(make(points), right=right) for make, right in TABLES.values()]
    return "\n".join([made_with(data), *parts])


def write(folder: Path, name: str, data: dict[str, Any]) -> None:
    """NAME.json and the curves as NAME.png."""
    with AtomicFile(folder / f"{name}.json", force=True) as file:
        file.write((json.dumps(data, indent=1) + "\n").encode())
    plot.draw(points_of(data), len(data["photographs"]["names"]), folder / f"{name}.png")


def record(folder: Path, data: dict[str, Any]) -> None:
    """This project's record, beside its models: data, curves, and the tables of its README.  Raises UsageError."""
    write(folder, RECORD, data)
    points, readme = points_of(data), folder / card.CARD.name
    for name, (make, right) in TABLES.items():
        card.put_table(readme, name, card.markdown(make(points), right=right))
    card.put_table(readme, CURVES, CURVES_LINE)
    card.put_table(readme, MADE_WITH, made_with(data))
