"""What a photograph model does to a folder of photographs, by real files, and how it was trained."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import aeformat
from aeformat.errors import UsageError
from aeformat.images.files import load_pixels
from aeformat.images.listing import list_images
from aeformat.pipeline.evaluate import compare
from aeformat.training.checkpoint import FILE_NAME, read_record
from aeformat.training.photo.recipe import PhotoRecipe


@dataclass(frozen=True, slots=True)
class Measured:
    """One pair.  bits: a pixel, of one file with all photographs.  psnr: in dB, the mean of the photographs'.  seconds: of training."""

    name: str
    encoder: str
    decoder: str
    encoder_bytes: int
    decoder_bytes: int
    n_photographs: int
    bits: float
    psnr: float
    price: float
    channels: int
    base: str
    seed: int
    epochs: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """For the data file."""
        return asdict(self)


def measure(models: Path, recipe: PhotoRecipe, validation: Path, runs: Path) -> Measured:
    """Pack the photographs of a folder into one file, decode it, compare.  Raises AeformatError, OSError."""
    found = aeformat.load_model(models / recipe.name)
    photos = [load_pixels(path) for _, path in list_images(validation).files]
    if not photos:
        raise UsageError(f"{validation} has no image files")
    with tempfile.TemporaryDirectory() as folder:
        packed = aeformat.pack(validation, Path(folder) / "all.aef", model=found, rgb=True)
        decoded = aeformat.decode(Path(folder) / "all.aef", found)
    originals = [np.broadcast_to(photo, image.shape) for photo, image in zip(photos, decoded, strict=True)]
    fidelity = compare((photo[None] for photo in originals), (image[None] for image in decoded))
    encoder, decoder = ((models / f"{recipe.name}.{role}.aef").stat().st_size for role in ("encoder", "decoder"))
    return Measured(
        name=recipe.name,
        encoder=found.the_encoder.model_id.hex(),
        decoder=found.the_decoder.model_id.hex(),
        encoder_bytes=encoder,
        decoder_bytes=decoder,
        n_photographs=len(photos),
        bits=8 * packed.n_bytes / fidelity.n_pixels,
        psnr=fidelity.mean_psnr,
        price=recipe.price,
        channels=recipe.channels,
        base=recipe.base or "",
        seed=recipe.seed,
        epochs=recipe.epochs,
        seconds=_seconds(runs, recipe),
    )


def _seconds(runs: Path, recipe: PhotoRecipe) -> float:
    """How long the finished run took.  Raises UsageError where there is none of all its epochs and its seed."""
    path = runs / recipe.name / FILE_NAME
    if not path.is_file():
        raise UsageError(f"no checkpoint of {recipe.name} at {path}; --runs names the folder of the training run")
    about, _ = read_record(path)
    if about["epoch"] != recipe.epochs or about["recipe"] != repr(recipe.until(recipe.epochs)):
        raise UsageError(
            f"{path} is at epoch {about['epoch']} of {recipe.epochs}, or was made by another recipe or seed"
        )
    return float(about["seconds"])


def table(found: list[dict[str, Any]]) -> list[list[str]]:
    """Rows for the card."""
    head = ["name", "bits a pixel", "PSNR, dB", "encoder, bytes", "decoder, bytes", "latents", "price", "starts from"]
    rows = [[*head, "seed", "epochs", "hours"]]
    for model in found:
        rows.append([
            f"`{model['name']}`", f"{model['bits']:.3f}", f"{model['psnr']:.2f}", f"{model['encoder_bytes']:,}",
            f"{model['decoder_bytes']:,}", f"h/16 x w/16 x {model['channels']}", f"{model['price']:g}",
            f"`{model['base']}`" if model["base"] else "-", str(model["seed"]), str(model["epochs"]), f"{model['seconds'] / 3600:.1f}",
        ])  # fmt: skip
    return rows
