"""The picture of the curves: PSNR and MS-SSIM over bits a pixel.

Owns its look: colours that colour-blind people tell apart (Okabe and Ito), a name at each line's end.  Knows nothing of how points came about.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

from aeformat.atomic import AtomicFile
from tools.rate_distortion.photos.aims import AIM, FLOOR, anchor
from tools.rate_distortion.photos.codecs import ANCHORS, AVIF, JPEG, JPEG_XL, MOZJPEG, WEBP
from tools.rate_distortion.photos.curves import EACH, Curve, Point, curves_of
from tools.rate_distortion.photos.ours import FAMILY, PACKED

_COLOURS: Final = {
    JPEG: "#8a8a8a", MOZJPEG: "#4d4d4d", WEBP: "#009e73", AVIF: "#0072b2", JPEG_XL: "#cc79a7", FAMILY: "#d55e00",
}  # fmt: skip
_SOLID: Final = {**ANCHORS, JPEG_XL: "effort 7", FAMILY: PACKED}  # the setting that stands for a family
_OTHERS: Final = ("--", ":")
_BITS: Final = (0.06, 0.1, 0.15, 0.25, 0.35, 0.5, 0.7, 1.0, 1.5, 2.0)


def draw(points: list[Point], n_photos: int, path: Path) -> None:
    """Two graphs side by side over one legend."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    curves = curves_of(points)
    figure = Figure(figsize=(15, 8.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for axes, ylabel in ((left, "PSNR of RGB, dB, mean"), (right, "MS-SSIM of RGB, mean, as −10 log10(1 − x), dB")):
        axes.set(xscale="log", xlabel="bits a pixel, of whole files, mean", ylabel=ylabel)
        axes.set_xticks(_BITS, [f"{bits:g}" for bits in _BITS])
        axes.set_xticks([], minor=True)
        axes.grid(color="#e6e6e6")
        axes.set_axisbelow(True)
    for curve, style in zip(curves, _line_styles(curves), strict=True):
        _draw_curve(left, curve, style, [point.psnr for point in curve.points])
        if all(point.ms_ssim is not None for point in curve.points):
            _draw_curve(right, curve, style, [_as_db(point.ms_ssim or 0) for point in curve.points])
    _draw_aims(left, curves)
    for axes in (left, right):
        axes.set_xlim(0.06, 2.0)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=10)
    figure.suptitle(f"{n_photos} photographs: rate and distortion, from real files", fontsize=14)
    with AtomicFile(path, force=True) as file:
        figure.savefig(file, dpi=110, metadata={"Software": None})


def _line_styles(curves: list[Curve]) -> list[str]:
    """One a curve: that which stands for its family solid, its others dashed and dotted."""
    others: dict[tuple[str, str], int] = {}
    made = []
    for curve in curves:
        if _SOLID.get(curve.family, curve.setting) == curve.setting:
            made.append("-")
        else:
            number = others[curve.family, curve.layout] = others.get((curve.family, curve.layout), -1) + 1
            made.append(_OTHERS[number % len(_OTHERS)])
    return made


def _draw_curve(axes: Any, curve: Curve, style: str, values: list[float]) -> None:
    is_ours = curve.family == FAMILY
    axes.plot(
        [point.bits for point in curve.points], values, style, color=_COLOURS[curve.family], label=curve.label,
        lw=2.6 if is_ours else 1.7 if style == "-" else 1.2, marker="o" if is_ours or style == "-" else "",
        ms=8 if is_ours else 4, zorder=5 if is_ours else 3, mfc="white" if is_ours and curve.layout != EACH else None,
    )  # fmt: skip


def _draw_aims(axes: Any, curves: list[Curve]) -> None:
    """WebP's curve with fewer bits: where floor and aim lie."""
    webp = anchor(curves, WEBP)
    if webp is None:
        return
    for fewer, name, style in ((FLOOR, "floor", (0, (1, 2))), (AIM, "aim", (0, (5, 2)))):
        bits = [point.bits * (1 - fewer) for point in webp.front]
        axes.plot(bits, [point.psnr for point in webp.front], ls=style, color="#e69f00", lw=1.3, zorder=2,
                  label=f"{name}: {100 * fewer:.0f} % fewer bits than WebP")  # fmt: skip


def _as_db(ms_ssim: float) -> float:
    return -10 * math.log10(max(1 - ms_ssim, 1e-9))
