"""What is trained for bits against error, and how: one frozen record per shipped model.

Owns the names, layers and schedules.  Knows nothing of TensorFlow, files, or how a step is computed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Final

from aeformat.training import schedule
from aeformat.training.rate.stack import Conv, ConvTranspose, Dense, Near, Reshape, Shape, Stack

IMAGE: Final = (28, 28, 1)


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of epochs.  The learning rate falls from `learning_rate` to 0 along half a cosine."""

    epochs: int
    learning_rate: float
    n_classes: int = 1  # of the prior's mixture; 0 where there is no prior: squared error alone, latents unrounded
    augmented: float = 0.0  # the part of the images that is replaced by variants
    rounded: bool = False  # weights, latents and activations are rounded as the exact profile will round them


@dataclass(frozen=True, slots=True)
class RateRecipe:
    """Everything that fixes the result of a training run, but for the images and the machine."""

    name: str
    encoder: Stack
    decoder: Stack
    phases: tuple[Phase, ...]
    price: float  # bits that one unit of squared error over a whole image (pixels in 0..1) is worth; 0: no rate
    prior: tuple[int, int] = (120, 96)  # classes and tables of the prior that travels with the decoder
    base: str | None = None  # another recipe, whose weights after its first phase this one starts from
    shape: Shape = IMAGE
    batch: int = 256
    seed: int = 1

    @property
    def epochs(self) -> int:
        return sum(phase.epochs for phase in self.phases)

    @property
    def latent_dims(self) -> int:
        last = self.encoder[-1]
        assert isinstance(last, Dense)
        return last.units

    @property
    def profile(self) -> str:
        """The profile of the packages."""
        return "exact" if self.price else "float32"

    def phase_at(self, epoch: int) -> tuple[int, int]:
        """The number of the phase that `epoch` (from 0) falls into, and the epoch's number within it."""
        return schedule.phase_at(self.phases, epoch)

    def until(self, epoch: int) -> RateRecipe:
        """What of this recipe decides the state after `epoch` epochs: the phases begun by then, and no prior."""
        phases, seen = [], 0
        for phase in self.phases:
            if seen >= epoch:
                break
            phases.append(phase)
            seen += phase.epochs
        return replace(self, phases=tuple(phases), prior=(0, 0))

    def with_seed(self, seed: int) -> RateRecipe:
        """The same recipe with other initial weights, noise and order of the images."""
        return replace(self, seed=seed)

    def with_epochs(self, epochs: int) -> RateRecipe:
        """The same schedule, stretched or squeezed to `epochs` in all."""
        return replace(self, phases=schedule.stretched(self.phases, epochs))


def _encoder(dims: int, hidden: int = 256) -> Stack:
    """28 x 28 -> 14 x 14 x 24 -> 7 x 7 x 48 -> hidden -> dims."""
    return (
        Conv(24, 5, 2, "raised_gelu"),
        Conv(48, 5, 2, "raised_gelu"),
        Reshape((7 * 7 * 48,)),
        Dense(hidden, "raised_gelu"),
        Dense(dims, "latent"),
    )


def _decoder(hidden: int, maps: tuple[int, int], levels: int = 10) -> Stack:
    """dims -> hidden (if not 0) -> 7 x 7 x maps[0] -> 14 x 14 x maps[1] -> 28 x 28.

    Most weights are in one dense layer: with 10 levels either side of 0, near 4 bits each once they are compressed.
    """
    grid = (7, 7, maps[0])
    first = (Dense(hidden, "raised_gelu", 31, gain=0.3),) if hidden else ()
    return (
        *first,
        Dense(prod(grid), "raised_gelu", levels, gain=1.0 if hidden else 0.3),
        Reshape(grid),
        ConvTranspose(maps[1], 5, 2, "raised_gelu", 31),
        ConvTranspose(1, 5, 2, "sigmoid", 127),
    )


