"""What each step of a photograph model is worth, from a finished pair, without training anything again.

    python -m tools.photo_steps --data DIR --fit DIR [--model photo-3] [--every N] [--refine [PRICE]] [--checkpoint FILE] [--record DIR]

--data: photographs to measure on.  --fit: those that the tables of a static prior, of classes and of passes without means are fitted
to: training photographs, of which --n-fit are taken.  --model: a name, or what the paths of a pair have in common.  --checkpoint:
of its training, for the network in floats; needs TensorFlow.  --record: the folder of models, into which photo_steps.json and the table
of the README are written.

Means and scales were trained together, and so were the decoder's layers.  A network that was trained without the one would make
more of the other: those two rows say what the finished model loses, which is more than a retrained one would.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from aeformat.atomic import AtomicFile
from aeformat.errors import AeformatError
from aeformat.model import store
from tools import card
from tools.photo_steps.steps import Measurement, rows
from tools.rate_distortion.photos.photographs import find_photos

DATA_FILE: Final = "photo_steps.json"
TABLE: Final = "photo-steps"
_N_FIT: Final = 32


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        prog="tools.photo_steps", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--fit", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--n-fit", type=int, default=_N_FIT, metavar="N", help=f"photographs to fit to; {_N_FIT} by default"
    )
    parser.add_argument("--model", default="photo-3", metavar="PATH")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take each Nth photograph of --data")
    parser.add_argument("--refine", nargs="?", const=0.0, type=float, metavar="PRICE")
    parser.add_argument("--checkpoint", type=Path, metavar="FILE")
    parser.add_argument("--record", type=Path, metavar="DIR")
    options = parser.parse_args(arguments)
    try:
        _run(options)
    except (AeformatError, OSError) as error:
        print(f"photo_steps: {error}", file=sys.stderr)
        return 2
    return 0


def _run(options: argparse.Namespace) -> None:
    packages = store.find_packages(options.model)
    fitted = find_photos(options.fit)
    fitted = fitted[:: max(1, len(fitted) // options.n_fit)][: options.n_fit]
    measurement = Measurement(packages, options.refine, options.checkpoint)
    measurement.fit([photo.pixels() for photo in fitted])
    photos = find_photos(options.data, options.every)
    for number, photo in enumerate(photos, 1):
        print(f"[{number}/{len(photos)}] {photo.name}", file=sys.stderr, flush=True)
        measurement.add(photo.pixels())
    table = rows(measurement)
    print(card.markdown(table), end="")
    if options.record is not None:
        record(options.record, table)


def record(folder: Path, table: list[list[str]]) -> None:
    """The table as data and in the README of the models.  Raises UsageError where that has no place for it."""
    card.put_table(folder / card.CARD.name, TABLE, card.markdown(table))
    with AtomicFile(folder / DATA_FILE, force=True) as file:
        file.write((json.dumps(table, indent=1, ensure_ascii=False) + "\n").encode())


if __name__ == "__main__":
    sys.exit(main())
