"""aeformat ls."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from aeformat.cli.remote import add_report, add_token, report_of, server_options
from aeformat.cli.serve import require_net

if TYPE_CHECKING:
    from aeformat.net.client.options import Options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `aeformat ls`."""
    parser.add_argument("url", metavar="URL", help="of the server")
    parser.add_argument("--uploads", action="store_true", help="open uploads instead of containers")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    add_token(parser)
    add_report(parser, has_progress=False)


def run(options: argparse.Namespace) -> int:
    """Print what the caller has on the server: a line each."""
    require_net()
    with report_of(options) as report:
        server = server_options(options, report.tell)
        if options.uploads:
            _print_uploads(options, server)
        else:
            _print_containers(options, server)
    return 0


def _print_containers(options: argparse.Namespace, server: Options) -> None:
    from aeformat.net.client.stored import containers

    for one in containers(options.url, server):
        if options.json:
            _print_json(sha256=one.sha256, bytes=one.n_bytes, stored=one.stored)
        else:
            sys.stdout.write(f"{one.sha256}  {one.n_bytes:>14,}  {one.stored}\n")


def _print_uploads(options: argparse.Namespace, server: Options) -> None:
    from aeformat.net.client.stored import uploads

    for one in uploads(options.url, server):
        if options.json:
            _print_json(id=one.id, offset=one.offset, length=one.length, created=one.created, expires=one.expires)
        else:
            length = "?" if one.length is None else f"{one.length:,}"
            sys.stdout.write(f"{one.id}  {one.offset:>14,} of {length}  {one.created}  expires {one.expires}\n")


def _print_json(**members: object) -> None:
    import json

    sys.stdout.write(json.dumps(members) + "\n")
