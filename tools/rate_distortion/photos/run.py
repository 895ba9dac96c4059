"""Measuring every codec on every photograph, photograph by photograph.

Owns the order, and what a result is kept under.  A run can stop anywhere; what was measured is in the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from tools.rate_distortion.photos.curves import TOGETHER, Point, average, psnr_of
from tools.rate_distortion.photos.measured import Codec, Measured, ResultCache, measure, warm_up
from tools.rate_distortion.photos.ours import OurCodec
from tools.rate_distortion.photos.photographs import Photo, Pixels, digest_of, digest_of_all

Told = Callable[[str], None]  # what comes next, for people


@dataclass(frozen=True, slots=True)
class Results:
    """points: of all codecs.  digest: of the photographs."""

    points: list[Point]
    digest: str


class Runner:
    """Measures what the cache does not have.  told: before each photograph and codec of which something is missing."""

    def __init__(self, codecs: Sequence[Codec], cache: ResultCache, told: Told) -> None:
        self._codecs, self._cache, self._told = codecs, cache, told
        self._warm: set[int] = set()

    def run(self, photos: Sequence[Photo]) -> Results:
        """Everything.  Raises ImageError, UsageError."""
        measured: dict[tuple[str, str, str], list[Measured]] = {}
        digests = []
        for number, photo in enumerate(photos, 1):
            pixels = photo.pixels()
            digests.append(digest_of(pixels))
            for codec in self._codecs:
                for quality, result in self._one(codec, pixels, digests[-1], f"[{number}/{len(photos)}] {photo.name}"):
                    measured.setdefault((codec.family, codec.setting, quality), []).append(result)
        digest = digest_of_all(digests)
        points = [point for codec in self._codecs for point in self._points(codec, measured, photos, digest)]
        return Results(points, digest)

    def _one(self, codec: Codec, pixels: Pixels, digest: str, label: str) -> list[tuple[str, Measured]]:
        """One photograph at every quality of a codec."""
        missing = [quality for quality in codec.qualities if not self._cache.has(f"{codec.key(quality)} {digest}")]
        if missing:
            self._told(f"{label}: {codec.family}, {codec.setting}")
            self._make_warm(codec, pixels)
        results = []
        for quality in codec.qualities:
            make = partial(measure, codec, quality, pixels)
            results.append((quality, self._cache.measured(codec, quality, digest, make)))
        return results

    def _make_warm(self, codec: Codec, pixels: Pixels) -> None:
        if id(codec) not in self._warm:
            self._warm.add(id(codec))
            for quality in codec.qualities:
                warm_up(codec, quality, pixels)

    def _points(
        self, codec: Codec, measured: dict[tuple[str, str, str], list[Measured]], photos: Sequence[Photo], digest: str
    ) -> list[Point]:
        """Of files of one photograph, and of ours also of one file of all."""
        points = []
        for quality in codec.qualities:
            results = measured[codec.family, codec.setting, quality]
            decoder_bytes = codec.decoder_bytes(quality) if isinstance(codec, OurCodec) else 0
            points.append(average(codec.family, codec.setting, quality, results, decoder_bytes))
            if isinstance(codec, OurCodec):
                points.append(self._together(codec, quality, points[-1], photos, digest))
        return points

    def _together(self, codec: OurCodec, quality: str, each: Point, photos: Sequence[Photo], digest: str) -> Point:
        """The same pixels from one file of all."""
        key = f"{codec.key(quality)} together {digest}"
        if not self._cache.has(key):
            self._told(f"all photographs in one file: {quality}, {codec.setting}")
        found = self._cache.get(key, partial(codec.together, photos, quality))
        pooled = psnr_of(found["mse"])
        if abs(pooled - each.pooled_psnr) > 1e-6:
            raise ValueError(f"{quality}: {pooled:g} dB in one file of all, {each.pooled_psnr:g} dB in a file each")
        n = len(photos)
        bits = 8 * found["n_bytes"] / (n * each.n_pixels)
        return replace(each, layout=TOGETHER, bits=bits, encode_s=found["encode_s"] / n, decode_s=found["decode_s"] / n)
