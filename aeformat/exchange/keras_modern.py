"""The description of a network as the Keras of today can load it.

Owns what Keras 2 wrote otherwise, and stand-ins for layers that only their own code can compute: so all else can be looked at,
and they can be refused by name or passed over.  Works on the JSON of `get_config`; knows nothing of files.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from aeformat.backends.runtime import load_keras
from aeformat.errors import UsageError
from aeformat.exchange.keras_calls_2 import MODELS, old_calls

Entry = dict[str, Any]  # a layer or model: its class_name, its config, where it is called
_MODULES: Final = {"Sequential": "keras.src.models.sequential", "Functional": "keras.src.models.functional"}
_FOR_TRAINING: Final = ("_initializer", "_regularizer", "_constraint")  # the weights are in the file
_RENAMED_CLASSES: Final[dict[str, str]] = dict.fromkeys(
    ("BatchNormalizationV1", "BatchNormalizationV2", "SyncBatchNormalization"), "BatchNormalization"
)
_RENAMED_KEYS: Final = {("LeakyReLU", "alpha"): "negative_slope", ("InputLayer", "batch_input_shape"): "batch_shape"}
_CHANGES_NOTHING: Final[dict[str, Callable[[Any], bool]]] = {  # keys of Keras 2 that Keras 3 does not take: what they may say
    "groups": lambda value: value == 1,  # it never computed other ones where Keras 3 lacks the key
    "fused": lambda value: True,  # how it is computed, not what
    "noise_shape": lambda value: True,  # of layers that do nothing at inference
    "trainable": lambda value: True,
    "rng_type": lambda value: True,
    "renorm": lambda value: True,  # training alone
    "renorm_clipping": lambda value: True,
    "renorm_momentum": lambda value: True,
}  # fmt: skip
_STAND_IN: Final = "StandIn"


def modern(entry: Entry, *, is_old: bool) -> Entry:
    """The same network for Keras 3.  is_old: Keras 2 wrote it.  Raises UsageError: what it has no counterpart for, by name."""
    config = entry["config"]
    kind: str = _RENAMED_CLASSES.get(str(entry["class_name"]), str(entry["class_name"]))
    if isinstance(config, list):  # Sequential, before Keras 2.2.3
        config = {"name": "sequential", "layers": config}
    if "layers" in config and kind in MODELS:
        return _modern_model(entry, kind, config, is_old=is_old)
    if not _is_of_keras(entry, kind):
        return _stand_in_for(entry, kind)
    return {**entry, "class_name": kind, "config": _modern_config(kind, config)} if is_old else entry


def stand_in(layer: Any) -> str | None:
    """The class that a layer stands for, None where it is itself."""
    return layer.what if type(layer) is _stand_in_class() else None


def custom_objects() -> dict[str, type]:
    """What loading a modern description needs."""
    return {_STAND_IN: _stand_in_class()}


def stand_ins(entry: Entry) -> list[str]:
    """What stands for something in a modern description, as "'name' (Class)"."""
    if entry["class_name"] == _STAND_IN:
        return [f"{entry['config']['name']!r} ({entry['config']['what']})"]
    return [one for layer in entry["config"].get("layers", ()) for one in stand_ins(layer)]


def _modern_model(entry: Entry, kind: str, config: Entry, *, is_old: bool) -> Entry:
    if is_old and "input_layers" in config:
        config = old_calls(config)
    layers = [modern(layer, is_old=is_old) for layer in config["layers"]]
    if is_old and kind == "Sequential":
        layers = _with_input(layers, config)
    if is_old:
        layers = [{**one, "config": _without(one["config"], "batch_input_shape")} for one in layers]
    made = {**entry, "class_name": kind, "config": {**config, "layers": layers}}
    if is_old and "module" in entry:  # a .keras file
        kind = "Functional" if kind == "Model" else kind
        made |= {"class_name": kind, "module": _MODULES[kind], "registered_name": kind}
    return made


def _with_input(layers: list[Entry], config: Entry) -> list[Entry]:
    """Keras 2 could give the first layer the shape of the input, or know it from the data; Keras 3 wants an input layer."""
    first = layers[0] if layers else None
    if first is None or first["class_name"] in ("InputLayer", *MODELS):
        return layers
    shape = first["config"].get("batch_input_shape") or config.get("build_input_shape")
    if shape is None:
        return layers
    name = f"{first['config'].get('name', 'first')}_input"
    start: Entry = {"class_name": "InputLayer", "config": {"batch_shape": shape, "dtype": "float32", "name": name}}
    if "module" in first:
        start |= {"module": "keras.layers", "registered_name": None}
    return [start, *layers]


def _without(config: Entry, key: str) -> Entry:
    return {name: value for name, value in config.items() if name != key}


# Layers of Keras itself.


def _modern_config(kind: str, config: Entry) -> Entry:
    made: Entry = {}
    taken, name = _taken_by(kind), config.get("name")
    for old, value in config.items():
        key = _RENAMED_KEYS.get((kind, old), old)
        if key.endswith(_FOR_TRAINING):
            continue
        if key in taken:
            made[key] = _modern_value(key, value)
        elif value not in (None, False) and not _CHANGES_NOTHING.get(key, lambda _: False)(value):
            raise UsageError(
                f"{name!r} ({kind}) is of an older Keras and has {key} {value!r}, which Keras 3 does not have"
            )
    return made


@cache
def _taken_by(kind: str) -> frozenset[str]:
    """The keys that a layer's class takes."""
    names: set[str] = set()
    layer: Any = getattr(load_keras().layers, kind)
    for base in layer.__mro__:
        own = inspect.signature(base.__init__).parameters
        names.update(own)
        if not any(one.kind is one.VAR_KEYWORD for one in own.values()) or base is load_keras().layers.Layer:
            break
    return frozenset(names - {"self", "kwargs", "args"} | {"batch_input_shape"})


