"""The closed registry of layer kinds: keys, inputs, shapes and types (spec/model.md, section 3).

Owns KINDS.  A new kind is one entry there and one function that infers what it makes.  Knows shapes and types only:
the numbers in the tensors are bounds.py's business, and how a kind is computed is the backends'.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Final

from aeformat.model.fields import Place, a_list, a_map, an_integer, integers
from aeformat.model.values import ACC, FLOAT_TYPES, INTEGER_RANGES, MAX_ELEMENTS, Shape, TensorSpec, Value

Number = int | tuple[int, ...]
EXACT: Final = "exact"
FLOAT32: Final = "float32"
BOTH: Final = (EXACT, FLOAT32)


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer as the manifest has it.  inputs: numbers of values.  params: the keys of its kind."""

    kind: str
    inputs: tuple[int, ...]
    params: Mapping[str, Number]

    def to_map(self) -> dict[str, object]:
        """The map that stands in the manifest."""
        params = {key: list(value) if isinstance(value, tuple) else value for key, value in self.params.items()}
        return {"kind": self.kind, "inputs": list(self.inputs), **params}


@dataclass(frozen=True, slots=True)
class Call:
    """One layer with everything that its shape and type follow from.  tensors: by key, such as "weights"."""

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


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table in section 3.

    channel_axis: the axis of `weights` that its output channels lie on; None for kinds without weights.
    n_uses: how often one row uses each weight, from the shapes of input and output.
    """

    keys: tuple[str, ...]
    infer: Callable[[Call], Value]
    profiles: tuple[str, ...] = BOTH
    n_inputs: int = 1
    channel_axis: int | None = None
    n_uses: Callable[[Shape, Shape], int] = lambda _input, _output: 1


# M3-2: key -> how its value is read.  Numbers of tensors are checked against the manifest's list.
TENSOR_KEYS: Final = ("weights", "bias", "multiplier", "table")
_FORMS: Final[dict[str, Callable[[Place, object], Number]]] = {
    "strides": lambda place, value: integers(place, "M3-2", value, range(2, 3), 1, 16),
    "padding": lambda place, value: integers(place, "M3-2", value, range(4, 5), 0, 64),
    "crop": lambda place, value: integers(place, "M3-2", value, range(4, 5), 0, 64),
    "shape": lambda place, value: integers(place, "M3-2", value, range(1, 9), 1, MAX_ELEMENTS),
    "num": lambda place, value: an_integer(place, "M3-2", value, -65_536, 65_536),
    "den": lambda place, value: an_integer(place, "M3-2", value, 1, 65_536),
    "shift": lambda place, value: an_integer(place, "M3-2", value, 0, 40),
}


def read_layer(place: Place, number: int, value: object, n_tensors: int) -> Layer:
    """Layer `number` from its map: M3-1 to M3-3.  Raises ManifestInvalid."""
    kind_name = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(kind_name, str) or kind_name not in KINDS:
        raise place.invalid("M3-1", f"layer {number} is of no known kind: {kind_name!r:.40}")
    place = place.inside(f"layer {number} ({kind_name})")
    kind = KINDS[kind_name]
    fields = a_map(place, "M3-2", value, ("kind", "inputs", *kind.keys))
    params: dict[str, Number] = {}
    for key in kind.keys:
        where = place.inside(f'key "{key}"')
        if key in TENSOR_KEYS:
            params[key] = an_integer(where, "M3-2", fields[key], 0, n_tensors - 1)
        else:
            params[key] = _FORMS[key](where, fields[key])
    if params.get("num") == 0:
        raise place.invalid("M3-2", 'key "num": expected an integer other than 0')
    where = place.inside('key "inputs"')
    items = a_list(where, "M3-3", fields["inputs"])
    if len(items) != kind.n_inputs:
        raise where.invalid("M3-3", f"expected {kind.n_inputs} value(s), found {len(items)}")
    return Layer(kind_name, tuple(an_integer(where, "M3-3", item, 0, number) for item in items), params)


def infer(
    place: Place, profile: str, layer: Layer, inputs: tuple[Value, ...], tensors: Mapping[str, TensorSpec]
) -> Value:
    """What a layer makes of its inputs: M3-4 to M3-6.  Raises ManifestInvalid, LimitExceeded."""
    kind = KINDS[layer.kind]
    if profile not in kind.profiles:
        raise place.invalid("M3-4", f"this kind does not occur with profile {profile}")
    made = kind.infer(Call(place, profile, inputs, layer.params, tensors))
    if made.n_elements > MAX_ELEMENTS:
        raise place.over_limit("M3-5", f"makes {made.n_elements} numbers a row, allowed are {MAX_ELEMENTS}")
    return made


# One function a kind, in the order of the spec's table.


def _dense(call: Call) -> Value:
    (x,) = call.inputs
    weights = _weights(call, n_axes=2, x=x, x_axes=1)
    if x.shape != weights.shape[:1]:
        raise call.place.invalid("M3-5", f"input {x} does not fit weights {list(weights.shape)}")
    return _sums(call, weights.shape[1:], channels=weights.shape[1])


def _conv2d(call: Call) -> Value:
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


def _conv2d_transpose(call: Call) -> Value:
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


def _reshape(call: Call) -> Value:
    (x,) = call.inputs
    shape = call.numbers("shape")
    if prod(shape) != x.n_elements:
        raise call.place.invalid("M3-5", f"{x} does not have the {prod(shape)} numbers of shape {list(shape)}")
    return Value(shape, _not_acc(call, x))


def _flatten(call: Call) -> Value:
    (x,) = call.inputs
    return Value((x.n_elements,), _not_acc(call, x))


def _scale(call: Call) -> Value:
    (x,) = call.inputs
    if x.type not in INTEGER_RANGES:
        raise call.place.invalid("M3-6", f"takes u8 or i8, not {x.type}")
    return Value(x.shape, "f32")


def _activation(call: Call) -> Value:
    (x,) = call.inputs
    return Value(x.shape, _f32(call, x))


def _to_u8(call: Call) -> Value:
    (x,) = call.inputs
    _f32(call, x)
    return Value(x.shape, "u8")


def _lookup(call: Call) -> Value:
    (x,) = call.inputs
    if x.type != ACC:
        raise call.place.invalid("M3-6", f"takes the sums of a layer with weights, not {x.type}")
    multiplier, table = call.tensors["multiplier"], call.tensors["table"]
    if multiplier.type != "i32" or multiplier.shape not in ((1,), x.shape[-1:]):
        what = f"found {multiplier.type} {list(multiplier.shape)}"
        raise call.place.invalid("M4-2", f"expected a multiplier i32 [1] or i32 [{x.shape[-1]}], {what}")
    fits = len(table.shape) == 1 and table.shape[0] % 2 == 0 and 2 <= table.shape[0] <= 65_536
    if table.type not in INTEGER_RANGES or not fits:
        what = f"found {table.type} {list(table.shape)}"
        raise call.place.invalid("M4-3", f"expected a table of u8 or i8 with an even count from 2 to 65536, {what}")
    return Value(x.shape, table.type)


# What several of them need.


def _weights(call: Call, *, n_axes: int, x: Value, x_axes: int) -> TensorSpec:
    """The weights, if they and the input have as many axes as the kind demands (M3-5)."""
    weights = call.tensors["weights"]
    if len(weights.shape) != n_axes:
        raise call.place.invalid("M3-5", f"expected weights with {n_axes} axes, found {list(weights.shape)}")
    if len(x.shape) != x_axes:
        raise call.place.invalid("M3-5", f"expected an input with {x_axes} axes, found {x}")
    return weights


def _sums(call: Call, shape: Shape, *, channels: int) -> Value:
    """What a layer with weights makes: the bias' shape (M3-5) and all types (M3-6)."""
    (x,) = call.inputs
    weights, bias = call.tensors["weights"], call.tensors["bias"]
    if bias.shape != (channels,):
        raise call.place.invalid("M3-5", f"expected a bias of shape [{channels}], found {list(bias.shape)}")
    found = f"found input {x.type}, weights {weights.type}, bias {bias.type}"
    if call.profile == EXACT:
        if x.type not in INTEGER_RANGES or weights.type != "i8" or bias.type != "i32":
            raise call.place.invalid("M3-6", f"expected input u8 or i8, weights i8, bias i32; {found}")
        return Value(shape, ACC)
    if x.type != "f32" or weights.type not in FLOAT_TYPES or bias.type not in FLOAT_TYPES:
        raise call.place.invalid("M3-6", f"expected input f32, weights and bias f32 or f16; {found}")
    return Value(shape, "f32")


