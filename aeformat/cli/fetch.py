"""aeformat fetch."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from aeformat.cli import common
from aeformat.cli.advice import describe
from aeformat.cli.remote import add_report, add_server, refuse_server, report_of, server_options
from aeformat.cli.serve import require_net

if TYPE_CHECKING:
    from aeformat.net.client.options import Options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `aeformat fetch`."""
    parser.add_argument("url", metavar="URL", help="of a container or a model, as `aeformat send` prints it")
    parser.add_argument(
        "-o", "--output", metavar="FILE.aef", help="where to put it (default: its name in the URL, here)"
    )
    common.add_force(parser)
    add_server(parser, "fetch")
    add_report(parser, has_progress=True)


def run(options: argparse.Namespace) -> int:
    """Fetch a file; if it holds latents, then also the decoder that it needs, if that is missing here and pays."""
    require_net()
    from aeformat.net.client.fetching import fetch

    if "/v1/containers/" not in options.url:
        refuse_server(options, ("model_policy", "image_bytes"), "where no container of latents is fetched")
    options.output = options.output or f"{options.url.rsplit('/', 1)[-1]}.aef"
    path = Path(options.output)
    with report_of(options) as report:
        server = server_options(options, report.tell)
        fetched = fetch(options.url, path, server, force=options.force, progress=report.progress)
        sha256 = fetched.sha256.hex()
        report.result("fetched", file=str(path), sha256=sha256, bytes=fetched.n_bytes)
        if options.progress != "json" and not options.quiet:
            print(f"{path}: {fetched.n_bytes:,} bytes, sha256 {sha256}", file=sys.stderr)
        if server.policy != "never" and "/v1/containers/" in options.url:
            fetch_decoder(options.url, path, server, report.notice)
    return 0


def fetch_decoder(url: str, path: Path, server: Options, notice: Callable[[str], None]) -> None:
    """Fetch the decoder of a fetched file.  If that fails, print a notice: the command has not failed, the file is here."""
    from aeformat.container.header import LatentsHeader
    from aeformat.errors import DecoderError
    from aeformat.net.client.fetching import parse_blob_url
    from aeformat.net.client.remote_decoder import DecoderNeed, registry_decoder
    from aeformat.net.client.scan import scan_file
    from aeformat.net.client.sending import local_package

    address, _kind, _name = parse_blob_url(url, server)
    with path.open("rb") as file:
        scan = scan_file(file)
    header = scan.header
    if not isinstance(header, LatentsHeader) or scan.has_decoder or not header.decoder:
        return
    if local_package(header.decoder) is not None:
        return
    image_bytes = scan.image_bytes / scan.n_rows if server.image_bytes is None else server.image_bytes
    need = DecoderNeed(scan.n_rows, image_bytes, scan.size)
    try:
        registry_decoder(address.url, header.decoder, server, need=need, notify=notice)
    except DecoderError as error:
        notice(f"without its decoder: {describe(error)}")
