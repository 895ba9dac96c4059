"""Our own models: the test images packed into a real .aef, its bytes counted, and unpacked again.

Owns which packages are measured and under which name they appear.  Whatever lies in the folder of models takes part.
"""

from __future__ import annotations

import io
import re
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np

from aeformat.backends.base import Network
from aeformat.backends.numpy_passes import prior_of
from aeformat.backends.select import select_backend
from aeformat.images.memory import ArraySource
from aeformat.model.file_io import read_package
from aeformat.model.package import ModelPackage
from aeformat.pipeline.evaluate import compare
from aeformat.pipeline.pack import PackOptions, pack
from aeformat.pipeline.progress import SILENT, Progress
from aeformat.pipeline.refine import Refinement
from aeformat.pipeline.unpack import unpack_with
from aeformat.reader import stream_latents
from tools.rate_distortion.point import SOLID, Images, Point, measured
from tools.rate_distortion.refined import MOST_NUDGES, NUDGE, SAMPLE, find_price, target

_ENCODER: Final = ".encoder.aef"
_DECODER: Final = ".decoder.aef"
ZSTD_LEVEL: Final = 19
_ZSTD: Final = f"zstd -{ZSTD_LEVEL}"
_RANS: Final = "rans"


def model_names(folder: Path, shape: tuple[int, ...]) -> list[str]:
    """The models of a folder that take images of `shape`, by name."""
    names = [path.name.removesuffix(_ENCODER) for path in sorted(folder.glob("*" + _ENCODER))]
    return [name for name in names if read_package(folder / (name + _ENCODER)).input.shape == shape]


def read_pair(folder: Path, name: str) -> tuple[ModelPackage, ModelPackage]:
    """Encoder and decoder."""
    return read_package(folder / (name + _ENCODER)), read_package(folder / (name + _DECODER))


def family(name: str, profile: str) -> str:
    """What a model's points are drawn and listed with: its name without the quality it aims at."""
    stem = re.sub(r"-\d+(\.\d+)?$", "", name)
    return stem if profile == "exact" else "float32 latents, lossless"


def ways(name: str, decoder: ModelPackage) -> list[str]:
    """The ways to pack that are measured: with zstd, under the prior where there is one, and refined to what the name aims at."""
    if decoder.prior is None:
        return [_ZSTD]
    aim = target(name)
    return [_ZSTD, _RANS] if aim is None else [_ZSTD, _RANS, f"refined to {aim:g} dB"]


def measure(
    folder: Path, name: str, images: Images, progress: Progress = SILENT, *, refine: bool = True
) -> list[Point]:
    """A point for each way to pack; of the refined ones a point for each price that was tried on all images."""
    return _Measured(folder, name, images, progress).points(refine=refine)


class _Measured:
    """One model and the images."""

    def __init__(self, folder: Path, name: str, images: Images, progress: Progress) -> None:
        self._name, self._images, self._progress = name, images, progress
        self._encoder, self._decoder = read_pair(folder, name)
        self._decoder_bytes = (folder / (name + _DECODER)).stat().st_size

    def points(self, *, refine: bool) -> list[Point]:
        points = [self._point(_ZSTD, PackOptions(codec="zstd", level=ZSTD_LEVEL))]
        if self._decoder.prior is not None:
            points.append(self._point(_RANS, self._under_prior()))
            aim = target(self._name)
            if refine and aim is not None:
                points += self._refined(aim, points[-1].psnr)
        return points

    def _under_prior(self, price: float | None = None) -> PackOptions:
        refinement = None if price is None else Refinement(self._try, price)
        return PackOptions(codec="rans", prior=prior_of(self._decoder), refine=refinement)

    @cached_property
    def _encode(self) -> Network:
        """The encoder, for all images or a sample."""
        return network(self._encoder, len(self._images))

    @cached_property
    def _decode(self) -> Network:
        """The decoder, likewise."""
        return network(self._decoder, len(self._images))

    @cached_property
    def _try(self) -> Network:
        """The decoder for as many rows as refining makes it decode."""
        return network(self._decoder, len(self._images) * self._decoder.input.value.n_elements)

    def _refined(self, aim: float, psnr: float) -> list[Point]:
        """psnr: of the latents as the encoder makes them.  The price is searched for on a sample, spread over the images."""
        sample = self._images[:: max(len(self._images) // SAMPLE, 1)]
        shift = psnr - self._sampled(sample, self._under_prior())

        price = find_price(lambda p: shift + self._sampled(sample, self._under_prior(p)), aim)
        points: list[Point] = []
        while price is not None and len(points) <= MOST_NUDGES:
            way = self._under_prior(price)
            points.append(self._point(f"{_RANS}, refined at {price:.4g}", way))
            price = None if round(points[-1].psnr, 2) >= aim else price * NUDGE
        return points

    def _sampled(self, sample: Images, way: PackOptions) -> float:
        return compare([sample], [unpacked(packed(self._encode, sample, way), self._decode)]).psnr

    def _point(self, label: str, way: PackOptions) -> Point:
        n_images = len(self._images)
        data = packed(self._encode, self._images, way, self._progress)
        decoded = unpacked(data, self._decode)
        return Point("ours", family(self._name, self._encoder.profile), f"{self._name}, {label}", SOLID, n_images,
                     8 * len(data) / n_images, measured(self._images, decoded), self._decoder_bytes)  # fmt: skip


def packed(encoder: Network, images: Images, way: PackOptions, progress: Progress = SILENT) -> bytes:
    """A whole .aef of the images."""
    sink = io.BytesIO()
    pack(ArraySource(images), encoder, sink, way, progress)
    return sink.getvalue()


def unpacked(data: bytes, decoder: Network) -> Images:
    """All images of an .aef."""
    return np.concatenate([block.images for block in unpack_with(stream_latents(io.BytesIO(data)), decoder)])


def network(package: ModelPackage, n_rows: int) -> Network:
    """Ready to run on whatever is installed and quickest."""
    return select_backend("auto", n_rows=n_rows, package=package).load(package)


def is_exact(folder: Path, name: str) -> bool:
    """Whether every machine gets the same pixels from it."""
    return read_package(folder / (name + _DECODER)).profile == "exact"
