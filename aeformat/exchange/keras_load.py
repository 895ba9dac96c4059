"""A Keras file as a model of the Keras that is installed, files of Keras 2 included.

Owns loading, and what a file of Keras 2 means that Keras 3 would take for something else.  Knows nothing of what layers become.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from aeformat.backends.runtime import load_keras
from aeformat.errors import UsageError
from aeformat.exchange.keras_activations import hard_sigmoid_of_keras_2
from aeformat.exchange.keras_calls import first_line, is_functional, is_sequential
from aeformat.exchange.keras_modern import custom_objects, modern, stand_ins
from aeformat.exchange.keras_saved import Saved, read_saved, write_with_config

SUFFIXES: Final = (".keras", ".h5", ".hdf5")
_FAILURES: Final = (ValueError, TypeError, KeyError, AttributeError, ImportError, NotImplementedError, OSError)
_FLIPPED: Final = ("theano", "cntk")  # backends of Keras 2 that store kernels in another order


def load_model(path: Path) -> Any:
    """The Keras model in a file.  Loading one can run code that is in it.  Raises UsageError, BackendUnavailable."""
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path}: a Keras file ends in {', '.join(SUFFIXES)}, one of ONNX in .onnx")
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    load_keras()
    saved = read_saved(path)
    if saved.is_old and saved.backend in _FLIPPED:
        raise UsageError(f"{path}: saved on the backend {saved.backend!r}, whose kernels Keras 3 would read wrongly")
    model = _loaded(path, saved)
    if not (is_sequential(model) or is_functional(model)):
        raise UsageError(f"{path}: {_hides(type(model).__name__)}")
    if saved.is_old:
        _compute_as_keras_2(model)
    _leave_mixed_precision(model)
    for weight in model.weights:
        if not np.isfinite(np.asarray(weight).astype(np.float32)).all():
            raise UsageError(f"{path}: the weights {weight.path} hold NaN or infinity; train the network again")
    return model


def _loaded(path: Path, saved: Saved) -> Any:
    """The model, from a copy of the file where today's Keras needs another description."""
    try:
        config = modern(saved.config, is_old=saved.is_old)
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: its description is none that Keras writes") from error
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    unknown = stand_ins(config)
    if config["class_name"] == "StandIn":
        raise UsageError(f"{path}: {_hides(config['config']['what'])}")
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on options that are not used here
        source = path
        if config != saved.config:
            source = Path(folder) / f"model{path.suffix}"
            write_with_config(path, config, source)
        try:
            return load_keras().models.load_model(
                source, compile=False, safe_mode=True, custom_objects=custom_objects()
            )
        except _FAILURES as error:
            if unknown:
                raise UsageError(f"{path}: Keras cannot load it without the code of {', '.join(unknown)}") from error
            by = f"Keras {load_keras().__version__} cannot load it"
            if saved.is_old:
                by = f"saved by Keras {saved.version or '1 or 2'}; {by}"
            raise UsageError(f"{path}: {by}: {first_line(error)}") from error


def _hides(kind: str) -> str:
    return (
        f"a {kind} hides its layers; make a Sequential or Functional model of it "
        "(of a variational autoencoder, one that gives the mean to the decoder)"
    )


def _parts(model: Any) -> Iterator[Any]:
    """All layers and models, and the layers that are activations of others."""
    keras = load_keras()
    open_ = [model]
    while open_:
        layer = open_.pop()
        if not isinstance(layer, keras.layers.Layer):
            continue
        if isinstance(layer, keras.Model):
            open_ += layer.layers
        open_.append(getattr(layer, "activation", None))
        yield layer


def _compute_as_keras_2(model: Any) -> None:
    """The name "hard_sigmoid" means another function in Keras 3."""
    keras = load_keras()
    for layer in _parts(model):
        if getattr(layer, "activation", None) is keras.activations.hard_sigmoid:
            layer.activation = hard_sigmoid_of_keras_2


def _leave_mixed_precision(model: Any) -> None:
    """Compute in float32 where the weights are float32 and only the arithmetic is narrower: packages do, too."""
    for layer in _parts(model):
        if layer.quantization_mode is None and layer.variable_dtype == "float32" != layer.compute_dtype:
            layer.dtype_policy = "float32"
