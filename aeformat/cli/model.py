"""aeformat model: list, show, train, import, export, install, cost."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from aeformat.cli import common, model_export, model_import, model_show

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_GOLDEN_STEP = 6  # through the demo digits: all ten digits, in several hands


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `aeformat model` and its actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    action = actions.add_parser("list", help="the models of this machine: shipped and in the cache")
    action.add_argument("--json", action="store_true", help="as one JSON document")
    action.set_defaults(act=_list)

    action = actions.add_parser("show", help="the layers of one model, as text or as a picture")
    model_show.add_arguments(action)
    action.set_defaults(act=model_show.run)

    action = actions.add_parser("install", help="check a package, run its golden set, keep it in the cache")
    action.add_argument("files", nargs="+", metavar="FILE.aef")
    action.set_defaults(act=_install)

    action = actions.add_parser("train", help="train one of the recipes on MNIST (needs TensorFlow)")
    action.add_argument("recipe", metavar="RECIPE", help="see `aeformat model train list`; the shipped models' names")
    action.add_argument(
        "-o", "--output", default="models", metavar="DIR", help="where the packages go (default: models)"
    )
    action.add_argument("--runs", default="runs", metavar="DIR", help="where checkpoints go (default: runs)")
    action.add_argument("--epochs", type=common.bounded_int(1, 100_000), metavar="N", help="instead of the recipe's")
    action.add_argument("--seed", type=common.bounded_int(0, 2**31 - 1), metavar="N", help="instead of the recipe's")
    action.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    common.add_force(action)
    action.set_defaults(act=_train)

    action = actions.add_parser("import", help="a Keras file of your own to a pair of packages (needs TensorFlow)")
    model_import.add_arguments(action)
    action.set_defaults(act=model_import.run)

    action = actions.add_parser("export", help="a model as a Keras, ONNX or safetensors file")
    model_export.add_arguments(action)
    action.set_defaults(act=model_export.run)

    action = actions.add_parser("cost", help="what a model costs to send, and from how many images on it pays")
    action.add_argument("model", nargs="?", default=None, metavar="NAME_OR_PATH", help="default: all shipped models")
    action.add_argument(
        "--images", action="append", metavar="INPUT", help="what to measure on; may be repeated (default: mnist:test)"
    )
    action.add_argument("--json", action="store_true", help="as one JSON document")
    action.set_defaults(act=_cost)


def run(options: argparse.Namespace) -> int:
    """Run one action."""
    code: int = options.act(options)
    return code


def _list(options: argparse.Namespace) -> int:
    from aeformat.model import store

    models = store.list_models()
    if options.json:
        common.print_json(
            {
                "models": [
                    {"name": m.name, "role": m.manifest.role, "profile": m.manifest.profile, "model": m.model_id.hex(),
                     "bytes": m.path.stat().st_size, "path": str(m.path)}
                    for m in models
                ]
            }
        )  # fmt: skip
        return 0
    rows = [["name", "role", "profile", "input", "output", "size", "model id"]]
    for model in models:
        m = model.manifest
        rows.append(
            [model.name or "-", m.role, m.profile, f"{m.input.type} {list(m.input.shape)}",
             f"{m.output.type} {list(m.output.shape)}", common.size(model.path.stat().st_size), model.model_id.hex()[:12]]
        )  # fmt: skip
    common.print_table(rows, right=5)
    return 0


def _install(options: argparse.Namespace) -> int:
    from aeformat.backends.golden import check
    from aeformat.model import store

    for name in options.files:
        common.existing(name)
        with common.about(name):
            model_id = store.install(Path(name), check)
        print(f"{name}: installed, model id {model_id.hex()}", file=sys.stderr)
    return 0


def _train(options: argparse.Namespace) -> int:
    from aeformat.backends.runtime import fetch_mnist, load_tensorflow
    from aeformat.images import demo_digits
    from aeformat.training.export import check_targets, export_pair
    from aeformat.training.loop import train
    from aeformat.training.recipe import RECIPES, recipe_named

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
    load_tensorflow()  # before anything is made: it may be missing
    output = Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    check_targets(recipe, output, force=options.force)
    images = [_all_images(split, fetch_mnist) for split in ("mnist:train", "mnist:test")]
    pair = train(
        recipe, images[0], images[1], Path(options.runs) / recipe.name, resume=options.resume, progress=sys.stderr,
        epochs=options.epochs,
    )  # fmt: skip
    golden = demo_digits()[::_GOLDEN_STEP]  # this project's own, so that no data set travels with a package
    for path in export_pair(pair, golden, output, force=options.force):
        print(f"{path}: {common.size(path.stat().st_size)}", file=sys.stderr)
    return 0


def _cost(options: argparse.Namespace) -> int:
    from aeformat.cli.model_cost import cost

    return cost(options)


def _all_images(split: str, fetch: Callable[[], None]) -> NDArray[np.uint8]:
    import numpy as np

    from aeformat.images import ImageFit, open_source

    source = open_source([split], ImageFit((28, 28, 1)), fetch_mnist=fetch)
    return np.concatenate([block.images for block in source.blocks(10_000)])
