"""aeformat validate: every problem of every file."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from aeformat.cli import common
from aeformat.cli.decoder import given_decoder
from aeformat.container.limits import DEFAULT, Limits
from aeformat.errors import AeformatError, UsageError

if TYPE_CHECKING:
    from aeformat.container.decoder_prior import DecoderPrior
    from aeformat.container.header import LatentsHeader
    from aeformat.model.package import ModelPackage
    from aeformat.validator import Proof, Report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `aeformat validate`."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="latents or model packages; - for stdin")
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
        help=f"memory that a golden set may take beside 8 for each byte of its file (default: {DEFAULT.memory_bytes})",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Print all problems.  Returns the gravest exit code: 4 a decoder that fails, 1 bad, 3 cut, 2 no such file, 0 good."""
    reports: list[Report] = []
    here = Decoders(options.decoder)
    limits = DEFAULT._replace(work=options.max_work, memory_bytes=options.max_memory)
    for name in options.files:
        report = _verdict(name, here, limits)
        reports.append(report)
        if not options.json:
            _print(report)
    if options.json:
        print(json.dumps({"format": "aeformat-report-1", "files": [report.as_dict() for report in reports]}, indent=2))
    if options.decoder is not None and not here.n_asked:
        raise UsageError(
            "--decoder does nothing for files that carry their decoder, or have neither rows of codec rans nor receipts; "
            "leave it out"
        )
    codes = {report.exit_code for report in reports}
    return next(code for code in (4, 1, 3, 2, 0) if code in codes)


def _verdict(name: str, here: Decoders, limits: Limits) -> Report:
    """What there is to say of one file, whatever happens: the files after it have their turn."""
    from aeformat.backends.golden import check
    from aeformat.validator import Problem, Report, validate

    try:
        with common.input_file(name) as file:
            return validate(
                file, check_golden=check, find_proof=here.proof, find_prior=here.prior, name=name, limits=limits
            )
    except AeformatError as error:  # of the call or of a decoder, not of the bytes: those are in the report
        return Report(name, [Problem(error.code, "", 0, str(error))], exit_code=error.exit_code)
    except OSError as error:
        return Report(name, [Problem("usage", "", 0, f"cannot be read: {error.strerror}")], exit_code=2)
    except MemoryError:
        what = "to check it takes more memory than there is; set --max-memory lower"
        return Report(name, [Problem("limit", "C13-1", 0, what)], exit_code=1)


class Decoders:
    """What the validator asks for: decoders at `path`, or of this machine.  n_asked: how often."""

    def __init__(self, path: str | None = None) -> None:
        self._path = path
        self.n_asked = 0
        if path is not None:  # a broken package is its own fault, not that of a file
            from aeformat.model.file_io import read_package

            with common.about(path):
                read_package(common.existing(path))

    def _find(self, header: LatentsHeader) -> ModelPackage | None:
        """None where it is not here.  Raises DecoderMismatch where the one at `path` is another."""
        from aeformat.errors import DecoderMissing
        from aeformat.model import store

        self.n_asked += 1
        if self._path is not None:
            return given_decoder(self._path, header.decoder)
        try:
            return store.find_decoder(header.decoder)
        except DecoderMissing:
            return None

    def prior(self, header: LatentsHeader) -> DecoderPrior | None:
        """What decodes the rows of a file with codec rans; None where it is not here."""
        from aeformat.model.match import prior_of

        decoder = self._find(header)
        return None if decoder is None else prior_of(decoder)

    def proof(self, header: LatentsHeader, embedded: ModelPackage | None) -> Proof | None:
        """What proves a file's receipts: its own decoder, or another that is here; None where there is none."""
        from aeformat.backends.numpy_backend import NumpyBackend
        from aeformat.model.match import check_decoder
        from aeformat.model.work import row_work
        from aeformat.pipeline.unpack import run_digest
        from aeformat.validator import Proof

        decoder = embedded
        if decoder is None:
            decoder = self._find(header)
            if decoder is None:
                return None
            check_decoder(header, decoder)
        network = NumpyBackend().load(decoder)
        return Proof(lambda block: run_digest(block, network), row_work(decoder.manifest))


def proof(header: LatentsHeader, embedded: ModelPackage | None) -> Proof | None:
    """What proves a file's receipts: its own decoder, or one of this machine's; None where it is not here."""
    return Decoders().proof(header, embedded)


def _print(report: object) -> None:
    from aeformat.validator import Report

    assert isinstance(report, Report)
    name = common.input_name(report.name)
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
