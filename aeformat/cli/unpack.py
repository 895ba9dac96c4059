"""aeformat unpack."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn

from aeformat.cli import common
from aeformat.cli.decoder import DecoderOptions, add_decoder, n_rows_of
from aeformat.errors import UsageError

if TYPE_CHECKING:
    from aeformat.pipeline.unpack import Unpacked
    from aeformat.reader import Latents, LatentStream


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `aeformat unpack`."""
    parser.add_argument("file", metavar="FILE.aef", help="the file or the set to read, also at a URL; - for stdin")
    parser.add_argument(
        "-o", "--output", required=True, metavar="OUT",
        help=".npy, .npz, IDX (.gz too), a folder for PNG files under the names they were packed with, - for .npy on stdout; "
        "images of many sizes go into a folder, or into an .npz with an array for each",
    )  # fmt: skip
    add_decoder(parser)
    parser.add_argument("--recover", action="store_true", help="take what is there of an incomplete file (exit code 3)")
    parser.add_argument(
        "--latents", action="store_true", help="write the latents themselves to OUT.npy (- for stdout), decode nothing"
    )
    parser.add_argument(
        "--rows", type=row_range, metavar="START:STOP",
        help="only rows START to STOP - 1, counted from 0: reads and decodes no more of FILE.aef than they need",
    )  # fmt: skip
    common.add_backend(parser)
    common.add_force(parser)


def row_range(text: str) -> tuple[int, int]:
    """An argparse type: "100:200"."""
    start, colon, stop = text.partition(":")
    if not (colon and start.isdecimal() and stop.isdecimal() and int(start) < int(stop)):
        raise argparse.ArgumentTypeError(f"{text!r} is not START:STOP, two row numbers, the first the smaller")
    return int(start), int(stop)


def run(options: argparse.Namespace) -> int:
    """Unpack a file to images, or to its latents.  Returns 3 when --recover had to leave something out."""
    from aeformat.destination import check_no_input
    from aeformat.reader import LatentStream

    find = DecoderOptions(options, options.file)
    check_no_input(options.output, _inputs(options))
    if common.is_set(options.file):
        from aeformat.cli.unpack_set import run as run_set

        return run_set(options, find)
    with _opened(options) as latents:
        done = (_write_latents if options.latents else _write_images)(latents, find, options)
    if isinstance(latents, LatentStream) and latents.damage is not None:
        name = common.input_name(options.file)
        lost = "; rows after the damage are lost" if latents.trailer is None else ", all that the file has"
        print(f"aeformat: {name}: recovered {done.n_rows:,} rows{lost}: {latents.damage}", file=sys.stderr)
        return 3
    proved = ", their pixels those of the receipts" if done.n_proved else ""
    name = common.output_name(options.output)
    print(f"{name}: {done.n_rows:,} {'latents' if options.latents else 'images'}{proved}", file=sys.stderr)
    return 0


def _inputs(options: argparse.Namespace) -> list[str]:
    """The files that are read."""
    return [options.file, *filter(None, [options.decoder])]


@contextlib.contextmanager
def _opened(options: argparse.Namespace) -> Iterator[LatentStream | Latents]:
    """The file, read forward; for --rows by random access.  Raises UsageError, FormatError."""
    from aeformat.reader import open_latents, stream_latents

    if options.rows is None:
        with common.input_file(options.file) as file:
            with common.opening(options.file):
                latents = stream_latents(file, recover=options.recover)
            yield latents
        return
    if options.latents or options.recover or options.file == "-":
        raise UsageError("--rows decodes some rows of a whole file: it does not go with --latents, --recover or a pipe")
    start, stop = options.rows
    with common.error_source(options.file), open_latents(common.ordinary(options.file)) as whole:
        if stop > whole.n_rows:
            raise UsageError(f"{options.file}: --rows {start}:{stop}, but it has {whole.n_rows:,} rows")
        yield whole


def _expected(options: argparse.Namespace) -> int | None:
    """Rows that will come, if that is known: what can be recovered shows only at the end."""
    if options.rows is not None:
        start, stop = options.rows
        return int(stop - start)
    return None if options.recover else n_rows_of(options.file)


def _write_images(latents: LatentStream | Latents, find: DecoderOptions, options: argparse.Namespace) -> Unpacked:
    """Images into the output, which appears when all are there."""
    from aeformat.images import open_sink
    from aeformat.pipeline.decoders import loader
    from aeformat.pipeline.unpack import unpack, write_images

    n_rows = _expected(options)
    rows = None if options.rows is None else range(*options.rows)
    blocks = unpack(latents, find, loader(options.backend, n_rows), rows, ahead=common.is_ordinary(options.file))
    with (
        open_sink(
            options.output,
            latents.header.image_shape,
            n_rows,
            force=options.force,
            inputs=_inputs(options),
            one_size=_one_size(options),
        ) as sink,
        common.ProgressBar("unpacking", n_rows) as progress,
    ):
        done = write_images(blocks, sink, progress)
        if not done.n_rows:
            _nothing(latents)
    return done


def _one_size(options: argparse.Namespace) -> tuple[int, int] | None:
    """Of images that could have sizes of their own, if they have one and that can be told before they are read."""
    from aeformat.errors import FormatError
    from aeformat.pipeline.unpack import one_size
    from aeformat.reader import open_latents

    if not common.is_ordinary(options.file):
        return None
    try:
        with open_latents(options.file) as whole:
            return one_size(whole, None if options.rows is None else range(*options.rows))
    except FormatError:
        return None  # whoever reads the file forward reports it


def _nothing(latents: LatentStream | Latents) -> NoReturn:
    from aeformat.errors import Hint
    from aeformat.reader import LatentStream

    assert isinstance(latents, LatentStream)  # to ask for no rows at all is a usage error
    assert latents.damage is not None  # a good file has rows (C9-3)
    latents.damage.hint = Hint.NOTHING_TO_RECOVER
    raise latents.damage


def _write_latents(latents: LatentStream | Latents, find: DecoderOptions, options: argparse.Namespace) -> Unpacked:
    """The latents as one .npy array (n, *dims)."""
    from aeformat.pipeline.unpack import check_one_size, give_prior, write_latents
    from aeformat.reader import LatentStream

    assert isinstance(latents, LatentStream)  # --latents does not go with --rows
    if options.output != "-" and not options.output.endswith(".npy"):
        raise UsageError(f"{common.output_name(options.output)}: --latents writes .npy only")
    header, n_rows = latents.header, _expected(options)
    check_one_size(header)
    if header.codec != "rans":
        find.refuse(header.decoder, "with --latents of rows that are not coded with the decoder")
    elif find.is_given or latents.needs_prior:
        give_prior(latents, find)
    with common.output_file(options.output, force=options.force) as out:
        done = write_latents(latents, out, n_rows)
        if not done.n_rows:
            _nothing(latents)
    return done
