"""Refining latents: other integers near the encoder's, where they cost fewer bits than their error is worth.

Owns the search.  An encoder guesses the latents of an image in one pass; this looks at what the decoder really makes of their
neighbours.  All is counted in integers, with exact decoders alone, so the same images give the same file on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.errors import UsageError
from aeformat.model.values import EXACT
from aeformat.prior import COST_BITS

if TYPE_CHECKING:
    from aeformat.backends.base import Network
    from aeformat.prior import Prior

_LEVELS: Final = 255**2  # squared grey levels in a unit of squared error
_DEAREST: Final = 1e9  # price times pixels: beyond it, totals would leave 64 bits

Latents = NDArray[Any]
Images = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Refinement:
    """How far to look.

    decoder: of profile exact, with a prior.  price: bits that one unit of squared error over a whole image (pixels in 0..1) is
    worth: the higher, the closer the images and the larger the file.  n_sweeps: how often all positions are tried.
    Raises UsageError for another decoder.
    """

    decoder: Network
    price: float
    n_sweeps: int = 1

    def __post_init__(self) -> None:
        package = self.decoder.package
        if package.profile != EXACT or package.prior is None:
            raise UsageError(
                "only latents of an exact decoder with a prior can be refined; this one is not such a decoder"
            )
        if not 0 < self.price * package.output.value.n_elements <= _DEAREST:
            raise UsageError(f"a price of {self.price:g} bits is not above 0, or too high for images of this size")

    def refine(self, latents: Latents, images: Images) -> Latents:
        """Latents (n, *dims) of images (n, h, w, c) -> latents that are never worse, by bits plus priced error.

        Every position is tried one higher and one lower in turn, for all rows at once; a row takes what is cheapest.  The class
        of the prior is chosen anew before each sweep.  Rows do not see each other.
        """
        prior = self.decoder.package.prior
        assert prior is not None
        rows = latents.reshape(len(latents), -1).copy()
        targets = images.reshape(len(images), -1).astype(np.int16)
        errors = self._errors(rows, latents.shape, targets)
        active = np.arange(len(rows))
        for _ in range(self.n_sweeps):
            classes, _ = prior.choose(rows[active].reshape(-1, *latents.shape[1:]))
            changed = np.zeros(len(active), bool)
            for position in range(rows.shape[1]):
                changed |= self._try(prior, position, rows, active, classes, latents.shape, targets, errors)
            active = active[changed]
        return rows.reshape(latents.shape)

    def _try(
        self, prior: Prior, position: int, rows: Latents, active: NDArray[np.intp], classes: NDArray[np.intp],
        shape: tuple[int, ...], targets: NDArray[np.int16], errors: NDArray[np.int64],
    ) -> NDArray[np.bool_]:  # fmt: skip
        """Try one position of the active rows; change rows and errors where it pays; which of the active rows changed."""
        costs = prior.value_costs(position)
        now = rows[active, position].astype(np.intp)
        best_value, best_error = now.copy(), errors[active]
        best_total = self._total(costs[now - prior.lo, classes], best_error)
        for step in (-1, 1):
            value = now + step
            within = np.flatnonzero((value >= prior.lo) & (value <= prior.hi))
            if not len(within):
                continue
            tried = rows[active[within]]
            tried[:, position] = value[within]
            error = self._errors(tried, shape, targets[active[within]])
            total = self._total(costs[value[within] - prior.lo, classes[within]], error)
            better = total < best_total[within]
            at = within[better]
            best_value[at], best_error[at], best_total[at] = value[at], error[better], total[better]
        rows[active, position] = best_value
        errors[active] = best_error
        changed: NDArray[np.bool_] = best_value != now
        return changed

    def _errors(self, rows: Latents, shape: tuple[int, ...], targets: NDArray[np.int16]) -> NDArray[np.int64]:
        """Squared error of each row in squared grey levels."""
        made = self.decoder.run(np.ascontiguousarray(rows).reshape(-1, *shape[1:])).reshape(len(rows), -1)
        errors: NDArray[np.int64] = np.square(made - targets, dtype=np.int32).sum(axis=1, dtype=np.int64)
        return errors

    def _total(self, cost: NDArray[np.uint32], error: NDArray[np.int64]) -> NDArray[np.int64]:
        """Bits plus priced error, in units of 2^-16 / 255^2 bits."""
        total: NDArray[np.int64] = cost.astype(np.int64) * _LEVELS + error * round(self.price * (1 << COST_BITS))
        return total
