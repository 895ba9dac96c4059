"""Reproduce the note's Table 2: train its four networks by its recipe and print the errors beside its own.

    python -m tools.train.note [--resume] [--output models/note] [--runs runs/note]

Needs TensorFlow, MNIST (`mnist:train` and `mnist:test`, as everywhere) and matplotlib; about a second an epoch, 800 epochs in all.
Stop it at any time: --resume goes on from the last checkpoints.  Writes table2.json and curves.png, and puts the table into the
README.md above them; --redraw does the last two from the file that is there, and trains nothing.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np

from aeformat.atomic import AtomicFile
from aeformat.backends.runtime import load_tensorflow
from aeformat.cli.common import print_table
from aeformat.errors import AeformatError
from aeformat.training.mnist_images import all_mnist
from tools import card
from tools.train.note.published import LATENT_DIMS, NoteRecipe
from tools.train.note.report import as_data, draw_curves, rows
from tools.train.note.training import NoteRun, train

DATA_FILE = "table2.json"
CURVES_FILE = "curves.png"
TABLE = "note"
_EPOCHS_BETWEEN_LINES = 10


def main() -> int:
    """Train what is not trained yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("models/note"), metavar="DIR", help="of table and curves")
    parser.add_argument("--runs", type=Path, default=Path("runs/note"), metavar="DIR", help="of checkpoints")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoints")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--threads", type=int, default=1, help="of TensorFlow; one is as fast, and always deterministic"
    )
    parser.add_argument("--redraw", action="store_true", help="table and curves from the data file; train nothing")
    options = parser.parse_args()
    try:
        if not options.redraw:
            _reproduce(options)
        publish(options.output)
    except (AeformatError, OSError) as error:
        print(f"note: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("note: stopped; --resume goes on from the last checkpoint", file=sys.stderr)
        return 130
    return 0


def _reproduce(options: argparse.Namespace) -> None:
    tf = load_tensorflow()
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    train_images, test_images = all_mnist("train"), all_mnist("test")
    runs = []
    for dims in LATENT_DIMS:
        recipe = NoteRecipe(dims, seed=options.seed)
        with _Progress(recipe) as progress:
            runs.append(
                train(recipe, train_images, test_images, options.runs, resume=options.resume, told=progress.told)
            )
    made_with = {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "machine": f"{platform.machine()} CPU, {options.threads} thread",
    }
    data = as_data(runs, made_with)
    options.output.mkdir(parents=True, exist_ok=True)
    with AtomicFile(options.output / DATA_FILE, force=True) as file:
        file.write((json.dumps(data, indent=1) + "\n").encode())


def publish(output: Path) -> None:
    """From the data file to the curves, the table in the card, and the table on the screen."""
    data = json.loads((output / DATA_FILE).read_text(encoding="utf-8"))
    draw_curves(data, output / CURVES_FILE)
    card.put_table(output.parent / card.CARD.name, TABLE, card.markdown(rows(data), right=2))
    print_table(rows(data), right=2)


class _Progress:
    """A bar on a terminal, else a line every few epochs, on stderr."""

    def __init__(self, recipe: NoteRecipe) -> None:
        self._recipe = recipe
        self._bar: Any = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(desc=recipe.name, total=recipe.epochs, unit="epoch")

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def told(self, run: NoteRun) -> None:
        """One more epoch is done."""
        errors = f"MSE {run.running[-1]:.4f} in training, {run.test[-1]:.4f} on test images"
        if self._bar is not None:
            self._bar.set_postfix_str(errors)
            self._bar.update(run.epoch - self._bar.n)
        elif run.epoch % _EPOCHS_BETWEEN_LINES == 0 or run.epoch in (1, self._recipe.epochs):
            print(f"{self._recipe.name}: epoch {run.epoch}/{self._recipe.epochs}  {run.seconds:.0f} s  {errors}",
                  file=sys.stderr, flush=True)  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
