"""What the note says: the recipe it trained with and the figures it prints, as far as this project knows them.

Owns numbers only.  A cell that is not known stays None; nothing here is measured by this project.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LATENT_DIMS: Final = (64, 50, 36, 22)
ITERATIONS: Final = (1, 50, 100, 200)  # the columns of Table 2; an iteration is an epoch


@dataclass(frozen=True, slots=True)
class NoteRecipe:
    """784-128-D-128-784, sigmoid everywhere, trained to the mean squared error of pixels in 0..1.

    The optimizer is TensorFlow 1's RMSPropOptimizer(0.01) as its defaults have it: rho 0.9, no momentum, epsilon 1e-10
    inside the root, squares that start at 1.
    """

    latent_dims: int
    n_inputs: int = 784
    hidden: int = 128
    epochs: int = 200
    batch: int = 256
    learning_rate: float = 0.01
    rho: float = 0.9
    epsilon: float = 1e-10
    seed: int = 1

    @property
    def name(self) -> str:
        """note-D."""
        return f"note-{self.latent_dims}"

    @property
    def widths(self) -> tuple[int, ...]:
        """Units from the pixels to the pixels."""
        return (self.n_inputs, self.hidden, self.latent_dims, self.hidden, self.n_inputs)


@dataclass(frozen=True, slots=True)
class NoteFigures:
    """One row of the note's Table 2.  train: by iteration; test: both under a heading that says RMSE."""

    train: dict[int, float]
    test: float


FIGURES: Final = {
    64: NoteFigures({50: 0.04, 100: 0.028, 200: 0.019}, 0.011),
    50: NoteFigures({}, 0.012),
    36: NoteFigures({}, 0.013),
    22: NoteFigures({}, 0.014),
}
