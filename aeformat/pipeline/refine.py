"""Refining latents: integers near the encoder's that lower the sum of bits and priced error.

Owns the search.  An encoder chooses the latents of an image in one pass, without running the decoder.  Here each round decodes
the image with each latent moved by one.  To first order the differences add, so the squared error of several moves together
is a quadratic form.  The move that lowers the cost most is taken again and again, until none lowers it.  Then the moved
latents are decoded, and the result decides how many of the moves are kept.  All costs are integers and the decoder is exact,
so the same images give the same file on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.backends.base import array_type
from aeformat.container.prior import COST_BITS
from aeformat.errors import UsageError
from aeformat.model.bounds import FLOAT32_EXACT
from aeformat.model.values import EXACT
from aeformat.pipeline.progress import SILENT, Progress

if TYPE_CHECKING:
    from aeformat.backends.base import Network
    from aeformat.container.prior import Prior

_LEVELS: Final = 255**2  # squared grey levels in a unit of squared error
_LOWEST_PRICE: Final = 2.0**-COST_BITS  # it is 1 in integers
_HIGHEST_PRICE: Final = 2.5e8  # times the pixels of an image: above it, sums would not fit 64 bits
_MOST_ROUNDS: Final = 16
_TRIED_AT_ONCE: Final = 4096  # decodings
_MOST_BYTES: Final = 1 << 30  # that the differences of one image may take
_BLOCK_BYTES: Final = 1 << 27  # likewise of several
_FLOAT32_NORM: Final = FLOAT32_EXACT * 0.99  # of a square of a norm that is itself rounded
_NEVER: Final = 1 << 62  # the cost of a value that the prior does not know
_MOVES_PER_LATENT: Final = 4  # a latent can move back when others move; on average it moves less than once
_N_PARTS: Final = 4  # a quarter of the moves, half, three quarters, and all are decoded

Latents = NDArray[Any]
Images = NDArray[np.uint8]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Refinement:
    """How latents are refined.

    decoder: of profile exact, with a prior.  price: bits that one unit of squared error over a whole image (pixels in 0..1) is
    worth: the higher, the closer the images and the larger the file.  n_rounds: 1 to 16; a round decodes
    an image once for each latent, and five times more.  Raises UsageError for another decoder, a price or rounds out of range,
    or too many latents.
    """

    decoder: Network
    price: float
    n_rounds: int = 2

    def __post_init__(self) -> None:
        if self.n_rounds not in range(1, _MOST_ROUNDS + 1):
            raise UsageError(f"refining takes 1 to {_MOST_ROUNDS} rounds, not {self.n_rounds!r}")
        package = self.decoder.package
        if package.profile != EXACT or package.prior is None:
            raise UsageError(
                "only latents of an exact decoder with a prior can be refined; this one is not such a decoder"
            )
        n_pixels = package.output.value.n_elements
        if not (self.price >= _LOWEST_PRICE and self.price * n_pixels <= _HIGHEST_PRICE):
            raise UsageError(
                f"a price of {self.price:g} bits is out of range: {_LOWEST_PRICE:.2g} to {_HIGHEST_PRICE / n_pixels:.3g} for "
                f"images of {n_pixels:,} values"
            )
        if self._bytes_per_row > _MOST_BYTES:
            raise UsageError(
                f"{package.input.value.n_elements:,} latents and {n_pixels:,} values an image are too many to refine"
            )

    @property
    def _bytes_per_row(self) -> int:
        """Memory for one image: the differences, and the products of each two of them."""
        n_values, n_pixels = (end.value.n_elements for end in (self.decoder.package.input, self.decoder.package.output))
        return 8 * n_values * (n_values + n_pixels)

    def refine(self, latents: Latents, images: Images, progress: Progress = SILENT) -> Latents:
        """Latents (n, *dims) of images (n, h, w, c) -> latents that are never worse, by bits plus priced error.

        Each round tries all latents one higher, or in every second round one lower, and moves a latent by 1 at most.  The class
        of the prior is chosen anew before each.  Rows do not see each other.
        """
        rows = latents.reshape(len(latents), -1).astype(np.int16)
        targets = images.reshape(len(images), -1).astype(np.int16)
        n_at_once = max(1, min(_TRIED_AT_ONCE // rows.shape[1], _BLOCK_BYTES // self._bytes_per_row))
        for start in range(0, len(rows), n_at_once):
            active = np.arange(start, min(start + n_at_once, len(rows)))
            for number in range(self.n_rounds):
                found = self._round(rows[active], targets[active], 1 if number % 2 == 0 else -1)
                changed = (found != rows[active]).any(axis=1)
                rows[active] = found
                active = active[changed]
                if not len(active):
                    break
            progress.update(len(rows[start : start + n_at_once]))
        return rows.astype(latents.dtype).reshape(latents.shape)

    def _round(self, rows: NDArray[np.int16], targets: NDArray[np.int16], direction: int) -> NDArray[np.int16]:
        """One round: rows (m, D) -> rows whose cost is lower or the same."""
        prior = self.decoder.package.prior
        assert prior is not None
        price = round(self.price * (1 << COST_BITS))
        costs = _move_costs(prior, rows)
        made = self._decode(rows)
        differences = self._differences(prior, rows, made, direction)
        # Numbers of 8 bits: up to 2^37 of their products add up exactly in float64, in whatever order.
        sums = differences if _in_float32(differences, targets - made) else differences.astype(np.float64)
        products = (sums @ sums.transpose(0, 2, 1)).astype(np.int64) * price
        slopes = (sums @ (targets - made)[:, :, None].astype(sums.dtype))[:, :, 0].astype(np.int64) * price
        candidates = _parts(rows, *_best_moves(costs, products, slopes))
        pixels = np.concatenate([made[None], self._decode(candidates[1:])])
        errors = np.square(pixels - targets, dtype=np.int32).sum(axis=2, dtype=np.int64)
        moved = (candidates - rows + 1).astype(np.intp)
        bits = np.take_along_axis(np.broadcast_to(costs, (len(candidates), *costs.shape)), moved[..., None], 3)
        best = (bits[..., 0].sum(axis=2) + price * errors).argmin(axis=0)  # of equal ones the first: it has fewer moves
        chosen: NDArray[np.int16] = candidates[best, np.arange(len(rows))]
        return chosen

    def _decode(self, rows: NDArray[np.int16]) -> NDArray[np.int16]:
        """Decode latents (..., D) to grey levels (..., P)."""
        return self._decoded(rows).astype(np.int16)

    def _decoded(self, rows: NDArray[np.int16]) -> Images:
        """The same as the decoder makes them."""
        start = self.decoder.package.input
        latents = rows.reshape(-1, *start.shape).astype(array_type(start))
        return self.decoder.run(latents).reshape(*rows.shape[:-1], -1)

    def _differences(
        self, prior: Prior, rows: NDArray[np.int16], made: NDArray[np.int16], direction: int
    ) -> NDArray[np.float32]:
        """(m, D, P): the change of the pixels per 1 of a latent, from a step in `direction`, or back at the range's end."""
        ahead = rows + direction
        steps: NDArray[np.int16] = np.where((ahead >= prior.lo) & (ahead <= prior.hi), direction, -direction).astype(
            np.int16
        )
        tried = np.repeat(rows[:, None], rows.shape[1], axis=1)
        positions = np.arange(rows.shape[1])
        tried[:, positions, positions] += steps
        differences = self._decoded(tried).astype(np.float32)
        differences -= made[:, None]
        differences *= steps[:, :, None]
        return differences


