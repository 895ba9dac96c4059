"""What a user has set for Keras changes nothing here, and is set back afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import aeformat
from aeformat.exchange.keras_import import Options, import_keras
from aeformat.exchange.keras_write import keras_bytes

from .keras_2 import functional, layer, save
from .needs import need
from .nets import NETS
from .test_keras_2 import WEIGHTS, dense, network


@pytest.fixture(params=["float16", "float64", "mixed_float16", "channels_first"])
def set_otherwise(keras, request):
    """One setting of another kind than Keras is shipped with."""
    config, value = keras.config, request.param
    kept = config.floatx(), config.image_data_format(), config.dtype_policy()
    if value == "channels_first":
        config.set_image_data_format(value)
    elif value.startswith("mixed"):
        config.set_dtype_policy(value)
    else:
        config.set_floatx(value)
        config.set_dtype_policy(value)
    set_now = config.floatx(), config.image_data_format(), config.dtype_policy().name
    yield value
    assert (config.floatx(), config.image_data_format(), config.dtype_policy().name) == set_now
    config.set_floatx(kept[0])
    config.set_image_data_format(kept[1])
    config.set_dtype_policy(kept[2])


@pytest.fixture(scope="module")
def skips(keras, tmp_path_factory) -> Path:
    """A network with convolutions, pooling and upsampling, saved with the settings that Keras is shipped with."""
    path = tmp_path_factory.mktemp("saved") / "skips.keras"
    NETS["skips"][0](keras).save(path)
    return path


def test_imports_and_exports_are_the_same_whatever_is_set(keras, skips: Path, tmp_path: Path, set_otherwise) -> None:
    """Weights go in and come out as float32, and every layer names its data format."""
    made = import_keras(Options(skips, "z", "net"))
    (tmp_path / "out.keras").write_bytes(keras_bytes([made.encoder, made.decoder]))

    again = import_keras(Options(tmp_path / "out.keras", "latents", "net", pixels_in="raw", pixels_out="unit"))
    model = keras.models.load_model(tmp_path / "out.keras", compile=False)
    assert {str(weight.dtype) for weight in model.weights} == {"float32"}
    assert {end.dtype for end in (*model.inputs, *model.outputs)} == {"float32"}
    formats = {one.data_format for one in model.layers if hasattr(one, "data_format")}
    assert formats == {"channels_last"}
    assert again.comparison.levels <= 1
    kept = [array for step in made.encoder.plan for array in step.arrays.values()]
    assert all(array.dtype == np.float32 for array in kept)


def test_files_that_name_no_format_are_read_as_they_were_meant(keras, tmp_path: Path, set_otherwise) -> None:
    """Old ones do not say it: several channels come out in another order if a setting decides."""
    rng = np.random.default_rng(4)
    conv = layer("Conv2D", "conv", "image", filters=3, kernel_size=[2, 2], padding="same", use_bias=False)
    image = layer("InputLayer", "image", batch_input_shape=[None, 4, 4, 1])
    flat = layer("Flatten", "flat", "conv")
    model = functional([image, conv, flat, dense("z", "flat", 5), dense("out", "z", 16)])
    weights = {
        "conv": {"kernel": rng.normal(size=(2, 2, 1, 3))},
        "z": {**WEIGHTS["z"], "kernel": rng.normal(size=(48, 5))},
    }

    made = import_keras(Options(save(tmp_path / "net.h5", model, weights | {"out": WEIGHTS["out"]}), "z", "net"))

    assert [step.kind for step in made.encoder.plan][-3:] == ["conv2d", "flatten", "dense"]


def test_a_keras_json_and_legacy_keras_do_not_matter(tmp_path: Path) -> None:
    """In a process of its own, as they are read when TensorFlow and Keras are imported; and nothing else is printed."""
    need("tensorflow")
    (tmp_path / "keras.json").write_text(json.dumps({"floatx": "float16", "image_data_format": "channels_first"}))
    path = save(tmp_path / "net.h5", network(activation="hard_sigmoid"), WEIGHTS)
    around = {key: value for key, value in os.environ.items() if not key.startswith(("TF_", "KERAS_"))}
    around |= {
        "KERAS_HOME": str(tmp_path), "TF_USE_LEGACY_KERAS": "1", "PYTHONPATH": str(Path(aeformat.__file__).parents[1]),
    }  # fmt: skip
    command = [sys.executable, "-m", "aeformat", "model", "import", path, "--bottleneck", "z", "-o", tmp_path / "out"]

    ran = subprocess.run(command, env=around, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr
    assert "0 of 512 pixels" in ran.stderr and ran.stderr.count("\n") == 4
