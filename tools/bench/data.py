"""The arrays that are measured.  No row is a copy of another: compressors find copies, and then the sizes lie.

digits: what a network makes of MNIST's training images (--images mnist:train), or of digits that tools/draw_digits.py draws
(--images drawn; 14 ms each).  fields: no network; smooth fields with noise (tools/bench_loaders/data.py) of the shape and
statistics of a diffusion model's VAE, which stand in for its latents.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tools.bench_loaders.data import bits_of, values_of

DRAWN: Final = "drawn"
_BATCH: Final = 10_000  # images


class DataSet(NamedTuple):
    """make: n_rows and --images -> the array, (n, *dims).  label: for tables.  rows: how many by default."""

    label: str
    rows: int
    make: Callable[[int, str], NDArray[Any]]
    has_names: bool = False
    has_text: bool = False


def _images(n_rows: int, name: str) -> NDArray[np.uint8]:
    """(n, 28, 28, 1).  Raises SystemExit where there are not so many."""
    if name == DRAWN:
        return _drawn(n_rows)
    from aeformat.images import ImageFit, open_source

    blocks, n_found = [], 0
    for block in open_source([name], ImageFit((28, 28, 1))).blocks(_BATCH):
        blocks.append(block.images[: n_rows - n_found])
        n_found += len(blocks[-1])
        if n_found == n_rows:
            return np.concatenate(blocks)
    raise SystemExit(f"{name} has {n_found} images, and {n_rows} rows are asked for")


def _drawn(n_rows: int) -> NDArray[np.uint8]:
    from tools.draw_digits import SEED, STYLES, draw

    dice = random.Random(SEED)
    images = []
    for number in range(n_rows):
        style = dice.choice(STYLES[number % len(STYLES)])
        images.append(draw([np.array(stroke, dtype=np.float64) for stroke in style], dice))
    return np.array(images)[..., None]


def _encoded(n_rows: int, images: str, model: str) -> NDArray[Any]:
    import aeformat

    encoder, found = aeformat.load_model(model), _images(n_rows, images)
    return np.concatenate([encoder.encode(found[at : at + _BATCH]) for at in range(0, n_rows, _BATCH)])


def _sigmoid(n_rows: int, images: str) -> NDArray[np.float64]:
    return _encoded(n_rows, images, "mnist-128-64-128").astype(np.float64)


def _integers(n_rows: int, images: str) -> NDArray[np.uint8]:
    found: NDArray[np.uint8] = _encoded(n_rows, images, "mnist-exact")
    return found


def _halves(n_rows: int, _images: str) -> NDArray[np.float16]:
    return np.concatenate([block.astype(np.float16) for block in values_of(n_rows, 64)])


def _brain_floats(n_rows: int, _images: str) -> NDArray[np.uint16]:
    return np.concatenate(list(bits_of(n_rows, 64)))


DATA: Final = {
    "digits-f64": DataSet("64 float64 that were born float32: mnist-128-64-128, sigmoid", 60_000, _sigmoid, has_text=True),
    "digits-f64-names": DataSet("the same rows, each with a name", 60_000, _sigmoid, has_names=True),
    "digits-u8": DataSet("64 uint8: mnist-exact", 60_000, _integers),
    "fields-f16": DataSet("4 x 64 x 64 float16: smooth fields with noise, in place of a VAE's latents", 2_000, _halves),
    "fields-bf16": DataSet("4 x 64 x 64 bf16: the same fields; as uint16 where a format knows no bf16", 2_000, _brain_floats),
}  # fmt: skip


def names_of(n_rows: int) -> list[str]:
    """As those of image files: a folder of a thousand, a number, eight digits that cannot be foretold."""
    digests = (hashlib.sha256(str(number).encode()).hexdigest()[:8] for number in range(n_rows))
    return [f"{number // 1000:05d}/{number:08d}-{digest}.jpg" for number, digest in enumerate(digests)]
