"""aeformat model: list, show, id, train, import, export, install, cost."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from aeformat.cli import common, model_export, model_id, model_import, model_show, model_train


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `aeformat model` and its actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    action = actions.add_parser("list", help="the models of this machine: shipped and in the cache")
    action.add_argument("--json", action="store_true", help="as one JSON document")
    action.set_defaults(act=_list)

    action = actions.add_parser("show", help="the layers of one model, as text or as a picture")
    model_show.add_arguments(action)
    action.set_defaults(act=model_show.run)

    action = actions.add_parser("id", help="what a network is known by: a package, or any file of tensors")
    model_id.add_arguments(action)
    action.set_defaults(act=model_id.run)

    action = actions.add_parser("install", help="check a package, run its golden set, keep it in the cache")
    action.add_argument("files", nargs="+", metavar="FILE.aef")
    action.set_defaults(act=_install)

    action = actions.add_parser("train", help="train one of the recipes on MNIST (needs TensorFlow)")
    model_train.add_arguments(action)
    action.set_defaults(act=_train)

    action = actions.add_parser("import", help="a Keras file of your own to a pair of packages (needs TensorFlow)")
    model_import.add_arguments(action)
    action.set_defaults(act=model_import.run)

    action = actions.add_parser("export", help="a model as a Keras, ONNX or safetensors file")
    model_export.add_arguments(action)
    action.set_defaults(act=model_export.run)

    action = actions.add_parser("cost", help="what a model costs to send, and from how many images on it pays")
    action.add_argument(
        "model", nargs="?", default=None, metavar="NAME_OR_PATH", help="default: all shipped ones of one size"
    )
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
    from aeformat.backends.golden_check import check
    from aeformat.model import store

    for name in options.files:
        common.ordinary(name)
        with common.opening(name):
            installed = store.install(Path(name), check)
        print(f"{name}: installed, model id {installed.hex()}", file=sys.stderr)
    return 0


def _train(options: argparse.Namespace) -> int:
    from aeformat.cli.model_train import train

    return train(options)


def _cost(options: argparse.Namespace) -> int:
    from aeformat.cli.model_cost import cost

    return cost(options)
