"""aeformat send with more than one file: one line a file, and the gravest exit code (T5-18)."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from aeformat.cli import common
from aeformat.cli.advice import BAD, GOOD, INCOMPLETE, describe, exit_code, gravest
from aeformat.cli.remote import report_of, server_options
from aeformat.cli.send import sent_members
from aeformat.cli.streams import shown
from aeformat.cli.transfer_report import Report
from aeformat.errors import AeformatError, UsageError
from aeformat.net.client.batch import FileResult, files_in, send_many

_JOBS = 4


def send_all(options: argparse.Namespace) -> int:
    """Send the files, and those in folders.  Prints URL and name of each in their order; an error does not stop the others."""
    paths = _chosen(options.files)
    codes, n_untried = [], 0
    with report_of(options) as report:
        server = dataclasses.replace(server_options(options), tell=report.tell)
        jobs = options.jobs or _JOBS
        for result in send_many(paths, options.url, server, jobs=jobs, progress=report.progress, notify=report.notice):
            codes.append(_shown(result, report))
            n_untried += result.sent is None and result.error is None
        if n_untried:
            report.error(
                f"{n_untried:,} of {len(paths):,} files were not tried; the same line again sends what is missing"
            )
    return gravest(codes)


def _chosen(names: list[str]) -> list[Path]:
    """The files that were named, and those in the folders that were.  Raises UsageError."""
    paths: list[Path] = []
    for name in names:
        if not Path(name).is_dir():
            paths.append(Path(common.ordinary(name)))
            continue
        found = files_in(Path(name))
        if not found:
            raise UsageError(f"{shown(name)}: there is no .aef file in this folder")
        paths += found
    return list(dict.fromkeys(paths))


def _shown(result: FileResult, report: Report) -> int:
    """Print the result of one file.  Returns its exit code."""
    name = str(result.path)
    if result.sent is not None:
        report.result("sent", **sent_members(result.path, result.sent))
        print(f"{result.sent.url}  {shown(name)}", flush=True)
        return GOOD
    error, code = result.error, INCOMPLETE
    if error is None:
        text = "was not tried"
    elif isinstance(error, AeformatError):
        text, code = describe(error), exit_code(error.code)
    else:
        text, code = error.strerror or str(error), BAD
    report.result("failed", file=name, error=text, exit_code=code)
    if error is not None:
        report.error(f"{shown(name)}: {text}")
    return code
