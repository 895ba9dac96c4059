"""Shared by the commands that reach a server: its options, notices, progress in bytes.  transfer_report.py has the rest."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aeformat.cli import common
from aeformat.errors import UsageError
from aeformat.transport.policy import POLICIES

if TYPE_CHECKING:
    from aeformat.cli.transfer_report import Report
    from aeformat.net.client.events import Tell
    from aeformat.net.client.options import Options

TOKEN: Final = "AEFORMAT_TOKEN"
_UNITS: Final = {"k": 1 << 10, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
SERVER: Final = ("token_file", "ca_file", "model_policy", "image_bytes")


def add_server(parser: argparse.ArgumentParser, verb: str) -> None:
    """Add the options of `add_token`, --model-policy and --image-bytes; `server_options` reads them.

    verb: "send" or "fetch", for the help text.
    """
    add_token(parser)
    parser.add_argument(
        "--model-policy", choices=POLICIES, help=f"auto (the default): {verb} a missing decoder if that pays"
    )
    parser.add_argument(
        "--image-bytes", type=float, metavar="N", help="of one image sent otherwise, for the sum (default: raw pixels)"
    )


def add_token(parser: argparse.ArgumentParser) -> None:
    """Add the options --token-file and --ca-file."""
    parser.add_argument("--token-file", metavar="FILE", help=f"holds the token (default: ${TOKEN})")
    parser.add_argument("--ca-file", metavar="FILE", help="certificates to trust instead of the system's")


def add_report(parser: argparse.ArgumentParser, *, has_progress: bool) -> None:
    """Add the options --quiet and --verbose; for a transfer also --progress and --limit-rate.  `report_of` reads them."""
    if has_progress:
        parser.add_argument(
            "--progress", choices=("bar", "json"), default="bar", help="json: one JSON object a line, on stderr"
        )
        parser.add_argument(
            "--limit-rate", type=rate, metavar="RATE", help="bytes a second at most, as 500k or 2M (powers of 1024)"
        )
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing but results and errors")
    parser.add_argument("-v", "--verbose", action="store_true", help="show requests, answers and waits")


def rate(text: str) -> float:
    """An argparse type: bytes a second, with k, M or G as curl has them."""
    from aeformat.net.client.rate_limit import LEAST_RATE

    digits, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "")
    number = float(digits) * _UNITS.get(unit, 1) if digits.replace(".", "", 1).isdigit() and digits.isascii() else 0.0
    if number < LEAST_RATE:
        raise argparse.ArgumentTypeError(f"{text!r} is no rate of at least {LEAST_RATE} bytes a second, as 500k or 2M")
    return number


def report_of(options: argparse.Namespace) -> Report:
    """The report that the options of `add_report` ask for.  Raises UsageError."""
    from aeformat.cli.transfer_report import Report

    if options.quiet and options.verbose:
        raise UsageError("--quiet and --verbose exclude each other")
    return Report(form=getattr(options, "progress", "bar"), is_quiet=options.quiet, is_verbose=options.verbose)


def refuse_server(options: argparse.Namespace, names: Sequence[str], why: str) -> None:
    """Refuse options that would do nothing.  names: of the options.  why: when they do nothing.  Raises UsageError."""
    for name in names:
        if getattr(options, name) is not None:
            raise UsageError(f"--{name.replace('_', '-')} does nothing {why}; leave it out")


def server_options(options: argparse.Namespace, tell: Tell = lambda _: None) -> Options:
    """Read the options of `add_server` or `add_token`, and the token from its file or the environment.  Raises UsageError."""
    from aeformat.net.client.options import Options

    token = os.environ.get(TOKEN)
    if options.token_file is not None:
        try:
            token = Path(options.token_file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise UsageError(f"{options.token_file}: {error.strerror}") from error
    return Options(
        token or None,
        options.ca_file,
        getattr(options, "model_policy", None) or POLICIES[0],
        getattr(options, "image_bytes", None),
        limit_rate=getattr(options, "limit_rate", None),
        tell=tell,
    )


def print_notice(text: str) -> None:
    """Print a line for people to stderr."""
    print(f"aeformat: {text}", file=sys.stderr)


class ByteProgress:
    """Shows progress in bytes, on a terminal only: tqdm's bar if it is installed, else one line a second."""

    def __init__(self, *, is_wanted: bool = True) -> None:
        self._is_on = is_wanted and sys.stderr.isatty()
        self._what = ""
        self._bar: Any = None
        self._shown = time.monotonic()

    def __enter__(self) -> ByteProgress:
        return self

    def update(self, what: str, n_bytes: int, size: int) -> None:
        """Show that n_bytes of `size` bytes are transferred.  what: the label; a new one begins a new bar."""
        if not self._is_on:
            return
        bar = self._bar_for(what, size)
        if bar is not None:
            bar.update(n_bytes - bar.n)
        elif time.monotonic() - self._shown > 1:
            self._shown = time.monotonic()
            print(f"{what}: {common.size(n_bytes)} of {common.size(size)}", file=sys.stderr)

    def _bar_for(self, what: str, size: int) -> Any:
        if what != self._what:
            self._end()
            self._what = what
            try:
                from tqdm import tqdm
            except ImportError:
                return None
            self._bar = tqdm(total=size, desc=what, unit="B", unit_scale=True, delay=0.5)
        return self._bar

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
