"""Find the MNIST images on this machine: `mnist:train` and `mnist:test`.

Owns the places and their order: $AEFORMAT_DATA/mnist/, the Keras cache, a download by Keras.  The caller passes the function
that downloads, so that this module does not need TensorFlow.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aeformat.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

PREFIX: Final = "mnist:"
_IDX_STEMS: Final = {"train": "train-images", "test": "t10k-images"}
_KERAS_KEYS: Final = {"train": "x_train", "test": "x_test"}


@dataclass(frozen=True, slots=True)
class MnistPlace:
    """An IDX file (key is None) or an array of an .npz file."""

    path: Path
    key: str | None


def locate_mnist(split: str, fetch: Callable[[], None] | None = None) -> MnistPlace:
    """Find the images of "train" or "test".

    fetch: puts mnist.npz into the Keras cache, or raises OSError; called only if the images are not
    on this machine.  Raises UsageError; the message says which file to put where.
    """
    if split not in _IDX_STEMS:
        raise UsageError(f"there is no {PREFIX}{split}; use {' or '.join(PREFIX + name for name in _IDX_STEMS)}")
    place = _on_disk(split)
    failure = ""
    if place is None and fetch is not None:
        try:
            fetch()
        except OSError as error:
            failure = f" (the download failed: {' '.join(str(error).split())})"
        place = _on_disk(split)
    if place is None:
        folder = os.environ.get("AEFORMAT_DATA")
        where = f"{Path(folder, 'mnist')}" if folder else "$AEFORMAT_DATA/mnist (AEFORMAT_DATA is not set)"
        file = f"{_IDX_STEMS[split]}-idx3-ubyte.gz"
        advice = f"put {file} into {where}, or mnist.npz into {_keras_cache()}"
        raise UsageError(f"{PREFIX}{split} is not here{failure}: {advice}")
    return place


def _on_disk(split: str) -> MnistPlace | None:
    folder = os.environ.get("AEFORMAT_DATA")
    if folder:
        for ending in ("-idx3-ubyte", "-idx3-ubyte.gz", ".idx3-ubyte", ".idx3-ubyte.gz"):
            path = Path(folder, "mnist", _IDX_STEMS[split] + ending)
            if path.is_file():
                return MnistPlace(path, None)
    archive = _keras_cache() / "mnist.npz"
    return MnistPlace(archive, _KERAS_KEYS[split]) if archive.is_file() else None


def _keras_cache() -> Path:
    """Where Keras keeps data sets: $KERAS_HOME/datasets, or ~/.keras/datasets."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path("~/.keras").expanduser()) / "datasets"
