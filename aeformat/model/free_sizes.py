"""Networks that take any height and width (spec/model.md, section 3.1).

Owns which kinds of layers may occur, the scale between latent and image, and the sizes that follow from it.  A network with
free sizes is described for a latent of 1 x 1: a value of shape (f, g, channels) there has f * h rows and g * w columns for a
latent of h x w.  Knows nothing of weights; tiles.py knows which part of a value needs which part of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from aeformat.container.fields import Place
from aeformat.errors import LimitExceeded, ValueInvalid
from aeformat.model.layers import Layer
from aeformat.model.values import Shape, Value

Size = tuple[int, int]  # height, width

_SAME_SIZE: Final = frozenset(
    {"affine", "add", "concat", "slice", "scale", "lookup", "to_u8", "relu", "sigmoid", "tanh", "elu", "gelu", "silu"}
    | {"softplus", "leaky_relu"}
)
_UP: Final = {"conv2d_transpose": "strides", "upsample": "factors"}  # kind -> the key with what it multiplies sizes by
FREE_KINDS: Final = frozenset({"conv2d", *_UP, *_SAME_SIZE})
MAX_ELEMENTS: Final = 2**30  # M3-12, of an image or a latent
_AXES: Final = ("rows", "columns")


def is_free(shape: Shape) -> bool:
    """Whether a shape of an endpoint has sizes that each row has for itself."""
    return 0 in shape


def sized(shape: Shape, size: Shape) -> Shape:
    """The shape of an endpoint with this height and width in the place of free ones."""
    return (*size, shape[2]) if is_free(shape) else shape


def grown(value: Value, latent: Size) -> Value:
    """A value for a latent of h x w, from what it is for one of 1 x 1."""
    rows, columns, channels = value.shape
    return Value((rows * latent[0], columns * latent[1], channels), value.type)


def latent_size(scale: Size, image: Size) -> Size:
    """The size of the latent of an image."""
    return -(-image[0] // scale[0]), -(-image[1] // scale[1])


def scale_of(place: Place, layers: Sequence[Layer], *, is_decoder: bool) -> Size:
    """Rows and columns of an image for each of its latent (M3-10).  Raises ManifestInvalid."""
    for number, layer in enumerate(layers):
        if layer.kind not in FREE_KINDS:
            where = place.inside(f"layer {number} ({layer.kind})")
            raise where.invalid("M3-10", "this kind does not go with free sizes")
    ratios = [Fraction(1), Fraction(1)]
    value = len(layers)
    while value:
        layer = layers[value - 1]
        for axis, factor in enumerate(_growth(layer)):
            ratios[axis] *= factor if is_decoder else 1 / factor
        value = layer.inputs[0]
    for name, ratio in zip(_AXES, ratios, strict=True):
        if ratio.denominator != 1:
            raise place.invalid("M3-10", f"the scale of {name} is {ratio}, which is not a whole number")
    return ratios[0].numerator, ratios[1].numerator


def _growth(layer: Layer) -> tuple[Fraction, Fraction]:
    """By what a layer multiplies rows and columns."""
    numbers = layer.params[_UP.get(layer.kind, "strides")] if layer.kind not in _SAME_SIZE else (1, 1)
    assert isinstance(numbers, tuple)
    rows, columns = map(Fraction, numbers)
    return (rows, columns) if layer.kind in _UP else (1 / rows, 1 / columns)


def check_proportion(place: Place, layer: Layer, x: Value, kernel: Shape) -> None:
    """M3-11, of a layer whose shapes fit.  x: its first input for a latent of 1 x 1.  kernel: shape of its weights."""
    if layer.kind == "concat" and layer.params["axis"] != 2:
        raise place.invalid("M3-11", "with free sizes only channels are joined: axis 2")
    if layer.kind not in ("conv2d", "conv2d_transpose"):
        return
    strides, sides = layer.params["strides"], layer.params["padding" if layer.kind == "conv2d" else "crop"]
    assert isinstance(strides, tuple) and isinstance(sides, tuple)
    for axis, name in enumerate(_AXES):
        stride, size, both = strides[axis], kernel[axis], sides[2 * axis] + sides[2 * axis + 1]
        if layer.kind == "conv2d_transpose":
            if both != size - stride:
                raise place.invalid("M3-11", f"{name}: a crop of {both}, kernel minus stride are {size - stride}")
            continue
        if x.shape[axis] % stride:
            raise place.invalid("M3-11", f"{name}: a stride of {stride} does not divide {x.shape[axis]}")
        if not size - stride <= both < size:
            what = f"{name}: a padding of {both}, a kernel of {size} with stride {stride} takes"
            raise place.invalid("M3-11", f"{what} {max(0, size - stride)} to {size - 1}")


def check_sizes(
    scale: Size, latent: Size | None, image: Size | None, *, n_channels: tuple[int, int], at: int = 0
) -> None:
    """M3-12, of one row.  n_channels: of latent and image.  at: where the file states its sizes.

    Raises ValueInvalid, LimitExceeded.
    """
    for what, size, channels in (("latent", latent, n_channels[0]), ("image", image, n_channels[1])):
        if size is None:
            continue
        height, width = size
        if height < 1 or width < 1:
            raise ValueInvalid("M3-12", at, f"{what} of {height} x {width} pixels")
        if height * width * channels > MAX_ELEMENTS:
            found = f"{what} of {height} x {width} x {channels} numbers"
            raise LimitExceeded("M3-12", at, f"{found}, allowed are {MAX_ELEMENTS} together")
    if latent is not None and image is not None and latent != latent_size(scale, image):
        height, width = latent_size(scale, image)
        what = f"a latent of {latent[0]} x {latent[1]} for an image of {image[0]} x {image[1]}"
        raise ValueInvalid("M3-12", at, f"{what}, the decoder takes {height} x {width}")
