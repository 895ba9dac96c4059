"""Points and curves of mean rate and mean distortion over a set of photographs, and what is read off them.

Owns the averages, interpolation between points, and the BD-rate.  Knows no codec.

Bits a pixel and PSNR are means over the photographs; pooled PSNR is of one squared error over all pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from tools.rate_distortion.photos.interpolate import Pchip
from tools.rate_distortion.photos.measured import Measured

EACH: Final = "a file each"
TOGETHER: Final = "one file of all"
_PEAK: Final = 255**2


@dataclass(frozen=True, slots=True)
class Point:
    """One codec at one quality.

    bits: a pixel, of files.  psnr: the mean; pooled_psnr: of all pixels.  ms_ssim: the mean, None where a photograph is too small.
    encode_s, decode_s: seconds a photograph.  decoder_bytes: what a receiver needs beside the files and a general-purpose
    program.  n_pixels: of a photograph, the mean.
    """

    family: str
    setting: str
    layout: str
    quality: str
    n_photos: int
    n_pixels: float
    bits: float
    psnr: float
    pooled_psnr: float
    ms_ssim: float | None
    encode_s: float
    decode_s: float
    decoder_bytes: int = 0

    def amortised(self, n_photos: int) -> float:
        """Bits a pixel with the decoder sent once for n_photos such photographs."""
        return self.bits + 8 * self.decoder_bytes / (n_photos * self.n_pixels)


@dataclass(frozen=True, slots=True)
class Curve:
    """The points of one codec, by rising bits."""

    family: str
    setting: str
    layout: str
    points: tuple[Point, ...]

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.family}, {self.setting}" + ("" if self.layout == EACH else f", {self.layout}")

    @property
    def front(self) -> list[Point]:
        """By rising bits and PSNR: those that no point with fewer bits beats.  One that loses nothing of a photograph is on no curve."""
        best: list[Point] = []
        for point in (point for point in self.points if math.isfinite(point.psnr)):
            if not best or (point.psnr > best[-1].psnr and point.bits > best[-1].bits):
                best.append(point)
        return best


def psnr_of(mse: float) -> float:
    """dB; infinite where nothing is lost.  mse: of pixels in 0..255."""
    return math.inf if mse == 0 else 10 * math.log10(_PEAK / mse)


def average(family: str, setting: str, quality: str, results: Sequence[Measured], decoder_bytes: int = 0) -> Point:
    """The point of photographs with a file each."""
    n, n_pixels = len(results), sum(result.n_pixels for result in results)
    similar = [result.ms_ssim for result in results if result.ms_ssim is not None]
    return Point(
        family, setting, EACH, quality, n, n_pixels / n,
        bits=sum(8 * result.n_bytes / result.n_pixels for result in results) / n,
        psnr=sum(psnr_of(result.mse) for result in results) / n,
        pooled_psnr=psnr_of(sum(result.mse * result.n_pixels for result in results) / n_pixels),
        ms_ssim=sum(similar) / n if len(similar) == n else None,
        encode_s=sum(result.encode_s for result in results) / n,
        decode_s=sum(result.decode_s for result in results) / n,
        decoder_bytes=decoder_bytes,
    )  # fmt: skip


def curves_of(points: Iterable[Point]) -> list[Curve]:
    """Points by codec, in the order in which the codecs come."""
    groups: dict[tuple[str, str, str], list[Point]] = {}
    for point in points:
        groups.setdefault((point.family, point.setting, point.layout), []).append(point)
    return [Curve(*key, tuple(sorted(group, key=lambda point: point.bits))) for key, group in groups.items()]


def psnr_at(curve: Curve, bits: float) -> float | None:
    """Mean PSNR at so many bits a pixel, by pchip over the logarithm of bits; None outside of what was measured."""
    front = curve.front
    if not front or not front[0].bits <= bits <= front[-1].bits:
        return None
    if len(front) == 1:
        return front[0].psnr
    return Pchip([math.log(point.bits) for point in front], [point.psnr for point in front])(math.log(bits))


def bits_at(curve: Curve, psnr: float) -> float | None:
    """The other way round."""
    front = curve.front
    if not front or not front[0].psnr <= psnr <= front[-1].psnr:
        return None
    return front[0].bits if len(front) == 1 else math.exp(_log_bits(front)(psnr))


def bd_rate(curve: Curve, reference: Curve) -> tuple[float, float, float] | None:
    """How many more bits `curve` takes than `reference` at equal PSNR, -0.2 for a fifth less, and the PSNRs between which.

    Bjontegaard's mean (VCEG-M33, 2001) of the difference of log bits over the PSNR that both reach, with pchip for his one cubic.
    None where they have less than two points each, or no PSNR in common.
    """
    ours, theirs = curve.front, reference.front
    if min(len(ours), len(theirs)) < 2:
        return None
    low, high = max(ours[0].psnr, theirs[0].psnr), min(ours[-1].psnr, theirs[-1].psnr)
    if low >= high:
        return None
    areas = [_log_bits(front).integral(low, high) for front in (ours, theirs)]
    return math.expm1((areas[0] - areas[1]) / (high - low)), low, high


def _log_bits(front: Sequence[Point]) -> Pchip:
    return Pchip([point.psnr for point in front], [math.log(point.bits) for point in front])
