"""aeformat validate: every problem of every file."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from aeformat.cli import common
from aeformat.cli.advice import BAD, exit_code, gravest
from aeformat.cli.decoder import given_decoder
from aeformat.errors import UsageError

if TYPE_CHECKING:
    from aeformat.container.decoder_prior import DecoderPrior
    from aeformat.container.header import LatentsHeader
    from aeformat.model.package import ModelPackage
    from aeformat.validate import Prove, Report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `aeformat validate`."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="latents or model packages; - for stdin")
    parser.add_argument("--json", action="store_true", help="one JSON document for all files")
    parser.add_argument(
        "--decoder", metavar="PATH",
        help="the decoder's package, for rows of codec rans and for receipts, if it is not one of this machine's",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Print all problems.  Returns the gravest exit code: 4 a decoder that fails its golden set, 1 bad, 3 cut, 0 good."""
    from aeformat.backends.golden_check import check
    from aeformat.validate import validate

    reports: list[Report] = []
    here = Decoders(options.decoder)
    for name in options.files:
        with common.input_file(name) as file:
            report = validate(file, check_golden=check, find_proof=here.proof, find_prior=here.prior, name=name)
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


def exit_code_of(report: Report) -> int:
    """What the command returns for one file.  A problem inside an embedded decoder is one of the file: its data is bad."""
    return gravest(BAD if problem.inside else exit_code(problem.code) for problem in report.problems)


def _as_dict(report: Report) -> dict[str, object]:
    facts = report.as_dict()
    return {"file": facts["file"], "valid": facts["valid"], "exit_code": exit_code_of(report)} | facts


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

    def proof(self, header: LatentsHeader, embedded: ModelPackage | None) -> Prove | None:
        """What proves a file's receipts: its own decoder, or another that is here; None where there is none."""
        from aeformat.backends.numpy_backend import NumpyBackend
        from aeformat.model.match import check_decoder
        from aeformat.pipeline.unpack import decode_block

        decoder = embedded
        if decoder is None:
            decoder = self._find(header)
            if decoder is None:
                return None
            check_decoder(header, decoder)
        network = NumpyBackend().load(decoder)
        return lambda block: decode_block(block, network)


def proof(header: LatentsHeader, embedded: ModelPackage | None) -> Prove | None:
    """What proves a file's receipts: its own decoder, or one of this machine's; None where it is not here."""
    return Decoders().proof(header, embedded)


def _print(report: Report) -> None:
    name = common.input_name(report.name)
    for problem in report.problems:
        inside = f"{problem.inside}: " if problem.inside else ""
        print(f"{name}: {inside}byte {problem.at}: rule {problem.rule}: {problem.what}")
        print(f"    expected: {problem.expected}")
    if report.problems:
        n = len(report.problems)
        print(f"{name}: {n} problem{'s' * (n > 1)}", file=sys.stderr)
    else:
        print(f"{name}: good{' as far as it was checked' if report.not_checked else ''}: {report.summary}")
    if report.not_checked:
        print(f"{name}: not checked: {report.not_checked}", file=sys.stderr)
