"""aeformat model train: one of the recipes, on MNIST or on a folder of photographs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final, Protocol, TypeVar

from aeformat.cli import common
from aeformat.errors import UsageError

_GOLDEN_SHAPES: Final = ((17, 33, 3), (5, 16, 3))
"""Of the images that travel with photograph models: more than one latent both ways and cut in both; and one latent."""
_R = TypeVar("_R", bound="_Recipe")


class _Recipe(Protocol):
    def with_seed(self: _R, seed: int) -> _R: ...

    def with_epochs(self: _R, epochs: int) -> _R: ...


def add_arguments(action: argparse.ArgumentParser) -> None:
    """The options of `aeformat model train`."""
    action.add_argument("recipe", metavar="RECIPE", help="see `aeformat model train list`; the shipped models' names")
    action.add_argument(
        "-o", "--output", default="models", metavar="DIR", help="where the packages go (default: models)"
    )
    action.add_argument("--runs", default="runs", metavar="DIR", help="where checkpoints go (default: runs)")
    action.add_argument(
        "--data",
        metavar="DIR",
        help="photographs for the recipes photo-1 to photo-5: train/ and validation/ in it, with image files",
    )
    action.add_argument("--epochs", type=common.bounded_int(1, 100_000), metavar="N", help="instead of the recipe's")
    action.add_argument("--seed", type=common.bounded_int(0, 2**31 - 1), metavar="N", help="instead of the recipe's")
    action.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    common.add_force(action)


def train(options: argparse.Namespace) -> int:
    """Train, or list what can be trained.  Says on stderr how it goes, and what was written."""
    from aeformat.training.photo import recipe as photo
    from aeformat.training.shipped import RECIPES

    if options.recipe == "list":
        rows = [[r.name, r.profile, str(r.latent_dims), str(r.epochs)] for r in RECIPES.values()]
        rows += [[r.name, "exact", f"h x w x {r.channels}", str(r.epochs)] for r in photo.RECIPES.values()]
        common.print_table([["recipe", "profile", "latents", "epochs"], *rows], right=2)
        return 0
    trained = _train_photo if options.recipe in photo.RECIPES else _train_digits
    for path in trained(options):
        _say(f"{path}: {common.size(path.stat().st_size)}")
    return 0


def _train_digits(options: argparse.Namespace) -> tuple[Path, Path]:
    from aeformat.exchange.samples import golden_images
    from aeformat.training import conv_loop, dense_loop
    from aeformat.training.export import check_targets, export_pair
    from aeformat.training.mnist_images import all_mnist
    from aeformat.training.recipe import IMAGE, DenseRecipe
    from aeformat.training.shipped import recipe_named

    recipe = _as_asked(recipe_named(options.recipe), options)
    if options.data is not None:
        raise UsageError(f"--data: {recipe.name} is trained on MNIST, which it fetches itself")
    output = _output(options)
    check_targets(recipe, output, force=options.force)
    images = all_mnist("train"), all_mnist("test")
    runs, settings = Path(options.runs), {"resume": options.resume, "progress": sys.stderr}
    if isinstance(recipe, DenseRecipe):
        pair = dense_loop.train(recipe, *images, runs, **settings)
    else:
        pair = conv_loop.train(recipe, *images, runs, **settings)
    return export_pair(pair, images[0], golden_images(IMAGE), output, force=options.force, report=_say)


def _train_photo(options: argparse.Namespace) -> tuple[Path, Path]:
    from aeformat.exchange.samples import golden_images
    from aeformat.training.export import check_targets
    from aeformat.training.photo import export, loop
    from aeformat.training.photo.crops import read_photos
    from aeformat.training.photo.recipe import recipe_named

    recipe = _as_asked(recipe_named(options.recipe), options)
    if options.data is None:
        raise UsageError(f"{recipe.name} needs --data DIR with photographs in DIR/train and DIR/validation")
    output = _output(options)
    check_targets(recipe, output, force=options.force)
    photos, validation = (read_photos(Path(options.data) / part, recipe.crop) for part in ("train", "validation"))
    settings = {"resume": options.resume, "progress": sys.stderr}
    trained = loop.train(recipe, photos, validation, Path(options.runs), **settings)
    golden = [golden_images(shape)[0] for shape in _GOLDEN_SHAPES]
    return export.export_pair(trained, photos, golden, output, force=options.force, report=_say)


def _as_asked(recipe: _R, options: argparse.Namespace) -> _R:
    """With the seed and the number of epochs that were asked for."""
    if options.seed is not None:
        recipe = recipe.with_seed(options.seed)
    if options.epochs is not None:
        recipe = recipe.with_epochs(options.epochs)
    return recipe


def _say(what: str) -> None:
    print(what, file=sys.stderr)


def _output(options: argparse.Namespace) -> Path:
    """The directory for the packages.  Raises BackendUnavailable before it is made."""
    from aeformat.backends.runtime import load_tensorflow

    load_tensorflow()
    output = Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    return output
