"""Layers with code of their own, of variational autoencoders above all: refused by name with the way out, or passed over."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.errors import UsageError
from aeformat.exchange.keras_import import Options, import_keras
from aeformat.exchange.samples import patterns


def sampling(keras, kind="Sampling"):
    """A layer of a class that no other program has."""

    def call(self, values):
        mean, log_variance = values
        return mean + keras.ops.exp(0.5 * log_variance) * keras.random.normal(keras.ops.shape(mean))

    return type(kind, (keras.layers.Layer,), {"call": call})(name="drawn")


def lambda_of(keras):
    return keras.layers.Lambda(lambda values: values[0] + values[1], name="drawn")


def draw_from(keras, layer, names=("z_mean", "z_log_var"), nested=False):
    """Two dense layers of the named names, one after the other, and what draws from them."""
    layers = keras.layers
    image = keras.Input((4, 4, 1))
    flat = layers.Flatten()(image)
    drawn = layer([layers.Dense(3, name=name)(flat) for name in names])
    end = layers.Dense(16, "sigmoid", name="out")
    if nested:
        encoder = keras.Model(image, drawn, name="encoder")
        return keras.Model(image, end(encoder(image)))
    return keras.Model(image, end(drawn))


def refusal(path: Path, bottleneck: str) -> str:
    with pytest.raises(UsageError) as caught:
        import_keras(Options(path, bottleneck, "net"))
    assert "\n" not in str(caught.value)
    return str(caught.value)


KINDS = {
    "a layer": lambda keras: draw_from(keras, sampling(keras)),
    "a layer of another name": lambda keras: draw_from(keras, sampling(keras, "Reparametrise")),
    "a Lambda": lambda keras: draw_from(keras, lambda_of(keras)),
    "in a nested model": lambda keras: draw_from(keras, sampling(keras), nested=True),
    "the variance first": lambda keras: draw_from(keras, sampling(keras), ("logvar", "mu")),
}


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_way_out_is_the_mean_and_leads_out(keras, tmp_path: Path, kind: str, suffix: str) -> None:
    """With the mean for the bottleneck the decoder takes it as it is; with anything else nothing is guessed."""
    path, model = tmp_path / f"net{suffix}", KINDS[kind](keras)
    model.save(path)
    mean, other = ("mu", "logvar") if kind == "the variance first" else ("z_mean", "z_log_var")
    where = "encoder/" if kind == "in a nested model" else ""

    for bottleneck in ("drawn", other):
        what = refusal(path, bottleneck)
        assert f"'{where}drawn' (" in what and f"take the mean for the bottleneck: '{where}{mean}'" in what

    made = import_keras(Options(path, mean, "net"))
    assert made.passed_over == (f"{where}drawn",)
    images = patterns((4, 4, 1), 10)
    encoder, decoder = (NumpyBackend().load(package) for package in (made.encoder, made.decoder))
    layers = (model.get_layer("encoder") if where else model).get_layer(mean), model.get_layer("out")
    x = images.reshape(10, -1) / 255
    expected = np.asarray(layers[1](layers[0](x)))
    assert np.abs(decoder.run(encoder.run(images)).reshape(10, -1) - 255 * expected).max() <= 1.5


def test_a_class_of_ones_own_is_named_where_it_hides_all(keras, tmp_path: Path) -> None:
    layers = keras.layers

    class VAE(keras.Model):
        def __init__(self, **more):
            super().__init__(**more)
            self.end = layers.Dense(16)

        def call(self, x):
            return self.end(x)

    model = VAE()
    model(np.zeros((1, 16), np.float32))
    model.save(tmp_path / "net.keras")

    what = refusal(tmp_path / "net.keras", "z")
    assert "a VAE hides its layers" in what and "gives the mean to the decoder" in what


def test_code_that_changes_shapes_is_named(keras, tmp_path: Path) -> None:
    """Keras cannot load the layers behind it, and that is not what is said."""
    layers, halve = keras.layers, {"call": lambda self, x: x[:, ::2]}
    odd = type("Halve", (layers.Layer,), halve)(name="halve")
    steps = [layers.Input((4, 4, 1)), layers.Flatten(), odd, layers.Dense(3, name="z"), layers.Dense(16)]
    keras.Sequential(steps).save(tmp_path / "net.keras")

    assert "without the code of 'halve' (Halve)" in refusal(tmp_path / "net.keras", "z")


AUGMENTATIONS = {
    "RandomFlip": (), "RandomRotation": (0.2,), "RandomZoom": (0.2,), "RandomTranslation": (0.2, 0.2), "RandomContrast": (0.2,),
    "RandomBrightness": (0.2,), "SpatialDropout2D": (0.5,), "ActivityRegularization": (0.1,), "GaussianNoise": (0.5,),
    "GaussianDropout": (0.5,), "AlphaDropout": (0.5,), "Dropout": (0.5,), "Identity": (),
}  # fmt: skip


@pytest.mark.parametrize("form", ["Sequential", "Functional"])
def test_what_does_nothing_at_inference_is_passed_over(keras, tmp_path: Path, form: str) -> None:
    """Image augmentation, too, which takes it for granted that it is trained."""
    layers = keras.layers
    does_nothing = [getattr(layers, name)(*options) for name, options in AUGMENTATIONS.items()]
    steps = [*does_nothing, layers.Flatten(), layers.Dense(5, name="z"), layers.Dense(16, "sigmoid")]
    model = keras.Sequential([layers.Input((4, 4, 1)), *steps])
    if form == "Functional":
        image = x = keras.Input((4, 4, 1))
        for step in steps:
            x = step(x)
        model = keras.Model(image, x)
    model.save(tmp_path / "net.keras")

    made = import_keras(Options(tmp_path / "net.keras", "z", "net"))

    assert not set(AUGMENTATIONS) & {step.kind for step in made.encoder.plan} and made.comparison.levels <= 1
    assert [step.kind for step in made.encoder.plan][-2:] == ["flatten", "dense"]
