"""A Keras model as the calls of single layers that it consists of, nested models taken apart.

Owns the walk through `get_config()` of Sequential and Functional models, and running the calls one by one.
Knows nothing of files (keras_load.py does), or of what the layers mean here (keras_layers.py does).
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeformat.backends.runtime import load_keras, load_tensorflow
from aeformat.errors import UsageError

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of one layer.  Call k makes value k + 1; value 0 is the model's input.

    inputs: numbers of values.  args, kwargs: as the layer was called, values as `Value`s.
    """

    name: str  # with the names of the models around it: "encoder/dense_1"
    layer: Any
    inputs: tuple[int, ...]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Value:
    """Stands for the array that a call gets."""

    number: int


class Calls:
    """All calls of a model, in order.  ends: the value that each layer, or nested model, makes last, by its name."""

    def __init__(self, model: Any) -> None:
        self.calls: list[Call] = []
        self.ends: dict[str, int] = {}
        self.output = self._model(model, 0, "")

    def named(self, name: str) -> int:
        """The value that a layer makes: by its whole name, or the last part where that is one layer's only.

        Raises UsageError.
        """
        found = {name} if name in self.ends else {end for end in self.ends if end.endswith("/" + name)}
        if len(found) != 1:
            what = "has no layer" if not found else f"has {len(found)} layers"
            raise UsageError(f"the model {what} {name!r}; its layers are {', '.join(self.ends)}")
        return self.ends[found.pop()]

    def pass_over(self, number: int, value: int) -> None:
        """Take value `value` for what call `number` makes."""
        keras = load_keras()
        call = self.calls[number]
        nothing = keras.layers.Identity(name=call.layer.name)
        self.calls[number] = replace(call, layer=nothing, inputs=(value,), args=(Value(value),), kwargs={})

    def name_of(self, value: int) -> str:
        """Of the call that makes a value."""
        return self.calls[value - 1].name if value else "the input"

    def run(self, rows: Array) -> list[Array]:
        """What every call makes of (n, *shape) float32 rows, the rows first, by Keras itself.  Raises UsageError."""
        values: list[Any] = [rows]
        for call in self.calls:
            kwargs = {key: value for key, value in call.kwargs.items() if key != "training"}
            if "training" in inspect.signature(call.layer.call).parameters:  # some layers take it that they are trained
                kwargs["training"] = False
            try:
                values.append(call.layer(*_filled(call.args, values), **kwargs))
            except _failures() as error:
                what = f"{call.name!r} ({type(call.layer).__name__})"
                raise UsageError(f"Keras cannot run {what}: {first_line(error)}") from error
        return [np.asarray(value) for value in values]

    def shape(self, call: Call, shapes: Sequence[Sequence[int]]) -> tuple[int, ...] | None:
        """Of one row that a call makes of rows of these shapes, one an input; None where Keras cannot say, or of several."""
        keras = load_keras()
        values = [keras.KerasTensor((1, *shape), "float32") for shape in shapes]
        tensors = dict(zip(call.inputs, values, strict=True))
        try:
            made = call.layer.compute_output_spec(*_filled(call.args, tensors), **call.kwargs)
        except _failures():
            return None
        if not isinstance(made, keras.KerasTensor) or None in made.shape:
            return None
        return tuple(made.shape[1:])

    def _model(self, model: Any, x: int, path: str) -> int:
        if is_sequential(model):
            for layer in model.layers:
                x = self._call(layer, (Value(x),), {}, path)
            return x
        return self._functional(model, x, path)

    def _functional(self, model: Any, x: int, path: str) -> int:
        config = model.get_config()
        start, end = (_endpoint(config[key], key, model.name) for key in ("input_layers", "output_layers"))
        operations = {operation.name: operation for operation in model.operations}
        made = {start[:2]: x}
        open_ = [entry for entry in config["layers"] if entry["name"] != start[0]]
        waiting = [
            (entry["name"], number, node) for entry in open_ for number, node in enumerate(entry["inbound_nodes"])
        ]
        while waiting:  # the config lists layers by depth; shared ones are called again further down
            ready = [one for one in waiting if all(key in made for key in _tensors(one[2]))]
            if not ready:
                raise UsageError(f"{model.name}: the layer {waiting[0][0]!r} takes what no layer makes")
            for name, number, node in ready:
                args = tuple(_located(arg, made) for arg in node["args"])
                made[name, number] = self._call(operations[name], args, node.get("kwargs", {}), path)
            waiting = [one for one in waiting if one not in ready]
        name, number, _ = end
        if is_functional(operations[name]) and not is_sequential(operations[name]):
            number -= 1  # Keras counts the calls of a nested model from 1 here, and here only
        return made[name, number]

    def _call(self, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any], path: str) -> int:
        name = path + str(layer.name)
        if is_sequential(layer) or is_functional(layer):
            inputs = list(_values(args))
            if len(inputs) != 1:
                raise UsageError(f"the nested model {name!r} takes {len(inputs)} inputs; here each takes one")
            self.ends[name] = self._model(layer, inputs[0].number, name + "/")
            return self.ends[name]
        plain = {key: value for key, value in kwargs.items() if value is not None}
        inputs = list(_values(args))
        self.calls.append(Call(name, layer, tuple(value.number for value in inputs), args, plain))
        self.ends[name] = len(self.calls)
        return len(self.calls)