def _not_acc(call: Call, x: Value) -> str:
    if x.type == ACC:
        raise call.place.invalid("M3-6", "only lookup takes the sums of a layer with weights")
    return x.type


def _f32(call: Call, x: Value) -> str:
    if x.type != "f32":
        raise call.place.invalid("M3-6", f"takes f32, not {x.type}")
    return x.type


def _pixels(shape: Shape) -> int:
    return shape[0] * shape[1]


_LINEAR: Final = ("weights", "bias")
_FLOAT: Final = Kind((), _activation, (FLOAT32,))

KINDS: Final[dict[str, Kind]] = {
    "dense": Kind(_LINEAR, _dense, channel_axis=1),
    "conv2d": Kind((*_LINEAR, "strides", "padding"), _conv2d, channel_axis=3, n_uses=lambda _x, made: _pixels(made)),
    "conv2d_transpose": Kind(
        (*_LINEAR, "strides", "crop"), _conv2d_transpose, channel_axis=2, n_uses=lambda x, _made: _pixels(x)
    ),
    "reshape": Kind(("shape",), _reshape),
    "flatten": Kind((), _flatten),
    "scale": Kind(("num", "den"), _scale, (FLOAT32,)),
    "relu": _FLOAT,
    "sigmoid": _FLOAT,
    "tanh": _FLOAT,
    "elu": _FLOAT,
    "gelu": _FLOAT,
    "silu": _FLOAT,
    "softplus": _FLOAT,
    "leaky_relu": Kind(("num", "den"), _activation, (FLOAT32,)),
    "to_u8": Kind((), _to_u8, (FLOAT32,)),
    "lookup": Kind(("multiplier", "shift", "table"), _lookup, (EXACT,)),
}
