"""The steps of one model, measured photograph by photograph, and the table of them.

Owns the sums and the wording.  Bits are a pixel, and both they and PSNR are means over the photographs, as in the tables of rates.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import aeformat
from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.errors import UsageError
from aeformat.model.package import ModelPackage
from aeformat.pipeline.models import Model
from aeformat.training.photo import tables
from aeformat.training.photo.recipe import RECIPES, PhotoRecipe
from tools.photo_steps import passes
from tools.photo_steps.floats import FloatNetwork
from tools.photo_steps.static import N_CLASSES, Latents, PositionClasses
from tools.rate_distortion.photos.curves import psnr_of
from tools.rate_distortion.photos.measured import mean_square
from tools.rate_distortion.photos.photographs import Pixels

STATIC: Final = "a static table a channel"
CLASSES: Final = f"{N_CLASSES} classes of positions"
SCALES: Final = "passes, their scales alone"
MEANS: Final = "passes, means and scales"
RANS: Final = "the same, as rANS codes it"
FILE: Final = "a file of it"
REFINED: Final = "refined, a file"
FLOAT: Final = "the network in floats, ideal code"
LINEAR: Final = "the same without the decoder's two inner layers"
_BEFORE: Final = {
    CLASSES: STATIC,
    SCALES: CLASSES,
    MEANS: SCALES,
    RANS: MEANS,
    FILE: RANS,
    REFINED: FILE,
    FLOAT: MEANS,
    LINEAR: FLOAT,
}


class Measurement:
    """What one model takes with each step.  price: of refining, 0 for the recipe's, None for none.  checkpoint: of its training.

    Raises UsageError for packages that are no photograph model.
    """

    def __init__(self, packages: Sequence[ModelPackage], price: float | None, checkpoint: Path | None) -> None:
        if len(packages) != 2:
            raise UsageError(
                "name both halves of a model: a name, or what the paths of its two packages have in common"
            )
        encoder, decoder = packages
        self._prior, self._model = passes.passes_prior(decoder), Model(encoder, decoder)
        self._encoder, self._decoder = (NumpyBackend().load(half) for half in packages)
        self._refine = None if price is None else price or _recipe(decoder).refine_price
        self._floats = None if checkpoint is None else FloatNetwork(_recipe(decoder), checkpoint)
        self._found: dict[str, list[tuple[float, float]]] = {}  # step -> bits a pixel and PSNR of each photograph

    def fit(self, photos: Sequence[Pixels]) -> None:
        """Fit what the networks of the passes are compared with."""
        latents = [self._latents(pixels) for pixels in photos]
        self._static = {STATIC: PositionClasses(latents, 1), CLASSES: PositionClasses(latents)}
        self._scale_tables = passes.fitted_without_means(self._prior, latents)

    def add(self, pixels: Pixels) -> None:
        """Measure one photograph."""
        latents, size = self._latents(pixels), (pixels.shape[0], pixels.shape[1])
        mse = mean_square(pixels, self._decoder.run(latents[None], size)[0])
        for step, code in self._static.items():
            self._note(step, size, code.bits(latents), mse)
        without_means = passes.counts_without_means(self._prior, latents)
        self._note(SCALES, size, tables.ideal_bits(without_means, self._scale_tables), mse)
        self._note(MEANS, size, passes.bits_with_means(self._prior, latents), mse)
        self._note(RANS, size, passes.coded_bits(self._prior, latents, size), mse)
        self._note(FILE, size, *self._packed(pixels, None))
        if self._refine is not None:
            self._note(REFINED, size, *self._packed(pixels, self._refine))
        if self._floats is not None:
            bits, error, linear_error = self._floats.measure(pixels)
            self._note(FLOAT, size, bits, error)
            self._note(LINEAR, size, bits, linear_error)

    def _latents(self, pixels: Pixels) -> Latents:
        latents: Latents = self._encoder.run(pixels[None], (pixels.shape[0], pixels.shape[1]))[0]
        return latents.copy()

    def _packed(self, pixels: Pixels, price: float | None) -> tuple[float, float]:
        """Bits of a file, and its squared error."""
        with TemporaryDirectory() as folder:
            path = Path(folder) / "p.aef"
            n_bytes = aeformat.pack([pixels], path, model=self._model, refine=price).n_bytes  # type: ignore[list-item]
            return 8 * n_bytes, mean_square(pixels, aeformat.decode(path, self._model)[0])

    def _note(self, step: str, size: tuple[int, int], bits: float, mse: float) -> None:
        self._found.setdefault(step, []).append((bits / (size[0] * size[1]), psnr_of(mse)))

    def means(self) -> dict[str, tuple[float, float]]:
        """Bits a pixel and PSNR of each step that was measured."""
        return {
            step: (_mean(bits), _mean(psnr))
            for step, found in self._found.items()
            for bits, psnr in [zip(*found, strict=True)]
        }


def rows(measurement: Measurement) -> list[list[str]]:
    """The table: each step beside the one that it is compared with."""
    means = measurement.means()
    made = [["step", "bits a pixel", "PSNR, dB", "bits", "dB", "than"]]
    for step, (bits, psnr) in means.items():
        before = _BEFORE.get(step)
        change = ["–"] * 3
        if before is not None:
            change = [f"{100 * (bits / means[before][0] - 1):+.1f} %", f"{psnr - means[before][1]:+.2f}", before]
        made.append([step, f"{bits:.4f}", f"{psnr:.2f}", *change])
    return made


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _recipe(decoder: ModelPackage) -> PhotoRecipe:
    if decoder.name not in RECIPES:
        raise UsageError(f"{decoder.name} has no recipe of photograph models")
    return RECIPES[decoder.name]
