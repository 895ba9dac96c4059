"""aeformat rm."""

from __future__ import annotations

import argparse

from aeformat.cli.advice import BAD, GOOD, describe, exit_code, gravest
from aeformat.cli.remote import add_report, add_token, print_notice, report_of, server_options
from aeformat.cli.serve import require_net
from aeformat.cli.streams import shown
from aeformat.errors import AeformatError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `aeformat rm`."""
    parser.add_argument("urls", metavar="URL", nargs="+", help="of a container, a model or an upload; exactly")
    parser.add_argument("--missing-ok", action="store_true", help="what is not there is no error")
    add_token(parser)
    add_report(parser, has_progress=False)


def run(options: argparse.Namespace) -> int:
    """Remove each of them from the server.  One that fails does not stop the others."""
    require_net()
    from aeformat.net.client.stored import remove

    codes = []
    with report_of(options) as report:
        server = server_options(options, report.tell)
        for url in options.urls:
            try:
                is_good = remove(url, server) or options.missing_ok
                codes.append(GOOD if is_good else BAD)
                if not is_good:
                    print_notice(f"{shown(url)}: it is not there, or not for this token")
            except AeformatError as error:
                print_notice(f"{shown(url)}: {describe(error)}")
                codes.append(exit_code(error.code))
    return gravest(codes)
