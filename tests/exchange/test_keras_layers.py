"""Every layer that has a form computes what Keras computes; every other one is refused with the reason."""

from __future__ import annotations

import numpy as np
import pytest

from aeformat.errors import ManifestInvalid, UsageError
from aeformat.exchange.fold import fold
from aeformat.exchange.keras_activations import NoForm
from aeformat.exchange.keras_calls import Calls
from aeformat.exchange.keras_layers import convert
from aeformat.model.graph import Graph
from aeformat.model.reference import all_values
from aeformat.model.values import Value
from exchange.nets import randomise

IMAGE, VECTOR = (6, 7, 2), (10,)

# name: (input shape, layers -> the layers to convert)
GOOD = {
    "dense": (VECTOR, lambda k: [k.Dense(3, "sigmoid")]),
    "dense without bias": (VECTOR, lambda k: [k.Dense(3, use_bias=False)]),
    "dense on the channels of an image": (IMAGE, lambda k: [k.Dense(3, "tanh")]),
    "dense on two axes": ((5, 4), lambda k: [k.Dense(3)]),
    "conv2d valid": (IMAGE, lambda k: [k.Conv2D(3, (2, 3))]),
    "conv2d same, even kernel, stride 2": (IMAGE, lambda k: [k.Conv2D(3, 4, strides=2, padding="same")]),
    "conv2d same, stride 3 beyond the kernel": (IMAGE, lambda k: [k.Conv2D(3, 2, strides=3, padding="same")]),
    "conv2d dilated": (IMAGE, lambda k: [k.Conv2D(3, 3, dilation_rate=(2, 1), padding="same")]),
    "conv2d in groups": (IMAGE, lambda k: [k.Conv2D(4, 3, groups=2, activation="relu")]),
    "depthwise conv2d": (IMAGE, lambda k: [k.DepthwiseConv2D(3, depth_multiplier=3, strides=2, padding="same")]),
    "separable conv2d": (IMAGE, lambda k: [k.SeparableConv2D(3, 3, depth_multiplier=2, activation="elu")]),
    "conv2d_transpose same": (IMAGE, lambda k: [k.Conv2DTranspose(3, 3, strides=2, padding="same")]),
    "conv2d_transpose same, even kernel": (IMAGE, lambda k: [k.Conv2DTranspose(3, 4, strides=(1, 2), padding="same")]),
    "conv2d_transpose same, kernel below the stride": (IMAGE, lambda k: [k.Conv2DTranspose(3, 2, strides=3, padding="same")]),
    "conv2d_transpose valid": (IMAGE, lambda k: [k.Conv2DTranspose(3, (5, 2), strides=2, use_bias=False)]),
    "conv2d_transpose valid, kernel below the stride": (IMAGE, lambda k: [k.Conv2DTranspose(3, 1, strides=2)]),
    "batch normalization of an image": (IMAGE, lambda k: [k.BatchNormalization()]),
    "batch normalization of a vector": (VECTOR, lambda k: [k.BatchNormalization(scale=False)]),
    "batch normalization behind conv2d": (IMAGE, lambda k: [k.Conv2D(3, 3), k.BatchNormalization(center=False)]),
    "batch normalization behind conv2d_transpose": (IMAGE, lambda k: [k.Conv2DTranspose(3, 3), k.BatchNormalization()]),
    "batch normalization behind dense and reshape": (VECTOR, lambda k: [k.Dense(12), k.Reshape((2, 2, 3)), k.BatchNormalization()]),
    "batch normalization behind an activation": (IMAGE, lambda k: [k.Conv2D(3, 3, activation="relu"), k.BatchNormalization()]),
    "rescaling": (IMAGE, lambda k: [k.Rescaling([2, 3], offset=-1)]),
    "flatten and reshape": (IMAGE, lambda k: [k.Flatten(), k.Reshape((7, -1, 2))]),
    "reshape to the same": (IMAGE, lambda k: [k.Reshape(IMAGE), k.ReLU()]),
    "upsampling2d": (IMAGE, lambda k: [k.UpSampling2D((1, 3))]),
    "max pooling valid": (IMAGE, lambda k: [k.MaxPooling2D((2, 3))]),
    "max pooling same": (IMAGE, lambda k: [k.MaxPooling2D(3, strides=2, padding="same")]),
    "average pooling valid": (IMAGE, lambda k: [k.AveragePooling2D(2, strides=1)]),
    "average pooling same": (IMAGE, lambda k: [k.AveragePooling2D((4, 3), strides=2, padding="same")]),
    "global max pooling": (IMAGE, lambda k: [k.GlobalMaxPooling2D()]),
    "global average pooling": (IMAGE, lambda k: [k.GlobalAveragePooling2D(keepdims=True)]),
    "zero padding": (IMAGE, lambda k: [k.ZeroPadding2D(((1, 0), (2, 3)))]),
    "zero padding before conv2d": (IMAGE, lambda k: [k.ZeroPadding2D(((1, 0), (2, 3))), k.Conv2D(2, 3, padding="same")]),
    "zero padding before pooling": (IMAGE, lambda k: [k.ZeroPadding2D(1), k.MaxPooling2D(2)]),
    "cropping": (IMAGE, lambda k: [k.Cropping2D(((1, 0), (2, 3)))]),
    "relu with a maximum": (IMAGE, lambda k: [k.ReLU(max_value=0.5)]),
    "relu with a maximum and a slope": (IMAGE, lambda k: [k.ReLU(max_value=0.5, negative_slope=0.1)]),
    "leaky relu": (IMAGE, lambda k: [k.LeakyReLU(0.3)]),
    "leaky relu of slope 0": (IMAGE, lambda k: [k.LeakyReLU(0.0)]),
    "elu": (IMAGE, lambda k: [k.ELU(0.7)]),
    "prelu of a vector": (VECTOR, lambda k: [k.PReLU()]),
    "prelu of channels": (IMAGE, lambda k: [k.PReLU(shared_axes=[1, 2])]),
    "an activation that is a layer": (VECTOR, lambda k: [k.Dense(4, activation=k.LeakyReLU(0.1))]),
    "what does nothing": (IMAGE, lambda k: [k.Dropout(0.5), k.SpatialDropout2D(0.5), k.GaussianDropout(0.5), k.ActivityRegularization(1.0), k.Identity()]),
    **{
        f"activation {name}": (IMAGE, lambda k, name=name: [k.Activation(name)])
        for name in ("linear", "relu", "sigmoid", "tanh", "elu", "gelu", "silu", "softplus", "leaky_relu", "relu6", "hard_tanh", "hard_sigmoid", "selu")
    },
}  # fmt: skip


