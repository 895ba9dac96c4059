"""What every import of a network has: what is asked for, what comes back, and the comparison with who ran the network before.

Owns Options, Imported, the shape of images that follows from a network's input, and the tolerance.  Knows nothing of any file.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt, prod
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.errors import Hint, UsageError
from aeformat.exchange.pixels import pixels_of
from aeformat.model.golden import FLOAT_TOLERANCE, MAX_LEVELS, ROWS_PER_FLIP
from aeformat.model.graph import Graph
from aeformat.model.package import ModelPackage

Images = NDArray[np.uint8]
Floats = NDArray[Any]

N_CHECKED: Final = 32  # images that are compared on, fewer if they are large
MAX_NUMBERS: Final = 1 << 24  # in one image, and in all that are compared: every layer keeps what it makes of them
_TWO_SIDES: Final = 2  # what ran the network before and the package may each be off by the tolerance of section 5


@dataclass(frozen=True, slots=True)
class Options:
    """What to import.  image: [h, w, c] where the model's input does not say.  pixels_in, pixels_out: see pixels.RANGES."""

    path: Path
    bottleneck: str
    name: str
    image: tuple[int, int, int] | None = None
    pixels_in: str = "unit"
    pixels_out: str = "unit"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The packages against who ran the network before, `by`.

    latents: largest difference, as a share of max(1, |value|).  n_off: pixels that differ.
    """

    by: str
    n_images: int
    latents: float
    n_pixels: int
    n_off: int
    levels: int


@dataclass(frozen=True, slots=True)
class Imported:
    """Both halves of a network, as packages and as the graphs they were made from."""

    encoder: ModelPackage
    decoder: ModelPackage
    graphs: tuple[Graph, Graph]
    comparison: Comparison
    passed_over: tuple[str, ...] = ()  # what draws at random, and is left out


def check_size(image: tuple[int, ...]) -> None:
    """Raises UsageError where one image is too large."""
    if prod(image) > MAX_NUMBERS:
        raise UsageError(
            f"images of {list(image)} are too large to compare on: up to {MAX_NUMBERS:,} numbers are taken"
        )


def image_shape(start: tuple[int, ...], options: Options) -> tuple[int, ...]:
    """[h, w, c] of what the model takes: as it is, with a channel, or as a square."""
    if options.image is not None:
        if prod(options.image) != prod(start):
            raise UsageError(f"an image of {list(options.image)} does not fit the model, which takes {list(start)}")
        return options.image
    if len(start) == 3:
        return start
    if len(start) == 2:
        return (*start, 1)
    side = isqrt(prod(start))
    if len(start) != 1 or side * side != start[0]:
        raise UsageError(f"the model takes {list(start)}: say which images these are", hint=Hint.GIVE_IMAGE_SHAPE)
    return side, side, 1


def compare(
    pair: tuple[ModelPackage, ModelPackage], images: Images, latents: Floats, outputs: Floats, pixels: str, *, by: str
) -> Comparison:
    """Images through the packages, against latents and outputs (n, ...) of who ran the network before.  by: its name.

    Raises UsageError where the packages do not compute the same.
    """
    encoder, decoder = (NumpyBackend().load(package) for package in pair)
    codes = encoder.run(images)
    off = np.abs(codes.reshape(latents.shape) - latents.astype(np.float64)) / np.maximum(1, np.abs(latents))
    made = decoder.run(codes)
    apart = np.abs(made.astype(np.int16) - pixels_of(outputs, pixels).reshape(made.shape))
    found = Comparison(by, len(images), float(off.max()), apart.size, int((apart > 0).sum()), int(apart.max()))
    allowed = _TWO_SIDES * (1 + apart.size // ROWS_PER_FLIP)
    if not off.max() <= _TWO_SIDES * FLOAT_TOLERANCE:
        raise UsageError(f"not imported: latents differ from {by}'s by {off.max():.3g} of their size")
    if found.levels > _TWO_SIDES * MAX_LEVELS or found.n_off > allowed:
        what = f"{found.n_off} of {found.n_pixels} pixels differ from {by}'s, by up to {found.levels} levels"
        raise UsageError(f"not imported: {what}")
    return found
