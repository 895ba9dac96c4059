"""The output shape and type of each kind of layer (spec/model.md, section 3: M3-5 and M3-6).

Owns one function for each kind, in the order of the spec's table.  layers.py owns the list of kinds and their keys, bounds.py
the numbers in the tensors, and the backends the computation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Final

from aeformat.container.fields import Place
from aeformat.model.values import (
    ACC,
    EXACT,
    FLOAT_TYPES,
    INTEGER_RANGES,
    MAX_ELEMENTS,
    Interval,
    Number,
    Shape,
    TensorSpec,
    Value,
)

_ADDENDS: Final = frozenset({*INTEGER_RANGES, ACC})


@dataclass(frozen=True, slots=True)
class Call:
    """One layer with all that decides its output's shape and type.  tensors: by key, such as "weights"."""

    place: Place
    profile: str
    inputs: tuple[Value, ...]
    params: Mapping[str, Number]
    tensors: Mapping[str, TensorSpec]

    def integer(self, key: str) -> int:
        """A parameter that is one integer."""
        value = self.params[key]
        assert isinstance(value, int)
        return value

    def numbers(self, key: str) -> tuple[int, ...]:
        """A parameter that is a list of integers."""
        value = self.params[key]
        assert isinstance(value, tuple)
        return value

    def fitting(self, shape: Shape) -> Shape:
        """`shape`, if a value may have so many elements (M3-5): checked before the types (M3-6)."""
        if prod(shape) > MAX_ELEMENTS:
            raise self.place.over_limit("M3-5", f"makes {prod(shape)} numbers a row, allowed are {MAX_ELEMENTS}")
        return shape


def dense(call: Call) -> Value:
    """[n] -> [m]."""
    (x,) = call.inputs
    weights = _weights(call, n_axes=2, x=x, x_axes=1)
    if x.shape != weights.shape[:1]:
        raise call.place.invalid("M3-5", f"input {x} does not fit weights {list(weights.shape)}")
    return _sums(call, weights.shape[1:], channels=weights.shape[1])


def conv2d(call: Call) -> Value:
    """One number for each window and kernel."""
    (x,) = call.inputs
    weights = _weights(call, n_axes=4, x=x, x_axes=3)
    kernel_height, kernel_width, n_channels, n_made = weights.shape
    if x.shape[2] != n_channels:
        raise call.place.invalid("M3-5", f"input {x} does not fit weights {list(weights.shape)}")
    top, bottom, left, right = call.numbers("padding")
    sh, sw = call.numbers("strides")
    height = (x.shape[0] + top + bottom - kernel_height) // sh + 1
    width = (x.shape[1] + left + right - kernel_width) // sw + 1
    if height < 1 or width < 1:
        raise call.place.invalid("M3-5", f"the kernel is larger than the padded input {x}")
    return _sums(call, (height, width, n_made), channels=n_made)


def conv2d_transpose(call: Call) -> Value:
    """Each pixel spread out by the kernel, and the result cropped."""
    (x,) = call.inputs
    weights = _weights(call, n_axes=4, x=x, x_axes=3)
    kernel_height, kernel_width, n_made, n_channels = weights.shape
    if x.shape[2] != n_channels:
        raise call.place.invalid("M3-5", f"input {x} does not fit weights {list(weights.shape)}")
    top, bottom, left, right = call.numbers("crop")
    sh, sw = call.numbers("strides")
    height = (x.shape[0] - 1) * sh + kernel_height - top - bottom
    width = (x.shape[1] - 1) * sw + kernel_width - left - right
    if height < 1 or width < 1:
        raise call.place.invalid("M3-5", "the crop leaves nothing")
    return _sums(call, (height, width, n_made), channels=n_made)


def affine(call: Call) -> Value:
    """The input's shape, with weights for its last axis."""
    (x,) = call.inputs
    weights = call.tensors["weights"]
    if weights.shape != x.shape[-1:]:
        raise call.place.invalid("M3-5", f"expected weights of shape [{x.shape[-1]}], found {list(weights.shape)}")
    return _sums(call, x.shape, channels=x.shape[-1], exact_weights="i32")


