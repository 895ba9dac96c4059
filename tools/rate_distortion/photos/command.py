"""Measure our models and their rivals on the photographs of a folder; write data, tables and pictures.

    python -m tools.rate_distortion --images DIR [--every N] [--only TEXT] [--refine [PRICE]]
                                    [--models models] [--output runs/photo_rate_distortion] [--record]

Needs pip install "aeformat[bench]".  Photographs of any size, in folders too.  Every photo-* pair in the folder of models takes part, in
files of one photograph and in one file of all; the rivals are in codecs.py.  Results are kept in the cache one by one, so stop it
at any time and run it again.  Everything runs on one core.

Into --output: rate_distortion.json, .md and .png; and for each model crops-NAME.png, which shows pieces of the photographs: it may go
where they may, and nowhere else.  --record also writes photo_rate_distortion.json and .png into the folder of models, and its README's tables.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from aeformat.errors import AeformatError, UsageError
from tools import card
from tools.rate_distortion.photos import codecs, report, sheet, tables
from tools.rate_distortion.photos.measured import Codec, ResultCache
from tools.rate_distortion.photos.ours import OurCodec, our_codecs
from tools.rate_distortion.photos.photographs import find_photos
from tools.rate_distortion.photos.run import Runner

_STOPPED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is not in the cache, then write everything."""
    options = _parser().parse_args(arguments)
    try:
        _run(options)
    except (AeformatError, OSError) as error:
        print(f"rate_distortion: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("rate_distortion: stopped; run it again to go on", file=sys.stderr)
        return _STOPPED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools.rate_distortion", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--images", type=Path, required=True, metavar="DIR", help="a folder of photographs")
    add("--every", type=_positive, default=1, metavar="N", help="take each Nth photograph, for a quick look")
    add("--only", metavar="TEXT", help="measure only codecs with TEXT in their names, such as ours or 'AVIF'")
    add("--refine", nargs="?", const="", type=_price, metavar="PRICE",
        help="measure our models refined, too; PRICE is that of `pack --refine`, by default what each was trained at")  # fmt: skip
    add("--models", type=Path, default=card.CARD.parent, metavar="DIR", help="where packages of models are")
    add(
        "--output",
        type=Path,
        default=Path("runs/photo_rate_distortion"),
        metavar="DIR",
        help="where data, tables and pictures go",
    )
    add("--cache", type=Path, default=Path("runs/photo_results.jsonl"), metavar="FILE", help="where results are kept")
    add(
        "--record",
        action="store_true",
        help="write the data, the picture of curves and the tables into the folder of models",
    )
    return parser


def _run(options: argparse.Namespace) -> None:
    if options.record and (options.only is not None or options.every > 1):
        raise UsageError(
            "--record keeps what was measured of all codecs on all photographs; leave --only and --every out"
        )
    photos = find_photos(options.images, options.every)
    chosen = _chosen([*our_codecs(options.models, options.refine), *codecs.RIVALS], options.only)
    results = Runner(chosen, ResultCache(options.cache), _say).run(photos)
    options.output.mkdir(parents=True, exist_ok=True)
    data = report.as_data(results, photos)
    report.write(options.output, "rate_distortion", data)
    (options.output / "rate_distortion.md").write_text(report.as_markdown(data), encoding="utf-8")
    for codec in (codec for codec in chosen if isinstance(codec, OurCodec)):
        for name in codec.qualities:
            sheet.write(options.output / f"crops-{name}{codec.suffix}.png", codec, name, photos, _say)
    if options.record:
        report.record(options.models, data)
    for make in (tables.at_bits, tables.by_model, tables.bd_rates):
        print(card.markdown(make(results.points)))


def _chosen(all_codecs: list[Codec], text: str | None) -> list[Codec]:
    found = [codec for codec in all_codecs if text is None or text in f"{codec.family}, {codec.setting}"]
    if not found:
        names = "; ".join(f"{codec.family}, {codec.setting}" for codec in all_codecs)
        raise UsageError(f"no codec has {text!r} in its name; there are {names}")
    return found


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number")
    return int(text)


def _price(text: str) -> float | str:
    if not text:
        return text  # --refine alone: each model's own
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no positive price")
    return value
