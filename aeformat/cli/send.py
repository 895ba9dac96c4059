"""aeformat send."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from aeformat.cli import common
from aeformat.cli.remote import add_report, add_server, refuse_server, report_of, server_options
from aeformat.cli.serve import require_net
from aeformat.errors import UsageError

if TYPE_CHECKING:
    from aeformat.net.client.options import Sent


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `aeformat send`."""
    parser.add_argument(
        "files", metavar="FILE.aef", nargs="+", help="containers, model packages; of a folder all .aef files in it"
    )
    parser.add_argument("url", metavar="URL", help="of the server")
    parser.add_argument("--decoder", metavar="PATH", help="the decoder's package, if it is not one of this machine's")
    parser.add_argument(
        "--jobs", type=common.bounded_int(1, 64), metavar="N", help="connections for many files (default: 4)"
    )
    add_server(parser, "send")
    add_report(parser, has_progress=True)


def run(options: argparse.Namespace) -> int:
    """Send files, and the decoders that the server lacks if that pays."""
    require_net()
    if len(options.files) == 1 and not Path(options.files[0]).is_dir():
        refuse_server(options, ("jobs",), "for one file")
        return _send_one(options, options.files[0])
    refuse_server(options, ("decoder",), "for many files")
    from aeformat.cli.send_many import send_all

    return send_all(options)


def _send_one(options: argparse.Namespace, name: str) -> int:
    from aeformat.net.client.digest import FileDigest

    path = Path(common.ordinary(name))
    model = None if options.decoder is None else _given(options.decoder, path)
    with _naming(name), FileDigest(path) as digest, report_of(options) as report:
        from aeformat.net.client.sending import send_with_digest  # while the file is being hashed

        server = server_options(options, report.tell)
        sent = send_with_digest(
            digest, path, options.url, server, model=model, progress=report.progress, notify=report.notice
        )
        report.result("sent", **sent_members(path, sent))
    print(sent.url)
    return 0


def sent_members(path: Path, sent: Sent) -> dict[str, object]:
    """What --progress json says of a file that was sent."""
    facts = {"file": str(path), "url": sent.url, "sha256": sent.sha256.hex(), "bytes": sent.n_bytes}
    return {**facts, "was_there": sent.was_there}


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
    from aeformat.model.match import check_named
    from aeformat.reader import events

    with common.input_file(str(path)) as file:
        first = next(events(file))
    assert isinstance(first, HeaderRead)
    if not isinstance(first.header, LatentsHeader):
        raise UsageError("--decoder does nothing for a model package; leave it out")
    check_named(first.header)
    given_decoder(decoder, first.header.decoder)
    return Path(decoder).read_bytes()
