"""Put the table of model costs into models/README.md, from what `aeformat model cost --json` measures.

    python -m tools.cost_table [--models models] [--only NAME ...]

Needs MNIST and pip install "aeformat[bench]".  Writes cost.json beside the models, and the two tables of the card.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any, Final

from aeformat.atomic import AtomicFile
from aeformat.cli import model_cost
from aeformat.errors import AeformatError
from aeformat.model import store
from tools import card

DATA_FILE: Final = "cost.json"
_NONE: Final = "–"
_NEVER: Final = "never"


def sizes(data: dict[str, Any]) -> list[list[str]]:
    """A row for each model and type of weights: numbers as they lie in memory, and packages."""
    table = [
        ["model", "weights", "encoder, numbers", "decoder, numbers", "encoder, package", "decoder, package", "PSNR, dB"]
    ]
    for model in data["models"]:
        for row in model["weights"]:
            counts = ("encoder_numbers_bytes", "decoder_numbers_bytes", "encoder_bytes", "decoder_bytes")
            psnr = _NONE if row["psnr_db"] is None else f"{row['psnr_db']:.2f}"
            table.append([f"`{model['name']}`", row["type"], *(_count(row[key]) for key in counts), psnr])
    return table


def break_even(data: dict[str, Any]) -> list[list[str]]:
    """A row for each model and type of weights that a package holds: images from which on its decoder pays, on every basis."""
    names = [row["basis"] for row in data["models"][0]["bases"]]
    table = [["model", "sent", "bytes", "bytes a latent", *names]]
    for model in data["models"]:
        checkpoint = _count(model["checkpoint_break_even_text"])
        others = [_NONE] * (len(names) - 1)
        if model["profile"] == "float32":
            table.append([f"`{model['name']}`", "the note's checkpoint", _count(model["checkpoint_bytes"]),
                          f"{model['latent_text_bytes']:,.1f} (text)", checkpoint, *others])  # fmt: skip
        for weights in model["weights"]:
            if weights["decoder_bytes"] is not None:
                counts = [row["break_even_by_weights"][weights["type"]] for row in model["bases"]]
                table.append([f"`{model['name']}`", f"decoder, {weights['type']}", _count(weights["decoder_bytes"]),
                              f"{model['latent_bytes']:,.1f}", *(_NEVER if n is None else f"{n:,}" for n in counts)])  # fmt: skip
    return table


TABLES: Final = {"cost-sizes": (sizes, 2), "cost-break-even": (break_even, 2)}


def _count(n: int | None) -> str:
    return _NONE if n is None else f"{n:,}"


def publish(folder: Path, data: dict[str, Any]) -> None:
    """The data file, and the tables of the card beside it."""
    with AtomicFile(folder / DATA_FILE, force=True) as file:
        file.write((json.dumps(data, indent=1) + "\n").encode())
    for name, (make, right) in TABLES.items():
        card.put_table(folder / card.CARD.name, name, card.markdown(make(data), right=right))


def main() -> int:
    """Measure shipped models that have a decoder of their own kind; a minute each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--models", type=Path, default=card.CARD.parent, metavar="DIR", help="where cost.json and the card are"
    )
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="measure these; the others are as the data file has them"
    )
    options = parser.parse_args()
    kept = {} if options.only is None else json.loads((options.models / DATA_FILE).read_text(encoding="utf-8"))
    models = [model for model in kept.get("models", []) if model["name"] not in options.only]
    try:
        for name in options.only or store.one_size_names():
            print(f"{name} ...", file=sys.stderr, flush=True)
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                model_cost.cost(argparse.Namespace(model=name, images=["mnist:test"], json=True))
            models += json.loads(out.getvalue())["models"]
        publish(options.models, {"models": sorted(models, key=lambda model: model["name"])})
    except (AeformatError, OSError) as error:
        print(f"cost_table: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