_FROM_BASE: Final = (
    Phase(14, 1e-3, n_classes=128, augmented=0.1),
    Phase(6, 3e-4, n_classes=128, rounded=True),
)
_NEW_DECODER: Final = (
    Phase(12, 1.5e-3, n_classes=64, augmented=0.1),
    Phase(5, 3e-4, n_classes=64, rounded=True),
)

# A name's number is the PSNR, in dB, that refined latents of the model reach at a price below its own.
_RD_25: Final = RateRecipe(
    "mnist-rd-25",
    _encoder(96),
    _decoder(320, (32, 32)),
    (
        Phase(30, 1.5e-3, augmented=0.3),
        Phase(14, 8e-4, n_classes=128, augmented=0.1),
        Phase(6, 3e-4, n_classes=128, rounded=True),
    ),
    price=34,
)
_RD_24: Final = replace(_RD_25, name="mnist-rd-24", price=21, phases=_FROM_BASE, base="mnist-rd-25")
_RD_22: Final = replace(_RD_24, name="mnist-rd-22", price=9)
_RD_26: Final = replace(_RD_24, name="mnist-rd-26", price=75)
_RD_30: Final = RateRecipe(
    "mnist-rd-30",
    _encoder(192, hidden=512),
    _decoder(0, (32, 48)),
    (
        Phase(16, 1.5e-3, augmented=0.2),
        Phase(8, 8e-4, n_classes=64, augmented=0.1),
        Phase(5, 3e-4, n_classes=64, rounded=True),
    ),
    price=260,
    base="mnist-rd-25",
)
_TINY: Final = replace(_RD_24, prior=(32, 32), encoder=_encoder(48), decoder=_decoder(0, (16, 16)), phases=_NEW_DECODER)


def _float_pair(dims: int) -> tuple[Stack, Stack]:
    """Encoder and decoder of profile float32, with room: what counts is the error alone."""
    encoder = (
        Conv(24, 5, 2, "gelu"),
        Conv(48, 5, 2, "gelu"),
        Reshape((7 * 7 * 48,)),
        Dense(384, "gelu"),
        Dense(dims, "linear"),
    )
    decoder = (
        Dense(512, "gelu"),
        Dense(7 * 7 * 48, "gelu"),
        Reshape((7, 7, 48)),
        ConvTranspose(32, 5, 2, "gelu"),
        ConvTranspose(1, 5, 2, "sigmoid"),
    )
    return encoder, decoder


def _best(dims: int, epochs: int) -> RateRecipe:
    phases = (Phase(epochs, 1.5e-3, n_classes=0, augmented=0.4),)
    return RateRecipe(f"mnist-best-{dims}", *_float_pair(dims), phases, price=0)


RATE_RECIPES: Final[dict[str, RateRecipe]] = {
    recipe.name: recipe
    for recipe in (
        _RD_22,
        _RD_24,
        _RD_25,
        _RD_26,
        _RD_30,
        replace(_TINY, name="mnist-rd-tiny-22", price=10),
        replace(_TINY, name="mnist-rd-tiny-24", price=24),
        replace(_TINY, name="mnist-rd-tiny-26", price=60),
        replace(
            _TINY,
            name="mnist-rd-tiny-30",
            price=350,
            base=None,
            encoder=_encoder(7 * 7 * 2 + 31, hidden=512),
            decoder=(
                Dense(7 * 7 * 10, "raised_gelu", 5, gain=0.3, near=Near(7, 2, 1)),
                Reshape((7, 7, 10)),
                ConvTranspose(28, 5, 2, "raised_gelu", 31),
                Conv(20, 3, 1, "raised_gelu", 31),
                ConvTranspose(1, 5, 2, "sigmoid", 127),
            ),
            phases=(
                Phase(5, 1.5e-3, augmented=0.2),
                Phase(28, 1.5e-3, n_classes=64, augmented=0.1),
                Phase(8, 4e-4, n_classes=64, rounded=True),
            ),
            prior=(64, 48),
        ),
        _best(64, epochs=40),
        _best(50, epochs=34),
        _best(36, epochs=40),
        _best(22, epochs=36),
    )
}
