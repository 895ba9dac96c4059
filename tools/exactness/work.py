"""One way to compute: every exact model, several batch sizes, in this process.  Needs no more than NumPy.

    python -m tools.exactness.work --backend numpy --batches 1 7 64 [--models NAME ...] [--images 300]
    python -m tools.exactness.work --backend integers ...     NumPy, but without a float

Prints one JSON line for what computes, then one for each model and batch size.  How many threads there are, and which kernels, is for
the environment to say; tools.exactness sets it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.backends.base import Network
from aeformat.images import ImageFit, open_source
from aeformat.model import store
from aeformat.model.package import ModelPackage
from aeformat.model.values import EXACT
from tools.exactness import drawn

BATCHES: Final = (1, 7, 64, 1000, 4096)
BACKENDS: Final = ("numpy", "integers", "tensorflow")
N_IMAGES: Final = 10_000
N_FEW: Final = 300  # what a quick check computes; its digests are kept beside those of all

Pair = tuple[ModelPackage, ModelPackage]
Digests = dict[str, str]
Loader = Callable[[ModelPackage, int], Network]


def exact_pairs(names: Iterable[str] | None = None) -> dict[str, Pair]:
    """The pairs of which both halves are exact, by name: the shipped ones, or those of these names or paths."""
    pairs = {name: store.find_pair(name) for name in (store.shipped_names() if names is None else names)}
    return {name: pair for name, pair in pairs.items() if all(half.profile == EXACT for half in pair)}


def test_images(shape: tuple[int, ...], n_images: int) -> NDArray[np.uint8]:
    """The first images of MNIST's test set, (n_images, *shape).  Raises UsageError where they are not here."""
    height, width, channels = shape
    source = open_source(["mnist:test"], ImageFit((height, width, channels)))
    return next(iter(source.blocks(N_IMAGES))).images[:n_images]


def loader(backend: str) -> Loader:
    """Package and batch size -> network that computes so many rows at once.  backend: of BACKENDS.

    Of any size: one that computes tiles of so many pixels along each side, in two threads where NumPy does.
    """
    if backend != "tensorflow":
        from aeformat.backends.numpy_backend import NumpyNetwork

        integers = backend == "integers"

        def load(package: ModelPackage, n: int) -> Network:
            if package.has_free_sizes:
                return NumpyNetwork(package, integers=integers, tile=(n, n), n_threads=2)
            return NumpyNetwork(package, n_block=n, integers=integers)

        return load
    from aeformat.backends.tensorflow_backend import TensorflowNetwork

    def load_tensorflow(package: ModelPackage, n: int) -> Network:
        return (
            TensorflowNetwork(package, tile=(n, n)) if package.has_free_sizes else TensorflowNetwork(package, n_block=n)
        )

    return load_tensorflow


def compute_drawn(pair: Pair, backend: str, tile: int) -> dict[int, Digests]:
    """Of a model of any size: digests of the latents of drawn images, of what is made of them, and of the prior's passes."""
    encoder, decoder = (loader(backend)(half, tile) for half in pair)
    images = drawn.images()
    latents = [encoder.run(image[None])[0] for image in images]
    pixels = [
        decoder.run(row[None], (image.shape[0], image.shape[1])) for row, image in zip(latents, images, strict=True)
    ]
    made = {"latents": digest(*latents), "pixels": digest(*pixels)}
    if pair[1].passes is not None:
        made["passes"] = drawn.digest_of_passes(pair[1], latents, by_tensorflow=backend == "tensorflow")
    return {drawn.N_DRAWN: made}


def compute(pair: Pair, images: NDArray[np.uint8], load: Loader, batch: int) -> dict[int, Digests]:
    """Digests of the latents of these images and of what is made of them, for the first N_FEW and for all."""
    encoder, decoder = (load(half, batch) for half in pair)
    latents = encoder.run(images)
    pixels = decoder.run(latents)
    return {
        n: {"latents": digest(latents[:n]), "pixels": digest(pixels[:n])} for n in (N_FEW, N_IMAGES) if n <= len(images)
    }


def digest(*arrays: NDArray[Any]) -> str:
    """SHA-256 of the numbers, of one byte each, in C order."""
    assert all(numbers.dtype.itemsize == 1 for numbers in arrays)
    return hashlib.sha256(b"".join(numbers.tobytes() for numbers in arrays)).hexdigest()


def about(backend: str) -> dict[str, str]:
    """What computes here."""
    software = f"NumPy {np.__version__}"
    if backend == "tensorflow":
        from aeformat.backends.runtime import load_tensorflow

        software = f"TensorFlow {load_tensorflow().__version__}"
    return {"software": software, "machine": platform.machine(), "byte_order": sys.byteorder}


def main(arguments: list[str] | None = None) -> int:
    """Print the lines."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--backend", choices=BACKENDS, required=True)
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--models", nargs="+", help="names of exact models, or paths; all that are shipped by default")
    parser.add_argument("--images", type=int, default=N_IMAGES, help=f"how many of {N_IMAGES}, {N_FEW} or more")
    options = parser.parse_args(arguments)
    print(json.dumps(about(options.backend)), flush=True)
    load = loader(options.backend)
    for name, pair in exact_pairs(options.models).items():
        images = None if pair[0].has_free_sizes else test_images(pair[0].input.shape, options.images)
        for batch in options.batches:
            start = time.perf_counter()
            made = compute_drawn(pair, options.backend, batch) if images is None else compute(pair, images, load, batch)
            seconds = round(time.perf_counter() - start, 1)
            print(json.dumps({"model": name, "batch": batch, "digests": made, "seconds": seconds}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