def converted(model, shape) -> tuple[Graph, Calls]:
    calls, graph, numbers = Calls(model), Graph(Value(shape, "f32")), [0]
    for call in calls.calls:
        numbers.append(convert(graph, call, [numbers[i] for i in call.inputs]))
    return graph, calls


@pytest.mark.parametrize("name", GOOD)
def test_a_layer_computes_what_keras_computes(keras, name: str) -> None:
    """As it is converted, and once it is folded: to a few units of float32."""
    shape, layers = GOOD[name]
    model = randomise(keras.Sequential([keras.layers.Input(shape), *layers(keras.layers)]))
    rows = np.random.default_rng(1).normal(0, 1.5, (5, *shape)).astype(np.float32)
    graph, calls = converted(model, shape)
    wanted = calls.run(rows)[calls.output]

    np.testing.assert_allclose(np.asarray(model(rows)), wanted, rtol=1e-6)
    for one in (graph, fold(graph)):
        np.testing.assert_allclose(all_values(one.steps, rows)[-1], wanted, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("batch normalization behind conv2d", ["conv2d"]),
        ("batch normalization behind conv2d_transpose", ["conv2d_transpose"]),
        ("batch normalization behind dense and reshape", ["dense", "reshape"]),
        ("batch normalization behind an activation", ["conv2d", "relu", "affine"]),
        ("zero padding before conv2d", ["conv2d"]),
        ("zero padding before pooling", ["pad", "max_pool"]),
        ("flatten and reshape", ["reshape"]),
        ("reshape to the same", ["relu"]),
        ("activation hard_sigmoid", ["affine", "relu", "affine", "relu", "affine", "add"]),
    ],
)
def test_folding_leaves_no_layer_that_another_can_take_over(keras, name: str, left: list[str]) -> None:
    shape, layers = GOOD[name]
    graph, _ = converted(randomise(keras.Sequential([keras.layers.Input(shape), *layers(keras.layers)])), shape)

    assert [step.kind for step in fold(graph).steps] == left


def branches(k, start, shared):
    """ReLU of a value, plus batch normalisation of what the value is under another name."""
    return k.Add()([k.ReLU()(start), k.BatchNormalization()(shared(start))])


def later_taker(k, x):
    dense = k.Dense(12)(x)
    normal = k.BatchNormalization()(k.Reshape((2, 3, 2))(dense))
    return k.Add()([dense, k.Dense(12, activation="relu")(k.Flatten()(normal))])


def later_taker_of_an_affine(k, x):
    conv = k.BatchNormalization()(k.Conv2D(3, 3)(x))
    return k.Add()([k.BatchNormalization()(conv), k.ReLU()(conv)])


