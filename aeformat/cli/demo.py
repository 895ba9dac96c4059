"""aeformat demo: pack, validate and unpack a hundred digits and a photograph, and show the result as tables and a picture."""

from __future__ import annotations

import argparse
import itertools
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from aeformat.cli import common, demo_photograph
from aeformat.cli.demo_files import round_trip
from aeformat.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image as Page

    from aeformat.pipeline.evaluate import Fidelity

_N_IMAGES = 100
_N_SHOWN = 30
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

    picture = _target(options.output, force=options.force)
    with tempfile.TemporaryDirectory(prefix="aeformat-demo-") as folder:
        pages = [*_digits(Path(folder), options.backend), *_photograph(Path(folder), options.backend)]
    _save(picture, pages)
    print(
        f"\nEvery file was validated against the spec; decoders travel separately, {_decoder_size()} the default one."
    )
    return 0


def _digits(folder: Path, backend: str) -> list[Page]:
    """Print the table of the digits; their page of the picture."""
    from aeformat.pipeline.cost import png_bytes

    images, label = _images()
    print(f"Images: {len(images)} {label}, {images.shape[1]} x {images.shape[2]} pixels, 8-bit grey.\n")
    rows = [["model", "stored as", "bytes an image", "MSE", "RMSE", "PSNR"]]
    shown: list[NDArray[np.uint8]] = []
    for model, encoding, codec in _FILES:
        done = round_trip(folder / f"{model}-{encoding}-{codec}.aef", images, model, encoding, codec, backend)
        shown.append(done.images)
        stored = encoding if codec == "none" else f"{encoding} + {codec}"
        rows.append([model, stored, f"{done.n_bytes / len(images):,.1f}", *_figures(done.fidelity)])
    rows.append(["-", "PNG, one file each", f"{png_bytes(images):,.1f}", "0", "0", "lossless"])
    rows.append(["-", "raw pixels", f"{images[0].size:,.1f}", "0", "0", "lossless"])
    common.print_table(rows, right=2)
    if find_spec("PIL") is None:
        return []
    from aeformat.images.picture import comparison

    return [comparison(images[:_N_SHOWN], shown[0][:_N_SHOWN])]


def _photograph(folder: Path, backend: str) -> list[Page]:
    """The same of the photograph, or a line that says why there is none."""
    reason = demo_photograph.why_not()
    if reason is not None:
        print(f"\nNo photograph: {reason}")
        return []
    return [demo_photograph.show(folder, backend)]


def _images() -> tuple[NDArray[np.uint8], str]:
    """(100, 28, 28, 1) uint8 and their description: of MNIST's test set if it is found, else the digits of this project."""
    from aeformat.images import ImageFit, demo_digits, open_source

    try:
        source = open_source(["mnist:test"], ImageFit((28, 28, 1)))
    except UsageError:
        return demo_digits()[:_N_IMAGES], "digits drawn for this demo (they come with aeformat; MNIST is not at hand)"
    return next(iter(source.blocks(_N_IMAGES))).images, "images of MNIST's test set, the first ones"


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


def _save(path: Path, pages: list[Page]) -> None:
    if not pages:
        print('\nNo picture: Pillow is not installed; pip install "aeformat[images]"')
        return
    from aeformat.images.panels import stacked
    from aeformat.images.picture import save_page

    save_page(path, stacked(pages), force=True)  # the target was checked before
    print(f"\nPicture of originals and decoded images: {path}")


def _decoder_size() -> str:
    from aeformat.model import store

    return common.size(store.shipped_file(common.DEFAULT_MODEL, "decoder").stat().st_size)
