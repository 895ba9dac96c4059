"""Our own models on photographs: files as `aeformat.pack` writes them, of one photograph and of all.

Owns which packages take part: every pair named photo-* in the folder of models.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import aeformat
from aeformat.errors import UsageError
from aeformat.model.file_io import read_package
from aeformat.pipeline.models import Model
from aeformat.training.photo.recipe import RECIPES
from tools.rate_distortion.photos.measured import Codec, mean_square, timed
from tools.rate_distortion.photos.photographs import Photo, Pixels

FAMILY: Final = "ours"
PACKED: Final = "as packed"
_ENCODER: Final = ".encoder.aef"
_DECODER: Final = ".decoder.aef"


@dataclass(frozen=True)
class Pair:
    """Both packages of a model.  key: tells it from every other, this release of aeformat included."""

    folder: Path
    name: str

    @cached_property
    def model(self) -> Model:
        """Ready for `pack` and `decode`."""
        return Model(
            read_package(self.folder / (self.name + _ENCODER)), read_package(self.folder / (self.name + _DECODER))
        )

    @cached_property
    def key(self) -> str:
        """Changes with either package."""
        halves = [(self.folder / (self.name + role)).read_bytes() for role in (_ENCODER, _DECODER)]
        return f"ours {self.name} {hashlib.sha256(b''.join(halves)).hexdigest()[:16]} aeformat {aeformat.__version__}"

    @property
    def decoder_bytes(self) -> int:
        """The size of the decoder's package."""
        return (self.folder / (self.name + _DECODER)).stat().st_size

    @property
    def price(self) -> float:
        """What refining takes a unit of squared error over an image for: the price that the model was trained at.

        Raises UsageError for a model that has no recipe.
        """
        if self.name not in RECIPES:
            raise UsageError(f"{self.name} has no recipe to take a price from; give one: --refine PRICE")
        return RECIPES[self.name].refine_price


@dataclass(frozen=True)
class OurCodec:
    """Our models, a point each.  prices: of refining, by name; None to store what the encoder makes.  See measured.py, Codec."""

    pairs: dict[str, Pair]
    setting: str = PACKED
    prices: dict[str, float] | None = None
    family: str = FAMILY

    @property
    def suffix(self) -> str:
        """Of the names of files about it."""
        return "" if self.prices is None else "-refined"

    @property
    def qualities(self) -> tuple[str, ...]:
        """The models' names."""
        return tuple(self.pairs)

    def key(self, quality: str) -> str:
        """Packages, price, release."""
        price = "" if self.prices is None else f" refined at {self.prices[quality]:.6g}"
        return self.pairs[quality].key + price

    def encode(self, pixels: Pixels, quality: str) -> bytes:
        """See measured.py, Codec."""
        return self._packed([pixels], quality)

    def decode(self, data: bytes, quality: str) -> Pixels:
        """See measured.py, Codec."""
        return self._unpacked(data, quality)[0]

    def decoder_bytes(self, quality: str) -> int:
        """What a receiver needs once."""
        return self.pairs[quality].decoder_bytes

    def together(self, photos: Sequence[Photo], quality: str) -> dict[str, float]:
        """One file of all photographs: its bytes, its error over all pixels, and the seconds that writing and reading take."""
        data, encode_s = timed(lambda: self._packed([photo.path for photo in photos], quality))
        decoded, decode_s = timed(lambda: self._unpacked(data, quality))
        errors = [mean_square(photo.pixels(), made) * made.size for photo, made in zip(photos, decoded, strict=True)]
        mse = sum(errors) / sum(made.size for made in decoded)
        return {"n_bytes": len(data), "mse": mse, "encode_s": encode_s, "decode_s": decode_s}

    def _packed(self, inputs: Any, quality: str) -> bytes:
        price = None if self.prices is None else self.prices[quality]
        with TemporaryDirectory() as folder:
            path = Path(folder) / "p.aef"
            aeformat.pack(inputs, path, model=self.pairs[quality].model, refine=price, rgb=True)
            return path.read_bytes()

    def _unpacked(self, data: bytes, quality: str) -> list[Pixels]:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "p.aef"
            path.write_bytes(data)
            return list(aeformat.decode(path, self.pairs[quality].model))


def our_codecs(folder: Path, refine: float | str | None) -> list[Codec]:
    """The models of a folder as packed and, unless `refine` is None, refined: at that price, or at their own for "".

    Raises UsageError.
    """
    pairs = {pair.name: pair for pair in find_pairs(folder)}
    if not pairs:
        return []
    codecs: list[Codec] = [OurCodec(pairs)]
    if refine is not None:
        prices = {name: pair.price if refine == "" else float(refine) for name, pair in pairs.items()}
        codecs.append(OurCodec(pairs, "refined", prices))
    return codecs


def find_pairs(folder: Path) -> list[Pair]:
    """Every photo-* of which both halves are there, in the order of the numbers in their names."""
    names = [path.name.removesuffix(_ENCODER) for path in folder.glob("photo-*" + _ENCODER)]
    whole = [name for name in names if (folder / (name + _DECODER)).is_file()]
    return [Pair(folder, name) for name in sorted(whole, key=_by_number)]


def _by_number(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
