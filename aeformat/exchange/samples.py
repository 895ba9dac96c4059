"""Images to try a network on, and images that travel with a package.

Golden images are public: they are this project's own digits where they fit, else patterns made here, never a person's samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.errors import UsageError
from aeformat.images import ImageFit, demo_digits, open_source
from aeformat.images.fit import as_they_are

Images = NDArray[np.uint8]

_GOLDEN_ROWS: Final = 16
_GOLDEN_NUMBERS: Final = 200_000  # at most, on the image side
_CROPPED_AT_ONCE: Final = 8  # images of any size that are in memory together
_DIGITS_STEP: Final = 6  # through the demo digits: all ten digits, in several hands


def golden_images(shape: tuple[int, ...]) -> Images:
    """(k, *shape), 1 <= k <= 16."""
    if shape == (28, 28, 1):
        return demo_digits()[::_DIGITS_STEP][:_GOLDEN_ROWS]
    return patterns(shape, max(1, min(_GOLDEN_ROWS, _GOLDEN_NUMBERS // int(np.prod(shape)))))


def free_golden_images(scale: tuple[int, int], channels: int) -> list[Images]:
    """Two arrays (k, h, w, channels) of two sizes, for a network of any size: spec/model.md, section 6.

    Of more than one latent in both directions; the second of no whole number of them, where the scale is not 1.
    """
    s, t = scale
    return [patterns((3 * s, 2 * t, channels), 2), patterns((s + (s + 1) // 2, 2 * t + t // 2, channels), 1)]


def patterns(shape: tuple[int, ...], n: int) -> Images:
    """(n, *shape): waves of all lengths and directions with a little noise; the same ones every time."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[: shape[0], : shape[1]]
    images = np.empty((n, *shape), np.uint8)
    for i in range(n):
        for c in range(shape[2]):
            a, b = rng.normal(0, 0.5, 2)
            wave = np.sin(a * y + b * x + rng.uniform(0, 2 * np.pi))
            images[i, :, :, c] = np.clip(127.5 + 120 * wave + rng.normal(0, 8, wave.shape), 0, 255)
    return images


@as_they_are()
def read_samples(
    inputs: Sequence[str],
    shape: tuple[int, ...],
    most: int,
    fetch_mnist: Any,
    say: Callable[[Sequence[str]], None] = lambda _: None,
) -> Images:
    """Up to `most` images of the INPUTs, spread over all of them.  Raises UsageError, ImageError.

    say: told what was left out of folders, a line for each.
    """
    source = open_source(inputs, ImageFit((shape[0], shape[1], shape[2]), rgb=shape[2] == 3), fetch_mnist=fetch_mnist)
    say(source.left_out)
    stride = max(1, (source.n_rows or 0) // most)
    kept, n_seen = [], 0
    for block in source.blocks(256):
        kept.append(block.images[-n_seen % stride :: stride])
        n_seen += len(block.images)
        if sum(map(len, kept)) >= most:
            break
    return np.concatenate(kept)[:most]


@as_they_are()
def read_crops(
    inputs: Sequence[str],
    shape: tuple[int, ...],
    most: int,
    fetch_mnist: Any,
    say: Callable[[Sequence[str]], None] = lambda _: None,
) -> Images:
    """The middle of up to `most` images of the INPUTs, cut to a shape (h, w, c).  Smaller images are left out.

    Raises UsageError where none is large enough, ImageError.
    """
    fit = ImageFit((0, 0, shape[2]), rgb=shape[2] == 3)
    source = open_source(inputs, fit, fetch_mnist=fetch_mnist)
    say(source.left_out)
    kept: list[Any] = []
    n_seen = 0
    for block in source.blocks(_CROPPED_AT_ONCE):
        n_seen += len(block.images)
        kept += [crop for crop in (_middle(image, shape) for image in block.images) if crop is not None]
        if len(kept) >= most:
            break
    if not kept:
        raise UsageError(f"none of the {n_seen} samples has the {shape[0]} x {shape[1]} pixels that are compared on")
    return np.stack(kept[:most])


def _middle(image: Images, shape: tuple[int, ...]) -> Images | None:
    top, left = (image.shape[0] - shape[0]) // 2, (image.shape[1] - shape[1]) // 2
    return None if min(top, left) < 0 else image[top : top + shape[0], left : left + shape[1]]
