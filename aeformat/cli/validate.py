"""aeformat validate: every problem of every file."""

from __future__ import annotations

import argparse
import json
import sys

from aeformat.cli import common


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
            report = validate(file, check_golden=check, name=name)
        reports.append(report)
        if not options.json:
            _print(report)
    if options.json:
        print(json.dumps({"format": "aeformat-report-1", "files": [report.as_dict() for report in reports]}, indent=2))
    codes = {report.exit_code for report in reports}
    return next(code for code in (4, 1, 3, 0) if code in codes)


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
