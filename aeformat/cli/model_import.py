"""aeformat model import: a Keras autoencoder to an encoder and a decoder package."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aeformat.cli import common
from aeformat.errors import UsageError

if TYPE_CHECKING:
    from aeformat.exchange.exact_import import Loss
    from aeformat.exchange.imports import Imported
    from aeformat.model.package import ModelPackage

_PIXELS = ("unit", "signed", "raw")  # exchange/pixels.py
_AGAINST = {"Keras": "against_keras"}  # the key of the comparison in a report
_N_SAMPLES = 512  # images for --exact, and for the measurement of the loss


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `aeformat model import`."""
    parser.description = (
        "Cut an autoencoder of PyTorch (exported to ONNX) or Keras at its bottleneck into an encoder and a decoder package, "
        "and compare them with onnxruntime or Keras on images before anything is written. WARNING: loading a Keras file can "
        "run code that is in it; import only files that you made yourself or trust as you trust a program. An ONNX file runs "
        "nothing of its own."
    )
    parser.add_argument(
        "model", metavar="NET", help="an .onnx file, or a .keras or .h5 file that you trust: loading that can run code"
    )
    parser.add_argument(
        "--bottleneck",
        required=True,
        metavar="NAME",
        help="what makes the latents: a layer or nested model of Keras, a value or node of ONNX",
    )
    parser.add_argument(
        "-o", "--output", required=True, metavar="DIR", help="where NAME.encoder.aef and NAME.decoder.aef go"
    )
    parser.add_argument("--name", help="of the packages (default: the file's)")
    parser.add_argument(
        "--image",
        type=_image,
        metavar="HxWxC",
        help="what an image is, where the model's input does not say (784 is 28x28x1)",
    )
    parser.add_argument(
        "--pixels-in",
        choices=_PIXELS,
        default="unit",
        help="what the model takes for pixels: unit 0..1 (default), signed -1..1, raw 0..255 (where it rescales them itself)",
    )
    parser.add_argument(
        "--pixels-out",
        choices=_PIXELS,
        help="what it gives (default: as it takes, unit for raw); clipped and rounded to 0..255",
    )
    parser.add_argument(
        "--samples",
        action="append",
        metavar="INPUT",
        help="images to compare on, and for --exact to look at; may be repeated",
    )
    parser.add_argument(
        "--exact", action="store_true", help="quantise to the exact profile, and say what the samples lose"
    )
    parser.add_argument("--json", action="store_true", help="the report as one JSON document")
    common.add_force(parser)


def run(options: argparse.Namespace) -> int:
    """Import, compare, write."""
    from aeformat.atomic import check_target
    from aeformat.backends.runtime import fetch_mnist
    from aeformat.exchange.exact_import import loss, make_exact
    from aeformat.exchange.imports import Options
    from aeformat.exchange.samples import Images, read_crops, read_samples
    from aeformat.model.file_io import checked_name, write_package
    from aeformat.model.graph import as_refusal

    path, folder = Path(options.model), Path(options.output)
    if options.exact and not options.samples:
        raise UsageError(
            "--exact needs images like those to be packed: give --samples INPUT, such as mnist:train or a folder"
        )
    name = checked_name(options.name if options.name is not None else _name_of(path))
    targets = [folder / f"{name}.{role}.aef" for role in ("encoder", "decoder")]
    _check_folder(folder)
    if folder.is_dir():
        for target in targets:
            check_target(target, force=options.force)
    found: list[Images] = []

    def samples(shape: tuple[int, ...], are_crops: bool = False) -> Images:
        read = read_crops if are_crops else read_samples
        found.append(read(options.samples, shape, _N_SAMPLES, fetch_mnist, common.say_left_out))
        return found[0]

    pixels_out = options.pixels_out or ("unit" if options.pixels_in == "raw" else options.pixels_in)
    wanted = Options(path, options.bottleneck, name, options.image, options.pixels_in, pixels_out)
    imported = _importer(path)(wanted, samples if options.samples else None)
    pair, lost = (imported.encoder, imported.decoder), None
    if options.exact:
        with as_refusal(f"{path} in integers"):
            exact = make_exact(imported.graphs, found[0], name, imported.encoder.manifest.scale)
        pair, lost = exact, loss(pair, exact, found[0])
    folder.mkdir(parents=True, exist_ok=True)
    for package, target in zip(pair, targets, strict=True):
        write_package(package, target, force=options.force)
    report = _report(imported, pair, lost, targets)
    if options.json:
        common.print_json(report)
    else:
        _print(report)
    return 0


