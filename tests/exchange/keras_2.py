"""Files as Keras 2 wrote them, made by hand: JSON and arrays, without any Keras."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import h5py
import numpy as np

VERSION = "2.15.0"
_SNAKE = {"Dense": "dense", "Conv2D": "conv2d", "Conv2DTranspose": "conv2d_transpose"}


def layer(kind, name, *takes, **config):
    """One layer of a Functional model.  takes: names of layers, or (name, number of its call)."""
    nodes = [[[*((one, 0) if isinstance(one, str) else one), 0, {}] for one in takes]] if takes else []
    return {"class_name": kind, "config": {"name": name, **config}, "name": name, "inbound_nodes": nodes}


def functional(layers, name="model", end=None):
    """All layers, from the first one to the last."""
    end = end or [layers[-1]["name"], 0, 0]
    config = {"name": name, "layers": layers, "input_layers": [[layers[0]["name"], 0, 0]], "output_layers": [end]}
    return {"class_name": "Functional", "config": config}


def sequential(layers, name="sequential"):
    """As tf.keras wrote it."""
    return {"class_name": "Sequential", "config": {"name": name, "layers": layers}}


def save(path: Path, model, weights, version=VERSION, backend="tensorflow"):
    """weights: layer -> {weight: array}, in the order of the layers."""
    (_save_archive if path.suffix == ".keras" else _save_h5)(path, model, weights, version, backend)
    return path


def _save_h5(path, model, weights, version, backend):
    with h5py.File(path, "w") as file:
        file.attrs.update(keras_version=version, backend=backend, model_config=json.dumps(model))
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [name.encode() for name in weights]
        for name, arrays in weights.items():
            one = group.create_group(name)
            one.attrs["weight_names"] = [f"{name}/{key}:0".encode() for key in arrays]
            for key, array in arrays.items():
                one[f"{name}/{key}:0"] = np.asarray(array, np.float32)


def _save_archive(path, model, weights, version, backend):
    held, counts = io.BytesIO(), {}
    kinds = {one["config"]["name"]: one["class_name"] for one in model["config"]["layers"]}
    with h5py.File(held, "w") as file:
        for name, arrays in weights.items():
            kind = _SNAKE[kinds[name]]
            n = counts[kind] = counts.get(kind, -1) + 1
            for i, array in enumerate(arrays.values()):
                file[f"layers/{kind}{f'_{n}' if n else ''}/vars/{i}"] = np.asarray(array, np.float32)
    layers = [{**one, "module": "keras.layers", "registered_name": None} for one in model["config"]["layers"]]
    config = {**model, "config": {**model["config"], "layers": layers}}
    config |= {"module": "keras.src.engine.functional", "registered_name": "Functional"}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", held.getvalue())
