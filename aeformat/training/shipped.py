"""The recipes of the shipped models, by name.

Owns their layers and schedules.  What the fields mean is in recipe.py.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Final

from aeformat.errors import UsageError
from aeformat.training.recipe import AnyRecipe, ConvPhase, ConvRecipe, DensePhase, DenseRecipe
from aeformat.training.stack import Conv, ConvTranspose, Dense, Near, Reshape, Stack


def _published(latent_dims: int, epochs: int) -> DenseRecipe:
    """784-128-d-128-784, sigmoid everywhere: the networks of the 2018 note.

    With a gain of 1 such a network stays on the mean image for dozens of epochs.
    """
    encoder = Dense(128, "sigmoid", gain=4.0), Dense(latent_dims, "sigmoid", gain=4.0)
    decoder = Dense(128, "sigmoid", gain=4.0), Dense(784, "sigmoid", gain=4.0)
    return DenseRecipe(
        name=f"mnist-128-{latent_dims}-128",
        profile="float32",
        n_inputs=784,
        encoder=encoder,
        decoder=decoder,
        phases=(DensePhase(epochs, 5e-3, "bce"), DensePhase(epochs // 3, 1e-3, "mse")),
    )


# Only the decoder travels, so the encoder may be wider.  The gains give latents a deviation near 2, well inside the range
# of "clip", and spread over few of the 256 levels; of those tried they train best.
_EXACT: Final = DenseRecipe(
    name="mnist-exact",
    profile="exact",
    n_inputs=784,
    encoder=(Dense(512, "gelu", gain=1.5), Dense(64, "clip", gain=0.3)),
    decoder=(Dense(128, "gelu", gain=5.0), Dense(784, "sigmoid", gain=1.0)),
    phases=(DensePhase(60, 3e-3, "bce"), DensePhase(30, 1e-3, "mse"), DensePhase(20, 5e-4, "mse", rounded=True)),
    weight_levels=63,
)


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
    ConvPhase(14, 1e-3, n_classes=128, augmented=0.1),
    ConvPhase(6, 3e-4, n_classes=128, rounded=True),
)
_NEW_DECODER: Final = (
    ConvPhase(12, 1.5e-3, n_classes=64, augmented=0.1),
    ConvPhase(5, 3e-4, n_classes=64, rounded=True),
)

# A name's number is the PSNR, in dB, that refined latents of the model reach at a price below its own.
_RD_25: Final = ConvRecipe(
    name="mnist-rd-25",
    encoder=_encoder(96),
    decoder=_decoder(320, (32, 32)),
    phases=(
        ConvPhase(30, 1.5e-3, augmented=0.3),
        ConvPhase(14, 8e-4, n_classes=128, augmented=0.1),
        ConvPhase(6, 3e-4, n_classes=128, rounded=True),
    ),
    price=34,
)
_RD_24: Final = replace(_RD_25, name="mnist-rd-24", price=21, phases=_FROM_BASE, base="mnist-rd-25")
_RD_22: Final = replace(_RD_24, name="mnist-rd-22", price=9)
_RD_26: Final = replace(_RD_24, name="mnist-rd-26", price=75)
_RD_30: Final = ConvRecipe(
    name="mnist-rd-30",
    encoder=_encoder(192, hidden=512),
    decoder=_decoder(0, (32, 48)),
    phases=(
        ConvPhase(16, 1.5e-3, augmented=0.2),
        ConvPhase(8, 8e-4, n_classes=64, augmented=0.1),
        ConvPhase(5, 3e-4, n_classes=64, rounded=True),
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


def _best(dims: int, epochs: int) -> ConvRecipe:
    encoder, decoder = _float_pair(dims)
    phases = (ConvPhase(epochs, 1.5e-3, n_classes=0, augmented=0.4),)
    return ConvRecipe(name=f"mnist-best-{dims}", encoder=encoder, decoder=decoder, phases=phases, price=0)


DENSE_RECIPES: Final = {
    recipe.name: recipe
    for recipe in (_published(64, 60), _published(50, 60), _published(36, 60), _published(22, 90), _EXACT)
}
CONV_RECIPES: Final = {
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
                ConvPhase(5, 1.5e-3, augmented=0.2),
                ConvPhase(28, 1.5e-3, n_classes=64, augmented=0.1),
                ConvPhase(8, 4e-4, n_classes=64, rounded=True),
            ),
            prior=(64, 48),
        ),
        _best(64, epochs=40),
        _best(50, epochs=34),
        _best(36, epochs=40),
        _best(22, epochs=36),
    )
}
RECIPES: Final[dict[str, AnyRecipe]] = {**DENSE_RECIPES, **CONV_RECIPES}


def recipe_named(name: str) -> AnyRecipe:
    """The recipe of that name.  Raises UsageError, listing the names there are."""
    if name not in RECIPES:
        raise UsageError(f"no recipe named {name!r}; there are {', '.join(RECIPES)}")
    return RECIPES[name]
