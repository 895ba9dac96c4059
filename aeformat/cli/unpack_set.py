"""aeformat unpack, of a set: its shards one after the other, into one output."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from aeformat.cli import common
from aeformat.errors import UsageError

if TYPE_CHECKING:
    from aeformat.cli.decoder import DecoderOptions
    from aeformat.pipeline.unpack import Unpacked
    from aeformat.sets.forward import SetStream


def run(options: argparse.Namespace, find: DecoderOptions) -> int:
    """Unpack a set to images, or to its latents."""
    from aeformat.sets.forward import SetStream

    if options.recover:
        raise UsageError("--recover is for one file; give it a shard, which `aeformat info` lists")
    if options.latents and options.rows is not None:
        raise UsageError("--rows decodes some rows: it does not go with --latents")
    whole = SetStream(options.file)
    if not whole.n_rows:
        raise UsageError(f"{whole.name}: the set has no rows")
    done = (_write_latents if options.latents else _write_images)(whole, find, options)
    proved = ", their pixels those of the receipts" if done.n_proved else ""
    name = common.output_name(options.output)
    print(f"{name}: {done.n_rows:,} {'latents' if options.latents else 'images'}{proved}", file=sys.stderr)
    return 0


def _write_images(whole: SetStream, find: DecoderOptions, options: argparse.Namespace) -> Unpacked:
    from aeformat.images import open_sink
    from aeformat.pipeline.decoders import loader
    from aeformat.pipeline.unpack import write_images

    rows = None if options.rows is None else range(*options.rows)
    if rows is not None and rows.stop > whole.n_rows:
        raise UsageError(f"{whole.name}: --rows {rows.start}:{rows.stop}, but it has {whole.n_rows:,} rows")
    n_rows = whole.n_rows if rows is None else len(rows)
    images = whole.images(find, loader(options.backend, n_rows), rows)
    shape = whole.header.image_shape
    inputs = list(filter(None, [options.decoder]))
    with (
        open_sink(options.output, shape, n_rows, force=options.force, inputs=inputs) as sink,
        common.ProgressBar("unpacking", n_rows) as progress,
    ):
        return write_images(images, sink, progress)


def _write_latents(whole: SetStream, find: DecoderOptions, options: argparse.Namespace) -> Unpacked:
    """The latents as one .npy array (n, *dims)."""
    from aeformat.pipeline.unpack import check_one_size, write_array

    if options.output != "-" and not options.output.endswith(".npy"):
        raise UsageError(f"{common.output_name(options.output)}: --latents writes .npy only")
    check_one_size(whole.header)
    is_coded = whole.header.codec == "rans"
    if not is_coded:
        find.refuse(whole.header.decoder, "with --latents of rows that are not coded with the decoder")
    with common.output_file(options.output, force=options.force) as out:
        return write_array(whole.header, whole.blocks(find if is_coded else None), out, whole.n_rows)
