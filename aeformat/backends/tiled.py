"""Running a network with free sizes a tile at a time, on all cores, for both backends.

Owns what is computed when and where its numbers go: the tiles of each row, the repeated edge of an encoder's image, the cut
of a decoder's (spec/model.md, section 3.1).  Knows nothing of how a layer is computed.  In profile float32 the whole row is one
tile, because its sums depend on the largest number in it (M5-3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from aeformat.backends.base import Rows, array_type
from aeformat.backends.threads import Threads
from aeformat.model.free_sizes import Size, check_sizes
from aeformat.model.manifest import ENCODER
from aeformat.model.package import ModelPackage, Step
from aeformat.model.tiles import Sides, Tile, line_of, tile_numbers, tile_size
from aeformat.model.values import EXACT

RunTile = Callable[
    [Rows, Tile], Rows
]  # (n, rows, columns, channels) of the input -> of the output; may lie in scratch memory
_BLOCK_NUMBERS: Final = 1 << 20  # that small images which are computed together have, about


def own_sides(step: Step) -> Sides:
    """The padding or the crop that a step has for a whole row."""
    key = next((key for key in ("padding", "crop") if key in step.params), None)
    top, bottom, left, right = (0, 0, 0, 0) if key is None else step.integers(key)
    return top, bottom, left, right


class Tiled:
    """What cuts rows into tiles.  tile: rows and columns of the output that are one, by default what fits.

    threads: that compute tiles side by side.
    """

    def __init__(self, package: ModelPackage, *, threads: Threads, tile: Size | None = None) -> None:
        self._package = package
        self._is_exact = package.profile == EXACT
        self._tile = tile or (tile_size(package.manifest) if self._is_exact else None)
        assert self._is_exact or tile is None
        self._threads = threads

    def run(self, run_tile: RunTile, rows: Rows, image: Size | None = None) -> Rows:
        """(n, height, width, channels) -> the same of the output.

        run_tile: computes one tile.  image: what a decoder's output is cut to.
        Raises ValueInvalid, LimitExceeded (M3-12).
        """
        package, manifest = self._package, self._package.manifest
        scale = manifest.scale
        assert scale is not None
        given: Size = (rows.shape[1], rows.shape[2])
        is_encoder = package.role == ENCODER
        latent = manifest.latent_of(given)
        channels = package.input.shape[2], package.output.shape[2]
        if is_encoder:
            check_sizes(scale, None, given, n_channels=channels[::-1])
            size = latent
        else:
            size = image or (latent[0] * scale[0], latent[1] * scale[1])
            check_sizes(scale, latent, size, n_channels=channels)
        result = np.empty((len(rows), *size, channels[1]), array_type(package.output))
        tasks = [(tile, block) for tile in self._tiles(latent, size) for block in self._blocks(tile, len(rows))]

        def compute(task: tuple[Tile, slice]) -> None:
            tile, block = task
            made = run_tile(_window(rows[block], tile, repeats_edge=is_encoder), tile)
            (top, bottom), (left, right) = tile.rows.made, tile.columns.made
            bottom, right = min(bottom, size[0]), min(right, size[1])
            result[block, top:bottom, left:right] = made[:, : bottom - top, : right - left]

        self._threads.each(compute, tasks)
        return result

    def _tiles(self, latent: Size, size: Size) -> Iterator[Tile]:
        """The tiles of an output of this size."""
        manifest = self._package.manifest
        whole = tuple(n * of for n, of in zip(latent, manifest.values[-1].shape[:2], strict=True))
        ends = size if self._is_exact else whole
        steps = self._tile or ends
        lines = [
            [line_of(manifest, axis, latent[axis], (at, min(at + step, end))) for at in range(0, end, step)]
            for axis, (step, end) in enumerate(zip(steps, ends, strict=True))
        ]
        for rows in lines[0]:
            for columns in lines[1]:
                yield Tile(rows, columns)

    def _blocks(self, tile: Tile, n_rows: int) -> Iterator[slice]:
        """How many rows are computed together: several where images are small; one in profile float32."""
        n_block = max(1, _BLOCK_NUMBERS // tile_numbers(self._package.manifest, tile)) if self._is_exact else 1
        for start in range(0, n_rows, n_block):
            yield slice(start, min(start + n_block, n_rows))


def _window(rows: Rows, tile: Tile, *, repeats_edge: bool) -> Rows:
    """The part of the input that a tile needs.  repeats_edge: it may lie behind the last row and column of an image."""
    (top, bottom), (left, right) = tile.rows.input, tile.columns.input
    height, width = rows.shape[1:3]
    if not repeats_edge or (bottom <= height and right <= width):
        return rows[:, top:bottom, left:right]
    down = np.minimum(np.arange(top, bottom), height - 1)
    across = np.minimum(np.arange(left, right), width - 1)
    return rows[:, down[:, np.newaxis], across]