def add(call: Call) -> Value:
    """The shape of the inputs, which is the same for all."""
    first, *others = call.inputs
    for x in others:
        if x.shape != first.shape:
            raise call.place.invalid("M3-5", f"inputs {first} and {x} have different shapes")
    allowed, made = (_ADDENDS, ACC) if call.profile == EXACT else ({"f32"}, "f32")
    for x in call.inputs:
        if x.type not in allowed:
            raise call.place.invalid("M3-6", f"takes {', '.join(sorted(allowed))} with this profile, not {x.type}")
    return Value(first.shape, made)


def concat(call: Call) -> Value:
    """The inputs one after the other along one axis."""
    first, *others = call.inputs
    axis = call.integer("axis")
    if axis >= len(first.shape):
        raise call.place.invalid("M3-5", f"input {first} has no axis {axis}")
    for x in others:
        if x.shape[:axis] != first.shape[:axis] or x.shape[axis + 1 :] != first.shape[axis + 1 :]:
            raise call.place.invalid("M3-5", f"inputs {first} and {x} differ in more than axis {axis}")
    size = sum(x.shape[axis] for x in call.inputs)
    shape = call.fitting((*first.shape[:axis], size, *first.shape[axis + 1 :]))
    for x in call.inputs:
        if x.type != first.type:
            raise call.place.invalid("M3-6", f"takes inputs of one type, not {first.type} and {x.type}")
    return Value(shape, _not_acc(call, first))


def upsample(call: Call) -> Value:
    """Every pixel becomes fh * fw."""
    height, width, n_channels = _image(call)
    fh, fw = call.numbers("factors")
    return Value(call.fitting((height * fh, width * fw, n_channels)), _not_acc(call, call.inputs[0]))


def slice_(call: Call) -> Value:
    """Some of the channels, which are the last axis."""
    (x,) = call.inputs
    start, stop = call.integer("start"), call.integer("stop")
    if not start < stop <= x.shape[-1]:
        raise call.place.invalid("M3-5", f"input {x} has no channels {start} to {stop - 1}")
    return Value((*x.shape[:-1], stop - start), _not_acc(call, x))


def max_pool(call: Call) -> Value:
    """One number for each window and channel."""
    shape = _pooled(call)
    return Value(shape, _not_acc(call, call.inputs[0]))


def average_pool(call: Call) -> Value:
    """One number for each window and channel."""
    shape = _pooled(call)
    return Value(shape, _f32(call, call.inputs[0]))


def pad(call: Call) -> Value:
    """The input with rows and columns added around it."""
    height, width, n_channels = _image(call)
    (x,) = call.inputs
    top, bottom, left, right = call.numbers("padding")
    value = call.integer("value")
    shape = call.fitting((top + height + bottom, left + width + right, n_channels))
    made = _not_acc(call, x)
    if made in INTEGER_RANGES and not Interval(*INTEGER_RANGES[made]).holds(Interval(value, value)):
        raise call.place.invalid("M3-6", f"{made} does not hold {value}")
    return Value(shape, made)


def crop(call: Call) -> Value:
    """The input without rows and columns at its edges."""
    height, width, n_channels = _image(call)
    top, bottom, left, right = call.numbers("crop")
    height, width = height - top - bottom, width - left - right
    if height < 1 or width < 1:
        raise call.place.invalid("M3-5", "the crop leaves nothing")
    return Value((height, width, n_channels), _not_acc(call, call.inputs[0]))


def reshape(call: Call) -> Value:
    """The shape that the layer's key names."""
    (x,) = call.inputs
    shape = call.numbers("shape")
    if prod(shape) != x.n_elements:
        raise call.place.invalid("M3-5", f"{x} does not have the {prod(shape)} numbers of shape {list(shape)}")
    return Value(shape, _not_acc(call, x))


def flatten(call: Call) -> Value:
    """All numbers on one axis."""
    (x,) = call.inputs
    return Value((x.n_elements,), _not_acc(call, x))


def scale(call: Call) -> Value:
    """Integers become f32."""
    (x,) = call.inputs
    if x.type not in INTEGER_RANGES:
        raise call.place.invalid("M3-6", f"takes u8 or i8, not {x.type}")
    return Value(x.shape, "f32")


def activation(call: Call) -> Value:
    """f32 stays f32."""
    (x,) = call.inputs
    return Value(x.shape, _f32(call, x))


