"""aeformat convert."""

from __future__ import annotations

import argparse
import sys

from aeformat.cli import common
from aeformat.cli.decoder import DecoderOptions, add_decoder, n_rows_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `aeformat convert`."""
    parser.add_argument("input", metavar="IN.aef", help="the file to read, - for stdin")
    parser.add_argument("output", metavar="OUT.aef", help="the file to write, - for stdout")
    common.add_codec(parser, is_new=False)
    add_decoder(parser, ", for codec rans")
    common.add_force(parser)


def run(options: argparse.Namespace) -> int:
    """Write a twin: the same values and content id, stored differently."""
    from aeformat.destination import check_no_input
    from aeformat.pipeline.convert import convert
    from aeformat.reader import stream_latents

    common.refuse_set(options.input)
    find = DecoderOptions(options, options.input)
    check_no_input(options.output, [options.input, *filter(None, [options.decoder])])
    with (
        common.input_file(options.input) as file,
        common.output_file(options.output, force=options.force) as out,
        common.ProgressBar("converting", n_rows_of(options.input)) as progress,
    ):
        with common.opening(options.input):
            latents = stream_latents(file)
        if "rans" not in (options.codec, latents.header.codec):
            find.refuse(latents.header.decoder, "where codec rans is neither read nor written")
        converted = convert(
            latents,
            out,
            encoding=options.encoding,
            codec=options.codec,
            level=common.level_of(options, options.codec or latents.header.codec),
            find=find,
            progress=progress,
        )
    name = common.output_name(options.output)
    content_id = converted.content_id.hex()[:12]
    print(
        f"{name}: {converted.n_rows:,} rows, {common.size(converted.n_bytes)}, content id {content_id}",
        file=sys.stderr,
    )
    return 0
