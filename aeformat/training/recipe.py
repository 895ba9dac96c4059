"""What is trained and how: one frozen record for each model.

Owns two kinds of recipe, which share all but what their loops need: networks of dense layers, trained for the error alone, and
networks with convolutions, trained for bits against error.  Knows nothing of TensorFlow, files, or how a step is computed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, TypeVar

from aeformat.training import schedule
from aeformat.training.stack import Dense, Shape, Stack

Loss = Literal["bce", "mse"]
Profile = Literal["exact", "float32"]
RecipeT = TypeVar("RecipeT", bound="Recipe")

IMAGE: Final = (28, 28, 1)


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of epochs.  The learning rate falls from `learning_rate` to 0 along half a cosine.

    rounded: weights, latents and activations are rounded as the exact profile will round them.
    """

    epochs: int
    learning_rate: float
    rounded: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class DensePhase(Phase):
    """A phase with one loss."""

    loss: Loss


@dataclass(frozen=True, slots=True)
class ConvPhase(Phase):
    """A phase with a prior that is learned.

    n_classes: of the prior's mixture; 0 where there is no prior: squared error alone, latents unrounded.  augmented: the part
    of the images that is replaced by variants.
    """

    n_classes: int = 1
    augmented: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that fixes the result of a training run, but for the images and the machine.

    seed: of initial weights, noise and the order of the images.
    """

    name: str
    encoder: Stack
    decoder: Stack
    phases: tuple[Any, ...]
    batch: int = 256
    seed: int = 1

    @property
    def epochs(self) -> int:
        """Of all phases."""
        return sum(phase.epochs for phase in self.phases)

    @property
    def latent_dims(self) -> int:
        """Numbers in one latent."""
        last = self.encoder[-1]
        assert isinstance(last, Dense)
        return last.units

    def phase_at(self, epoch: int) -> tuple[int, int]:
        """The number of the phase that `epoch` (from 0) falls into, and the epoch's number within it."""
        return schedule.phase_at(self.phases, epoch)

    def until(self: RecipeT, epoch: int) -> RecipeT:
        """What of this recipe decides the state after `epoch` epochs: the phases begun by then."""
        return replace(self, phases=schedule.begun(self.phases, epoch))

    def with_seed(self: RecipeT, seed: int) -> RecipeT:
        """The same recipe with another seed."""
        return replace(self, seed=seed)

    def with_epochs(self: RecipeT, epochs: int) -> RecipeT:
        """The same schedule, stretched or squeezed to `epochs` in all.  Raises UsageError for none."""
        return replace(self, phases=schedule.stretched(self.phases, epochs))


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseRecipe(Recipe):
    """Dense layers only, trained for the error alone.

    n_inputs: pixels of an image.  weight_levels: int8 weights lie in -weight_levels .. weight_levels (exact profile only).
    """

    encoder: tuple[Dense, ...]
    decoder: tuple[Dense, ...]
    phases: tuple[DensePhase, ...]
    profile: Profile
    n_inputs: int
    weight_levels: int = 127

    @property
    def layers(self) -> tuple[Dense, ...]:
        """Those of the encoder, then those of the decoder."""
        return self.encoder + self.decoder


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvRecipe(Recipe):
    """Convolutions too, trained for bits against error.

    price: bits that one unit of squared error over a whole image (pixels in 0..1) is worth; 0: no rate.  prior: classes and
    tables of the prior that travels with the decoder.  base: another recipe, whose weights after its first phase this one
    starts from.
    """

    phases: tuple[ConvPhase, ...]
    price: float
    prior: tuple[int, int] = (120, 96)
    base: str | None = None
    shape: Shape = IMAGE

    @property
    def profile(self) -> Profile:
        """Of the packages."""
        return "exact" if self.price else "float32"

    def until(self, epoch: int) -> ConvRecipe:
        """As `Recipe.until`; the prior, which is fitted at the end, has no part in it."""
        return replace(Recipe.until(self, epoch), prior=(0, 0))


AnyRecipe = DenseRecipe | ConvRecipe
