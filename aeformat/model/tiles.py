"""Which part of each value a part of the output needs (spec/model.md, section 3.1).

Owns the arithmetic of one axis: a convolution reaches as far as its kernel, and what lies outside the image is the padding of
the layer.  So a network with free sizes can be computed a tile at a time, and gives the numbers of the whole.  Runs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt, prod
from typing import Final

from aeformat.model.free_sizes import Size
from aeformat.model.layers import Layer
from aeformat.model.manifest import Manifest, tensors_of

Sides = tuple[int, int, int, int]  # top, bottom, left, right
Reach = tuple[int, int]  # first row or column, and the one behind the last

_TILE_NUMBERS: Final = 1 << 20  # that all values of a tile have together, about
_MOST_NUMBERS: Final = 1 << 23  # where a network reaches so far that a small tile would mostly compute its surroundings
_MOST_SURROUNDINGS: Final = 1.3  # of a tile's numbers, as a share of those without surroundings
_FAR: Final = 1 << 20  # latent pixels: an image whose edges no tile in its middle sees


@dataclass(frozen=True, slots=True)
class Part:
    """One layer on one axis.  takes: of each input, what part of the numbers at hand.

    before, after: a conv2d puts so many zeros around its input; conv2d_transpose and upsample cut so much off what they make.
    """

    takes: tuple[Reach, ...]
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Line:
    """All layers on one axis.  made: the part of the output.  input: the part of the input that it needs."""

    made: Reach
    input: Reach
    parts: tuple[Part, ...]
    n: tuple[int, ...]  # rows or columns of each value that are at hand


@dataclass(frozen=True, slots=True)
class Tile:
    """A rectangle of the output, and what of the network it needs."""

    rows: Line
    columns: Line

    def takes(self, number: int) -> list[tuple[slice, slice]]:
        """Of each input of layer `number`, the rows and columns that it takes."""
        pairs = zip(self.rows.parts[number].takes, self.columns.parts[number].takes, strict=True)
        return [(slice(*rows), slice(*columns)) for rows, columns in pairs]

    def sides(self, number: int) -> Sides:
        """The padding, or the crop, of layer `number`."""
        rows, columns = self.rows.parts[number], self.columns.parts[number]
        return rows.before, rows.after, columns.before, columns.after


def line_of(manifest: Manifest, axis: int, latent: int, made: Reach) -> Line:
    """What rows (axis 0) or columns (1) `made` of the output need.  latent: rows or columns of the latent."""
    values = manifest.values
    needs: list[list[Reach]] = [[] for _ in values]
    needs[-1].append(made)
    found = []
    for number in reversed(range(len(manifest.layers))):
        layer, out = manifest.layers[number], _hull(needs[number + 1])
        n_rows = values[layer.inputs[0]].shape[axis] * latent
        reach, before, after = _needed(manifest, layer, axis, out, n_rows)
        found.append((reach, before, after))
        for value in layer.inputs:
            needs[value].append(reach)
    hulls = [_hull(of) for of in needs]
    parts = []
    for layer, ((start, stop), before, after) in zip(manifest.layers, reversed(found), strict=True):
        takes = tuple((start - hulls[value][0], stop - hulls[value][0]) for value in layer.inputs)
        parts.append(Part(takes, before, after))
    return Line(made, hulls[0], tuple(parts), tuple(stop - start for start, stop in hulls))


def _hull(reaches: Sequence[Reach]) -> Reach:
    return min(start for start, _ in reaches), max(stop for _, stop in reaches)


def _needed(manifest: Manifest, layer: Layer, axis: int, made: Reach, n: int) -> tuple[Reach, int, int]:
    """What a layer needs of its n rows or columns for those that it is to make; then what is before and after them."""
    start, stop = made
    if layer.kind == "upsample":
        factor = _numbers(layer, "factors")[axis]
        first, last = start // factor, -(-stop // factor)
        return (first, last), start - first * factor, last * factor - stop
    if layer.kind not in ("conv2d", "conv2d_transpose"):
        return made, 0, 0
    stride, size = _numbers(layer, "strides")[axis], manifest.tensors[tensors_of(layer)["weights"]].shape[axis]
    if layer.kind == "conv2d":
        padding = _numbers(layer, "padding")[2 * axis]
        start, stop = start * stride - padding, (stop - 1) * stride - padding + size
        first, last = max(0, start), min(n, stop)
        return (first, last), first - start, stop - last
    crop = _numbers(layer, "crop")[2 * axis]
    start, stop = start + crop, stop + crop
    first, last = max(0, -((size - 1 - start) // stride)), min(n, (stop - 1) // stride + 1)
    return (first, last), start - first * stride, (last - 1) * stride + size - stop


def _numbers(layer: Layer, key: str) -> tuple[int, ...]:
    numbers = layer.params[key]
    assert isinstance(numbers, tuple)
    return numbers


def tile_numbers(manifest: Manifest, tile: Tile) -> int:
    """Numbers of all values of a tile."""
    counts = zip(tile.rows.n, tile.columns.n, manifest.values, strict=True)
    return sum(rows * columns * value.shape[2] for rows, columns, value in counts)


def tile_size(manifest: Manifest) -> Size:
    """Rows and columns of the output of a tile that takes a few megabytes, unless the network reaches far."""
    each = sum(prod(value.shape) for value in manifest.values)  # for one pixel of the latent
    side = max(1, isqrt(_TILE_NUMBERS // each))
    while True:
        numbers = tile_numbers(manifest, _in_the_middle(manifest, side))
        wider = side + max(1, side // 2)
        if numbers <= _MOST_SURROUNDINGS * each * side**2 or each * wider**2 > _MOST_NUMBERS:
            rows, columns, _ = manifest.values[-1].shape
            return side * rows, side * columns
        side = wider


def reach_of(manifest: Manifest) -> int:
    """How many latent pixels around one the pixels of the output see that lie within it, of a decoder."""
    line = _in_the_middle(manifest, 1)
    return max(max(_FAR - start, stop - _FAR - 1) for start, stop in (line.rows.input, line.columns.input))


def _in_the_middle(manifest: Manifest, side: int) -> Tile:
    """A tile of side x side latent pixels, far from the edges of an image."""
    rows, columns = (
        line_of(manifest, axis, 2 * _FAR, (_FAR * of, (_FAR + side) * of))
        for axis, of in enumerate(manifest.values[-1].shape[:2])
    )
    return Tile(rows, columns)
