"""aeformat eval: what was lost, and what it costs."""

from __future__ import annotations

import argparse
import contextlib
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, cast

from aeformat.cli import common
from aeformat.cli.decoder import DecoderOptions, add_decoder, n_rows_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BATCH_ROWS = 4096


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `aeformat eval`."""
    parser.add_argument("file", metavar="FILE.aef", help="the file or the set to read, also at a URL; - for stdin")
    parser.add_argument("--against", nargs="+", required=True, metavar="INPUT", help="the images that were packed")
    add_decoder(parser)
    parser.add_argument("--json", action="store_true", help="as one JSON document")
    common.add_fit(parser)
    common.add_backend(parser)


def run(options: argparse.Namespace) -> int:
    """Print MSE, RMSE, PSNR over all pixels and as the mean of the images', bytes an image and bits a pixel."""
    from aeformat.backends.runtime import fetch_mnist
    from aeformat.errors import UsageError
    from aeformat.images import open_source
    from aeformat.pipeline.decoders import loader
    from aeformat.pipeline.evaluate import compare
    from aeformat.pipeline.unpack import unpack
    from aeformat.reader import stream_latents
    from aeformat.sets.forward import SetStream

    find = DecoderOptions(options, options.file)
    if options.file == "-" and "-" in options.against:
        raise UsageError("standard input (-) can be read only once")
    n_rows, whole = n_rows_of(options.file), None
    if common.is_set(options.file):
        whole = SetStream(options.file)
        n_rows = whole.n_rows
    load = loader(options.backend, n_rows)
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(common.ProgressBar("comparing", n_rows))
        if whole is None:
            counted = common.CountedInput(stack.enter_context(common.input_file(options.file)))
            with common.opening(options.file):
                latents = stream_latents(cast("BinaryIO", counted))
            header = latents.header
            blocks = unpack(latents, find, load, ahead=common.is_ordinary(options.file))
        else:
            header, blocks = whole.header, whole.images(find, load)
        fit = common.fit_of(options, header.image_shape)
        source = open_source(options.against, fit, fetch_mnist=fetch_mnist)
        common.say_left_out(source.left_out)

        def decoded() -> Iterator[NDArray[np.uint8]]:
            for block in blocks:
                progress.update(len(block.images))
                yield block.images

        fidelity = compare((block.images for block in source.blocks(_BATCH_ROWS)), decoded())
    n_bytes = counted.n_bytes if whole is None else whole.n_bytes
    bits = 8 * n_bytes / fidelity.n_pixels
    facts = {
        "file": options.file,
        "images": fidelity.n_rows,
        "mse": fidelity.mse,
        "rmse": fidelity.rmse,
        "psnr_db": None if fidelity.mse == 0 else fidelity.psnr,
        "mean_psnr_db": None if math.isinf(fidelity.mean_psnr) else fidelity.mean_psnr,
        "pixels": fidelity.n_pixels,
        "bytes": n_bytes,
        "bytes_per_image": n_bytes / fidelity.n_rows,
        "bits_per_pixel": bits,
    }
    if options.json:
        common.print_json(facts)
    else:
        print(f"{fidelity.n_rows:,} images, pixels in 0..1")
        print(f"MSE             {fidelity.mse:.6f}")
        print(f"RMSE            {fidelity.rmse:.6f}")
        print(f"PSNR            {common.decibels(fidelity.psnr)}")
        print(f"mean PSNR       {common.decibels(fidelity.mean_psnr)}")
        print(f"bytes an image  {n_bytes / fidelity.n_rows:,.1f}")
        print(f"bits a pixel    {bits:.4g}")
    return 0
