"""What `aeformat import` and `aeformat export` have in common: the formats, and the report."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from aeformat.cli import common
from aeformat.cli.streams import shown

if TYPE_CHECKING:
    from aeformat.adapters.report import CacheReport


def add_format(parser: argparse.ArgumentParser) -> None:
    """Add the argument FORMAT, with what each is."""
    from aeformat.adapters.registry import FORMATS

    what = "; ".join(f"{name}: {text}" for name, (_, text) in FORMATS.items())
    parser.add_argument("format", metavar="FORMAT", choices=tuple(FORMATS), help=what)


def show(report: CacheReport, output: str, *, as_json: bool) -> None:
    """Print what was done on stdout as JSON; else on stderr, with what was not kept."""
    if as_json:
        common.print_json(report.to_map())
        return
    sizes = " x ".join("?" if size is None else str(size) for size in report.dims)
    what = f"{report.rows:,} rows of {sizes} {report.encoding}, {report.files:,} files, {common.size(report.bytes)}"
    print(f"{shown(output)}: {what}", file=sys.stderr)
    for line in report.lines():
        print(f"aeformat: {shown(line)}", file=sys.stderr)
