"""Measure our models and their rivals on the MNIST test images; write the data, the picture and the tables.

    python -m tools.rate_distortion [--only NAME | --add NAME ...] [--fresh] [--models models] [--cache runs/rate_distortion]
    python -m tools.rate_distortion --images DIR --help      photographs instead: photos/command.py

Needs MNIST, and pip install "aeformat[bench]".  Whatever models lie in models/ take part.  The slow rivals take an hour or so;
every point is kept as soon as it is measured, so stop it at any time and run it again.  --add measures some models and takes all other
points from rate_distortion.json.  Writes rate_distortion.json, rate_distortion.csv and rate_distortion.png into models/, and the
two tables in models/README.md.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from aeformat.atomic import AtomicFile
from aeformat.errors import AeformatError, UsageError
from aeformat.training.mnist_images import all_mnist
from tools import card
from tools.rate_distortion import byte_codecs, ours, pca, picture_codecs, plot, tables
from tools.rate_distortion.point import Images, Point, PointCache, digest

NAME = "rate_distortion"
TABLES = {"aims": (tables.aims, 1), "rate-distortion": (tables.everything, 3)}
IMAGE = (28, 28, 1)
MADE_WITH = "made-with"  # not a table, but it stands in the card as they do


@dataclass(frozen=True, slots=True)
class Job:
    """One thing to measure.  key: tells it from every other, versions included.  n_images: what its bar counts to."""

    label: str
    key: str
    n_images: int
    measure: Callable[[Callable[[int], None]], list[Point]]


def main() -> int:
    """Measure what is not in the cache, then write everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--models", type=Path, default=card.CARD.parent, metavar="DIR", help="where models are and results go"
    )
    parser.add_argument("--cache", type=Path, default=Path("runs/rate_distortion"), metavar="DIR")
    parser.add_argument("--fresh", action="store_true", help="measure everything again")
    parser.add_argument("--cached", action="store_true", help="measure nothing: write what has been measured so far")
    parser.add_argument(
        "--only", metavar="TEXT", help="measure only what has TEXT in its name, and write nothing but the cache"
    )
    parser.add_argument(
        "--add", nargs="+", metavar="NAME", help="measure these models; all other points are as the data file has them"
    )
    options = parser.parse_args()
    if options.add is not None and (options.only is not None or options.cached):
        parser.error("--add goes with neither --only nor --cached: it measures what it names and writes everything")
    try:
        _run(options)
    except (AeformatError, OSError, ImportError) as error:
        print(f"rate_distortion: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("rate_distortion: stopped; run it again to go on", file=sys.stderr)
        return 130
    return 0


def _run(options: argparse.Namespace) -> None:
    train, test = all_mnist("train"), all_mnist("test")
    path = options.cache / "points.json"
    if options.fresh:
        path.unlink(missing_ok=True)
    cache = PointCache(path)
    wanted = [job for job in jobs(options.models, train, test) if options.only is None or options.only in job.label]
    if options.add is not None:
        wanted = [job for job in wanted if job.label in options.add]
    if options.cached:
        wanted = [job for job in wanted if cache.has(job.key)]
    points = [] if options.add is None else kept_points(options.models, options.add)
    for number, job in enumerate(wanted, 1):
        with _Bar(f"[{number}/{len(wanted)}] {job.label}", job.n_images, quiet=cache.has(job.key)) as bar:
            points += cache.get(job.key, partial(job.measure, bar.update))
    if options.only is not None:
        card_rows = tables.everything(points)
        print(card.markdown(card_rows, right=3), end="")
        return
    data = as_data(points)
    write(options.models, data)
    print(card.markdown(tables.aims(points)), end="")


def jobs(models: Path, train: Images, test: Images) -> list[Job]:
    """Everything there is to measure: ours first, then the rivals, the slow ones last."""
    images, n = digest(test), len(test)
    found = []
    for name in ours.model_names(models, test.shape[1:]):
        halves = [(models / f"{name}.{role}.aef").read_bytes() for role in ("encoder", "decoder")]
        key = hashlib.sha256(b"".join(halves)).hexdigest()[:16]
        ways = "; ".join(ours.ways(name, ours.read_pair(models, name)[1]))
        found.append(
            Job(name, f"ours {name} {key} {ways} zstandard {version('zstandard')} {images}", n * len(ways.split(";")),
                partial(_measure_ours, models, name, test))
        )  # fmt: skip
    for number, (family, setting, layout, _, _) in enumerate(byte_codecs.BYTE_CODECS):
        found.append(
            Job(f"{family}, {layout}", f"{family} {setting} {layout} {version('zstandard')} {images}", 0,
                partial(_measure_bytes, number, test))
        )  # fmt: skip
    rival = pca.PcaRival(train, test)
    for step, dims in pca.SWEEP:
        key = f"pca {step} {dims} {pca.DEAD_ZONES} {pca.GAINS} {digest(train)} {images}"
        found.append(
            Job(f"PCA, step {step}", key, len(dims) * len(pca.DEAD_ZONES),
                partial(rival.measure, step))
        )  # fmt: skip
    libraries = json.dumps(picture_codecs.versions())
    for codec in picture_codecs.PICTURE_CODECS:
        for quality in codec.settings():
            key = f"{codec} {quality} {libraries} {images}"
            found.append(
                Job(f"{codec.family} {codec.layout} {codec.label(quality)}", key, n,
                    partial(_measure_pictures, codec, quality, test))
            )  # fmt: skip
    return found


def _measure_ours(models: Path, name: str, test: Images, told: Callable[[int], None]) -> list[Point]:
    return ours.measure(models, name, test, _Told(told))


def _measure_bytes(number: int, test: Images, _told: Callable[[int], None]) -> list[Point]:
    return [byte_codecs.measure(number, test)]


def _measure_pictures(
    codec: picture_codecs.PictureCodec, quality: int | None, test: Images, told: Callable[[int], None]
) -> list[Point]:
    return [picture_codecs.measure(codec, quality, test, told)]


def kept_points(folder: Path, names: list[str]) -> list[Point]:
    """What the data file has of everything but the models of these names.

    Raises UsageError if one of them is not there, or if other libraries measured those points: one file, one set of versions.
    """
    missing = set(names) - set(ours.model_names(folder, IMAGE))
    if missing:
        raise UsageError(f"{folder} has no model {', '.join(sorted(missing))}")
    kept = json.loads((folder / f"{NAME}.json").read_text(encoding="utf-8"))
    now = as_data([])["made_with"]
    other = [
        f"{key} {kept['made_with'].get(key)}, not {now[key]}" for key in now if kept["made_with"].get(key) != now[key]
    ]
    if other:
        raise UsageError(
            f"the points that are there were measured with {'; '.join(other)}: measure them again, without --add"
        )
    points = [Point(**fields) for fields in kept["points"]]
    return [point for point in points if point.kind != "ours" or point.setting.split(",")[0] not in names]


class _Told:
    """A function in the shape of the pipeline's progress."""

    def __init__(self, told: Callable[[int], None]) -> None:
        self._told = told

    def update(self, n_rows: float, /) -> None:
        self._told(round(n_rows))


def as_data(points: list[Point]) -> dict[str, Any]:
    """What the data file holds."""
    libraries = {name: version(name) for name in ("numpy", "zstandard")}
    return {
        "images": "the 10,000 MNIST test images; PCA is fitted on the 60,000 training images",
        "bits": "an image, of files; decoder_bytes are not in it.  mse: of 8-bit pixels divided by 255, decoded again",
        "made_with": {"python": platform.python_version(), "machine": f"{platform.machine()}, {platform.system()}",
                      **libraries, **picture_codecs.versions()},
        "points": [asdict(point) for point in points],
    }  # fmt: skip


def made_with(data: dict[str, Any]) -> str:
    """The card's sentence on versions and machine."""
    versions = dict(data["made_with"])
    python, machine = versions.pop("python"), versions.pop("machine")
    return f"Measured with Python {python} on {machine}; {', '.join(f'{k} {v}' for k, v in versions.items())}.\n"


def write(folder: Path, data: dict[str, Any]) -> None:
    """Data, picture, and the tables of the card."""
    points = [Point(**fields) for fields in data["points"]]
    with AtomicFile(folder / f"{NAME}.json", force=True) as file:
        file.write((json.dumps(data, indent=1) + "\n").encode())
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*(field.name for field in fields(Point)), "psnr", *(f"bits_{label}" for _, label in tables.COUNTS)])
    for point in points:
        table.writerow(
            [*asdict(point).values(), f"{point.psnr:.4f}", *(f"{point.amortised(n):.2f}" for n, _ in tables.COUNTS)]
        )
    with AtomicFile(folder / f"{NAME}.csv", force=True) as file:
        file.write(text.getvalue().encode())
    plot.draw(points, folder / f"{NAME}.png")
    for name, (make, right) in TABLES.items():
        card.put_table(folder / card.CARD.name, name, card.markdown(make(points), right=right))
    card.put_table(folder / card.CARD.name, MADE_WITH, made_with(data))


class _Bar:
    """A bar on a terminal; elsewhere a line a job.  Nothing for what was measured before."""

    def __init__(self, label: str, n_images: int, *, quiet: bool) -> None:
        self._bar: Any = None
        if quiet:
            return
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(desc=label, total=n_images or None, unit="img")
        else:
            print(label, file=sys.stderr, flush=True)

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def update(self, n_images: int) -> None:
        """n_images more are done."""
        if self._bar is not None:
            self._bar.update(n_images)
