"""The rate-distortion picture.

Owns its look.  Knows nothing of how points came about.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from aeformat.atomic import AtomicFile
from tools.rate_distortion.point import EACH, Point, front
from tools.rate_distortion.tables import AIMS

_COLOURS: Final = {
    "AVIF": "#2171b5",
    "WebP": "#31a354",
    "JPEG XL": "#756bb1",
    "JPEG": "#8c6d31",
    "int8 PCA, ideal code": "#525252",
    "int8 PCA, zstd -19": "#969696",
}
_OURS: Final = ("#cb181d", "#f16913", "#980043", "#fdae6b")
_BITS: Final = (60, 100, 200, 300, 500, 1000, 2000, 4000, 7000)
_PSNR: Final = (18.5, 34.5)
_LOSSLESS_AT: Final = 34.0  # dB, where the lossless points are drawn


def draw(points: list[Point], path: Path) -> None:
    """Bits an image (logarithmic) against PSNR; ours in red, lossless points along the upper edge."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13.5, 7.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set(xscale="log", xlim=(_BITS[0], _BITS[-1]), ylim=_PSNR, xlabel="bits an image, decoder not counted",
             ylabel="PSNR, dB (all pixels of the 10,000 MNIST test images)",
             title="MNIST test images: rate and distortion, from real files")  # fmt: skip
    axes.set_xticks(_BITS, [f"{bits:,}" for bits in _BITS])
    axes.set_xticks([], minor=True)
    axes.grid(color="#ebebeb")
    axes.set_axisbelow(True)
    _rivals(axes, [point for point in points if point.kind == "rival" and not point.is_lossless])
    _lossless(axes, [point for point in points if point.is_lossless])
    _ours(axes, [point for point in points if point.kind == "ours"])
    axes.plot(
        [aim.aim for aim in AIMS], [aim.psnr for aim in AIMS], "*", color="#cb181d", ms=12, mfc="none", label="aim"
    )
    axes.plot([aim.floor for aim in AIMS], [aim.psnr for aim in AIMS], "|", color="#cb181d", ms=12, label="floor")
    axes.legend(loc="upper left", bbox_to_anchor=(1.005, 1), frameon=False, fontsize=9)
    with AtomicFile(path, force=True) as file:
        figure.savefig(file, dpi=110, metadata={"Software": None})


def _rivals(axes: Any, points: list[Point]) -> None:
    """Solid lines for sheets and PCA, dashed ones for a file each: the front of each curve."""
    for family, colour in _COLOURS.items():
        for is_each in (False, True):
            curve = front([p for p in points if p.family == family and (p.layout == EACH) == is_each])
            if curve:
                label = family if family.startswith("int8") else f"{family}, {'a file each' if is_each else 'sheets'}"
                dots = "" if family.startswith("int8") else "o"  # PCA's points are dense
                axes.plot([p.bits for p in curve], [p.psnr for p in curve], "--" if is_each else "-", marker=dots, ms=3.5,
                          lw=1.4, color=colour, label=label)  # fmt: skip


def _lossless(axes: Any, points: list[Point]) -> None:
    """Ticks at the upper edge, the best of each family and layout, with names that stand upright."""
    best: dict[str, Point] = {}
    for point in points:
        name = f"{point.family}, {'each' if point.layout == EACH else 'sheet' if 'sheet' in point.layout else 'all'}"
        if name not in best or point.bits < best[name].bits:
            best[name] = point
    axes.axhline(_LOSSLESS_AT, color="#bbbbbb", lw=0.8, ls=":")
    axes.text(_BITS[0] * 1.03, _LOSSLESS_AT, "lossless", va="bottom", fontsize=8, color="#666666")
    last = 0.0
    for name, point in sorted(best.items(), key=lambda item: item[1].bits):
        at = max(point.bits, last * 1.055)  # names must not lie on each other
        last = at
        axes.plot([point.bits], [_LOSSLESS_AT], "v", color="#444444", ms=4)
        axes.annotate(name, (point.bits, _LOSSLESS_AT - 0.1), (at, _LOSSLESS_AT - 0.5), rotation=90, va="top", ha="center",
                      fontsize=7, color="#444444", zorder=6,
                      bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none"}, arrowprops={"arrowstyle": "-", "color": "#cccccc", "lw": 0.5})  # fmt: skip


def _ours(axes: Any, points: list[Point]) -> None:
    families = sorted({p.family for p in points}, key=lambda name: (name.startswith("float"), name))
    for colour, family in zip(_OURS * len(families), families, strict=False):
        is_float = family.startswith("float")
        curve = front([p for p in points if p.family == family])
        axes.plot([p.bits for p in curve], [p.psnr for p in curve], "D" if is_float else "o-", color=colour, lw=2.2,
                  ms=5 if is_float else 7, zorder=5, label=f"ours: {family}")  # fmt: skip
        sent = [(p.amortised(60_000), p.psnr) for p in curve if not is_float]
        if sent:
            axes.plot(*zip(*sent, strict=True), "o", color=colour, mfc="none", ms=5, zorder=4,
                      label=f"{family}, with its decoder\nsent once for 60,000 images")  # fmt: skip
