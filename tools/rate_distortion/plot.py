"""The rate-distortion picture.

Owns its look.  Knows nothing of how points came about.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from aeformat.atomic import AtomicFile
from tools.rate_distortion.point import EACH, Point, bits_at, curves, front
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
_BITS: Final = (50, 100, 200, 300, 500, 1000, 2000, 4000, 7000)
_PSNR: Final = (18.5, 36.6)
_LOSSLESS_AT: Final = 34.0  # dB, where the band of the lossless points begins
_COMMON_PSNR: Final = 26.0


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
    axes.set_yticks(range(20, 35, 2))
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
    """Solid lines for sheets and PCA, dashed ones for a file each; of several settings of one codec the weaker are thin."""
    for family, colour in _COLOURS.items():
        is_pca = family.startswith("int8")
        for is_each in (False, True):
            found = curves([p for p in points if p.family == family and (p.layout == EACH) == is_each])
            for number, curve in enumerate(sorted(found, key=_strength)):
                label = family if is_pca else f"{family}, {'a file each' if is_each else 'sheets'}"
                axes.plot([p.bits for p in curve], [p.psnr for p in curve], "--" if is_each else "-",
                          marker="" if is_pca else "o", ms=3.5 if not number else 2, lw=1.6 if not number else 0.6,
                          color=colour, label="_" if number else label)  # fmt: skip


def _strength(curve: list[Point]) -> float:
    """Bits at a PSNR that every curve of a family reaches; fewer is stronger."""
    return bits_at(curve, _COMMON_PSNR) or curve[-1].bits


def _lossless(axes: Any, points: list[Point]) -> None:
    """In a band above the curves, the best of each family and layout, with names that stand upright."""
    best: dict[str, Point] = {}
    for point in points:
        name = f"{point.family.removesuffix(' lossless')}, {'each' if point.layout == EACH else 'sheet' if 'sheet' in point.layout else 'all'}"
        if name not in best or point.bits < best[name].bits:
            best[name] = point
    axes.axhspan(_LOSSLESS_AT, _PSNR[1], fc="#f7f7f7", zorder=6)
    axes.text(_BITS[0] * 1.03, _LOSSLESS_AT + 0.15, "lossless", va="bottom", fontsize=9, color="#444444", zorder=7)
    last = 0.0
    for name, point in sorted(best.items(), key=lambda item: item[1].bits):
        at = max(point.bits, last * 1.06)  # names must not lie on each other
        last = at
        axes.plot([point.bits], [_LOSSLESS_AT], "^", color="#444444", ms=4, zorder=7)
        axes.annotate(name, (point.bits, _LOSSLESS_AT + 0.1), (at, _LOSSLESS_AT + 0.5), rotation=90, va="bottom", zorder=7,
                      ha="center", fontsize=7, arrowprops={"arrowstyle": "-", "color": "#aaaaaa", "lw": 0.5})  # fmt: skip


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
