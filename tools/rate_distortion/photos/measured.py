"""One photograph through one codec: what its file takes and what it loses, and the cache that keeps such results.

Owns how squared errors and time are counted.  Time is what the processor worked, on one core (see one_core.py), so that other
work on the machine does not count.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import numpy as np

from tools.rate_distortion.photos.ms_ssim import ms_ssim
from tools.rate_distortion.photos.photographs import Pixels

_FIRST: Final = 64  # pixels along a side of what a codec is first run on, so that loading it is not measured
_T = TypeVar("_T")


class Codec(Protocol):
    """One way to store photographs, at several qualities.

    family, setting: what belongs on one curve.  qualities: from few bits to many.  key: tells it from every other, versions included.
    """

    @property
    def family(self) -> str:
        """What its curves are drawn alike with."""
        ...

    @property
    def setting(self) -> str:
        """What tells this curve from others of its family."""
        ...

    @property
    def qualities(self) -> tuple[str, ...]:
        """Names of the points of its curve."""
        ...

    def key(self, quality: str) -> str:
        """Tells what is measured from everything else, versions included."""
        ...

    def encode(self, pixels: Pixels, quality: str) -> bytes:
        """A whole file of one photograph."""
        ...

    def decode(self, data: bytes, quality: str) -> Pixels:
        """The pixels in such a file."""
        ...


@dataclass(frozen=True, slots=True)
class Measured:
    """n_bytes: of a file of this photograph.  mse: of its pixels in 0..255, decoded again.  ms_ssim: None for a small one.

    encode_s, decode_s: seconds of one core, from pixels to the bytes of a file and back.
    """

    n_pixels: int
    n_bytes: int
    mse: float
    ms_ssim: float | None
    encode_s: float
    decode_s: float


def measure(codec: Codec, quality: str, pixels: Pixels) -> Measured:
    """Encode a photograph, decode it again, count."""
    data, encode_s = timed(lambda: codec.encode(pixels, quality))
    decoded, decode_s = timed(lambda: codec.decode(data, quality))
    n_pixels = pixels.shape[0] * pixels.shape[1]
    return Measured(n_pixels, len(data), mean_square(pixels, decoded), ms_ssim(pixels, decoded), encode_s, decode_s)


def warm_up(codec: Codec, quality: str, pixels: Pixels) -> None:
    """Have everything loaded that the first call loads."""
    codec.decode(codec.encode(pixels[:_FIRST, :_FIRST], quality), quality)


def timed(call: Callable[[], _T]) -> tuple[_T, float]:
    """What a call returns, and the seconds that this process computed for it."""
    start = time.process_time()
    made = call()
    return made, time.process_time() - start


def mean_square(original: Pixels, decoded: Pixels) -> float:
    """The mean squared difference of all numbers.  Raises ValueError where the shapes differ: that would be our mistake."""
    if original.shape != decoded.shape:
        raise ValueError(f"a photograph of shape {original.shape} came back as {decoded.shape}")
    difference = original.astype(np.int32) - decoded
    return float(np.square(difference, dtype=np.int32).mean(dtype=np.float64))


class ResultCache:
    """Results by key, one line of JSON each, written as soon as it is there, so that a run can stop anywhere and go on.

    A last line that was cut is left out, and several runs may add to one file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: dict[str, Any] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                self._take(line)

    def _take(self, line: str) -> None:
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            return
        self._kept[entry["key"]] = entry["value"]

    def has(self, key: str) -> bool:
        """Whether this was measured before."""
        return key in self._kept

    def get(self, key: str, make: Callable[[], Any]) -> Any:
        """The value under `key`, of JSON's types, made now if it is not here."""
        if key not in self._kept:
            self._kept[key] = make()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"key": key, "value": self._kept[key]}) + "\n")
        return self._kept[key]

    def measured(self, codec: Codec, quality: str, digest: str, make: Callable[[], Measured]) -> Measured:
        """The result of one photograph, which `digest` tells from others."""
        return Measured(**self.get(f"{codec.key(quality)} {digest}", lambda: asdict(make())))
