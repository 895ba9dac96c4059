"""aeformat import."""

from __future__ import annotations

import argparse

from aeformat.cli import common
from aeformat.cli.caches import add_format, show


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `aeformat import`."""
    add_format(parser)
    parser.add_argument("source", metavar="DIR", help="the folder of the cache, or one file of it")
    parser.add_argument(
        "-o", "--output", metavar="SET", required=True, help="a folder to make, or one file that ends in .aef"
    )
    parser.add_argument("--key", help="which array of a file is the latent (default: the only one, latents, or latent)")
    parser.add_argument("--files", metavar="PATTERN", help="only files whose names match, such as '*_te_outputs.npz'")
    parser.add_argument("--skip-broken", action="store_true", help="leave out files that cannot be read, and list them")
    parser.add_argument("--codec", choices=("none", "zstd"), default="zstd", help="compression (default: zstd)")
    parser.add_argument(
        "--shard-bytes",
        type=common.bounded_int(1, 1 << 50),
        metavar="N",
        help="bytes of latents after which a shard ends",
    )
    parser.add_argument("--decoder-file", metavar="FILE", help="the network that made them: its id goes into the set")
    parser.add_argument("--json", action="store_true", help="what was done as one JSON document")


def run(options: argparse.Namespace) -> int:
    """Import a cache, and say what was kept and what was not."""
    from aeformat.adapters.importing import SHARD_BYTES, ImportOptions, import_cache
    from aeformat.exchange.network_id import model_id

    chosen = ImportOptions(
        key=options.key,
        files=options.files,
        skip_broken=options.skip_broken,
        codec=options.codec,
        shard_bytes=options.shard_bytes or SHARD_BYTES,
        foreign_decoder=None if options.decoder_file is None else model_id(options.decoder_file),
    )
    with common.ProgressBar("importing", None, unit="row") as progress:
        report = import_cache(options.format, options.source, options.output, chosen, progress)
    show(report, options.output, as_json=options.json)
    return 0
