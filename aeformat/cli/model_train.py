"""aeformat model train: one of the recipes, on MNIST."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from aeformat.cli import common


def add_arguments(action: argparse.ArgumentParser) -> None:
    """The options of `aeformat model train`."""
    action.add_argument("recipe", metavar="RECIPE", help="see `aeformat model train list`; the shipped models' names")
    action.add_argument(
        "-o", "--output", default="models", metavar="DIR", help="where the packages go (default: models)"
    )
    action.add_argument("--runs", default="runs", metavar="DIR", help="where checkpoints go (default: runs)")
    action.add_argument("--epochs", type=common.bounded_int(1, 100_000), metavar="N", help="instead of the recipe's")
    action.add_argument("--seed", type=common.bounded_int(0, 2**31 - 1), metavar="N", help="instead of the recipe's")
    action.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    common.add_force(action)


def train(options: argparse.Namespace) -> int:
    """Train, or list what can be trained.  Says on stderr how it goes, and what was written."""
    from aeformat.exchange.samples import golden_images
    from aeformat.training import conv_loop, dense_loop
    from aeformat.training.export import check_targets, export_pair
    from aeformat.training.mnist_images import all_mnist
    from aeformat.training.recipe import IMAGE, DenseRecipe
    from aeformat.training.shipped import RECIPES, recipe_named

    if options.recipe == "list":
        common.print_table(
            [["recipe", "profile", "latents", "epochs"]]
            + [[r.name, r.profile, str(r.latent_dims), str(r.epochs)] for r in RECIPES.values()],
            right=2,
        )
        return 0
    recipe = recipe_named(options.recipe)
    if options.seed is not None:
        recipe = recipe.with_seed(options.seed)
    if options.epochs is not None:
        recipe = recipe.with_epochs(options.epochs)
    output = _output(options)
    check_targets(recipe, output, force=options.force)
    images = all_mnist("train"), all_mnist("test")
    runs, settings = Path(options.runs), {"resume": options.resume, "progress": sys.stderr}
    if isinstance(recipe, DenseRecipe):
        pair = dense_loop.train(recipe, *images, runs, **settings)
    else:
        pair = conv_loop.train(recipe, *images, runs, **settings)
    paths = export_pair(pair, images[0], golden_images(IMAGE), output, force=options.force, report=_say)
    for path in paths:
        _say(f"{path}: {common.size(path.stat().st_size)}")
    return 0


def _say(what: str) -> None:
    print(what, file=sys.stderr)


def _output(options: argparse.Namespace) -> Path:
    """The directory for the packages.  Raises BackendUnavailable before it is made."""
    from aeformat.backends.runtime import load_tensorflow

    load_tensorflow()
    output = Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    return output
