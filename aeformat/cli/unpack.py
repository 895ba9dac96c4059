"""aeformat unpack."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from aeformat.cli import common
from aeformat.cli.send import SERVER, add_server, refuse_server

if TYPE_CHECKING:
    from aeformat.model.package import ModelPackage
    from aeformat.net.registry import Need
    from aeformat.pipeline.unpack import Decoded
    from aeformat.reader import Latents, LatentStream


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `aeformat unpack`."""
    parser.add_argument("file", metavar="FILE.aef", help="the file to read, - for stdin")
    parser.add_argument(
        "-o", "--output", required=True, metavar="OUT",
        help=".npy, .npz, IDX (.gz too), a folder for PNG files under the names they were packed with, - for .npy on stdout",
    )  # fmt: skip
    parser.add_argument("--decoder", metavar="PATH", help="the decoder's package, if it is not one of this machine's")
    parser.add_argument("--registry", metavar="URL", help="a server to fetch the decoder from, if it is nowhere else")
    parser.add_argument("--recover", action="store_true", help="take what is there of an incomplete file (exit code 3)")
    parser.add_argument(
        "--latents", action="store_true", help="write the latents themselves to OUT.npy, decode nothing"
    )
    parser.add_argument(
        "--rows", type=row_range, metavar="START:STOP",
        help="only rows START to STOP - 1, counted from 0: reads and decodes no more of FILE.aef than they need",
    )  # fmt: skip
    common.add_backend(parser)
    common.add_force(parser)
    add_server(parser, "fetch")


class Unpacked(NamedTuple):
    """Rows written, and how many of them were held against receipts."""

    n_rows: int
    n_proved: int = 0


def row_range(text: str) -> tuple[int, int]:
    """An argparse type: "100:200"."""
    start, colon, stop = text.partition(":")
    if not (colon and start.isdecimal() and stop.isdecimal() and int(start) < int(stop)):
        raise argparse.ArgumentTypeError(f"{text!r} is not START:STOP, two row numbers, the first the smaller")
    return int(start), int(stop)


def run(options: argparse.Namespace) -> int:
    """Unpack a file to images.  Returns 3 when --recover had to leave something out."""
    from aeformat.reader import stream_latents

    if options.registry is None:
        refuse_server(options, SERVER, "without --registry")
    elif options.decoder is not None:
        refuse_server(options, ("registry",), "beside --decoder")
    if options.rows is not None:
        return _rows(options)
    with common.input_file(options.file) as file:
        with common.about(options.file):
            latents = stream_latents(file, recover=options.recover)
        done = _latents_to_npy(latents, options) if options.latents else _images(latents, options)
    if latents.damage is not None:
        lost = "; rows after the damage are lost" if latents.trailer is None else ", all that the file has"
        print(f"aeformat: {options.file}: recovered {done.n_rows:,} rows{lost}: {latents.damage}", file=sys.stderr)
        return 3
    _say(options, done)
    return 0


def _say(options: argparse.Namespace, done: Unpacked) -> None:
    proved = ", their pixels those of the receipts" if done.n_proved else ""
    print(f"{options.output}: {done.n_rows:,} {'latents' if options.latents else 'images'}{proved}", file=sys.stderr)


def _rows(options: argparse.Namespace) -> int:
    """Unpack some rows, by random access."""
    from aeformat.errors import UsageError
    from aeformat.model.match import check_decoder
    from aeformat.pipeline.unpack import unpack_rows
    from aeformat.reader import open_latents

    if options.latents or options.recover or options.file == "-":
        raise UsageError("--rows decodes some rows of a whole file: it does not go with --latents, --recover or a pipe")
    start, stop = options.rows
    with common.naming(options.file), open_latents(common.existing(options.file)) as latents:
        if stop > latents.n_rows:
            raise UsageError(f"{options.file}: --rows {start}:{stop}, but it has {latents.n_rows:,} rows")
        decoder = find_decoder(latents, options.decoder, _registry(latents, options))
        check_decoder(latents.header, decoder)
        network = common.network(decoder, options.backend, stop - start)
        done = _write(latents, unpack_rows(latents, network, start, stop), stop - start, options)
    _say(options, done)
    return 0


def _images(latents: LatentStream, options: argparse.Namespace) -> Unpacked:
    from aeformat.model.match import check_decoder
    from aeformat.pipeline.unpack import unpack

    decoder = find_decoder(latents, options.decoder, _registry(latents, options))
    check_decoder(latents.header, decoder)
    known = None if options.recover else n_rows_of(options.file)  # what can be recovered shows only at the end
    blocks = unpack(latents, common.network(decoder, options.backend, known))
    return _write(latents, blocks, known, options)


