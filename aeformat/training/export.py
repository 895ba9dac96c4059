"""From a trained pair to two model packages: NAME.encoder.aef and NAME.decoder.aef.

Owns which layers a package gets and its golden set, computed here in int64 or float64, apart from every backend.  Knows
nothing of how pairs are trained, or of the bytes of a package.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.atomic import check_target
from aeformat.errors import UsageError
from aeformat.model.builder import PackageBuilder
from aeformat.model.file_io import write_package
from aeformat.model.manifest import Endpoint
from aeformat.model.package import ModelPackage
from aeformat.training.loop import Images, TrainedPair
from aeformat.training.network import TrainedDense
from aeformat.training.progress import Planned
from aeformat.training.quantise import ExactHalf, evaluate, quantise_pair

N_GOLDEN_ROWS: Final = 16


def check_targets(recipe: Planned, out_dir: Path, *, force: bool) -> None:
    """Refuse early, before hours of training, what an export would refuse at the end.  Raises UsageError."""
    for path in package_paths(recipe.name, out_dir):
        check_target(path, force=force)


def export_pair(pair: TrainedPair, images: Images, out_dir: Path, *, force: bool = False) -> tuple[Path, Path]:
    """Write the encoder's and the decoder's package into `out_dir`; their paths.

    images: (n, h, w, c) u8, the first 16 become the golden set; they travel with the package, so they must be
    images that may be published, not a data set's.  Raises UsageError where a file exists (without
    `force`), or where the pair has no exact form.
    """
    encoder, decoder = build_pair(pair, images)
    paths = package_paths(pair.recipe.name, out_dir)
    for package, path in zip((encoder, decoder), paths, strict=True):
        write_package(package, path, force=force)
    return paths


def build_pair(pair: TrainedPair, images: Images) -> tuple[ModelPackage, ModelPackage]:
    """The encoder's and the decoder's package, in memory.  Raises UsageError."""
    golden = images[:N_GOLDEN_ROWS]
    return _exact(pair, golden) if pair.recipe.profile == "exact" else _float32(pair, golden)


def package_paths(name: str, out_dir: Path) -> tuple[Path, Path]:
    """Where the two packages of a pair go."""
    return out_dir / f"{name}.encoder.aef", out_dir / f"{name}.decoder.aef"


def _exact(pair: TrainedPair, golden: Images) -> tuple[ModelPackage, ModelPackage]:
    shape, latents_end = golden.shape[1:], Endpoint((pair.recipe.latent_dims,), "u8")
    encoder, decoder = quantise_pair(pair)
    latents = evaluate(encoder, golden.reshape(len(golden), -1))
    pixels = evaluate(decoder, latents).reshape(golden.shape)

    second = PackageBuilder(role="decoder", profile="exact", input=latents_end, output=Endpoint(shape, "u8"))
    _add_exact(second, decoder)
    second.layer("reshape", shape=shape)
    decoder_package = second.build(golden_input=latents, golden_output=pixels, name=pair.recipe.name)

    first = PackageBuilder(
        role="encoder", profile="exact", input=Endpoint(shape, "u8"), output=latents_end,
        decoder=decoder_package.model_id,
    )  # fmt: skip
    first.layer("flatten")
    _add_exact(first, encoder)
    return first.build(golden_input=golden, golden_output=latents, name=pair.recipe.name), decoder_package


def _add_exact(builder: PackageBuilder, half: ExactHalf) -> None:
    for layer in half:
        builder.layer("dense", weights=builder.tensor(layer.weights), bias=builder.tensor(layer.bias))
        builder.layer(
            "lookup",
            multiplier=builder.tensor(layer.multiplier),
            shift=layer.shift,
            table=builder.tensor(layer.table),
        )


def _float32(pair: TrainedPair, golden: Images) -> tuple[ModelPackage, ModelPackage]:
    shape, latents_end = golden.shape[1:], Endpoint((pair.recipe.latent_dims,), "f32")
    latents = _run_sigmoids(pair.encoder, golden.reshape(len(golden), -1) / 255).astype(np.float32)
    outputs = _run_sigmoids(pair.decoder, latents)
    pixels = np.floor(255 * outputs + 0.5).astype(np.uint8).reshape(golden.shape)

    second = PackageBuilder(role="decoder", profile="float32", input=latents_end, output=Endpoint(shape, "u8"))
    _add_sigmoids(second, pair.decoder)
    second.layer("reshape", shape=shape)
    second.layer("to_u8")
    decoder_package = second.build(golden_input=latents, golden_output=pixels, name=pair.recipe.name)

    first = PackageBuilder(
        role="encoder", profile="float32", input=Endpoint(shape, "u8"), output=latents_end,
        decoder=decoder_package.model_id,
    )  # fmt: skip
    first.layer("flatten")
    first.layer("scale", num=1, den=255)
    _add_sigmoids(first, pair.encoder)
    return first.build(golden_input=golden, golden_output=latents, name=pair.recipe.name), decoder_package


def _add_sigmoids(builder: PackageBuilder, half: Sequence[TrainedDense]) -> None:
    for layer in half:
        if layer.activation != "sigmoid":
            raise UsageError(f"profile float32 has no layer like {layer.activation!r}, which keeps within a range")
        builder.layer("dense", weights=builder.tensor(layer.weights), bias=builder.tensor(layer.bias))
        builder.layer("sigmoid")


def _run_sigmoids(half: Sequence[TrainedDense], rows: NDArray[Any]) -> NDArray[np.float64]:
    """(n, n_in) -> (n, n_out) in float64: what section 5 of the spec measures float32 against."""
    values = rows.astype(np.float64)
    for layer in half:
        values = 1 / (1 + np.exp(-(values @ layer.weights + layer.bias)))
    return values
