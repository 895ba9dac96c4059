"""What every reader decodes, and what is compared: drawn digits and the demo's photograph, with their decoders inside.

For slow readers there are few digits and a corner of the photograph, stored without zstd.  The pixels that all are held against are
those of this package in NumPy.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import aeformat
from aeformat.backends.numpy_passes import prior_of
from aeformat.container.writer import LatentsWriter
from aeformat.images import demo_digits
from aeformat.model.file_io import package_bytes
from aeformat.model.package import ModelPackage
from tools.second.decoder import read_container, read_model, run_model

N_DIGITS: Final = 10_000
N_FEW: Final = 100
CORNER: Final = (64, 96)  # rows, columns
DIGITS, PHOTO = "mnist-exact", "photo-3"


@dataclass(frozen=True)
class Work:
    """A file to decode.  pixels: what must come out, row after row.  units: multiply-adds of the decoder, all rows together."""

    name: str
    path: Path
    n_images: int
    pixels: NDArray[np.uint8]
    units: int


@dataclass(frozen=True)
class Decoded:
    """What a reader made of a file.  seconds: of processor time, all threads, from its bytes in memory to all pixels."""

    work: Work
    n_differing: int
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """For docs/conformance.json."""
        work = self.work
        return {
            "images": work.n_images, "pixels": int(work.pixels.size), "differing": self.n_differing,
            "seconds": self.seconds, "multiply_adds": work.units,
        }  # fmt: skip


Decode = Callable[[Work], tuple[NDArray[np.uint8], float]]
"""The pixels of a file, one after the other, and the seconds that it took."""


def works(folder: Path) -> dict[str, Work]:
    """All files, written into a folder."""
    digits = np.concatenate([np.roll(demo_digits(), shift, axis=0) for shift in range(N_DIGITS // len(demo_digits()))])
    photograph = _photograph()
    corner = photograph[:, : CORNER[0], : CORNER[1]]
    return {
        "digits": _work(folder, "digits", digits, DIGITS, is_stored=False),
        "photograph": _work(folder, "photograph", photograph, PHOTO, is_stored=False),
        "few digits": _work(folder, "few", digits[:N_FEW], DIGITS, is_stored=True),
        "corner": _work(folder, "corner", corner, PHOTO, is_stored=True),
    }


def _photograph() -> NDArray[np.uint8]:
    from PIL import Image

    with resources.files("aeformat").joinpath("data/demo-photograph.webp").open("rb") as file:
        return np.asarray(Image.open(file).convert("RGB"))[None]


def _work(folder: Path, name: str, images: NDArray[np.uint8], model: str, *, is_stored: bool) -> Work:
    path, out = folder / f"{name}.aef", folder / f"{name}.npy"
    aeformat.pack(images, path, model=model, embed_decoder=not is_stored, backend="numpy")
    decoder = aeformat.load_model(model).the_decoder
    if is_stored:
        _store(path, decoder)
    aeformat.unpack(path, out, backend="numpy")
    return Work(name, path, len(images), np.load(out).reshape(-1), len(images) * _multiply_adds(decoder, images))


def _store(path: Path, decoder: ModelPackage) -> None:
    """The same latents with the decoder inside, and nothing compressed by zstd."""
    with aeformat.open(path) as latents:
        header, rows = latents.header, latents.rows(0, latents.n_rows)
    is_coded = header.codec == "rans"
    if not is_coded:
        header = header._replace(codec="none", filter="none")
    inside, prior = package_bytes(decoder, codec="none"), prior_of(decoder) if is_coded else None
    with path.open("wb") as sink, LatentsWriter(sink, header, decoder=inside, prior=prior) as writer:
        writer.write(rows)


def _multiply_adds(decoder: ModelPackage, images: NDArray[np.uint8]) -> int:
    """Of the layers that make one image; those of passes come beside them."""
    manifest = decoder.manifest
    if manifest.scale is not None:
        down, across = manifest.scale
        manifest = manifest.at((-(-images.shape[1] // down), -(-images.shape[2] // across)))
    return manifest.n_multiply_adds


def decoded(work: Work, decode: Decode, *, runs: int = 1) -> Decoded:
    """Ask a reader for the pixels of a file, and count those that differ; of several runs the fastest counts."""
    found = [decode(work) for _ in range(runs)]
    return Decoded(work, max(n_differing(work, pixels) for pixels, _ in found), min(seconds for _, seconds in found))


def n_differing(work: Work, pixels: NDArray[np.uint8]) -> int:
    """Pixels that are not the right ones; a missing one differs too."""
    same = min(pixels.size, work.pixels.size)
    return (
        int(np.count_nonzero(pixels.reshape(-1)[:same] != work.pixels[:same]))
        + max(pixels.size, work.pixels.size)
        - same
    )


def by_second(work: Work) -> tuple[NDArray[np.uint8], float]:
    """By the second decoder."""
    data, begin = work.path.read_bytes(), time.process_time()
    got = read_container(data)
    entries = [entry for block in got["sizes_of_rows"] for entry in block or [] for _ in range(entry[0])]
    latents, images = [entry[1:3] for entry in entries], [entry[3:5] for entry in entries]
    rows = run_model(read_model(got["embedded"]), got["rows"], latents or None, images or None)
    return np.array(rows, np.uint8).reshape(-1), time.process_time() - begin
