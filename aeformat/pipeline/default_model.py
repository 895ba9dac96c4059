"""Which model encodes images where nobody names one.

Owns that choice: small grey images of the size of MNIST's go through the model for digits, all others through that for
photographs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from aeformat.errors import Hint, ImageError
from aeformat.images.first_shape import first_shape, shape_in_array
from aeformat.images.fit import Shape, describe
from aeformat.model import store
from aeformat.pipeline import DEFAULT_MODEL

if TYPE_CHECKING:
    from numpy.typing import NDArray

PHOTO_MODEL: Final = "photo-3"  # the middle one of five
_DIGIT: Final = (28, 28, 1)
_CONVERSIONS: Final = (Hint.RESIZE, Hint.GRAYSCALE, Hint.RESIZE_AND_GRAYSCALE)


class ChosenByTheFirst:
    """A block in which the error of an image that does not fit the model advises to name one.

    model: the one that was chosen by the first image; None where it was not chosen.
    """

    def __init__(self, model: str | None) -> None:
        self._model = model

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._model == DEFAULT_MODEL and isinstance(error, ImageError) and error.hint in _CONVERSIONS:
            error.hint = Hint.NAME_MODEL


def model_for(shape: Shape | None, label: str, *, resize: bool, grayscale: bool, rgb: bool = False) -> str:
    """The name of the model for images like this one; None: they are not known.

    resize, grayscale, rgb: whether images are to be fitted, which asks for a model of one size, for a grey one, or for one of
    colour.
    Raises ImageError where it is not on this machine.
    """
    if resize or grayscale:
        return DEFAULT_MODEL
    has_photo_model = PHOTO_MODEL in store.shipped_names()
    if shape is None or shape == _DIGIT:
        return PHOTO_MODEL if rgb and has_photo_model else DEFAULT_MODEL
    if has_photo_model:
        return PHOTO_MODEL
    hint = Hint.RESIZE if shape[2] == 1 else Hint.RESIZE_AND_GRAYSCALE if shape[:2] != _DIGIT[:2] else Hint.GRAYSCALE
    what = f"images are {describe(shape)}; the model for them, {PHOTO_MODEL}, is not here"
    raise ImageError(f"{label}: {what}, and {DEFAULT_MODEL} takes {describe(_DIGIT)}", hint=hint)


def model_for_inputs(inputs: Sequence[str], *, resize: bool, grayscale: bool, rgb: bool = False) -> str:
    """The same for the images that are named, by the first of them.  Raises ImageError."""
    label = inputs[0] if inputs else ""
    return model_for(first_shape(inputs), label, resize=resize, grayscale=grayscale, rgb=rgb)


def model_for_arrays(
    images: NDArray[np.uint8] | Sequence[NDArray[np.uint8]], *, resize: bool, grayscale: bool, rgb: bool = False
) -> str:
    """The same for images in memory.  Raises ImageError."""
    if isinstance(images, (list, tuple)):
        shape = _shape_of_image(images[0]) if images else None
    else:
        shape = shape_in_array(np.shape(images))
    return model_for(shape, "the images", resize=resize, grayscale=grayscale, rgb=rgb)


def _shape_of_image(image: NDArray[np.uint8]) -> Shape | None:
    shape = np.shape(image)
    return (*shape[:2], shape[2] if len(shape) == 3 else 1) if len(shape) in (2, 3) else None
