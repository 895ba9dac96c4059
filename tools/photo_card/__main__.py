"""python -m tools.photo_card: see __init__.py."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from aeformat.atomic import AtomicFile
from aeformat.errors import AeformatError, UsageError
from aeformat.training.photo.recipe import RECIPES
from tools import card
from tools.photo_card import measure, sources

DATA_FILE: Final = "photo_models.json"
MODELS, SOURCES = "photo models", "photo sources"  # tables of the card
_SECTION: Final = Path(__file__).with_name("section.md")
_BEFORE: Final = "## The note, reproduced\n"  # where the part goes in, if it is not there yet


def tables(found: list[dict[str, Any]], photographs: list[sources.Photograph]) -> dict[str, str]:
    """Name -> table, as it must stand on the card."""
    return {
        MODELS: card.markdown(measure.table(found)),
        SOURCES: card.markdown(sources.table(photographs), right=3),
    }


def publish(folder: Path) -> None:
    """Write the part of the card in a folder from the files beside it.  Raises UsageError where one is missing."""
    path = folder / card.CARD.name
    text = path.read_text(encoding="utf-8")
    missing = [name for name in (DATA_FILE, sources.FILE) if not (folder / name).is_file()]
    if missing:
        raise UsageError(f"{folder / missing[0]} is not there; see python -m tools.photo_card --help for what makes it")
    found = json.loads((folder / DATA_FILE).read_text(encoding="utf-8"))["models"]
    if f"<!-- begin {MODELS} -->" not in text:
        if text.count(_BEFORE) != 1:
            raise UsageError(f"{path} has no heading {_BEFORE.strip()!r}, before which the photograph models belong")
        text = text.replace(_BEFORE, _SECTION.read_text(encoding="utf-8") + "\n" + _BEFORE)
        with AtomicFile(path, force=True) as file:
            file.write(text.encode())
    for name, table in tables(found, sources.read(folder / sources.FILE)).items():
        card.put_table(path, name, table)


def measured(folder: Path, validation: Path, runs: Path) -> None:
    """Measure the photograph models of a folder, and write the data file.  Raises AeformatError, OSError."""
    found = []
    for recipe in sorted(RECIPES.values(), key=lambda recipe: recipe.name):
        if (folder / f"{recipe.name}.encoder.aef").is_file():
            print(f"{recipe.name} ...", file=sys.stderr, flush=True)
            found.append(measure.measure(folder, recipe, validation, runs).as_dict())
    if not found:
        raise UsageError(f"{folder} has no photograph models")
    with AtomicFile(folder / DATA_FILE, force=True) as file:
        file.write((json.dumps({"models": found}, indent=1) + "\n").encode())


def main(arguments: list[str] | None = None) -> int:
    """Make what was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.photo_card", description="The card of the photograph models."
    )
    parser.add_argument("--models", type=Path, default=card.CARD.parent, metavar="DIR", help="packages and card")
    parser.add_argument("--sources", type=Path, metavar="FILE.tsv", help="one line for each crop of the data")
    parser.add_argument("--validation", type=Path, metavar="DIR", help="photographs to measure the models with")
    parser.add_argument("--runs", type=Path, metavar="DIR", help="of the training, for how long it took")
    options = parser.parse_args(arguments)
    try:
        if (options.validation is None) != (options.runs is None):
            raise UsageError("--validation and --runs go together")
        if options.sources is not None:
            sources.write(sources.of_crops(options.sources), options.models / sources.FILE)
        if options.validation is not None:
            measured(options.models, options.validation, options.runs)
        if options.sources is None or (options.models / DATA_FILE).is_file():
            publish(options.models)
    except (AeformatError, OSError) as error:
        print(f"photo_card: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
