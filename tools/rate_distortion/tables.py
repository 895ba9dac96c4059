"""The two tables of models/README.md: aims beside what was reached, and every curve and point that was measured.

Owns the aims of the project and the wording.  Knows nothing of codecs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tools.rate_distortion.point import EACH, Point, bits_at, front

COUNTS: Final = ((1_000, "1k"), (10_000, "10k"), (60_000, "60k"))  # images that one decoder is sent for
DECODER_LIMIT: Final = 300_000  # bytes of a decoder's package
TINY_DECODER_LIMIT: Final = 40_000
TINY_LOSS: Final = 0.7  # dB
_NONE: Final = "–"


@dataclass(frozen=True, slots=True)
class Aim:
    """Bits an image that the project set itself at a PSNR: what it wants, and what it will not go above."""

    psnr: float
    floor: int
    aim: int


AIMS: Final = (Aim(22.5, 105, 85), Aim(24, 150, 115), Aim(26, 220, 165), Aim(30, 430, 330))
SHEET_FAMILY: Final = "AVIF"
PCA_FAMILY: Final = "int8 PCA, ideal code"


def aims(points: list[Point]) -> list[list[str]]:
    """One row a PSNR: the two rivals interpolated, floor and aim, and our smallest real file that is at least as good."""
    sheets = [point for point in points if point.family == SHEET_FAMILY and point.layout != EACH]
    pca = [point for point in points if point.family == PCA_FAMILY]
    table = [["PSNR", "AVIF, sheets", "int8 PCA, ideal code", "floor", "aim", "reached", "PSNR", "with", "decoder",
              *(f"with the decoder, {label}" for _, label in COUNTS), f"decoder of at most {TINY_DECODER_LIMIT // 1000} kB"]]  # fmt: skip
    for aim in AIMS:
        best = reached(points, aim.psnr, DECODER_LIMIT)
        tiny = reached(points, aim.psnr - TINY_LOSS, TINY_DECODER_LIMIT)
        row = [
            f"{aim.psnr:g} dB",
            _bits(sheets, aim.psnr),
            _bits(pca, aim.psnr),
            str(aim.floor),
            str(aim.aim),
        ]
        if best is None:
            row += [_NONE] * (4 + len(COUNTS))
        else:
            row += [
                f"{best.bits:.1f}",
                f"{best.psnr:.2f}",
                f"`{best.setting.split(',')[0]}`",
                f"{best.decoder_bytes:,} B",
            ]
            row += [f"{best.amortised(n):,.0f}" for n, _ in COUNTS]
        row.append(_NONE if tiny is None else f"{tiny.bits:.1f} at {tiny.psnr:.2f} dB, `{tiny.setting.split(',')[0]}`")
        table.append(row)
    return table


def reached(points: Iterable[Point], psnr: float, decoder_bytes: int) -> Point | None:
    """Our smallest file at `psnr` dB or better, to two digits, with a decoder of at most that many bytes."""
    fitting = [
        point for point in points
        if point.kind == "ours" and round(point.psnr, 2) >= psnr and point.decoder_bytes <= decoder_bytes
    ]  # fmt: skip
    return min(fitting, key=lambda point: point.bits, default=None)


def everything(points: list[Point]) -> list[list[str]]:
    """Ours, each point; then the rivals: each lossless point, and of each curve what no other point of it beats."""
    heading = ["what", "setting", "layout", "bits an image", "PSNR, dB", "decoder, bytes"]
    table = [[*heading, *(f"bits with it, {label}" for _, label in COUNTS)]]
    ours = sorted(
        (p for p in points if p.kind == "ours"), key=lambda p: (p.family.startswith("float"), p.family, p.psnr)
    )
    table += [_row(point) for point in ours]
    rivals = [point for point in points if point.kind == "rival"]
    table += [_row(point) for point in sorted((p for p in rivals if p.is_lossless), key=lambda p: -p.bits)]
    curves = sorted({(point.layout, point.family) for point in rivals if not point.is_lossless}, key=_curve_order)
    for layout, family in curves:
        curve = front([p for p in rivals if (p.layout, p.family) == (layout, family) and not p.is_lossless])
        table += [_row(point) for point in _thinned(curve)]
    return table


def _curve_order(curve: tuple[str, str]) -> tuple[bool, str, str]:
    layout, family = curve
    return layout == EACH, family, layout


def _thinned(curve: list[Point], step: float = 1.0) -> list[Point]:
    """A point a decibel is enough to read; the data file has them all."""
    kept: list[Point] = []
    for point in curve:
        if not kept or point.psnr - kept[-1].psnr >= step:
            kept.append(point)
    return kept


def _row(point: Point) -> list[str]:
    has_decoder = point.decoder_bytes > 0
    return [
        f"**{point.family}**" if point.kind == "ours" else point.family,
        point.setting or _NONE,
        point.layout if point.is_real else "code length",
        f"{point.bits:,.1f}",
        "lossless" if point.is_lossless else f"{point.psnr:.2f}",
        f"{point.decoder_bytes:,}" if has_decoder else _NONE,
        *(f"{point.amortised(n):,.0f}" if has_decoder else _NONE for n, _ in COUNTS),
    ]


def _bits(points: list[Point], psnr: float) -> str:
    """On the curve; above its best point, that point's bits with a >; below its worst, nothing."""
    bits = bits_at(points, psnr)
    if bits is not None:
        return f"{bits:.0f}"
    best = max((point for point in points if not point.is_lossless), key=lambda point: point.psnr, default=None)
    return _NONE if best is None or best.psnr > psnr else f"> {best.bits:.0f}"
