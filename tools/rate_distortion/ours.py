"""Our own models: the test images packed into a real .aef, its bytes counted, and unpacked again.

Owns which packages are measured and under which name they appear.  Whatever lies in the folder of models takes part.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from aeformat.backends.base import Network
from aeformat.backends.select import select_backend
from aeformat.images.memory import ArraySource
from aeformat.model.file_io import read_package
from aeformat.model.match import prior_of
from aeformat.model.package import ModelPackage
from aeformat.pipeline.pack import PackOptions, pack
from aeformat.pipeline.progress import SILENT, Progress
from aeformat.pipeline.unpack import unpack
from aeformat.reader import stream_latents
from tools.rate_distortion.point import SOLID, Images, Point, measured

_ENCODER = ".encoder.aef"
_DECODER = ".decoder.aef"
ZSTD_LEVEL = 19


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


def options(decoder: ModelPackage) -> Iterator[tuple[str, PackOptions]]:
    """The ways to pack that are measured, each with its label: under the prior where there is one, and with zstd."""
    if decoder.prior is not None:
        yield "rans", PackOptions(codec="rans", prior=prior_of(decoder))
    yield f"zstd -{ZSTD_LEVEL}", PackOptions(codec="zstd", level=ZSTD_LEVEL)


def measure(folder: Path, name: str, images: Images, progress: Progress = SILENT) -> list[Point]:
    """A point for each way to pack."""
    encoder, decoder = read_pair(folder, name)
    decoder_bytes = (folder / (name + _DECODER)).stat().st_size
    points = []
    for label, way in options(decoder):
        data = packed(network(encoder, len(images)), images, way, progress)
        decoded = unpacked(data, network(decoder, len(images)))
        points.append(
            Point("ours", family(name, encoder.profile), f"{name}, {label}", SOLID, len(images),
                  8 * len(data) / len(images), measured(images, decoded), decoder_bytes)
        )  # fmt: skip
    return points


def packed(encoder: Network, images: Images, way: PackOptions, progress: Progress = SILENT) -> bytes:
    """A whole .aef of the images."""
    sink = io.BytesIO()
    pack(ArraySource(images), encoder, sink, way, progress)
    return sink.getvalue()


def unpacked(data: bytes, decoder: Network) -> Images:
    """All images of an .aef."""
    return np.concatenate([block.images for block in unpack(stream_latents(io.BytesIO(data)), decoder)])


def network(package: ModelPackage, n_rows: int) -> Network:
    """Ready to run on whatever is installed and quickest."""
    return select_backend("auto", n_rows=n_rows, package=package).load(package)


def is_exact(folder: Path, name: str) -> bool:
    """Whether every machine gets the same pixels from it."""
    return read_package(folder / (name + _DECODER)).profile == "exact"
