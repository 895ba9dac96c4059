"""aeformat send."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path

from aeformat.cli import common
from aeformat.cli.remote import ByteProgress, add_server, print_notice, server_options
from aeformat.cli.serve import require_net
from aeformat.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `aeformat send`."""
    parser.add_argument("file", metavar="FILE.aef", help="a container or a model package")
    parser.add_argument("url", metavar="URL", help="of the server")
    parser.add_argument("--decoder", metavar="PATH", help="the decoder's package, if it is not one of this machine's")
    add_server(parser, "send")


def run(options: argparse.Namespace) -> int:
    """Send a file, and its decoder if that pays."""
    require_net()
    from aeformat.net.client.digest import FileDigest

    path = Path(common.ordinary(options.file))
    model = None if options.decoder is None else _given(options.decoder, path)
    with _naming(options.file), FileDigest(path) as digest, ByteProgress() as progress:
        from aeformat.net.client.sending import send_with_digest  # while the file is being hashed

        server = server_options(options)
        sent = send_with_digest(
            digest, path, options.url, server, model=model, progress=progress.update, notify=print_notice
        )
    print(sent.url)
    return 0


@contextlib.contextmanager
def _naming(name: str) -> Iterator[None]:
    """Put the name of the file into errors of its bytes, and into those of reading it that have none."""
    try:
        with common.error_source(name):
            yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = common.input_name(name)
        raise


def _given(decoder: str, path: Path) -> bytes:
    """The package at `decoder`, if the file at `path` names it.  Raises UsageError, DecoderMismatch, FormatError."""
    from aeformat.cli.decoder import given_decoder
    from aeformat.container.header import LatentsHeader
    from aeformat.container.parser import HeaderRead
    from aeformat.reader import events

    with common.input_file(str(path)) as file:
        first = next(events(file))
    assert isinstance(first, HeaderRead)
    if not isinstance(first.header, LatentsHeader):
        raise UsageError("--decoder does nothing for a model package; leave it out")
    given_decoder(decoder, first.header.decoder)
    return Path(decoder).read_bytes()