def to_u8(call: Call) -> Value:
    """f32 becomes u8."""
    (x,) = call.inputs
    _f32(call, x)
    return Value(x.shape, "u8")


def lookup(call: Call) -> Value:
    """Sums become what the table holds (M4-2 and M4-3, as far as they speak of shapes and types)."""
    (x,) = call.inputs
    if x.type != ACC:
        raise call.place.invalid("M3-6", f"takes sums, not {x.type}")
    multiplier, table = call.tensors["multiplier"], call.tensors["table"]
    if multiplier.type != "i32" or multiplier.shape not in ((1,), x.shape[-1:]):
        what = f"found {multiplier.type} {list(multiplier.shape)}"
        raise call.place.invalid("M4-2", f"expected a multiplier i32 [1] or i32 [{x.shape[-1]}], {what}")
    fits = len(table.shape) == 1 and table.shape[0] % 2 == 0 and 2 <= table.shape[0] <= 65_536
    if table.type not in INTEGER_RANGES or not fits:
        what = f"found {table.type} {list(table.shape)}"
        raise call.place.invalid("M4-3", f"expected a table of u8 or i8 with an even count from 2 to 65536, {what}")
    return Value(x.shape, table.type)


# Checks that several kinds share.


def _weights(call: Call, *, n_axes: int, x: Value, x_axes: int) -> TensorSpec:
    """The weights, if they and the input have as many axes as the kind demands (M3-5)."""
    weights = call.tensors["weights"]
    if len(weights.shape) != n_axes:
        raise call.place.invalid("M3-5", f"expected weights with {n_axes} axes, found {list(weights.shape)}")
    if len(x.shape) != x_axes:
        raise call.place.invalid("M3-5", f"expected an input with {x_axes} axes, found {x}")
    return weights


def _image(call: Call) -> tuple[int, int, int]:
    """Height, width and channels of the input (M3-5)."""
    (x,) = call.inputs
    if len(x.shape) != 3:
        raise call.place.invalid("M3-5", f"expected an input with 3 axes, found {x}")
    return x.shape[0], x.shape[1], x.shape[2]


def _pooled(call: Call) -> Shape:
    """The output shape of a pool, every window of which holds a pixel (M3-5)."""
    height, width, n_channels = _image(call)
    size, (sh, sw) = call.numbers("size"), call.numbers("strides")
    top, bottom, left, right = call.numbers("padding")
    if max(top, bottom) >= size[0] or max(left, right) >= size[1]:
        raise call.place.invalid("M3-5", f"the padding is not smaller than the window {list(size)}")
    made = (height + top + bottom - size[0]) // sh + 1, (width + left + right - size[1]) // sw + 1
    if min(made) < 1:
        raise call.place.invalid("M3-5", f"the window is larger than the padded input {call.inputs[0]}")
    return call.fitting((*made, n_channels))


def _sums(call: Call, shape: Shape, *, channels: int, exact_weights: str = "i8") -> Value:
    """The output of a layer with weights, after a check of the bias' shape (M3-5) and of all types (M3-6)."""
    (x,) = call.inputs
    weights, bias = call.tensors["weights"], call.tensors["bias"]
    if bias.shape != (channels,):
        raise call.place.invalid("M3-5", f"expected a bias of shape [{channels}], found {list(bias.shape)}")
    call.fitting(shape)
    found = f"found input {x.type}, weights {weights.type}, bias {bias.type}"
    if call.profile == EXACT:
        if x.type not in INTEGER_RANGES or weights.type != exact_weights or bias.type != "i32":
            raise call.place.invalid("M3-6", f"expected input u8 or i8, weights {exact_weights}, bias i32; {found}")
        return Value(shape, ACC)
    if x.type != "f32" or weights.type not in FLOAT_TYPES or bias.type not in FLOAT_TYPES:
        raise call.place.invalid("M3-6", f"expected input f32, weights and bias f32 or f16; {found}")
    return Value(shape, "f32")


def _not_acc(call: Call, x: Value) -> str:
    if x.type == ACC:
        raise call.place.invalid("M3-6", "only lookup and add take sums")
    return x.type


def _f32(call: Call, x: Value) -> str:
    if x.type != "f32":
        raise call.place.invalid("M3-6", f"takes f32, not {x.type}")
    return x.type
