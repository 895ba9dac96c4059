"""aeformat validate: every problem of every file."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from aeformat.cli import common

if TYPE_CHECKING:
    from aeformat.header import LatentsHeader
    from aeformat.model.package import ModelPackage
    from aeformat.validate import Prove


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `aeformat validate`."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="latents or model packages; - for stdin")
    parser.add_argument("--json", action="store_true", help="one JSON document for all files")


def run(options: argparse.Namespace) -> int:
    """Print all problems.  Returns the gravest exit code: 4 a decoder that fails its golden set, 1 bad, 3 cut, 0 good."""
    from aeformat.backends.golden import check
    from aeformat.validate import Report, validate

    reports: list[Report] = []
    for name in options.files:
        with common.input_file(name) as file:
            report = validate(file, check_golden=check, find_proof=proof, name=name)
        reports.append(report)
        if not options.json:
            _print(report)
    if options.json:
        print(json.dumps({"format": "aeformat-report-1", "files": [report.as_dict() for report in reports]}, indent=2))
    codes = {report.exit_code for report in reports}
    return next(code for code in (4, 1, 3, 0) if code in codes)


def proof(header: LatentsHeader, embedded: ModelPackage | None) -> Prove | None:
    """What proves a file's receipts: its own decoder, or one of this machine's; None where it is not here."""
    from aeformat.backends.numpy_backend import NumpyBackend
    from aeformat.errors import DecoderError
    from aeformat.model import store
    from aeformat.model.match import check_decoder
    from aeformat.pipeline.unpack import decode_block

    decoder = embedded
    if decoder is None:
        try:
            decoder = store.find_decoder(header.decoder)
        except DecoderError:
            return None
        check_decoder(header, decoder)
    network = NumpyBackend().load(decoder)
    return lambda block: decode_block(block, network)


def _print(report: object) -> None:
    from aeformat.validate import Report

    assert isinstance(report, Report)
    for problem in report.problems:
        inside = f"{problem.inside}: " if problem.inside else ""
        print(f"{report.name}: {inside}byte {problem.at}: rule {problem.rule}: {problem.what}")
        print(f"    expected: {problem.expected}")
    if report.problems:
        n = len(report.problems)
        print(f"{report.name}: {n} problem{'s' * (n > 1)}", file=sys.stderr)
    else:
        print(f"{report.name}: good: {report.summary}")
