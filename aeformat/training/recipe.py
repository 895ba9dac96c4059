"""What is trained and how: one frozen record per shipped model.

Owns the names, shapes and schedules.  Knows nothing of TensorFlow, files, or how a step is computed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from aeformat.errors import UsageError
from aeformat.training import schedule

Activation = Literal["sigmoid", "gelu", "clip"]
Loss = Literal["bce", "mse"]
Profile = Literal["exact", "float32"]


@dataclass(frozen=True, slots=True)
class Dense:
    """A fully connected layer and the function after it."""

    units: int
    activation: Activation
    gain: float = 4.0  # width of the initial weights, in units of Glorot-uniform


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of epochs with one loss.  The learning rate falls from `learning_rate` to 0 along half a cosine."""

    epochs: int
    learning_rate: float
    loss: Loss
    quantised: bool = False  # weights, latents and activations are rounded as the exact profile will round them


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that fixes the result of a training run, but for the images and the machine."""

    name: str
    profile: Profile
    n_inputs: int  # pixels of an image
    encoder: tuple[Dense, ...]
    decoder: tuple[Dense, ...]
    phases: tuple[Phase, ...]
    batch: int = 256
    seed: int = 1
    weight_levels: int = 127  # int8 weights lie in -weight_levels .. weight_levels (exact profile only)

    @property
    def epochs(self) -> int:
        return sum(phase.epochs for phase in self.phases)

    @property
    def layers(self) -> tuple[Dense, ...]:
        return self.encoder + self.decoder

    @property
    def latent_dims(self) -> int:
        return self.encoder[-1].units

    def phase_at(self, epoch: int) -> tuple[Phase, int]:
        """The phase that `epoch` (from 0) falls into, and the epoch's number within it."""
        number, epoch_in_phase = schedule.phase_at(self.phases, epoch)
        return self.phases[number], epoch_in_phase

    def with_seed(self, seed: int) -> Recipe:
        """The same recipe with other initial weights and another order of the images."""
        return replace(self, seed=seed)

    def with_epochs(self, epochs: int) -> Recipe:
        """The same schedule, stretched or squeezed to `epochs` in all."""
        return replace(self, phases=schedule.stretched(self.phases, epochs))


def _published(latent_dims: int, epochs: int) -> Recipe:
    """784-128-d-128-784, sigmoid everywhere: the networks of the 2018 note.

    With a gain of 1 such a network stays on the mean image for dozens of epochs.
    """
    return Recipe(
        name=f"mnist-128-{latent_dims}-128",
        profile="float32",
        n_inputs=784,
        encoder=(Dense(128, "sigmoid"), Dense(latent_dims, "sigmoid")),
        decoder=(Dense(128, "sigmoid"), Dense(784, "sigmoid")),
        phases=(Phase(epochs, 5e-3, "bce"), Phase(epochs // 3, 1e-3, "mse")),
    )


# Only the decoder travels, so the encoder may be wider.  The gains give latents a deviation near 2, well inside the range
# of "clip", and spread over few of the 256 levels; of those tried they train best.
_EXACT = Recipe(
    name="mnist-exact",
    profile="exact",
    n_inputs=784,
    encoder=(Dense(512, "gelu", 1.5), Dense(64, "clip", 0.3)),
    decoder=(Dense(128, "gelu", 5.0), Dense(784, "sigmoid", 1.0)),
    phases=(Phase(60, 3e-3, "bce"), Phase(30, 1e-3, "mse"), Phase(20, 5e-4, "mse", quantised=True)),
    weight_levels=63,
)

RECIPES: Final[dict[str, Recipe]] = {
    recipe.name: recipe
    for recipe in (_published(64, 60), _published(50, 60), _published(36, 60), _published(22, 90), _EXACT)
}


def recipe_named(name: str) -> Recipe:
    """The recipe of that name.  Raises UsageError, listing the names there are."""
    if name not in RECIPES:
        raise UsageError(f"no recipe named {name!r}; there are {', '.join(RECIPES)}")
    return RECIPES[name]
