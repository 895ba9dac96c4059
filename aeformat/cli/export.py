"""aeformat export."""

from __future__ import annotations

import argparse

from aeformat.cli import common
from aeformat.cli.caches import add_format, show


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `aeformat export`."""
    add_format(parser)
    parser.add_argument("source", metavar="SET", help="a set, or one .aef file")
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="a folder to make")
    parser.add_argument("--json", action="store_true", help="what was done as one JSON document")


def run(options: argparse.Namespace) -> int:
    """Write a cache, and say what could not be written."""
    from aeformat.adapters.exporting import export_cache

    source = common.file_or_set(options.source)
    with common.ProgressBar("exporting", None, unit="row") as progress:
        report = export_cache(options.format, source, options.output, progress)
    show(report, options.output, as_json=options.json)
    return 0
