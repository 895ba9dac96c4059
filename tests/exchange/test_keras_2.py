"""Files of Keras 2: imported with the functions they were trained with, or refused by name.

The files are made by hand and the expected values by NumPy: Keras 3 cannot be asked what Keras 2 computed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.errors import UsageError
from aeformat.exchange.keras_import import Options, import_keras
from aeformat.exchange.samples import patterns

from .keras_2 import functional, layer, save, sequential

SUFFIXES = [".h5", ".keras"]


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(0, 0.6, shape).astype(np.float32)


WEIGHTS = {
    "z": {"kernel": numbers(16, 5), "bias": numbers(5, seed=1)},
    "out": {"kernel": 3 * numbers(5, 16, seed=2), "bias": numbers(16, seed=3)},
}


def start(shape=(4, 4, 1)):
    return layer("InputLayer", "image", batch_input_shape=[None, *shape], dtype="float32", ragged=False, sparse=False)


def dense(name, takes, units, activation="linear", **more):
    """With what Keras 2 wrote about training, an initializer that nobody has among it."""
    odd = {"class_name": "Mine", "config": {"dtype": "float32"}}
    return layer(
        "Dense", name, takes, units=units, activation=activation, use_bias=True, kernel_initializer=odd,
        kernel_regularizer=odd, bias_constraint=None, dtype="float32", trainable=True, **more,
    )  # fmt: skip


def network(*middle, activation="sigmoid", after=()):
    """4 x 4 pixels, what stands in between, 5 latents "z", 16 pixels, what follows."""
    chain = [start(), *middle]
    flat = layer("Flatten", "flat", chain[-1]["name"])  # no data_format: as before Keras 2.2
    return functional([*chain, flat, dense("z", "flat", 5), dense("out", "z", 16, activation), *after])


def pixels(made, images):
    encoder, decoder = (NumpyBackend().load(package) for package in (made.encoder, made.decoder))
    return decoder.run(encoder.run(images)).reshape(len(images), -1).astype(int)


def keras_2(images, function):
    """What the network gave, as pixels."""
    z = images.reshape(len(images), -1) / 255 @ WEIGHTS["z"]["kernel"] + WEIGHTS["z"]["bias"]
    made = function(z @ WEIGHTS["out"]["kernel"] + WEIGHTS["out"]["bias"])
    return np.round(255 * np.clip(made, 0, 1))


def old_hard_sigmoid(x):
    return np.clip(0.2 * x + 0.5, 0, 1)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("where", ["an option", "a layer", "an option that is a map"])
def test_hard_sigmoid_is_the_one_that_the_file_was_trained_with(keras, tmp_path: Path, suffix, where) -> None:
    """Keras 3 has another function of that name; the two differ by up to 17 levels."""
    name = "hard_sigmoid"
    if where == "a layer":
        model = network(activation="linear", after=[layer("Activation", "last", "out", activation=name)])
    elif where == "an option":
        model = network(activation=name)
    else:
        model = network(activation={"class_name": "Activation", "config": {"name": "inner", "activation": name}})
    path, images = save(tmp_path / f"net{suffix}", model, WEIGHTS), patterns((4, 4, 1), 20)

    made = import_keras(Options(path, "z", "net"))

    assert np.abs(pixels(made, images) - keras_2(images, old_hard_sigmoid)).max() <= 1
    assert made.comparison.levels <= 1  # Keras was told, too


def test_hard_sigmoid_of_keras_3_stays_what_it_is(keras, tmp_path: Path) -> None:
    layers = keras.layers
    model = keras.Sequential(
        [layers.Input((4, 4, 1)), layers.Flatten(), layers.Dense(5, name="z"), layers.Dense(16, "hard_sigmoid")]
    )
    model.set_weights([array for one in WEIGHTS.values() for array in one.values()])
    model.save(tmp_path / "net.keras")
    images = patterns((4, 4, 1), 20)

    made = import_keras(Options(tmp_path / "net.keras", "z", "net"))

    assert np.abs(pixels(made, images) - keras_2(images, lambda x: np.clip(x / 6 + 0.5, 0, 1))).max() <= 1


SAME = {"padding": "same", "use_bias": False, "data_format": "channels_last", "dtype": "float32"}
POLICY = {"class_name": "Policy", "config": {"name": "mixed_float16"}}
# what Keras 2 wrote otherwise: layers after the input that leave its pixels as they are
WRITTEN_OTHERWISE = {
    "groups of a transposed convolution": [layer("Conv2DTranspose", "up", "image", filters=1, kernel_size=[1, 1], groups=1, output_padding=None, **SAME)],
    "alpha": [layer("LeakyReLU", "leaky", "image", alpha=0.25, dtype="float32")],
    "an axis in a list": [layer("BatchNormalization", "norm", "image", axis=[3], epsilon=0.0, fused=True, renorm=False, virtual_batch_size=None, center=False, scale=False)],
    "a policy": [layer("ReLU", "relu", "image", max_value=None, negative_slope=0.0, threshold=0.0, dtype=POLICY)],
    "a sum that is an operation": [
        {**layer("TFOpLambda", "tf.__operators__.add", function="__operators__.add"), "inbound_nodes": [["image", 0, 0, {"y": ["none", 0, 0], "name": None}]]},
    ],
    "nothing at inference": [
        layer("RandomFlip", "flip", "image", mode="horizontal", seed=None, rng_type="stateful", dtype="float32", trainable=True),
        layer("SpatialDropout2D", "drop", "flip", rate=0.5, noise_shape=None, seed=None, trainable=True),
        layer("GaussianNoise", "noise", "drop", stddev=0.5, seed=None, trainable=True),
    ],
}  # fmt: skip
OF_THE_MIDDLE = {
    "groups of a transposed convolution": {"up": {"kernel": np.ones((1, 1, 1, 1))}},
    "an axis in a list": {"norm": {"moving_mean": np.zeros(1), "moving_variance": np.ones(1)}},
}


@pytest.mark.parametrize("name", WRITTEN_OTHERWISE)
def test_what_keras_2_wrote_otherwise_is_read(keras, tmp_path: Path, name: str) -> None:
    middle, weights = list(WRITTEN_OTHERWISE[name]), {**OF_THE_MIDDLE.get(name, {}), **WEIGHTS}
    if name == "a sum that is an operation":  # image + 0
        middle.insert(0, layer("Rescaling", "none", "image", scale=0.0, offset=0.0))
    images = patterns((4, 4, 1), 20)

    made = import_keras(Options(save(tmp_path / "net.h5", network(*middle), weights), "z", "net"))

    expected = keras_2(images, lambda x: 1 / (1 + np.exp(-x)))
    assert np.abs(pixels(made, images) - expected).max() <= 1


@pytest.mark.parametrize("form", ["no input layer", "a list", "layers of a nested model"])
def test_networks_are_read_in_every_form_that_keras_2_had(keras, tmp_path: Path, form: str) -> None:
    first = {"class_name": "Dense", "config": {**dense("z", "", 5)["config"], "batch_input_shape": [None, 16]}}
    last = {"class_name": "Dense", "config": dense("out", "", 16, "hard_sigmoid")["config"]}
    weights = WEIGHTS
    model = sequential([first, last])
    if form == "a list":
        model["config"] = [first, last]
    elif form == "layers of a nested model":  # Keras 2 counts its calls from 1
        halves = [
            {**sequential([one], name), "name": name, "inbound_nodes": [[[*takes, 0, {}]]]}
            for one, name, takes in ((first, "encoder", ("image", 0)), (last, "decoder", ("encoder", 1)))
        ]
        halves[1]["config"]["layers"][0]["config"]["batch_input_shape"] = [None, 5]
        model = functional([start((16,)), *halves], end=["decoder", 1, 0])
        weights = {half: WEIGHTS[name] for half, name in (("encoder", "z"), ("decoder", "out"))}
    images = patterns((4, 4, 1), 20)

    made = import_keras(Options(save(tmp_path / "net.h5", model, weights), "z", "net"))

    assert np.abs(pixels(made, images) - keras_2(images, old_hard_sigmoid)).max() <= 1


# what has no counterpart: (layers after the input, more of the file, the refusal)
REFUSED = {
    "an option that means something": (
        [layer("Conv2DTranspose", "up", "image", filters=1, kernel_size=[1, 1], groups=2, **SAME)],
        {},
        "'up' (Conv2DTranspose) is of an older Keras and has groups 2, which Keras 3 does not have",
    ),
    "an operation": (
        [layer("TFOpLambda", "tf.math.exp", "image", function="math.exp")],
        {},
        "'tf.math.exp' (TFOpLambda: an operation of TensorFlow, not a layer)",
    ),
    "a layer that is gone": (
        [layer("ThresholdedReLU", "gone", "image", theta=0.5)],
        {},
        "'gone' (ThresholdedReLU: not one of Keras's own layers)",
    ),
    "kernels of Theano": ([], {"backend": "theano"}, "saved on the backend 'theano'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_counterpart_is_refused_in_one_line(keras, tmp_path: Path, name: str) -> None:
    middle, more, what = REFUSED[name]

    with pytest.raises(UsageError) as caught:
        import_keras(Options(save(tmp_path / "net.h5", network(*middle), WEIGHTS, **more), "z", "net"))

    assert what in str(caught.value) and "\n" not in str(caught.value)
