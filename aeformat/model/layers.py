"""The closed registry of layer kinds: keys, inputs, shapes and types (spec/model.md, section 3).

Owns KINDS.  A new kind is one entry there and one function in infer.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Final

from aeformat.container.fields import Place, as_integer, as_integers, as_list, as_map
from aeformat.model import infer as output_of
from aeformat.model.values import EXACT, FLOAT32, MAX_ELEMENTS, Number, Shape, TensorSpec, Value

BOTH: Final = (EXACT, FLOAT32)
ONE: Final = range(1, 2)
SEVERAL: Final = range(2, 65)  # M3-3


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer as the manifest has it.  inputs: numbers of values.  params: the keys of its kind."""

    kind: str
    inputs: tuple[int, ...]
    params: Mapping[str, Number]

    def to_map(self) -> dict[str, object]:
        """The layer's map in the manifest."""
        params = {key: list(value) if isinstance(value, tuple) else value for key, value in self.params.items()}
        return {"kind": self.kind, "inputs": list(self.inputs), **params}


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table in section 3.

    n_inputs: allowed numbers of inputs.  channel_axis: the axis of `weights` for output channels; None for kinds without
    weights.  n_uses: (input shape, output shape) -> how often one row uses each weight.  n_steps: operations for one number
    of the output of a kind without weights (M7-1).  minor: the version 1.N of manifests that it came with.
    """

    keys: tuple[str, ...]
    infer: Callable[[output_of.Call], Value]
    profiles: tuple[str, ...] = BOTH
    n_inputs: range = ONE
    channel_axis: int | None = None
    n_uses: Callable[[Shape, Shape], int] = lambda _input, _output: 1
    n_steps: Callable[[Layer], int] = lambda _layer: 0
    minor: int = 0


# M3-2: key -> the check of its value.  Numbers of tensors are checked against the manifest's list.
TENSOR_KEYS: Final = ("weights", "bias", "multiplier", "table")
_FORMS: Final[dict[str, Callable[[Place, object], Number]]] = {
    "strides": lambda place, value: as_integers(place, "M3-2", value, range(2, 3), 1, 16),
    "padding": lambda place, value: as_integers(place, "M3-2", value, range(4, 5), 0, 64),
    "crop": lambda place, value: as_integers(place, "M3-2", value, range(4, 5), 0, 64),
    "shape": lambda place, value: as_integers(place, "M3-2", value, range(1, 9), 1, MAX_ELEMENTS),
    "num": lambda place, value: as_integer(place, "M3-2", value, -65_536, 65_536),
    "den": lambda place, value: as_integer(place, "M3-2", value, 1, 65_536),
    "shift": lambda place, value: as_integer(place, "M3-2", value, 0, 40),
    "factors": lambda place, value: as_integers(place, "M3-2", value, range(2, 3), 1, 16),
    "size": lambda place, value: as_integers(place, "M3-2", value, range(2, 3), 1, 1024),
    "axis": lambda place, value: as_integer(place, "M3-2", value, 0, 7),
    "value": lambda place, value: as_integer(place, "M3-2", value, -128, 255),
    "start": lambda place, value: as_integer(place, "M3-2", value, 0, MAX_ELEMENTS),
    "stop": lambda place, value: as_integer(place, "M3-2", value, 1, MAX_ELEMENTS),
}


def read_layer(place: Place, number: int, value: object, n_tensors: int, *, n_before: int = 1) -> Layer:
    """Layer `number` from its map: M3-1 to M3-3.  n_before: values before the first layer's.  Raises ManifestInvalid."""
    kind_name = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(kind_name, str) or kind_name not in KINDS:
        raise place.invalid("M3-1", f"layer {number} is of no known kind: {kind_name!r:.40}")
    place = place.inside(f"layer {number} ({kind_name})")
    kind = KINDS[kind_name]
    fields = as_map(place, "M3-2", value, ("kind", "inputs", *kind.keys))
    params: dict[str, Number] = {}
    for key in kind.keys:
        where = place.inside(f'key "{key}"')
        if key in TENSOR_KEYS:
            params[key] = as_integer(where, "M3-2", fields[key], 0, n_tensors - 1)
        else:
            params[key] = _FORMS[key](where, fields[key])
    if params.get("num") == 0:
        raise place.invalid("M3-2", 'key "num": expected an integer other than 0')
    where = place.inside('key "inputs"')
    items = as_list(where, "M3-3", fields["inputs"])
    if len(items) not in kind.n_inputs:
        count = "1 value" if kind.n_inputs == ONE else f"{kind.n_inputs[0]} to {kind.n_inputs[-1]} values"
        raise where.invalid("M3-3", f"expected {count}, found {len(items)}")
    return Layer(kind_name, tuple(as_integer(where, "M3-3", item, 0, n_before + number - 1) for item in items), params)


