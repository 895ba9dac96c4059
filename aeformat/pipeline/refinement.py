"""Which search refines the latents of a decoder: that of one size (refine.py), or of any (refine_sized.py).

Owns the Protocol that both keep, and what a caller's price and rounds mean.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from aeformat.errors import UsageError
from aeformat.pipeline.progress import SILENT, Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aeformat.backends.base import Network
    from aeformat.model.package import ModelPackage

Price = float | Literal["auto"]
_ROUNDS: Final = 2


class Refiner(Protocol):
    """Looks for better latents than the encoder's."""

    def refine(self, latents: NDArray[Any], images: NDArray[np.uint8], progress: Progress = SILENT, /) -> NDArray[Any]:
        """Latents (n, *dims) of images (n, h, w, c), all of one size -> latents whose bits plus priced error are no more."""
        ...


def refiner(
    decoder: ModelPackage, price: Price, n_rounds: int | None, load: Callable[[ModelPackage], Network]
) -> Refiner:
    """What refines latents of a decoder.  price: bits for a unit of squared error, or "auto".  n_rounds: None for the usual 2.

    load: makes a network of the decoder, where the search takes one.  Raises UsageError for a decoder without a prior or one
    that is not exact, a price or rounds out of range, and "auto" for a decoder of one size.
    """
    if isinstance(price, str) and price != "auto":
        raise UsageError(f'a price is a number or "auto", not {price!r}')
    rounds = _ROUNDS if n_rounds is None else n_rounds
    if decoder.has_free_sizes:
        from aeformat.pipeline.refine_sized import SizedRefinement

        return SizedRefinement(decoder, None if price == "auto" else price, rounds)
    if price == "auto":
        raise UsageError("a model for images of one size has no price of its own; give a number")
    from aeformat.pipeline.refine import Refinement

    return Refinement(load(decoder), price, rounds)
