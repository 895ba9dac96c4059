"""How layers are called in a network that Keras 2 wrote, as Keras 3 reads it.

Owns the numbers of calls, and sums that are operations of TensorFlow.  A call lists what it takes, each as [layer, number of
that layer's call, number of the result, options].  Knows nothing of what is inside a layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

Entry = dict[str, Any]

MODELS: Final = ("Sequential", "Functional", "Model")
OPERATION: Final = "TFOpLambda"
_SUMS: Final = ("__operators__.add", "math.add")
_N_REFERENCE: Final = 3  # [layer, call, result]


def old_calls(config: Entry) -> Entry:
    """The config of a Functional model with its calls as Keras 3 numbers them."""
    layers = [_operation(layer) if layer["class_name"] == OPERATION else layer for layer in config["layers"]]
    shifted = {
        layer["name"] for layer in layers if layer["class_name"] in MODELS and _counts_from_one(layer, layers, config)
    }
    kinds = {layer["name"]: layer["class_name"] for layer in layers}
    layers = [
        {**layer, "inbound_nodes": [[_shifted(call, shifted) for call in node] for node in layer["inbound_nodes"]]}
        for layer in layers
    ]
    ends = {name for name in shifted if kinds[name] == "Sequential"}  # Keras 3 shifts the others itself
    return {**config, "layers": layers, "output_layers": _ends(config["output_layers"], ends)}


def _counts_from_one(model: Entry, layers: list[Entry], config: Entry) -> bool:
    """Keras 2 counts the call that a nested model is made with, which Keras 3 does not have.  Every call is used somewhere."""
    used = [call[1] for layer in layers for node in layer["inbound_nodes"] for call in node if call[0] == model["name"]]
    used += [end[1] for end in _references(config["output_layers"]) if end[0] == model["name"]]
    return max(used, default=0) >= len(model["inbound_nodes"])


def _shifted(call: list[Any], names: set[str]) -> list[Any]:
    return [call[0], call[1] - 1, *call[2:]] if call[0] in names else call


def _ends(value: Any, names: set[str]) -> Any:
    if _is_reference(value):
        return _shifted(value, names)
    if isinstance(value, dict):
        return {key: _ends(one, names) for key, one in value.items()}
    return [_ends(one, names) for one in value]


def _is_reference(value: Any) -> bool:
    return (
        isinstance(value, list) and len(value) == _N_REFERENCE and isinstance(value[0], str) and type(value[1]) is int
    )


def _references(value: Any) -> Iterator[list[Any]]:
    """All that is [layer, call, result], however deep."""
    if _is_reference(value):
        yield value
    elif isinstance(value, (list, dict)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _references(one)


def _list(node: list[Any]) -> list[Any]:
    """An operation's one value is written without a list around it."""
    return [node] if node and isinstance(node[0], str) else node


def _operation(layer: Entry) -> Entry:
    """Takes all its values as a layer does; a sum of two becomes the layer Add."""
    nodes = [
        [[*call[:_N_REFERENCE], {}] for first in _list(node) for call in (first, *_references(first[_N_REFERENCE:]))]
        for node in layer["inbound_nodes"]
    ]
    if layer["config"].get("function") not in _SUMS or any(len(node) != 2 for node in nodes):
        return {**layer, "inbound_nodes": nodes}
    layer = {key: value for key, value in layer.items() if key != "build_config"}
    made = {**layer, "class_name": "Add", "config": {"name": layer["name"], "dtype": "float32"}, "inbound_nodes": nodes}
    return made | ({"module": "keras.layers", "registered_name": None} if "module" in layer else {})
