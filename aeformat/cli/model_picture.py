"""A picture of a model's layers: one column for each half, its branches on the left.

Owns the layout and the colours.  The picture is for people; no program reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from aeformat.atomic import AtomicFile, check_target
from aeformat.cli import common
from aeformat.images.fit import require_pillow
from aeformat.model.facts import LayerFacts, cost_text, facts_of, value_text
from aeformat.model.package import ModelPackage

_PAPER: Final = (250, 249, 246)
_INK: Final = (40, 42, 48)
_PALE: Final = (112, 114, 120)
_WEIGHTS: Final = (214, 228, 246)
_FUNCTIONS: Final = (250, 226, 200)
_JOINS: Final = (213, 238, 214)
_MOVES: Final = (232, 231, 228)
_COLOURS: Final = {
    **dict.fromkeys(("dense", "conv2d", "conv2d_transpose", "affine"), _WEIGHTS),
    **dict.fromkeys(("add", "concat"), _JOINS),
    **dict.fromkeys(
        ("reshape", "flatten", "upsample", "max_pool", "average_pool", "slice", "pad", "crop", "input", "output"),
        _MOVES,
    ),
}

_SCALE: Final = 2  # of all numbers below, for screens of high resolution
_WIDTH: Final = 430  # of a box
_TALL, _LOW = 46, 28  # of a box with and without a second line
_GAP: Final = 16
_TRACK_WIDTH: Final = 14
_MARGIN: Final = 24
_TITLE: Final = 62


def save_picture(path: Path, packages: Sequence[ModelPackage], *, force: bool) -> None:
    """Write a PNG.  Raises UsageError where Pillow is missing or the file exists."""
    check_target(path, force=force)
    require_pillow("pictures of models")
    from PIL import Image

    columns = [_Column(package) for package in packages]
    width = sum(column.width for column in columns) + _MARGIN * (len(columns) + 1)
    height = max(column.height for column in columns) + 2 * _MARGIN
    image = Image.new("RGB", (width * _SCALE, height * _SCALE), _PAPER)
    pen = _Pen(image)
    left = _MARGIN
    for column in columns:
        column.draw(pen, left, _MARGIN)
        left += column.width + _MARGIN
    with AtomicFile(path, force=force) as file:
        image.save(file, "PNG", optimize=True)


class _Pen:
    """Draws on an image; all coordinates are given before scaling."""

    def __init__(self, image: Any) -> None:
        from PIL import ImageDraw, ImageFont

        self._draw = ImageDraw.Draw(image)
        self._fonts = {size: ImageFont.load_default(size * _SCALE) for size in (10, 12, 16)}

    def box(self, x: float, y: float, width: float, height: float, fill: tuple[int, int, int]) -> None:
        corners = [x * _SCALE, y * _SCALE, (x + width) * _SCALE, (y + height) * _SCALE]
        self._draw.rounded_rectangle(corners, radius=5 * _SCALE, fill=fill, outline=(196, 196, 194), width=_SCALE)

    def bar(self, x: float, y: float, width: float) -> None:
        self._draw.rectangle([x * _SCALE, y * _SCALE, (x + width) * _SCALE, (y + 2.5) * _SCALE], fill=(96, 128, 176))

    def line(self, *points: tuple[float, float], arrow: bool = False) -> None:
        scaled = [(x * _SCALE, y * _SCALE) for x, y in points]
        self._draw.line(scaled, fill=_PALE, width=round(1.2 * _SCALE), joint="curve")
        if arrow:
            (fx, fy), (tx, ty) = points[-2:]
            dx, dy = (fx < tx) - (fx > tx), (fy < ty) - (fy > ty)
            tip = [(tx, ty), (tx - 6 * dx - 3 * dy, ty - 6 * dy - 3 * dx), (tx - 6 * dx + 3 * dy, ty - 6 * dy + 3 * dx)]
            self._draw.polygon([(x * _SCALE, y * _SCALE) for x, y in tip], fill=_PALE)

    def text(
        self, x: float, y: float, text: str, size: int, ink: tuple[int, int, int] = _INK, anchor: str = "lm"
    ) -> None:
        self._draw.text((x * _SCALE, y * _SCALE), text, fill=ink, font=self._fonts[size], anchor=anchor)

    def length(self, text: str, size: int) -> float:
        """The width of a text, before scaling."""
        return float(self._fonts[size].getlength(text)) / _SCALE


class _Column:
    """One half.  Box 0 is the input, box k + 1 layer k.  Connections that pass boxes by run in tracks beside them."""

    def __init__(self, package: ModelPackage) -> None:
        self._package = package
        self._facts = facts_of(package)
        self._tracks = _tracks(
            [(i, k + 1) for k, layer in enumerate(self._facts) for i in dict.fromkeys(layer.inputs) if i != k]
        )
        self._gutter = (1 + max(self._tracks.values(), default=-1)) * _TRACK_WIDTH + (
            _TRACK_WIDTH if self._tracks else 0
        )
        self._heights = [_LOW, *(_TALL if _second_line(layer) else _LOW for layer in self._facts)]
        self.width = self._gutter + _WIDTH
        self.height = _TITLE + sum(self._heights) + _GAP * (len(self._heights) - 1)

    def draw(self, pen: _Pen, x: float, y: float) -> None:
        """Draw the column with its upper left corner at (x, y)."""
        package, left = self._package, x + self._gutter
        pen.text(left, y + 10, f"{package.name or '-'}  {package.role}", 16)
        n_bytes = sum(layer.n_bytes for layer in self._facts)
        about = [
            f"{package.profile}, model id {package.model_id.hex()[:12]}",
            f"{package.n_params:,} parameters, {common.size(n_bytes)}, "
            f"{cost_text(package.manifest, _short(package.n_multiply_adds))} (the bars: each layer's share)",
        ]
        for i, line in enumerate(about):
            pen.text(left, y + 29 + 14 * i, line, 10, _PALE)
        tops = [y + _TITLE]
        for height in self._heights[:-1]:
            tops.append(tops[-1] + height + _GAP)
        self._connect(pen, x, left, tops)
        self._box(
            pen, left, tops[0], _LOW, "input", "", value_text(package.manifest, package.manifest.values[0]), "", 0
        )
        for layer, top, height in zip(self._facts, tops[1:], self._heights[1:], strict=True):
            share = layer.n_multiply_adds / max(1, package.n_multiply_adds)
            title = f"{layer.number}  {layer.kind}"
            self._box(pen, left, top, height, title, layer.note, layer.made, _second_line(layer), share, layer.kind)

    def _connect(self, pen: _Pen, x: float, left: float, tops: Sequence[float]) -> None:
        middle = left + _WIDTH / 2
        for k, layer in enumerate(self._facts):
            if k in layer.inputs:
                pen.line((middle, tops[k] + self._heights[k]), (middle, tops[k + 1]), arrow=True)
        for (start, end), track in self._tracks.items():
            at = left - _TRACK_WIDTH * (track + 1)
            from_y, to_y = tops[start] + self._heights[start] * 0.7, tops[end] + self._heights[end] * 0.35
            pen.line((left, from_y), (at, from_y), (at, to_y), (left, to_y), arrow=True)

    def _box(
        self, pen: _Pen, x: float, top: float, height: float, title: str, note: str, made: str, more: str, share: float,
        kind: str = "input",
    ) -> None:  # fmt: skip
        pen.box(x, top, _WIDTH, height, _COLOURS.get(kind, _FUNCTIONS))
        line = top + _LOW / 2
        pen.text(x + 10, line, title, 12)
        room = _WIDTH - 40 - pen.length(title, 12) - pen.length(made, 12)
        while note and pen.length(note, 10) > room:
            note = note.rpartition(", ")[0]
        pen.text(x + 20 + pen.length(title, 12), line, note, 10, _PALE)
        pen.text(x + _WIDTH - 10, line, made, 12, anchor="rm")
        if more:
            pen.text(x + 10, top + _LOW + 5, more, 10, _PALE)
        if share:
            pen.bar(x + 10, top + height - 4, max(1.0, share * (_WIDTH - 20)))


def _second_line(layer: LayerFacts) -> str:
    parts = []
    if layer.n_params:
        parts.append(f"{layer.n_params:,} parameters")
    if layer.n_bytes:
        parts.append(common.size(layer.n_bytes))
    if layer.n_multiply_adds:
        parts.append(f"{_short(layer.n_multiply_adds)} multiply-adds")
    if layer.bound is not None:
        parts.append(f"sums to {layer.bound:,}")
    return ", ".join(parts)


def _short(number: int) -> str:
    """1,234 or 12.3 million."""
    return (
        f"{number:,}"
        if number < 10**6
        else f"{number / 10**6:.3g} million"
        if number < 10**9
        else f"{number / 10**9:.3g} billion"
    )


def _tracks(edges: Sequence[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """Choose a track for each connection, so that no two overlap in one; short ones stand nearest to the boxes."""
    found: dict[tuple[int, int], int] = {}
    for start, end in sorted(edges, key=lambda edge: edge[1] - edge[0]):
        taken = {track for (a, b), track in found.items() if a < end and start < b}
        found[start, end] = next(track for track in range(len(edges)) if track not in taken)
    return found
