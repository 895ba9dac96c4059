"""Digits of any number, no two alike: MNIST's or drawn ones, moved, faded and with noise in their ink."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np
from numpy.lib.format import open_memmap

from aeformat.errors import UsageError
from aeformat.images import ImageFit, demo_digits, open_source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

Result = TypeVar("Result")
_AT_ONCE: Final = 20_000
_SEED: Final = 17
_MOVE: Final = 2  # pixels
_NOISE: Final = 32  # grey levels that a pixel of ink may lose


def originals(name: str) -> tuple[NDArray[np.uint8], str]:
    """Digits (n, 28, 28) and what they are: those named, or the demo digits where these are not at hand."""
    try:
        source = open_source([name], ImageFit((28, 28, 1)))
        return np.concatenate([block.images[..., 0] for block in source.blocks(_AT_ONCE)]), name
    except UsageError:
        return demo_digits().reshape(-1, 28, 28), "the demo digits"


def write_digits(path: Path, images: NDArray[np.uint8], n_rows: int) -> None:
    """n_rows digits as .npy, (n, 28, 28) uint8; the first ones are the same for any n_rows."""
    out = open_memmap(path, "w+", np.uint8, (n_rows, 28, 28))
    for number, start in enumerate(range(0, n_rows, _AT_ONCE)):
        draw = np.random.default_rng((_SEED, number))
        some = images[draw.integers(0, len(images), _AT_ONCE)].astype(np.int16)
        some = np.roll(some, tuple(draw.integers(-_MOVE, _MOVE + 1, 2)), (1, 2))
        noisy = np.clip(some - draw.integers(0, _NOISE, some.shape, np.int16), 1, 255)
        out[start : start + _AT_ONCE] = np.where(some > 0, noisy, 0)[: n_rows - start]
    out.flush()


def write_digits_apart(path: Path, name: str, n_rows: int) -> str:
    """Write digits made of those named; what they are."""
    return _apart(_write_digits, path, name, n_rows)


def write_latents_apart(path: Path, n_rows: int) -> None:
    """Write (n_rows, 64) float32 as .npy, drawn from 0 to 1."""
    _apart(_write_latents, path, n_rows)


def _apart(work: Callable[..., Result], *arguments: object) -> Result:
    """In a process of its own: the system counts the most that a process ever held as memory of those that it starts."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def _write_digits(path: Path, name: str, n_rows: int) -> str:
    images, label = originals(name)
    write_digits(path, images, n_rows)
    return label


def _write_latents(path: Path, n_rows: int) -> None:
    np.save(path, np.random.default_rng(n_rows).random((n_rows, 64), np.float32))
