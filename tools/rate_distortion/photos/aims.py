"""What the project set itself on photographs, as distances to rivals that were measured on the same photographs.

Floor: 15 % fewer bits than WebP at equal PSNR; aim: 22 % fewer; moon: AVIF.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tools.rate_distortion.photos.codecs import ANCHORS, AVIF, WEBP
from tools.rate_distortion.photos.curves import EACH, Curve, psnr_at

BITS: Final = (0.1, 0.25, 0.5, 1.0)  # a pixel
FLOOR: Final = 0.15
AIM: Final = 0.22


@dataclass(frozen=True, slots=True)
class Aims:
    """Mean PSNR to reach at `bits` a pixel; None where a rival was not measured there."""

    bits: float
    floor: float | None
    aim: float | None
    moon: float | None


def anchor(curves: list[Curve], family: str) -> Curve | None:
    """The curve of a rival that others are compared with, if it was measured."""
    wanted = family, ANCHORS[family], EACH
    return next((curve for curve in curves if (curve.family, curve.setting, curve.layout) == wanted), None)


def aims_at(curves: list[Curve], bits: float) -> Aims:
    """A file with a share `fewer` of bits less than WebP's is as good as WebP at bits / (1 - fewer)."""
    webp, avif = anchor(curves, WEBP), anchor(curves, AVIF)
    floor, aim = (None if webp is None else psnr_at(webp, bits / (1 - fewer)) for fewer in (FLOOR, AIM))
    return Aims(bits, floor, aim, None if avif is None else psnr_at(avif, bits))
