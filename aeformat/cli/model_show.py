"""aeformat model show: the layers of a model, as text or as a picture."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from aeformat.cli import common, layer_graph
from aeformat.errors import UsageError

if TYPE_CHECKING:
    from aeformat.model.facts import LayerFacts
    from aeformat.model.package import ModelPackage

_HEADING = ["", "layer", "from", "makes", "weights", "parameters", "bytes", "multiply-adds", "largest sum"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `aeformat model show`."""
    parser.add_argument("model", metavar="NAME_OR_PATH", help="a name, a package's path, or a model id")
    parser.add_argument("-o", "--output", metavar="PICTURE.png", help="draw it as a picture instead")
    common.add_force(parser)


def run(options: argparse.Namespace) -> int:
    """Print the layers, or draw them."""
    from aeformat.model import store

    if options.output is not None and Path(options.output).suffix != ".png":
        raise UsageError(f"{options.output}: the picture is a .png")
    if options.force and options.output is None:
        raise UsageError("--force does nothing without -o PICTURE.png")
    with common.opening(options.model):
        packages = store.find_packages(options.model)
    if options.output is None:
        for package in packages:
            _print(package)
        return 0
    from aeformat.cli.model_picture import save_picture

    save_picture(Path(options.output), packages, force=options.force)
    print(f"{options.output}: {' and '.join(package.role for package in packages)}", file=sys.stderr)
    return 0


def _print(package: ModelPackage) -> None:
    from aeformat.model.facts import cost_text, facts_of, value_text

    m, facts = package.manifest, facts_of(package)
    print(f"{package.name or '-'} {m.role}, {m.profile}, model id {package.model_id.hex()}")
    if m.decoder is not None:
        print(f"  its decoder: {m.decoder.hex()}")
    if m.prior is not None:
        print(f"  prior of its latents: {common.prior_text(m)}")
    rows = [_HEADING]
    for line, number in layer_graph.draw([layer.inputs for layer in facts]):
        if number is None:
            rows.append([_shown(line), *[""] * (len(_HEADING) - 1)])
        elif number < 0:
            rows.append([_shown(line), "input", "-", value_text(m, m.values[0]), *[""] * (len(_HEADING) - 4)])
        else:
            rows.append([_shown(line), *_cells(facts[number])])
    common.print_table(rows, right=5)
    n_bytes = sum(layer.n_bytes for layer in facts)
    print(
        f"  {package.n_params:,} parameters, {cost_text(m, f'{package.n_multiply_adds:,}')}, "
        f"{common.size(n_bytes)} of weights and tables\n"
    )


def _cells(layer: LayerFacts) -> list[str]:
    return [
        f"{layer.number}: {layer.kind}{' ' + layer.note if layer.note else ''}",
        ", ".join("input" if i == 0 else str(i - 1) for i in layer.inputs),
        layer.made,
        layer.weights,
        f"{layer.n_params:,}" if layer.n_params else "",
        f"{layer.n_bytes:,}" if layer.n_bytes else "",
        f"{layer.n_multiply_adds:,}" if layer.n_multiply_adds else "",
        "" if layer.bound is None else f"{layer.bound:,}",
    ]


def _shown(line: str) -> str:
    """The line in characters that stdout can write."""
    try:
        line.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return layer_graph.plain(line)
    return line