# name: (input shape, layers and input -> output, the kinds that are left)
NETS = {
    "flatten twice": (IMAGE, lambda k, x: k.Dense(3)(k.Flatten()(k.Flatten()(x))), ["flatten", "dense"]),
    "global pooling, then flatten": (IMAGE, lambda k, x: k.Dense(3)(k.Flatten()(k.GlobalAveragePooling2D()(x))), ["average_pool", "flatten", "dense"]),
    "flatten, dropout, flatten": (IMAGE, lambda k, x: k.Dense(3)(k.Flatten()(k.Dropout(0.5)(k.Flatten()(x)))), ["flatten", "dense"]),
    "flatten, then reshape to the same": (IMAGE, lambda k, x: k.Dense(3)(k.Reshape((84,))(k.Flatten()(x))), ["reshape", "dense"]),
    "reshape twice at the end": (VECTOR, lambda k, x: k.Reshape((5, 2))(k.Reshape((5, 2))(k.Dense(10)(x))), ["dense", "reshape"]),
    "reshape there and back": (VECTOR, lambda k, x: k.ReLU()(k.Flatten()(k.Reshape((5, 2))(x))), ["relu"]),
    "a convolution under another name": (IMAGE, lambda k, x: branches(k, k.Conv2D(3, 3)(x), k.Rescaling(1.0)), ["conv2d", "relu", "affine", "add"]),
    "a dense layer under another name": (VECTOR, lambda k, x: branches(k, k.Dense(3)(x), k.Flatten()), ["dense", "relu", "affine", "add"]),
    "a dense layer taken again further on": (VECTOR, later_taker, ["dense", "reshape", "affine", "flatten", "dense", "relu", "add"]),
    "a folded affine taken twice": (IMAGE, later_taker_of_an_affine, ["conv2d", "affine", "relu", "add"]),
    "two affines behind dense and reshape": (VECTOR, lambda k, x: k.Rescaling(0.5, offset=[1, 2])(k.BatchNormalization()(k.Reshape((3, 2))(k.Dense(6)(x)))), ["dense", "reshape"]),
    "a padded convolution taken twice": (IMAGE, lambda k, x: branches(k, k.Conv2D(2, 3)(k.ZeroPadding2D(1)(x)), k.BatchNormalization()), ["conv2d", "relu", "affine", "add"]),
}  # fmt: skip


@pytest.mark.parametrize("name", NETS)
def test_folding_changes_nothing_that_another_layer_takes(keras, name: str) -> None:
    shape, build, left = NETS[name]
    image = keras.Input(shape)
    model = randomise(keras.Model(image, build(keras.layers, image)))
    rows = np.random.default_rng(1).normal(0, 1.5, (5, *shape)).astype(np.float32)
    graph, _ = converted(model, shape)

    folded = fold(graph)

    np.testing.assert_allclose(all_values(folded.steps, rows)[-1], np.asarray(model(rows)), rtol=2e-5, atol=2e-5)
    assert sorted(step.kind for step in folded.steps) == sorted(left)


# name: (layer, why not)
BAD = {
    "another class": (lambda k: k.LayerNormalization(), "not in the registry"),
    "softmax": (lambda k: k.Conv2D(2, 3, activation="softmax"), "activation softmax"),
    "a function of one's own": (lambda k: k.Activation(own), "activation own"),
    "a name that Keras has, too": (lambda k: k.Activation(relu), "activation relu"),
    "bilinear": (lambda k: k.UpSampling2D(2, interpolation="bilinear"), "interpolation bilinear"),
    "too large a factor": (lambda k: k.UpSampling2D(17), "factors"),
    "too large a stride": (lambda k: k.Conv2D(2, 3, strides=17, padding="same"), "strides"),
    "output padding": (lambda k: k.Conv2DTranspose(2, 3, strides=2, output_padding=1), "output_padding"),
    "relu from a threshold on": (lambda k: k.ReLU(threshold=1.0), "threshold"),
    "prelu of single pixels": (lambda k: k.PReLU(), "shared_axes"),
    "normalization of rows": (lambda k: k.BatchNormalization(axis=1), "axis 1"),
    "a softmax layer": (lambda k: k.Softmax(), "not in the registry"),
}


def own(x):
    return x


def relu(x):
    return x * 2


@pytest.mark.parametrize("name", BAD)
def test_what_has_no_form_is_refused_with_the_reason(keras, name: str) -> None:
    layer, why = BAD[name]

    with pytest.raises((NoForm, ManifestInvalid), match=why):
        converted(keras.Sequential([keras.layers.Input(IMAGE), layer(keras.layers)]), IMAGE)


def test_channels_first_and_calls_that_differ_from_inference_are_refused(keras) -> None:
    """Their options are read even where this machine could not run them."""
    layers = keras.layers
    image = keras.Input(IMAGE)
    for made, why in (
        (layers.Flatten(data_format="channels_first")(image), "channels_first"),
        (layers.Dropout(0.5)(image, training=True), "training=True"),
        (image + 1.0, "constants"),
    ):
        with pytest.raises(NoForm, match=why):
            converted(keras.Model(image, made), IMAGE)


def test_what_keras_cannot_run_is_named(keras) -> None:
    calls = Calls(keras.Sequential([keras.layers.Input(VECTOR), keras.layers.Dense(3, name="first")]))

    with pytest.raises(UsageError, match=r"Keras cannot run 'first' \(Dense\): "):
        calls.run(np.zeros((2, 9), np.float32))


def test_a_class_of_ones_own_is_refused(keras) -> None:
    class Dense(keras.layers.Layer):
        def call(self, x):
            return x

    with pytest.raises(NoForm, match="own layers"):
        converted(keras.Sequential([keras.layers.Input(IMAGE), Dense()]), IMAGE)