def _modern_value(key: str, value: Any) -> Any:
    if key == "dtype" and isinstance(value, dict):  # a policy
        return value.get("config", {}).get("name", value)
    if key == "axis" and isinstance(value, list) and len(value) == 1:
        return value[0]
    if key == "activation" and isinstance(value, dict) and isinstance(value.get("config"), dict):  # a layer
        return {"module": "keras.layers", "registered_name": None, **modern(value, is_old=True)}
    return value


# Layers that are not of Keras, or hold code.


def _is_of_keras(entry: Entry, kind: str) -> bool:
    keras = load_keras()
    module = entry.get("module")
    if kind == "Lambda":
        return False
    if kind in MODELS or str(module or "").startswith("keras.src."):
        return True
    if hasattr(keras.layers, kind):
        return module is None or module == "keras.layers" or module.startswith(("keras.", "tf_keras."))
    registered = entry.get("registered_name") or kind
    return keras.saving.get_registered_object(registered) is not None


def _stand_in_for(entry: Entry, kind: str) -> Entry:
    config = entry["config"]
    name = entry.get("name") or config.get("name") or kind.lower()
    made = {**entry, "class_name": _STAND_IN, "config": {"name": name, "what": kind, "dtype": "float32"}}
    made.pop("build_config", None)
    if "module" in entry:
        made |= {"module": None, "registered_name": _STAND_IN}
    return made


@cache
def _stand_in_class() -> Any:
    """Of layers that give their first input and have no weights, whatever the file has."""
    keras = load_keras()

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return _first_tensor((args, kwargs))

    def init(self: Any, what: str, **kwargs: Any) -> None:
        keras.layers.Layer.__init__(self, **kwargs)
        self.what = what

    def get_config(self: Any) -> Mapping[str, Any]:
        return {**keras.layers.Layer.get_config(self), "what": self.what}

    ignore: Callable[..., None] = lambda self, *args: None  # noqa: E731  weights, and the shapes they were built for
    body = {
        "__init__": init, "call": call, "get_config": get_config, "load_own_variables": ignore, "build": ignore,
    }  # fmt: skip
    return type(_STAND_IN, (keras.layers.Layer,), body)


def _first_tensor(args: Any) -> Any:
    while isinstance(args, (tuple, list)):
        args = next(iter(args))
    return args
