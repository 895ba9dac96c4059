"""The image at both ends of an ONNX network: which axis is what there.

Owns the order of rows, columns and channels: channels first, as PyTorch has them, where both could be.  Knows nothing of
operators.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.errors import Hint, UsageError
from aeformat.exchange.imports import Options, image_shape
from aeformat.exchange.onnx_canvas import Tensor
from aeformat.exchange.onnx_file import Shape
from aeformat.model.free_sizes import Size

Array = NDArray[Any]

_MOST_CHANNELS: Final = 4  # of an image, where two axes could be the channels


@dataclass(frozen=True, slots=True)
class Layout:
    """start: the shape of one row in ONNX.  image: [h, w, c].  axes: of `start`, or of [c, h, w], in the image's order."""

    start: tuple[int, ...]
    image: tuple[int, ...]
    axes: tuple[int, ...]

    def rows(self, images: Array) -> Array:
        """(n, h, w, c) -> (n, *start)."""
        return images.transpose(0, *(i + 1 for i in np.argsort(self.axes))).reshape(-1, *self.start)

    def tensor(self, value: int, shape: Sequence[int]) -> Tensor:
        """A value [h, w, c] as ONNX's tensor of a shape."""
        places = np.arange(prod(self.image), dtype=np.int32).reshape(self.image)
        return Tensor(value, places.transpose(np.argsort(self.axes)).reshape(tuple(shape)))


def layout_of(start: Shape, options: Options) -> Layout:
    """Channels first, as PyTorch has them, unless only the last axis can be the channels."""
    sizes = _sizes(start, options.image)
    first = (1, 2, 0)
    if len(sizes) == 3:
        is_last = sizes[2] <= _MOST_CHANNELS < sizes[0]
        given = options.image
        if given is not None:
            is_last = sizes == given and (sizes[1], sizes[2], sizes[0]) != given
        axes = (0, 1, 2) if is_last else first
        image = tuple(sizes[i] for i in axes)
        return Layout(sizes, image_shape(image, options), axes)
    return Layout(sizes, image_shape(sizes, options), first)


def _sizes(start: Shape, image: tuple[int, int, int] | None) -> tuple[int, ...]:
    """The shape of one row, with the image's sizes for those that may be any."""
    if None not in start:
        return tuple(size for size in start if size is not None)
    if image is None or len(start) != 3:
        raise UsageError(f"the network takes any size, {list(start)}: say which", hint=Hint.GIVE_IMAGE_SHAPE)
    height, width, channels = image
    is_last = start[2] == channels and start[0] != channels
    wanted = image if is_last else (channels, height, width)
    return tuple(given if size is None else size for size, given in zip(start, wanted, strict=True))


def sized_start(start: Shape, size: Size) -> Shape:
    """A shape with a height and a width for the axes of any size, which come in this order."""
    left = list(size)
    if start.count(None) != len(left):
        raise UsageError(f"the network takes any size, {list(start)}: say which", hint=Hint.GIVE_IMAGE_SHAPE)
    return tuple(left.pop(0) if one is None else one for one in start)


def image_axes(shape: tuple[int, ...], layout: Layout) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes of the output in the image's order, and its shape as it is taken: with channels like the input."""
    height, width, channels = layout.image
    if shape == (height, width, channels) and shape != (channels, height, width):
        return (0, 1, 2), shape
    first = (channels, height, width)
    taken = first if layout.axes == (1, 2, 0) or shape == first else layout.image
    return ((1, 2, 0) if taken == first else (0, 1, 2)), taken