def input_shape(model: Any, path: str) -> tuple[int | None, ...]:
    """Of one row; None where any size does.  Raises UsageError."""
    if len(model.inputs) != 1:
        raise UsageError(f"{path}: the model takes several inputs; here it takes one image")
    return tuple(model.inputs[0].shape[1:])


def _failures() -> tuple[type[Exception], ...]:
    """What running a layer raises, as Keras and TensorFlow document it."""
    return (
        ValueError,
        TypeError,
        IndexError,
        KeyError,
        AttributeError,
        NotImplementedError,
        load_tensorflow().errors.OpError,
    )


def first_line(error: Exception) -> str:
    """Of what a library says."""
    return str(error).strip().split("\n")[0][:300]


def is_sequential(layer: Any) -> bool:
    """Layers one after the other."""
    return isinstance(layer, load_keras().Sequential)


def is_functional(layer: Any) -> bool:
    """A model that says how its layers are connected."""
    return isinstance(layer, load_keras().Model) and hasattr(layer, "operations") and bool(layer.operations)


def _endpoint(entry: Any, key: str, model: str) -> tuple[str, int, int]:
    """The one input or output of a model.  Keras writes one end as it is, or ends as a list or a map, as they were given."""
    ends = list(_ends(entry))
    if len(ends) != 1:
        what = "inputs" if key == "input_layers" else "outputs"
        raise UsageError(
            f"{model} has {len(ends)} {what}; here a model has one: make a Model of the one that matters "
            "(of a variational autoencoder, the mean)"
        )
    return ends[0]


def _ends(entry: Any) -> Iterator[tuple[str, int, int]]:
    if isinstance(entry, dict):
        entry = list(entry.values())
    if entry and isinstance(entry[0], str):
        name, node, tensor = entry
        yield name, node, tensor
    else:
        for one in entry:
            yield from _ends(one)


def _history(arg: Any) -> tuple[str, int] | None:
    if isinstance(arg, dict) and arg.get("class_name") == "__keras_tensor__":
        name, node, _ = arg["config"]["keras_history"]
        return name, node
    return None


def _tensors(node: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """All that one call takes."""
    open_: list[Any] = [*node["args"], *node.get("kwargs", {}).values()]
    while open_:
        arg = open_.pop()
        key = _history(arg)
        if key is not None:
            yield key
        elif isinstance(arg, (list, tuple)):
            open_ += arg
        elif isinstance(arg, dict):
            open_ += arg.values()


def _located(arg: Any, made: dict[tuple[str, int], int]) -> Any:
    """The argument with `Value`s for tensors."""
    key = _history(arg)
    if key is not None:
        return Value(made[key])
    if isinstance(arg, dict):
        return {name: _located(one, made) for name, one in arg.items()}
    return [_located(one, made) for one in arg] if isinstance(arg, (list, tuple)) else arg


def _values(args: Any) -> Iterator[Value]:
    for arg in args:
        if isinstance(arg, Value):
            yield arg
        elif isinstance(arg, (list, tuple)):
            yield from _values(arg)
        elif isinstance(arg, dict):
            yield from _values(arg.values())


def _filled(args: Sequence[Any], values: Sequence[Any] | dict[int, Any]) -> list[Any]:
    """The arguments with arrays for `Value`s."""
    return [
        values[arg.number] if isinstance(arg, Value) else _filled(arg, values) if isinstance(arg, list) else arg
        for arg in args
    ]
