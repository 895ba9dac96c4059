"""Images to try a network on, and images that travel with a package.

Golden images are public: they are this project's own digits where they fit, else patterns made here, never a person's samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.images import ImageFit, demo_digits, open_source

Images = NDArray[np.uint8]

_GOLDEN_ROWS: Final = 16
_GOLDEN_NUMBERS: Final = 200_000  # at most, on the image side
_DIGITS_STEP: Final = 6  # through the demo digits: all ten digits, in several hands


def golden_images(shape: tuple[int, ...]) -> Images:
    """(k, *shape), 1 <= k <= 16."""
    if shape == (28, 28, 1):
        return demo_digits()[::_DIGITS_STEP][:_GOLDEN_ROWS]
    return patterns(shape, max(1, min(_GOLDEN_ROWS, _GOLDEN_NUMBERS // int(np.prod(shape)))))


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
