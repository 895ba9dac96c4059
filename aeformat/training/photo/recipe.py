"""What of a photograph model is trained, and how: one frozen record for each model.

Knows nothing of TensorFlow, files, or how a step is computed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from aeformat.errors import UsageError
from aeformat.training import schedule
from aeformat.training.photo.order import Group, groups


@dataclass(frozen=True, slots=True)
class PhotoPhase:
    """A stretch of training; an epoch is `PhotoRecipe.epoch_steps` steps.

    rate: what the learning rates of all parts are multiplied by at its start; it falls to 0 along half a cosine.  crop: pixels
    along each side of what is seen at a time.  batch: how many of them.  rounded: weights and activations are rounded as the
    exact profile will round them.  context_only: all but the context model stay as they are.
    """

    epochs: int
    rate: float = 1.0
    crop: int = 256
    batch: int = 6
    rounded: bool = field(default=False, kw_only=True)
    context_only: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoRecipe:
    """Everything that fixes the result of a training run, but for the photographs and the machine.

    price: bits a pixel that one squared grey level of error, the mean of all colours, is worth.  step: what the latents 1
    stand for at the start, in grey levels of a basis function of unit energy.  luma, chroma: channels of the latents, the
    latter of both chroma colours together.  features: planes beside those of the colours that the decoder makes of the
    lowest frequencies; hidden: planes of its two inner layers.  context: hidden numbers of the context model.  base: another
    recipe, whose weights this one starts from; base_step: its step.
    """

    name: str
    price: float
    step: float
    luma: int
    chroma: int
    phases: tuple[PhotoPhase, ...]
    features: int = 6
    hidden: int = 24
    context: int = 32
    encoder_hidden: int = 96
    base: str | None = None
    base_step: float = 1.0
    epoch_steps: int = 250
    seed: int = 1

    @property
    def epochs(self) -> int:
        """Of all phases."""
        return sum(phase.epochs for phase in self.phases)

    @property
    def channels(self) -> int:
        """Of the latents."""
        return self.luma + self.chroma

    @property
    def crop(self) -> int:
        """Pixels along each side of the largest crop: a photograph must have them."""
        return max(phase.crop for phase in self.phases)

    @property
    def groups(self) -> tuple[Group, ...]:
        """Of channels, in the order of decoding."""
        return groups(self.luma, self.chroma)

    @property
    def refine_price(self) -> float:
        """`price` as refining takes it: bits for a unit of the sum of squared errors, of pixels in 0..1."""
        return self.price * 255**2 / 3

    def phase_at(self, epoch: int) -> tuple[int, int]:
        """The number of the phase that `epoch` (from 0) falls into, and the epoch's number within it."""
        return schedule.phase_at(self.phases, epoch)

    def until(self, epoch: int) -> PhotoRecipe:
        """What of this recipe decides the state after `epoch` epochs: the phases begun by then."""
        return replace(self, phases=schedule.begun(self.phases, epoch))

    def with_seed(self, seed: int) -> PhotoRecipe:
        """The same recipe with another seed."""
        return replace(self, seed=seed)

    def with_epochs(self, epochs: int) -> PhotoRecipe:
        """The same schedule, stretched or squeezed to `epochs` in all.  Raises UsageError for none."""
        return replace(self, phases=schedule.stretched(self.phases, epochs))


_FIRST: Final = (PhotoPhase(2, context_only=True), PhotoPhase(40), PhotoPhase(10, 0.3, rounded=True))
_NEXT: Final = (PhotoPhase(1, 0.5, context_only=True), PhotoPhase(16, 0.6), PhotoPhase(8, 0.3, rounded=True))
_MIDDLE: Final = PhotoRecipe(name="photo-3", price=0.0045, step=75, luma=176, chroma=80, phases=_FIRST)


def _next(number: int, price: float, step: float, luma: int, base: PhotoRecipe) -> PhotoRecipe:
    name = f"photo-{number}"
    return replace(
        base, name=name, price=price, step=step, luma=luma, phases=_NEXT, base=base.name, base_step=base.step
    )


_LOW: Final = _next(2, 0.002, 112, 176, _MIDDLE)
_HIGH: Final = _next(4, 0.011, 48, 256, _MIDDLE)
RECIPES: Final = {
    recipe.name: recipe
    for recipe in (_next(1, 0.00048, 232, 176, _LOW), _LOW, _MIDDLE, _HIGH, _next(5, 0.06, 20.5, 256, _HIGH))
}


def recipe_named(name: str) -> PhotoRecipe:
    """The recipe of that name.  Raises UsageError, listing the names there are."""
    if name not in RECIPES:
        raise UsageError(f"no recipe named {name!r}; there are {', '.join(RECIPES)}")
    return RECIPES[name]
