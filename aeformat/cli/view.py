"""aeformat view: a page in the browser that shows what is in files."""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import threading
import webbrowser
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from aeformat.cli import common
from aeformat.cli.remote import SERVER, add_server, refuse_server
from aeformat.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aeformat.net.view.shown import Exhibit, Originals, Shown

_BATCH_ROWS = 4096


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `aeformat view`."""
    parser.add_argument(
        "files", nargs="+", metavar="FILE.aef", help="latents or model packages; URLs of a server (aeformat serve) too"
    )
    parser.add_argument("--against", nargs="+", metavar="INPUT", help="the images that were packed, for one FILE")
    parser.add_argument("--decoder", metavar="PATH", help="the decoder's package, if it is not one of this machine's")
    parser.add_argument("--save", metavar="PAGE.html", help="write one page that has all in it, and show nothing")
    common.add_force(parser)
    parser.add_argument("--no-browser", action="store_true", help="print the URL, open nothing")
    parser.add_argument(
        "--port", type=common.bounded_int(0, 65_535), default=0, help="port on 127.0.0.1 (default: any free one)"
    )
    add_server(parser, "fetch")
    common.add_fit(parser)


def run(options: argparse.Namespace) -> int:
    """Show files until Ctrl-C, or save the page."""
    from aeformat.net.view.page import page

    page()  # where there is none, nothing is fetched or read
    _check(options)
    with tempfile.TemporaryDirectory(prefix="aeformat-view-") as folder:
        exhibit = _exhibit(options, Path(folder))
        if options.save is not None:
            _save(options, exhibit)
        else:
            _serve(options, exhibit)
    return 0


def _check(options: argparse.Namespace) -> None:
    """Raises UsageError where an option would do nothing."""
    if options.against and len(options.files) > 1:
        raise UsageError("--against goes with one FILE")
    for name in ("resize", "grayscale", "rgb", "background"):
        if getattr(options, name) and not options.against:
            raise UsageError(f"--{name} goes with --against")
    if not any(map(_is_url, options.files)):
        refuse_server(options, SERVER, "without a URL")
    if options.force and options.save is None:
        raise UsageError("--force goes with --save")
    if options.save is not None and (options.no_browser or options.port):
        raise UsageError("--no-browser and --port do nothing beside --save; leave them out")


def _exhibit(options: argparse.Namespace, folder: Path) -> Exhibit:
    from aeformat.net.view.shown import Exhibit

    given = None if options.decoder is None else _decoder(options.decoder)
    files = [_shown(name, number, options, folder) for number, name in enumerate(options.files)]
    return Exhibit([_told_apart(shown, name, files) for shown, name in zip(files, options.files, strict=True)], given)


def _told_apart(shown: Shown, given: str, files: list[Shown]) -> Shown:
    """Under the name as it was given, where another file has the same last part."""
    return shown if [other.name for other in files].count(shown.name) == 1 else replace(shown, name=given)


def _decoder(name: str) -> Path:
    """The file of --decoder.  Raises UsageError, FormatError where it is no package."""
    from aeformat.model.identity import read_model_id

    path = Path(common.ordinary(name)).resolve()
    with common.opening(name):
        read_model_id(path)
    return path


def _shown(name: str, number: int, options: argparse.Namespace, folder: Path) -> Shown:
    from aeformat.net.view.shown import Shown

    is_url = _is_url(name)
    path = _fetched(name, folder / f"{number}.aef", options) if is_url else Path(common.ordinary(name)).resolve()
    against = _originals(name, path, options, folder / "originals") if options.against else None
    return Shown(name.rsplit("/", 1)[-1] if is_url else Path(name).name, path, against)


def _is_url(name: str) -> bool:
    return name.startswith(("http://", "https://"))


def _fetched(url: str, path: Path, options: argparse.Namespace) -> Path:
    """A file of a server, verified; also the decoder that it needs, if that is missing here and pays."""
    from aeformat.cli.fetch import fetch_decoder
    from aeformat.cli.remote import ByteProgress, print_notice, server_options
    from aeformat.cli.serve import require_net

    require_net()
    from aeformat.net.client.fetching import fetch

    server = server_options(options)
    with ByteProgress() as progress:
        fetch(url, path, server, progress=progress.update)
    if server.policy != "never" and "/v1/containers/" in url and options.decoder is None:
        fetch_decoder(url, path, server, print_notice)
    return path


def _originals(name: str, path: Path, options: argparse.Namespace, spool: Path) -> Originals:
    """The images of --against as raw pixels in a file.  Raises UsageError, ImageError, FormatError."""
    from aeformat.backends.runtime import fetch_mnist
    from aeformat.images import open_source
    from aeformat.net.view.shown import Originals
    from aeformat.reader import open_latents

    with common.opening(name), open_latents(path) as latents:
        if not latents.header.image:
            raise UsageError(f"{name}: does not say which images it holds, so none can lie beside them")
        fit, n_rows = common.fit_of(options, latents.header.image_shape), len(latents)
    source = open_source(options.against, fit, fetch_mnist=fetch_mnist)
    common.say_left_out(source.left_out)
    found = Originals(spool, source.label)
    with common.ProgressBar("reading originals", n_rows) as progress:

        def counted() -> Iterator[NDArray[np.uint8]]:
            for block in source.blocks(_BATCH_ROWS):
                progress.update(len(block.images))
                yield block.images

        found.write(counted())
    found.check_count(n_rows)
    return found


def _save(options: argparse.Namespace, exhibit: Exhibit) -> None:
    from aeformat.net.view.page import write_saved_page

    with common.output_file(options.save, force=options.force) as file:
        write_saved_page(file, exhibit)


def _serve(options: argparse.Namespace, exhibit: Exhibit) -> None:
    from aeformat.net.view.server import ViewServer

    with ViewServer(exhibit, options.port) as server, contextlib.suppress(KeyboardInterrupt):  # Ctrl-C is how it ends
        print(server.url, flush=True)
        if not options.no_browser:
            threading.Thread(target=webbrowser.open, args=(server.url,), daemon=True).start()  # one in a terminal waits
        server.serve_forever(poll_interval=0.2)