def _write(
    latents: LatentStream | Latents, blocks: Iterator[Decoded], n_rows: int | None, options: argparse.Namespace
) -> Unpacked:
    """Images into the output, which appears when all are there.  n_rows: how many are expected, if that is known."""
    from aeformat.images import open_sink
    from aeformat.reader import LatentStream

    done = Unpacked(0)
    with (
        open_sink(options.output, latents.header.image, n_rows, force=options.force) as sink,
        common.ProgressBar("unpacking", n_rows) as progress,
    ):
        for decoded in blocks:
            names = None if decoded.names is None else decoded.names.names
            sink.write(decoded.images, None if names is None else list(names))
            n_new = len(decoded.images)
            done = Unpacked(done.n_rows + n_new, done.n_proved + n_new * decoded.is_proved)
            progress.update(n_new)
        if not done.n_rows:
            assert isinstance(latents, LatentStream)  # to ask for no rows at all is a usage error
            _nothing(latents)
    return done


def _nothing(latents: LatentStream) -> None:
    assert latents.damage is not None  # a good file has rows (C9-3)
    latents.damage.advice = "there is no whole chunk before that, so nothing can be recovered"
    raise latents.damage


def _latents_to_npy(latents: LatentStream, options: argparse.Namespace) -> Unpacked:
    """The latents as one .npy array (n, *dims)."""
    import numpy as np

    from aeformat.encodings import array_type
    from aeformat.errors import UsageError
    from aeformat.model.match import prior_of

    if not options.output.endswith(".npy"):
        raise UsageError(f"{options.output}: --latents writes .npy files only")
    known = None if options.recover else n_rows_of(options.file)
    header = latents.header
    if latents.needs_prior:
        latents.give_prior(prior_of(find_decoder(latents, options.decoder, _registry(latents, options))))
    with common.output_file(options.output, force=options.force) as out:
        if known is None:  # a pipe or a cut file: the array's header needs the number of rows first
            blocks = [block.values for block in latents]
            if not blocks:
                _nothing(latents)
            np.save(out, np.concatenate(blocks))
            return Unpacked(sum(len(block) for block in blocks))
        dtype = np.dtype(array_type(header.values))
        shape = {"descr": dtype.str, "fortran_order": False, "shape": (known, *header.dims)}
        np.lib.format.write_array_header_1_0(out, shape)
        for block in latents:
            out.write(np.ascontiguousarray(block.values).data)
    return Unpacked(known)


def _registry(latents: LatentStream | Latents, options: argparse.Namespace) -> Callable[[], ModelPackage] | None:
    """How to ask the server that --registry names; None without it.  A URL in a file is never asked (T5-9)."""
    if options.registry is None:
        return None

    def ask() -> ModelPackage:
        from aeformat.cli.send import say, server_options
        from aeformat.cli.serve import require_net

        require_net()
        from aeformat.net.registry import registry_decoder

        server = server_options(options)
        need = _need(latents, options.file, server.image_bytes)
        return registry_decoder(options.registry, latents.header.decoder, server, need=need, say=say)

    return ask


def _need(latents: LatentStream | Latents, name: str, image_bytes: float | None) -> Need | None:
    """What the decoder is weighed against; None where nobody knows how many rows there are."""
    from aeformat.net.registry import Need

    n_rows = n_rows_of(name)
    if not n_rows:
        return None
    height, width, channels = latents.header.image
    return Need(n_rows, height * width * channels if image_bytes is None else image_bytes, Path(name).stat().st_size)


def find_decoder(
    latents: LatentStream | Latents, path: str | None, registry: Callable[[], ModelPackage] | None = None
) -> ModelPackage:
    """The decoder a file needs: the one at `path`, the one inside the file, one of this machine's, or the registry's.

    registry: asks a server, which also looks among this machine's models first.  Raises DecoderMissing, DecoderMismatch,
    GoldenMismatch, FormatError; and what `registry` raises.
    """
    from aeformat.backends.golden import proved
    from aeformat.model import store
    from aeformat.model.file_io import read_package

    if path is not None:
        common.existing(path)
        with common.about(path):
            return proved(read_package(path))
    embedded = latents.embedded_decoder
    if embedded is not None:
        with common.naming("the embedded decoder"):
            return proved(read_package(embedded))
    return store.find_decoder(latents.header.decoder) if registry is None else registry()


def n_rows_of(name: str) -> int | None:
    """Rows in a complete file, from its trailer; None for a pipe and where the trailer cannot tell."""
    from aeformat.errors import FormatError
    from aeformat.reader import open_latents

    if name == "-":
        return None
    try:
        with open_latents(name) as latents:
            return latents.n_rows
    except FormatError:
        return None  # whoever reads the file forward reports it
