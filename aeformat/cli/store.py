"""aeformat store: check, gc."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from aeformat.cli import common
from aeformat.cli.advice import BAD, GOOD
from aeformat.cli.remote import ByteProgress
from aeformat.cli.serve import require_net
from aeformat.cli.streams import shown

if TYPE_CHECKING:
    from aeformat.net.server.check_report import Report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions of `aeformat store` and their options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    action = actions.add_parser("check", help="read every blob and every record; a server may run meanwhile")
    _add_store(action)
    action.add_argument(
        "--repair",
        action="store_true",
        help="set aside what is damaged and records that promise nothing, so that a new upload mends them",
    )
    action.set_defaults(act=_check)

    action = actions.add_parser("gc", help="remove blobs without a record, what was set aside, old uploads")
    _add_store(action)
    action.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    action.set_defaults(act=_gc)


def _add_store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "root", metavar="FOLDER", help="a folder or s3://BUCKET/PREFIX: what `aeformat serve` was given"
    )
    parser.add_argument("--json", action="store_true", help="as one JSON document")


def run(options: argparse.Namespace) -> int:
    """Run one action."""
    require_net()
    code: int = options.act(options)
    return code


def _check(options: argparse.Namespace) -> int:
    """Returns 1 if a promise was not kept, whether or not it has been mended."""
    from aeformat.net.server.upkeep import check_store

    with ByteProgress() as progress:
        report = check_store(
            options.root, repairs=options.repair, progress=lambda at, size: progress.update("check", at, size)
        )
    _print(report, options)
    return GOOD if report.is_good else BAD


def _gc(options: argparse.Namespace) -> int:
    from aeformat.net.server.upkeep import clean_up

    _print(clean_up(options.root, is_dry=options.dry_run), options)
    return GOOD


def _print(report: Report, options: argparse.Namespace) -> None:
    if options.json:
        common.print_json(report.as_dict())
        return
    for finding in report.findings:
        done = f"; {finding.done}" if finding.done else ""
        print(shown(f"{finding.where}: {finding.kind}: {finding.what}{done}"))
    n_damaged = sum(finding.is_damage for finding in report.findings)
    left = f"{len(report.findings) - n_damaged} left over"
    if options.action == "check":
        problems = "1 problem" if n_damaged == 1 else f"{n_damaged} problems"
        looked_at = f"{report.n_blobs:,} good blobs, {common.size(report.n_bytes)}, {report.n_records:,} records"
        left = f"{looked_at}; {problems}, {left}"
    for line in (left, *report.notes):
        print(shown(f"{options.root}: {line}"), file=sys.stderr)
