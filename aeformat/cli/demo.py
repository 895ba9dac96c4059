"""aeformat demo: pack, validate and unpack a hundred digits, and show the result as a table and a picture."""

from __future__ import annotations

import argparse
import itertools
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from aeformat.cli import common
from aeformat.errors import AeformatError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aeformat.pipeline.evaluate import Fidelity

_N_IMAGES = 100
_FLOAT_MODEL = "mnist-128-64-128"
_PICTURE = "aeformat-demo.png"
# The files of the demo: model, encoding, codec.
_FILES = (
    (common.DEFAULT_MODEL, "u8", "zstd"),
    (common.DEFAULT_MODEL, "u8", "none"),
    (_FLOAT_MODEL, "text19", "none"),
    (_FLOAT_MODEL, "f64le", "none"),
    (_FLOAT_MODEL, "f64le", "zstd"),
    (_FLOAT_MODEL, "f32le", "zstd"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `aeformat demo`."""
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE.png",
        help=f"where the picture goes (default: {_PICTURE}, or the next free name)",
    )
    common.add_force(parser)
    common.add_backend(parser)


def run(options: argparse.Namespace) -> int:
    """Pack, validate, unpack, compare; print the table, write the picture."""
    from aeformat.pipeline.cost import png_bytes

    picture = _target(options.output, force=options.force)
    images, label = _images()
    print(f"Images: {len(images)} {label}, {images.shape[1]} x {images.shape[2]} pixels, 8-bit grey.\n")
    rows = [["model", "stored as", "bytes an image", "MSE", "RMSE", "PSNR"]]
    shown: NDArray[np.uint8] | None = None
    with tempfile.TemporaryDirectory(prefix="aeformat-demo-") as folder:
        for model, encoding, codec in _FILES:
            path = Path(folder) / f"{model}-{encoding}-{codec}.aef"
            decoded, fidelity = _round_trip(path, images, model, encoding, codec, options.backend)
            shown = decoded if shown is None else shown
            each = path.stat().st_size / len(images)
            stored = encoding if codec == "none" else f"{encoding} + {codec}"
            rows.append([model, stored, f"{each:,.1f}", *_figures(fidelity)])
    rows.append(["-", "PNG, one file each", f"{png_bytes(images):,.1f}", "0", "0", "lossless"])
    rows.append(["-", "raw pixels", f"{images[0].size:,.1f}", "0", "0", "lossless"])
    common.print_table(rows, right=2)
    assert shown is not None
    _picture(picture, images, shown)
    print(
        f"\nEvery file was validated against the spec; decoders travel separately, {_decoder_size()} the default one."
    )
    return 0


def _images() -> tuple[NDArray[np.uint8], str]:
    """(100, 28, 28, 1) uint8 and their description: of MNIST's test set if it is found, else the digits of this project."""
    from aeformat.images import ImageFit, demo_digits, open_source

    try:
        source = open_source(["mnist:test"], ImageFit((28, 28, 1)))
    except UsageError:
        return demo_digits()[:_N_IMAGES], "digits drawn for this demo (they come with aeformat; MNIST is not at hand)"
    return next(iter(source.blocks(_N_IMAGES))).images, "images of MNIST's test set, the first ones"


def _round_trip(
    path: Path, images: NDArray[np.uint8], model: str, encoding: str, codec: str, backend: str
) -> tuple[NDArray[np.uint8], Fidelity]:
    import numpy as np

    from aeformat.atomic import AtomicFile
    from aeformat.backends.golden_check import check
    from aeformat.images.memory import ArraySource
    from aeformat.model import store
    from aeformat.pipeline.evaluate import compare
    from aeformat.pipeline.pack import PackOptions, pack
    from aeformat.pipeline.unpack import unpack_with
    from aeformat.reader import stream_latents
    from aeformat.validator import validate

    encoder, decoder = store.find_pair(model)
    with AtomicFile(path) as file:
        pack(ArraySource(images), common.network(encoder, backend, len(images)), file, PackOptions(encoding, codec))
    with path.open("rb") as file:
        report = validate(file, check_golden=check, name=path.name)
    if report.problems:
        raise AeformatError(f"{path.name} breaks rule {report.problems[0].rule}: {report.problems[0].what}")
    with path.open("rb") as file:
        blocks = unpack_with(stream_latents(file), common.network(decoder, backend, len(images)))
        decoded = np.concatenate([block.images for block in blocks])
    return decoded, compare([images], [decoded])


def _figures(fidelity: Fidelity) -> list[str]:
    return [f"{fidelity.mse:.4f}", f"{fidelity.rmse:.4f}", common.decibels(fidelity.psnr)]


def _target(name: str | None, *, force: bool) -> Path:
    """The path of the picture.  It is checked before the work begins.  Raises UsageError."""
    from aeformat.atomic import check_target

    if name is None:
        names = itertools.chain([_PICTURE], (f"{Path(_PICTURE).stem}-{number}.png" for number in itertools.count(2)))
        return next(path for path in map(Path, names) if not path.exists())
    if not name.endswith(".png"):
        raise UsageError(f"{name}: the picture is a PNG; give a name that ends in .png")
    check_target(Path(name), force=force)
    return Path(name)


def _picture(path: Path, images: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> None:
    from aeformat.images import save_comparison

    if find_spec("PIL") is None:
        print('\nNo picture: Pillow is not installed; pip install "aeformat[images]"')
        return
    save_comparison(path, images[:30], decoded[:30], force=True)  # the target was checked before
    print(f"\nPicture of originals above decoded images: {path}")


def _decoder_size() -> str:
    from aeformat.model import store

    return common.size(store.shipped_file(common.DEFAULT_MODEL, "decoder").stat().st_size)
