"""Refining latents of any size under a prior with passes: integers near the encoder's that lower bits plus priced error.

Owns the search.  All positions of one phase of the 2 x 2 lattice are looked at together.  The slopes of the decoder's layers
(backends/numpy_adjoint.py) say, to first order, what a step of each latent does to the squared error; the tables say what it
does to the bits.  Each position then has a few proposals, from bold to careful, which differ in how much error they expect
beside that.  Every proposal is decoded, and each position takes the one that is best in the pixels around it.  Of all latents
on the way those are kept whose bits and error together are lowest, so no image becomes worse.

Sums are integers, and slopes the same on every machine, so the same images give the same file everywhere.  An image is computed
a tile at a time, each with the surroundings that the layers reach.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from math import log
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aeformat.backends.base import array_type
from aeformat.backends.numpy_backend import NumpyNetwork
from aeformat.backends.numpy_layers import Fresh, Scratch
from aeformat.backends.numpy_passes import prior_of
from aeformat.container.passes import PHASES, PassesPrior
from aeformat.container.prior import COST_BITS
from aeformat.container.threads import n_processors
from aeformat.errors import UsageError
from aeformat.model.passes import reach_of_passes
from aeformat.model.tiles import reach_of
from aeformat.model.values import EXACT
from aeformat.pipeline.progress import SILENT, Progress

if TYPE_CHECKING:
    from aeformat.backends.numpy_adjoint import Adjoint
    from aeformat.model.package import ModelPackage

Latents = NDArray[Any]
Ints = NDArray[np.int64]
Image = NDArray[np.uint8]

LEVELS: Final = 255**2  # squared grey levels in a unit of squared error
MOST_ROUNDS: Final = 16
_LOWEST_PRICE: Final = 2.0**-COST_BITS  # it is 1 in integers
_HIGHEST_PRICE: Final = 1e6
_TILE: Final = 24  # positions along each side of a tile; even, so that a tile begins with phase 0
_PROPOSALS: Final = (0.5, 0.75, 1.1, 1.7)  # what a step is expected to add to the error, as a part of its energy
_SCATTER: Final = np.uint32(2_654_435_761)  # odd, and such that its multiples modulo 2^32 look like chance
_OTHERS: Final = 8  # one latent of so many is not 0
_UNIT: Final = 1 / (1 << COST_BITS)


@dataclass(frozen=True)
class SizedRefinement:
    """How latents of any size are refined.

    decoder: of profile exact, with a prior with passes.  price: bits that one unit of squared error over a whole image
    (pixels in 0..1) is worth: the higher, the closer the images and the larger the file; None for the decoder's own.
    n_rounds: 1 to 16, each of four steps, one for each phase.  n_threads: that compute tiles side by side, by default one a
    core; no effect on the result.  Raises UsageError for another decoder, a price or rounds out of range.
    """

    decoder: ModelPackage
    price: float | None = None
    n_rounds: int = 2
    n_threads: int | None = None

    def __post_init__(self) -> None:
        if self.n_rounds not in range(1, MOST_ROUNDS + 1):
            raise UsageError(f"refining takes 1 to {MOST_ROUNDS} rounds, not {self.n_rounds!r}")
        package = self.decoder
        if package.profile != EXACT or package.passes is None:
            raise UsageError(
                "only latents of an exact decoder with a prior can be refined; this one is not such a decoder"
            )
        if self.price is not None and not _LOWEST_PRICE <= self.price <= _HIGHEST_PRICE:
            raise UsageError(
                f"a price of {self.price:g} bits is out of range: {_LOWEST_PRICE:.2g} to {_HIGHEST_PRICE:,.0f}"
            )

    @cached_property
    def prior(self) -> PassesPrior:
        """The decoder's."""
        found = prior_of(self.decoder).prior
        assert isinstance(found, PassesPrior)
        return found

    @cached_property
    def adjoint(self) -> Adjoint:
        """The decoder's layers, with their slopes."""
        return NumpyNetwork(self.decoder).adjoint()

    @cached_property
    def reach(self) -> int:
        """How many positions a latent is seen from, by pixels or by other latents' tables."""
        assert self.decoder.passes is not None
        return max(reach_of(self.decoder.manifest), reach_of_passes(self.decoder.passes.graph))

    @cached_property
    def step_energy(self) -> float:
        """What a step of one latent changes, in squared grey levels of all pixels together; the mean of all channels.

        Some other latents are 1 or -1, as in a photograph: plain grey is not where a decoder is made for.
        """
        n_channels, side = self.decoder.input.shape[2], 2 * self.reach + 1
        number = np.arange(side * side * n_channels, dtype=np.uint32) * _SCATTER >> np.uint32(8)
        others = np.where(number % _OTHERS == 0, np.where(number // _OTHERS % 2, 1, -1), 0)
        interval = self.decoder.input.interval
        assert interval is not None
        others = np.clip(others, interval.lo, interval.hi - 1).reshape(1, side, side, n_channels)
        rows = np.repeat(others.astype(array_type(self.decoder.input)), n_channels + 1, axis=0)
        each = np.arange(n_channels)
        rows[each, side // 2, side // 2, each] += 1
        made = NumpyNetwork(self.decoder, n_threads=self.n_threads).run(rows).astype(np.int16)
        return sum(int(np.square(one - made[-1], dtype=np.int64).sum()) for one in made[:-1]) / n_channels

    @cached_property
    def own_price(self) -> float:
        """The price at which a uniform quantiser has steps as large as those of this decoder.

        Steps of energy E leave an error D = E / 12 in each latent; one more bit divides D by four.  So at the margin a unit of
        error costs 1 / (2 D ln 2) = 6 / (E ln 2) bits.
        """
        return 6 * LEVELS / (log(2) * max(self.step_energy, 1.0))

    @cached_property
    def integer_price(self) -> int:
        """The price of one squared grey level, in 2^-16 / 255^2 bits."""
        return round((self.own_price if self.price is None else self.price) * (1 << COST_BITS))

    def refine(self, latents: Latents, images: NDArray[np.uint8], progress: Progress = SILENT) -> Latents:
        """Latents (n, h, w, channels) of images (n, height, width, colours) -> latents that are never worse.

        Each step moves a latent by 1 at most.  progress: told of parts of an image.
        """
        return np.stack([
            _Search(self, image).refined(row, progress) for row, image in zip(latents, images, strict=True)
        ])  # fmt: skip


class _Window(NamedTuple):
    """A tile with its surroundings, on one axis, in positions.  inner: the tile, in the window."""

    whole: slice
    inner: slice

    @classmethod
    def of(cls, start: int, n: int, reach: int) -> _Window:
        stop = min(start + _TILE, n)
        first = max(0, start - 2 * reach)  # even, as start is
        return cls(slice(first, min(n, stop + 2 * reach)), slice(start - first, stop - first))


@dataclass(frozen=True, slots=True)
class _Symbols:
    """What the latents (h, w, channels) of a window cost, in 2^-16 bits: each as it is, one higher, and one lower."""

    now: Ints
    higher: Ints
    lower: Ints


class _Search:
    """The search for one image."""

    def __init__(self, refinement: SizedRefinement, image: Image) -> None:
        package = refinement.decoder
        assert package.manifest.scale is not None and package.input.interval is not None
        self._refinement, self._image = refinement, image
        self._prior, self._adjoint = refinement.prior, refinement.adjoint
        self._scale, self._interval = package.manifest.scale, package.input.interval
        self._costs = self._prior.costs.astype(np.int64).reshape(-1)
        self._price = refinement.integer_price
        self._bits_a_level = self._price * _UNIT / LEVELS

    def refined(self, latents: Latents, progress: Progress) -> Latents:
        """The best latents on the way.  latents: (h, w, channels)."""
        n_steps = len(PHASES) * self._refinement.n_rounds
        best, lowest, done = latents, None, 0.0
        for step in range(n_steps):
            total, moved = self._all_tiles(latents, step % len(PHASES))
            if lowest is None or total < lowest:
                best, lowest = latents, total
            latents = moved
            progress.update((step + 1) / n_steps - done)
            done = (step + 1) / n_steps
        total, _ = self._all_tiles(latents, None)
        return latents if lowest is not None and total < lowest else best

    def _all_tiles(self, latents: Latents, phase: int | None) -> tuple[int, Latents]:
        """The bits and the priced error of these latents, in 2^-16 / 255^2 bits; and the latents with one phase moved."""
        height, width = latents.shape[:2]
        made, total = latents.copy(), 0
        tiles = [(y, x) for y in range(0, height, _TILE) for x in range(0, width, _TILE)]
        n_threads = self._refinement.n_threads or n_processors()
        with ThreadPoolExecutor(min(n_threads, len(tiles))) as pool:
            found = pool.map(partial(self._tile, latents, phase), tiles)
            for (y, x), (of_tile, moved) in zip(tiles, found, strict=True):
                total += of_tile
                made[y : y + _TILE, x : x + _TILE] = moved
        return total, made

    def _tile(self, latents: Latents, phase: int | None, at: tuple[int, int]) -> tuple[int, Latents]:
        rows, columns = (_Window.of(at[axis], latents.shape[axis], self._refinement.reach) for axis in range(2))
        here = latents[rows.whole, columns.whole]
        target = self._target(rows.whole, columns.whole)
        values = self._adjoint.forward([here[None].astype(np.float32)], Fresh())
        error = _error(values[-1][0], target)
        symbols = self._symbols(here)
        inner = rows.inner, columns.inner
        pixels = tuple(slice(s.start * by, s.stop * by) for s, by in zip(inner, self._scale, strict=True))
        squared = int(np.square(error[pixels], dtype=np.int64).sum())
        total = int(symbols.now[inner].sum()) * LEVELS + self._price * squared
        if phase is None:
            return total, here[inner]
        seed = np.zeros(values[-1].shape, np.float32)
        seed[0, : target.shape[0], : target.shape[1]] = 2 * error
        slopes = self._adjoint.backward(values, {len(values) - 1: seed}, Scratch())[0][0]
        del values, seed
        return total, self._moved(here, symbols, slopes, target, error, phase)[inner]

    def _target(self, rows: slice, columns: slice) -> Image:
        (tall, wide) = self._scale
        return self._image[rows.start * tall : rows.stop * tall, columns.start * wide : columns.stop * wide]

    def _symbols(self, here: Latents) -> _Symbols:
        prior, n = self._prior, self._prior.n_symbols
        passing, symbols = prior.network.row(*here.shape[:2]), np.empty(here.shape, np.int64)
        tables = np.empty(here.shape, np.int64)
        for place in prior.passes(*here.shape[:2]):
            means, picks = passing.expect()
            passing.put(here[place])
            symbols[place] = (here[place] - means.astype(np.int64)) % n
            tables[place] = picks
        tables *= n
        higher, lower = np.where(symbols == n - 1, 0, symbols + 1), np.where(symbols == 0, n - 1, symbols - 1)
        return _Symbols(*(self._costs.take(tables + which) for which in (symbols, higher, lower)))

    def _moved(
        self, here: Latents, symbols: _Symbols, slopes: NDArray[Any], target: Image, error: NDArray[Any], phase: int
    ) -> Latents:
        """The latents of a window, with those of one phase moved as the best proposal of each position has it."""
        y, x = PHASES[phase]
        mine = slice(y, None, 2), slice(x, None, 2)
        latents = here[mine].astype(np.int64)
        changes = [(costs[mine] - symbols.now[mine]) for costs in (symbols.higher, symbols.lower)]
        by_slope = slopes[mine].astype(np.float64) * self._bits_a_level
        expected = changes[0] * _UNIT + by_slope, changes[1] * _UNIT - by_slope
        may_rise, may_fall = latents < self._interval.hi, latents > self._interval.lo
        before = self._around(error)[mine]
        lowest, best = np.zeros(before.shape, np.int64), latents
        for part in _PROPOSALS:
            beside = self._bits_a_level * self._refinement.step_energy * part
            rises = may_rise & (expected[0] + beside < 0) & (expected[0] <= expected[1])
            falls = may_fall & (expected[1] + beside < 0) & ~rises
            if not (rises.any() or falls.any()):
                continue
            bits = np.where(rises, changes[0], 0) + np.where(falls, changes[1], 0)
            tried = here.astype(np.float32)[None]
            tried[0][mine] += rises
            tried[0][mine] -= falls
            made = self._adjoint.forward([tried], Scratch())[-1][0]
            after = self._around(_error(made, target))[mine]
            change = bits.sum(axis=2) * LEVELS + (after - before) * self._price
            better = change < lowest
            lowest = np.where(better, change, lowest)
            best = np.where(better[..., None], latents + rises - falls, best)
        moved = here.copy()
        moved[mine] = best
        return moved

    def _around(self, error: NDArray[np.int16]) -> Ints:
        """(h, w): the squared error of the pixels of each position and of half a position to each side."""
        (tall, wide), (height, width) = self._scale, error.shape[:2]
        squares = np.square(error, dtype=np.int32).sum(axis=2, dtype=np.int64)
        return _around(_around(squares, tall, -(-height // tall)).T, wide, -(-width // wide)).T


def _around(numbers: Ints, scale: int, n: int) -> Ints:
    """The sums along the first axis, which is cut into n parts of `scale`, over each part and half of its neighbours."""
    sums = np.zeros((len(numbers) + 1, *numbers.shape[1:]), np.int64)
    np.cumsum(numbers, axis=0, out=sums[1:])
    starts = np.arange(n) * scale
    first = np.clip(starts - scale // 2, 0, len(numbers))
    last = np.clip(starts + scale + scale // 2, 0, len(numbers))
    return sums[last] - sums[first]


def _error(made: Image, target: Image) -> NDArray[np.int16]:
    """What is made of a window, less what is there of the image."""
    height, width = target.shape[:2]
    return np.subtract(made[:height, :width], target, dtype=np.int16)
