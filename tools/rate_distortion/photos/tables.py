"""The tables of photographs: aims beside what was reached, BD-rates, and every point that was measured.

Owns the wording.  Knows nothing of how points came about.
"""

from __future__ import annotations

from typing import Final

from tools.rate_distortion.photos.aims import BITS, aims_at, anchor
from tools.rate_distortion.photos.codecs import ANCHORS
from tools.rate_distortion.photos.curves import Curve, Point, bd_rate, curves_of, psnr_at
from tools.rate_distortion.photos.ours import FAMILY

COUNTS: Final = (1, 24, 1_000)  # photographs that one decoder is sent for
_NONE: Final = "–"


def at_bits(points: list[Point]) -> list[list[str]]:
    """Mean PSNR of every codec at the bits of the aims, then the aims, and how far ours is above or below each."""
    curves = curves_of(points)
    table = [["mean PSNR, dB, at", *(f"{bits:g} bits a pixel" for bits in BITS)]]
    for curve in curves:
        table.append([_name(curve), *(_psnr(psnr_at(curve, bits)) for bits in BITS)])
    aims = [aims_at(curves, bits) for bits in BITS]
    goals = {
        "floor: 15 % fewer bits than WebP": [aim.floor for aim in aims],
        "aim: 22 % fewer": [aim.aim for aim in aims],
        "moon: AVIF": [aim.moon for aim in aims],
    }
    table += [[name, *map(_psnr, values)] for name, values in goals.items()]
    for curve in [curve for curve in curves if curve.family == FAMILY]:
        reached = [psnr_at(curve, bits) for bits in BITS]
        for name, values in goals.items():
            differences = [_difference(psnr, goal) for psnr, goal in zip(reached, values, strict=True)]
            if set(differences) != {_NONE}:
                table.append([f"{curve.label}, less the {name.split(':')[0]}", *differences])
    return table


def by_model(points: list[Point]) -> list[list[str]]:
    """Each of our points, beside the rivals and the aims at its own bits: true for one model alone, too."""
    curves = curves_of(points)
    rivals = {family: anchor(curves, family) for family in ANCHORS}
    heading = ["ours", "bits a pixel", "PSNR, dB", *(f"{family} there" for family in rivals)]
    table = [[*heading, "less the floor", "less the aim", "less the moon"]]
    for curve in [curve for curve in curves if curve.family == FAMILY]:
        for point in curve.points:
            aims = aims_at(curves, point.bits)
            others = [_psnr(None if rival is None else psnr_at(rival, point.bits)) for rival in rivals.values()]
            goals = [_difference(point.psnr, goal) for goal in (aims.floor, aims.aim, aims.moon)]
            name = f"`{point.quality}`, {point.setting}, {point.layout}"
            table.append([name, f"{point.bits:.4f}", f"{point.psnr:.2f}", *others, *goals])
    return table


def bd_rates(points: list[Point]) -> list[list[str]]:
    """How many bits more or fewer each codec takes than the anchors at equal mean PSNR, and over which PSNR, in dB."""
    curves = curves_of(points)
    anchors = {family: anchor(curves, family) for family in ANCHORS}
    table = [["BD-rate", *(text for family in anchors for text in (f"against {family}", "over, dB"))]]
    for curve in curves:
        found = [None if reference is None else bd_rate(curve, reference) for reference in anchors.values()]
        if set(found) != {None}:
            table.append([_name(curve), *(cell for rate in found for cell in _rate_cells(rate))])
    return table


def _rate_cells(rate: tuple[float, float, float] | None) -> tuple[str, str]:
    if rate is None:
        return _NONE, _NONE
    more, low, high = rate
    return f"{100 * more:+.1f} %", f"{low:.1f} to {high:.1f}"


def everything(points: list[Point]) -> list[list[str]]:
    """Every point."""
    table = [["what", "quality", "bits a pixel", "PSNR, dB", "pooled", "MS-SSIM", "encoding, s", "decoding, s",
              *(f"bits with the decoder, for {n:,}" for n in COUNTS)]]  # fmt: skip
    for curve in curves_of(points):
        table += [[_name(curve), *_cells(point)] for point in curve.points]
    return table


def _cells(point: Point) -> list[str]:
    has_decoder = point.decoder_bytes > 0
    return [
        point.quality, f"{point.bits:.4f}", _psnr(point.psnr), _psnr(point.pooled_psnr),
        _NONE if point.ms_ssim is None else f"{point.ms_ssim:.4f}", f"{point.encode_s:.3f}", f"{point.decode_s:.3f}",
        *(f"{point.amortised(n):.3f}" if has_decoder else _NONE for n in COUNTS),
    ]  # fmt: skip


def _name(curve: Curve) -> str:
    return f"**{curve.label}**" if curve.family == FAMILY else curve.label


def _psnr(value: float | None) -> str:
    return _NONE if value is None else f"{value:.2f}"


def _difference(value: float | None, goal: float | None) -> str:
    return _NONE if value is None or goal is None else f"{value - goal:+.2f}"