def _in_float32(differences: NDArray[np.float32], errors: NDArray[np.int16]) -> bool:
    """Whether float32 adds the products of two rows of these up exactly, in any order: integers below 2^24.

    No sum of some of the products of two vectors is larger than the product of their norms (Cauchy and Schwarz).
    """
    largest = max(
        float(np.einsum("mdp,mdp->md", differences, differences).max()),
        float(np.square(errors, dtype=np.int32).sum(axis=1).max()),
    )
    return largest < _FLOAT32_NORM


def _move_costs(prior: Prior, rows: NDArray[np.int16]) -> Ints:
    """(m, D, 3): the cost of each latent one lower, as it is, and one higher, in 2^-16 / 255^2 bits; _NEVER out of range."""
    classes, _ = prior.choose(rows.reshape(-1, *prior.dims))
    costs = np.full((*rows.shape, 3), _NEVER, np.int64)
    for position in range(rows.shape[1]):
        values = rows[:, position, None].astype(np.intp) - prior.lo + (-1, 0, 1)
        known = (values >= 0) & (values < prior.n_symbols)
        found = prior.value_costs(position)[np.clip(values, 0, prior.n_symbols - 1), classes[:, None]]
        costs[:, position][known] = found[known].astype(np.int64) * _LEVELS
    return costs


