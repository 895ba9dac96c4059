"""aeformat model id: what a network is known by, package or not."""

from __future__ import annotations

import argparse
import os

from aeformat.cli import common
from aeformat.cli.streams import shown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `aeformat model id`."""
    parser.description = (
        "Print the id of each network: the model id of a package (.aef), or the network id of another file of tensors: "
        ".safetensors; .keras and .h5 (need h5py); .onnx (needs onnx). Nothing in the file is run. Files of latents name a "
        "foreign decoder by it."
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="a file of tensors, or a package")
    parser.add_argument("--json", action="store_true", help="as one JSON document")


def run(options: argparse.Namespace) -> int:
    """Print one line for each file, as sha256sum does."""
    from aeformat.exchange.network_id import identify

    found = []
    for name in options.files:
        common.existing(name)
        with common.ProgressBar("reading", os.path.getsize(name), unit="B") as progress:  # noqa: PTH202 - see common.existing
            found.append((name, identify(name, progress)))
        if not options.json:
            print(f"{found[-1][1].id.hex()}  {shown(name)}")
    if options.json:
        common.print_json(
            {
                "networks": [
                    {"file": name, "id": made.id.hex(), "kind": "package" if made.is_package else "foreign"}
                    | ({} if made.is_package else {"tensors": made.n_tensors, "bytes": made.n_bytes})
                    for name, made in found
                ]
            }
        )
    return 0