def infer(
    place: Place, profile: str, layer: Layer, inputs: tuple[Value, ...], tensors: Mapping[str, TensorSpec]
) -> Value:
    """The output of a layer, from its inputs: M3-4 to M3-6.  Raises ManifestInvalid, LimitExceeded."""
    kind = KINDS[layer.kind]
    if profile not in kind.profiles:
        raise place.invalid("M3-4", f"this kind does not occur with profile {profile}")
    return kind.infer(output_of.Call(place, profile, inputs, layer.params, tensors))


def _pixels(shape: Shape) -> int:
    return shape[0] * shape[1]


def _window(layer: Layer) -> int:
    size = layer.params["size"]
    assert isinstance(size, tuple)
    return prod(size)


_LINEAR: Final = ("weights", "bias")
_FLOAT: Final = Kind((), output_of.activation, (FLOAT32,))

KINDS: Final[dict[str, Kind]] = {
    "dense": Kind(_LINEAR, output_of.dense, channel_axis=1),
    "conv2d": Kind(
        (*_LINEAR, "strides", "padding"), output_of.conv2d, channel_axis=3, n_uses=lambda _x, made: _pixels(made)
    ),
    "conv2d_transpose": Kind(
        (*_LINEAR, "strides", "crop"), output_of.conv2d_transpose, channel_axis=2, n_uses=lambda x, _made: _pixels(x)
    ),
    "affine": Kind(_LINEAR, output_of.affine, channel_axis=0, n_uses=lambda x, _made: prod(x[:-1])),
    "add": Kind((), output_of.add, n_inputs=SEVERAL, n_steps=lambda layer: len(layer.inputs)),
    "concat": Kind(("axis",), output_of.concat, n_inputs=SEVERAL),
    "upsample": Kind(("factors",), output_of.upsample),
    "max_pool": Kind(("size", "strides", "padding"), output_of.max_pool, n_steps=_window),
    "average_pool": Kind(("size", "strides", "padding"), output_of.average_pool, (FLOAT32,), n_steps=_window),
    "slice": Kind(("start", "stop"), output_of.slice_, minor=1),
    "pad": Kind(("padding", "value"), output_of.pad),
    "crop": Kind(("crop",), output_of.crop),
    "reshape": Kind(("shape",), output_of.reshape),
    "flatten": Kind((), output_of.flatten),
    "scale": Kind(("num", "den"), output_of.scale, (FLOAT32,)),
    "relu": _FLOAT,
    "sigmoid": _FLOAT,
    "tanh": _FLOAT,
    "elu": _FLOAT,
    "gelu": _FLOAT,
    "silu": _FLOAT,
    "softplus": _FLOAT,
    "leaky_relu": Kind(("num", "den"), output_of.activation, (FLOAT32,)),
    "to_u8": Kind((), output_of.to_u8, (FLOAT32,)),
    "lookup": Kind(("multiplier", "shift", "table"), output_of.lookup, (EXACT,)),
}
