"""What a training run gives, whatever the kind of recipe."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aeformat.pipeline.evaluate import Fidelity
from aeformat.training.recipe import AnyRecipe
from aeformat.training.stack import Parameters

Images = NDArray[np.uint8]  # (n, h, w, c), 0..255


@dataclass(frozen=True, slots=True)
class TrainedPair:
    """The two halves of a trained autoencoder, and what they do to the test images.

    encoder, decoder: for each layer with weights its parameters, as NumPy arrays.  test: of 8-bit pixels, with everything else
    rounded as in the last phase.  seconds: spent training.  tensorflow: its version.  bits: an image, by the prior as it was
    learned; None where there is none.
    """

    recipe: AnyRecipe
    encoder: list[Parameters]
    decoder: list[Parameters]
    test: Fidelity
    seconds: float
    tensorflow: str
    bits: float | None = None
