"""aeformat pack."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from aeformat.cli import common, pack_set

if TYPE_CHECKING:
    from aeformat.model.package import ModelPackage
    from aeformat.pipeline.refinement import Price, Refiner


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `aeformat pack`."""
    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT",
        help="IDX (.gz too), .npy, .npz, image files and folders of them, mnist:train, mnist:test, - for .npy on stdin; for a "
        "set also URLs, and patterns such as s3://bucket/images/**",
    )  # fmt: skip
    parser.add_argument("-o", "--output", required=True, metavar="OUT",
        help="the FILE.aef to write, - for stdout; or the folder or s3://... of a set, to write shards into",
    )  # fmt: skip
    parser.add_argument(
        "--model", metavar="NAME_OR_PATH",
        help=f"a name that `aeformat model list` shows, a path, or a model id (default: by the images; {common.DEFAULT_MODEL} "
        "for grey ones of 28 x 28)",
    )  # fmt: skip
    common.add_codec(parser, is_new=True)
    parser.add_argument("--embed-decoder", action="store_true", help="let the decoder travel inside the file")
    parser.add_argument(
        "--receipts", action="store_true",
        help="decode what was encoded, and record digests of the pixels, for unpack to check; exact decoders only",
    )  # fmt: skip
    parser.add_argument(
        "--refine", type=_price, metavar="PRICE",
        help="look near the encoder's latents for better ones: PRICE bits for a unit of squared error over an image (pixels in "
        "0..1), so more of it gives closer images and a larger file; auto: the price that goes with a photograph model; takes "
        "as long as decoding a photograph 50 times, and a small image twice for each of its latents; exact decoders with a "
        "prior only",
    )  # fmt: skip
    parser.add_argument(
        "--refine-rounds", type=common.bounded_int(1, 16), metavar="N",
        help="how often --refine looks: each round takes as long as the first, and finds less (default: 2)",
    )  # fmt: skip
    parser.add_argument(
        "--sources", action="store_true",
        help="record the SHA-256 of each image file, by which aeformat check tells whether a row is current",
    )  # fmt: skip
    parser.add_argument("--record-encoder", action="store_true", help="name the encoder in the header as well")
    parser.add_argument(
        "--batch-rows", type=common.bounded_int(1, 1 << 20), default=4096, metavar="N",
        help="images read and encoded at once; no effect on the file (default: 4096)",
    )  # fmt: skip
    pack_set.add_arguments(parser)
    common.add_fit(parser)
    common.add_backend(parser)
    common.add_force(parser)


def run(options: argparse.Namespace) -> int:
    """Pack images into a file, or into a set.  Says on stderr what came of it."""
    if pack_set.is_wanted(options):
        return pack_set.run(options)
    from aeformat.backends.numpy_passes import prior_of
    from aeformat.backends.runtime import fetch_mnist
    from aeformat.destination import check_no_input
    from aeformat.images import open_source
    from aeformat.model import store
    from aeformat.model.file_io import package_bytes
    from aeformat.pipeline.default_model import ChosenByTheFirst, model_for_inputs
    from aeformat.pipeline.pack import PackOptions, pack, usual_codec

    model = options.model
    if model is None:
        model = model_for_inputs(options.inputs, resize=options.resize, grayscale=options.grayscale, rgb=options.rgb)
    encoder, decoder = store.find_pair(model)
    fit = common.fit_of(options, encoder.input.shape)
    check_no_input(options.output, options.inputs)  # before a pipe is opened, which waits for its writer
    is_by_the_first = options.model is None and not (options.resize or options.grayscale)
    explained = ChosenByTheFirst(model if is_by_the_first else None)
    with explained:
        source = open_source(options.inputs, fit, fetch_mnist=fetch_mnist)
    check_no_input(options.output, [*source.files, *_model_files(model)])
    common.say_left_out(source.left_out)
    codec = options.codec or usual_codec(options.encoding, decoder)
    pack_options = PackOptions(
        encoding=options.encoding,
        codec=codec,
        level=common.level_of(options, codec),
        prior=prior_of(decoder),
        embed=package_bytes(decoder) if options.embed_decoder else None,
        record_encoder=options.record_encoder,
        sources=options.sources,
        batch_rows=options.batch_rows,
        refine=_refinement(options, decoder, source.n_rows),
        receipts_by=common.network(decoder, options.backend, source.n_rows) if options.receipts else None,
    )
    with (
        common.output_file(options.output, force=options.force) as file,
        common.ProgressBar("packing", source.n_rows) as progress,
        explained,
    ):
        packed = pack(source, common.network(encoder, options.backend, source.n_rows), file, pack_options, progress)
    name = common.output_name(options.output)
    each = packed.n_bytes / packed.n_rows
    print(
        f"{name}: {packed.n_rows:,} images, {common.size(packed.n_bytes)}, {each:,.1f} bytes an image"
        f"{f', model {model}' if options.model is None else ''}",
        file=sys.stderr,
    )
    return 0


def _model_files(model: str) -> list[Path]:
    """The files that a model given by its path may be read from."""
    halves = (".encoder.aef", ".decoder.aef")
    stem = next((model.removesuffix(half) for half in halves if model.endswith(half)), model)
    return [*(Path(stem + half) for half in halves), *Path(model).glob("*.aef")]


def _price(text: str) -> Price:
    if text == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor auto") from None


def _refinement(options: argparse.Namespace, decoder: ModelPackage, n_rows: int | None) -> Refiner | None:
    from aeformat.errors import UsageError
    from aeformat.pipeline.refinement import refiner

    if options.refine is None:
        if options.refine_rounds is not None:
            raise UsageError("--refine-rounds says how to refine; give --refine PRICE too")
        return None
    n_decoded = None if n_rows is None else n_rows * decoder.input.value.n_elements
    return refiner(
        decoder,
        options.refine,
        options.refine_rounds,
        lambda package: common.network(package, options.backend, n_decoded),
    )