def _importer(path: Path) -> Callable[..., Imported]:
    """What reads a file of this name."""
    if path.suffix == ".onnx":
        from aeformat.exchange.onnx_import import import_onnx

        return import_onnx
    from aeformat.exchange.keras_import import import_keras

    return import_keras


def _name_of(path: Path) -> str:
    """A package's name from a file's."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).lstrip("._-") or "imported"


def _check_folder(folder: Path) -> None:
    """Check that the folder exists or can be made.  Raises UsageError."""
    there = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
    if not there.is_dir():
        raise UsageError(f"-o {folder}: {there} is a file, and no folder for the two packages")


def _image(text: str) -> tuple[int, int, int]:
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})(?:x(\d{1,3}))?", text)
    sizes = tuple(int(size or 1) for size in match.groups()) if match else (0,)
    if 0 in sizes:
        raise argparse.ArgumentTypeError(f"{text!r} is not like 28x28 or 64x48x3")
    return sizes[0], sizes[1], sizes[2]


def _report(
    imported: Imported, pair: tuple[ModelPackage, ModelPackage], lost: Loss | None, targets: list[Path]
) -> dict[str, Any]:
    compared = imported.comparison
    return {
        "profile": pair[0].profile,
        "image": list(pair[0].input.shape),
        "latents": {"type": pair[0].output.type, "shape": list(pair[0].output.shape)},
        "packages": [
            {
                "role": package.role,
                "path": str(target),
                "model": package.model_id.hex(),
                "bytes": target.stat().st_size,
                "parameters": package.n_params,
                "layers": len(package.plan),
            }
            for package, target in zip(pair, targets, strict=True)
        ],
        _AGAINST.get(compared.by, "against_onnx"): {
            "by": compared.by,
            "images": compared.n_images,
            "largest_latent_difference": compared.latents,
            "pixels": compared.n_pixels,
            "pixels_off": compared.n_off,
            "largest_level_difference": compared.levels,
        },
        "passed_over": list(imported.passed_over),
        "exact_loss": None if lost is None else asdict(lost),
    }


def _print(report: dict[str, Any]) -> None:
    for package in report["packages"]:
        sizes = f"{package['layers']} layers, {package['parameters']:,} parameters, {common.size(package['bytes'])}"
        print(f"{package['path']}: {report['profile']}, {sizes}, model id {package['model'][:12]}", file=sys.stderr)
    latents, against = report["latents"], report.get("against_keras") or report["against_onnx"]
    print(f"images {report['image']}, latents {latents['type']} {latents['shape']}", file=sys.stderr)
    print(
        f"against {against['by']} on {against['images']} images: latents within "
        f"{against['largest_latent_difference']:.1e}, "
        f"{against['pixels_off']} of {against['pixels']:,} pixels off by at most "
        f"{against['largest_level_difference']} level(s)",
        file=sys.stderr,
    )
    for layer in report["passed_over"]:
        print(f"{layer!r} is passed over: the decoder takes the bottleneck as it is", file=sys.stderr)
    lost = report["exact_loss"]
    if lost is not None:
        exact, float32, between = (common.decibels(lost[key]) for key in ("exact", "float32", "between"))
        print(
            f"exact on {lost['n_images']} samples: {exact} instead of {float32}; between the two {between}",
            file=sys.stderr,
        )