def _best_moves(costs: Ints, products: Ints, slopes: Ints) -> tuple[NDArray[np.intp], NDArray[np.int16]]:
    """Positions and steps (k, m) in the order of the moves; a row that has no good move left gets steps of 0.

    costs: (m, D, 3).  products: (m, D, D), of the differences of each two latents; slopes: (m, D), of the differences and the
    remaining error; both times the price.  No latent moves further than 1 from its start.
    """
    n_rows, n_values = slopes.shape
    costs = np.pad(costs, ((0, 0), (0, 0), (1, 1)), constant_values=_NEVER)
    states = np.full((n_rows, n_values), 2)
    squares = np.diagonal(products, axis1=1, axis2=2)
    changes = np.stack([squares - 2 * slopes, squares + 2 * slopes], axis=1)  # of the error: one higher, one lower
    bits = np.stack([_steps_cost(costs, states, 1), _steps_cost(costs, states, -1)], axis=1)
    active = np.arange(n_rows)  # rows that a move may still help
    positions = np.zeros((_MOVES_PER_LATENT * n_values, n_rows), np.intp)
    steps = np.zeros(positions.shape, np.int16)
    for number in range(len(positions)):
        each = np.arange(len(active))
        both = np.where(bits == _NEVER, 0, changes + bits).reshape(len(active), -1)
        best = both.argmin(axis=1)
        helps = both[each, best] < 0
        if not helps.all():
            if not helps.any():
                break
            active, best, each = active[helps], best[helps], each[: np.count_nonzero(helps)]
            changes, bits, costs, states = changes[helps], bits[helps], costs[helps], states[helps]
        falls, position = np.divmod(best, n_values)
        step = 1 - 2 * falls
        states[each, position] += step
        moved = 2 * step[:, None] * products[active, position]
        changes[:, 0] += moved
        changes[:, 1] -= moved
        at = costs[each, position], states[each, position]
        bits[each, 0, position], bits[each, 1, position] = (_steps_cost(*at, by) for by in (1, -1))
        positions[number, active], steps[number, active] = position, step
    n_moves = int(steps.any(axis=1).sum())
    return positions[:n_moves], steps[:n_moves]


def _steps_cost(costs: Ints, states: NDArray[np.intp], by: int) -> Ints:
    """(...): what a step of `by` costs more in bits, of latents that stand at states; _NEVER if it leads nowhere.

    costs: (..., 5), those of the states.
    """
    now, then = (np.take_along_axis(costs, (states + way)[..., None], -1)[..., 0] for way in (0, by))
    found: Ints = np.where(then == _NEVER, _NEVER, then - now)
    return found


def _parts(rows: NDArray[np.int16], positions: NDArray[np.intp], steps: NDArray[np.int16]) -> NDArray[np.int16]:
    """(5, m, D): the rows without moves, with a quarter of their moves, half, three quarters, and all."""
    each = np.broadcast_to(np.arange(len(rows)), positions.shape)
    parts = np.repeat(rows[None], _N_PARTS + 1, axis=0)
    n_steps = np.abs(steps).sum(axis=0)
    numbers = np.arange(len(steps))[:, None]
    for part in range(1, _N_PARTS + 1):
        np.add.at(parts[part], (each, positions), steps * (_N_PARTS * numbers < part * n_steps))
    return parts
