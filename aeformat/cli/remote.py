"""Shared by the commands that reach a server: its options, notices, progress in bytes."""

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
    from aeformat.net.client.options import Options

TOKEN: Final = "AEFORMAT_TOKEN"
SERVER: Final = ("token_file", "ca_file", "model_policy", "image_bytes")


def add_server(parser: argparse.ArgumentParser, verb: str) -> None:
    """Add the options --token-file, --ca-file, --model-policy and --image-bytes; `server_options` reads them.

    verb: "send" or "fetch", for the help text.
    """
    parser.add_argument("--token-file", metavar="FILE", help=f"holds the token (default: ${TOKEN})")
    parser.add_argument("--ca-file", metavar="FILE", help="certificates to trust instead of the system's")
    parser.add_argument(
        "--model-policy", choices=POLICIES, help=f"auto (the default): {verb} a missing decoder if that pays"
    )
    parser.add_argument(
        "--image-bytes", type=float, metavar="N", help="of one image sent otherwise, for the sum (default: raw pixels)"
    )


def refuse_server(options: argparse.Namespace, names: Sequence[str], why: str) -> None:
    """Refuse options that would do nothing.  names: of the options.  why: when they do nothing.  Raises UsageError."""
    for name in names:
        if getattr(options, name) is not None:
            raise UsageError(f"--{name.replace('_', '-')} does nothing {why}; leave it out")


def server_options(options: argparse.Namespace) -> Options:
    """Read the options of `add_server`, and the token from its file or the environment.  Raises UsageError."""
    from aeformat.net.client.options import Options

    token = os.environ.get(TOKEN)
    if options.token_file is not None:
        try:
            token = Path(options.token_file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise UsageError(f"{options.token_file}: {error.strerror}") from error
    return Options(token or None, options.ca_file, options.model_policy or POLICIES[0], options.image_bytes)


def print_notice(text: str) -> None:
    """Print a line for people to stderr."""
    print(f"aeformat: {text}", file=sys.stderr)


class ByteProgress:
    """Shows progress in bytes, on a terminal only: tqdm's bar if it is installed, else one line a second."""

    def __init__(self) -> None:
        self._is_on = sys.stderr.isatty()
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
