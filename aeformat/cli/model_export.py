"""aeformat model export: packages as Keras, ONNX or safetensors files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from aeformat.cli import common
from aeformat.errors import UsageError

_SUFFIXES = (".keras", ".onnx", ".safetensors")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `aeformat model export`."""
    parser.description = (
        "Write a model for other software. .keras: float32 models only (needs TensorFlow). .onnx: float32 and exact ones, the "
        'exact ones bit for bit. .safetensors: the tensors as they are. The last two need pip install "aeformat[export]".'
    )
    parser.add_argument(
        "model", metavar="NAME_OR_PATH", help="a name, a path or a model id; one package's file for one half"
    )
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help=f"ends in {', '.join(_SUFFIXES)}")
    parser.add_argument(
        "--half", choices=("both", "encoder", "decoder"), default="both", help="of a pair (default: both, in one file)"
    )
    common.add_force(parser)


def run(options: argparse.Namespace) -> int:
    """Convert the packages in memory, then write the file."""
    from aeformat.atomic import AtomicFile, check_target
    from aeformat.model import store
    from aeformat.model.package import check_fixed_sizes

    path = Path(options.output)
    if path.suffix not in _SUFFIXES:
        raise UsageError(f"{path}: the end of the name says what is written; there are {', '.join(_SUFFIXES)}")
    check_target(path, force=options.force)
    with common.opening(options.model):
        packages = store.find_packages(options.model)
    chosen = [package for package in packages if options.half in ("both", package.role)]
    if not chosen:
        raise UsageError(f"{options.model} is the {packages[0].role}; name the pair, or the other file")
    if path.suffix != ".safetensors":
        for package in chosen:
            check_fixed_sizes(package, f"{path.suffix} is written for networks of one size")
    if path.suffix == ".keras":
        from aeformat.exchange.keras_write import keras_bytes as convert
    elif path.suffix == ".onnx":
        from aeformat.exchange.onnx_write import onnx_bytes as convert
    else:
        from aeformat.exchange.safetensors_write import safetensors_bytes as convert
    data = convert(chosen)
    with AtomicFile(path, force=options.force) as file:
        file.write(data)
    what = " and ".join(f"{package.role}, {package.profile}" for package in chosen)
    print(f"{path}: {what}, {common.size(len(data))}", file=sys.stderr)
    return 0
