"""aeformat unpack."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from aeformat.cli import common
from aeformat.cli.decoder import add_decoder, check_options, find_decoder, n_rows_of, refuse_decoder

if TYPE_CHECKING:
    from aeformat.container.reader import Latents, LatentStream
    from aeformat.pipeline.unpack import Decoded


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `aeformat unpack`."""
    parser.add_argument("file", metavar="FILE.aef", help="the file to read, - for stdin")
    parser.add_argument(
        "-o", "--output", required=True, metavar="OUT",
        help=".npy, .npz, IDX (.gz too), a folder for PNG files under the names they were packed with, - for .npy on stdout",
    )  # fmt: skip
    add_decoder(parser)
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
    from aeformat.container.reader import stream_latents

    check_options(options)
    if options.rows is not None:
        return _rows(options)
    with common.input_file(options.file) as file:
        with common.about(options.file):
            latents = stream_latents(file, recover=options.recover)
        done = _latents_to_npy(latents, options) if options.latents else _images(latents, options)
    if latents.damage is not None:
        name = common.input_name(options.file)
        lost = "; rows after the damage are lost" if latents.trailer is None else ", all that the file has"
        print(f"aeformat: {name}: recovered {done.n_rows:,} rows{lost}: {latents.damage}", file=sys.stderr)
        return 3
    _say(options, done)
    return 0


def _say(options: argparse.Namespace, done: Unpacked) -> None:
    proved = ", their pixels those of the receipts" if done.n_proved else ""
    name = common.output_name(options.output)
    print(f"{name}: {done.n_rows:,} {'latents' if options.latents else 'images'}{proved}", file=sys.stderr)


def _rows(options: argparse.Namespace) -> int:
    """Unpack some rows, by random access."""
    from aeformat.container.reader import open_latents
    from aeformat.errors import UsageError
    from aeformat.model.match import check_decoder
    from aeformat.pipeline.unpack import unpack_rows

    if options.latents or options.recover or options.file == "-":
        raise UsageError("--rows decodes some rows of a whole file: it does not go with --latents, --recover or a pipe")
    start, stop = options.rows
    with common.naming(options.file), open_latents(common.existing(options.file)) as latents:
        if stop > latents.n_rows:
            raise UsageError(f"{options.file}: --rows {start}:{stop}, but it has {latents.n_rows:,} rows")
        decoder = find_decoder(latents, options, options.file)
        check_decoder(latents.header, decoder)
        network = common.network(decoder, options.backend, stop - start)
        done = _write(latents, unpack_rows(latents, network, start, stop), stop - start, options)
    _say(options, done)
    return 0


def _images(latents: LatentStream, options: argparse.Namespace) -> Unpacked:
    from aeformat.model.match import check_decoder
    from aeformat.pipeline.unpack import unpack

    decoder = find_decoder(latents, options, options.file)
    check_decoder(latents.header, decoder)
    known = None if options.recover else n_rows_of(options.file)  # what can be recovered shows only at the end
    blocks = unpack(latents, common.network(decoder, options.backend, known))
    return _write(latents, blocks, known, options)


def _write(
    latents: LatentStream | Latents, blocks: Iterator[Decoded], n_rows: int | None, options: argparse.Namespace
) -> Unpacked:
    """Images into the output, which appears when all are there.  n_rows: how many are expected, if that is known."""
    from aeformat.container.reader import LatentStream
    from aeformat.images import open_sink

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
    from aeformat.errors import Hint

    assert latents.damage is not None  # a good file has rows (C9-3)
    latents.damage.hint = Hint.NOTHING_TO_RECOVER
    raise latents.damage


def _latents_to_npy(latents: LatentStream, options: argparse.Namespace) -> Unpacked:
    """The latents as one .npy array (n, *dims)."""
    import numpy as np

    from aeformat.container.encodings import array_type
    from aeformat.errors import UsageError
    from aeformat.model.match import prior_of

    if not options.output.endswith(".npy"):
        raise UsageError(f"{common.output_name(options.output)}: --latents writes .npy files only")
    known = None if options.recover else n_rows_of(options.file)
    header = latents.header
    if header.codec != "rans":
        refuse_decoder(options, header.decoder, "with --latents of rows that are not coded with the decoder")
    elif options.decoder is not None or latents.needs_prior:
        latents.give_prior(prior_of(find_decoder(latents, options, options.file)))
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
