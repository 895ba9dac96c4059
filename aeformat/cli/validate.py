"""aeformat validate: every problem of every file."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from aeformat.cli import common
from aeformat.cli.advice import BAD, describe, exit_code, gravest
from aeformat.cli.decoder import given_decoder
from aeformat.container.limits import DEFAULT, Limits
from aeformat.errors import AeformatError, LimitExceeded, UsageError

if TYPE_CHECKING:
    from aeformat.pipeline.checking import Decoders
    from aeformat.report import Report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `aeformat validate`."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="latents, sets or model packages; - for stdin")
    parser.add_argument("--json", action="store_true", help="one JSON document for all files")
    parser.add_argument(
        "--decoder", metavar="PATH",
        help="the decoder's package, for rows of codec rans and for receipts, if it is not one of this machine's",
    )  # fmt: skip
    parser.add_argument(
        "--max-work", metavar="N", type=common.bounded_int(0, 1 << 60), default=DEFAULT.work,
        help="units of work that a file may take beside 16,384 for each of its bytes; a unit is about a nanosecond "
        f"(default: {DEFAULT.work})",
    )  # fmt: skip
    parser.add_argument(
        "--max-memory", metavar="BYTES", type=common.bounded_int(0, 1 << 60), default=DEFAULT.memory_bytes,
        help="memory that the tensors and the golden set of a package may take (C13-1), beside 8 for each byte of the file "
        f"(default: {DEFAULT.memory_bytes})",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Print all problems.  Returns the gravest exit code: 4 a decoder that fails, 1 bad, 3 cut, 2 no such file, 0 good."""
    reports: list[Report] = []
    here = _decoders(options.decoder)
    limits = DEFAULT._replace(work=options.max_work, memory_bytes=options.max_memory)
    for name in options.files:
        for report in _verdicts(name, here, limits):
            reports.append(report)
            if not options.json:
                _print(report)
    if options.json:
        print(json.dumps({"format": "aeformat-report-1", "files": [_as_dict(report) for report in reports]}, indent=2))
    if options.decoder is not None and not here.n_asked:
        raise UsageError(
            "--decoder does nothing for files that carry their decoder, or have neither rows of codec rans nor receipts; "
            "leave it out"
        )
    return gravest(map(exit_code_of, reports))


def _verdicts(name: str, here: Decoders, limits: Limits) -> Iterator[Report]:
    """One report, or for a set one of its manifest and one of each shard."""
    if not common.is_set(name):
        yield _verdict(name, here, limits)
        return
    from aeformat.sets.checking import set_reports

    yield from set_reports(name, lambda shard: _verdict(shard, here, limits))


def _verdict(name: str, here: Decoders, limits: Limits) -> Report:
    """What there is to say of one file, whatever happens: the files after it have their turn."""
    from aeformat.backends.golden_check import check
    from aeformat.backends.numpy_passes import prior_of
    from aeformat.report import Problem, Report
    from aeformat.validator import validate

    report = Report(name)
    try:
        with common.input_file(name) as file:
            return validate(
                file,
                report=report,
                check_golden=check,
                find_receipt_check=here.receipt_check,
                find_prior=here.prior,
                prior_of=prior_of,
                limits=limits,
            )
    except AeformatError as error:  # of the call or of a decoder, not of the bytes: those are in the report
        return Report(name, [Problem(error.code, "", 0, describe(error))])
    except OSError as error:
        return Report(name, [Problem(UsageError.code, "", 0, f"cannot be read: {error.strerror}")])
    except MemoryError:
        return _out_of_memory(report)


def _out_of_memory(report: Report) -> Report:
    """Of this machine, not of the file: what was found out so far, and no rule."""
    from aeformat.report import Problem

    what = "to check it takes more memory than there is; set --max-memory lower"
    report.problems.append(Problem(LimitExceeded.code, "", 0, what))
    report.not_checked = "all that was left when memory ran out"
    return report


def exit_code_of(report: Report) -> int:
    """What the command returns for one file.  A problem inside an embedded decoder is one of the file: its data is bad."""
    return gravest(BAD if problem.inside else exit_code(problem.code) for problem in report.problems)


def _as_dict(report: Report) -> dict[str, object]:
    facts = report.as_dict()
    return {"file": facts["file"], "valid": facts["valid"], "exit_code": exit_code_of(report)} | facts


def _decoders(path: str | None) -> Decoders:
    """What the validator asks for: the decoder at `path`, or this machine's.  Raises UsageError, FormatError."""
    from aeformat.model.file_io import read_package
    from aeformat.pipeline.checking import Decoders

    if path is None:
        return Decoders()
    with common.opening(path):  # a broken package is its own fault, not that of a file
        read_package(common.ordinary(path))
    return Decoders(lambda model_id: given_decoder(path, model_id))


def _print(report: Report) -> None:
    name = common.input_name(report.name) or "aeformat"  # "": what an unset shell variable leaves
    for problem in report.problems:
        inside = f"embedded decoder at byte {problem.inside_at}: " if problem.inside else ""
        if not problem.rule:
            print(f"{name}: {problem.what.removeprefix(f'{name}: ')}", file=sys.stderr)
            return
        print(f"{name}: {inside}byte {problem.at}: rule {problem.rule}: {problem.what}")
        print(f"    expected: {problem.expected}")
    if report.problems:
        n = len(report.problems)
        print(f"{name}: {n} problem{'s' * (n > 1)}", file=sys.stderr)
    else:
        print(f"{name}: good{' as far as it was checked' if report.not_checked else ''}: {report.summary}")
    if report.not_checked:
        print(f"{name}: not checked: {report.not_checked}", file=sys.stderr)
