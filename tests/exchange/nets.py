"""Small Keras autoencoders with random weights, one for each thing that a network can have."""

from __future__ import annotations

import numpy as np


def randomise(model):
    """Weights that show every mistake: biases and means that are not 0, variances that are not 1."""
    model.get_config()
    rng = np.random.default_rng(0)
    for weight in model.weights:
        shape, name = weight.shape, weight.path.rsplit("/", 1)[-1]
        if "variance" in name or "gamma" in name:
            weight.assign(rng.uniform(0.5, 1.5, shape))
        elif "seed" in name:
            continue
        elif "alpha" in name:
            weight.assign(rng.uniform(0, 0.5, shape))
        elif len(shape) < 2:
            weight.assign(rng.normal(0, 0.3, shape))
    return model


def dense(keras):
    """784 pixels in one row, as the note has them."""
    layers = keras.layers
    return randomise(
        keras.Sequential(
            [
                layers.Input((64,)),
                layers.Dense(20, "relu"),
                layers.GaussianNoise(0.1),
                layers.Dense(5, "tanh", name="z"),
                layers.Dropout(0.2),
                layers.Dense(20, "gelu"),
                layers.Dense(64, "sigmoid"),
            ]
        )
    )


def skips(keras):
    """A residual block and a concatenation in either half; batch normalisation before, between and after."""
    layers = keras.layers
    image = keras.Input((8, 8, 1))
    x = layers.BatchNormalization()(image)
    x = layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False)(x)
    x = around = layers.LeakyReLU(0.2)(layers.BatchNormalization()(x))
    x = layers.Conv2D(4, 3, padding="same", activation="relu6")(x)
    x = layers.Add()([around, layers.Conv2D(4, 3, padding="same")(x)])
    x = layers.Concatenate()([layers.MaxPooling2D(2)(x), layers.AveragePooling2D(2)(x)])
    z = layers.Dense(6, name="z")(layers.Flatten()(layers.BatchNormalization()(x)))
    x = layers.Reshape((2, 2, 8))(layers.Dense(32)(z))
    x = around = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Conv2DTranspose(4, 3, strides=2, padding="same", activation="elu")(x)
    x = layers.Concatenate()([x, layers.UpSampling2D(2)(around)])
    x = x + layers.Conv2D(12, 1)(x)
    x = layers.Conv2DTranspose(3, 5, strides=2, padding="same", activation="silu")(x)
    return randomise(keras.Model(image, layers.Conv2D(1, 3, padding="same", activation="sigmoid")(x)))


def nested(keras):
    """An encoder and a decoder model inside a third one; one block of the decoder is called twice."""
    layers = keras.layers
    encoder = keras.Sequential(
        [
            layers.Input((6, 8, 3)),
            layers.Rescaling(1 / 255),
            layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, activation="softplus"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(5),
        ],
        name="encoder",
    )
    code = keras.Input((5,))
    block = keras.Sequential([layers.Input((7,)), layers.Dense(7, "selu")], name="block")
    x = block(block(layers.Dense(7)(code)))
    x = layers.Reshape((3, 4, 4))(layers.Dense(48)(x))
    x = layers.Activation("hard_tanh")(layers.Conv2DTranspose(4, 1, strides=2, padding="same")(x))
    x = layers.PReLU(shared_axes=[1, 2])(layers.SeparableConv2D(6, 3, padding="same")(x))
    decoder = keras.Model(code, layers.Dense(3, "sigmoid")(x), name="decoder")
    image = keras.Input((6, 8, 3))
    return randomise(keras.Model(image, decoder(encoder(image))))


def signed(keras):
    """Pixels from -1 to 1, and a convolutional latent that a transposed convolution takes."""
    layers = keras.layers
    return randomise(
        keras.Sequential(
            [
                layers.Input((9, 9, 1)),
                layers.Conv2D(6, 4, strides=2, padding="same", activation="gelu"),
                layers.Conv2D(2, 3, padding="same", name="z"),
                layers.Conv2DTranspose(6, 3, strides=2, activation="leaky_relu"),
                layers.Cropping2D(((1, 1), (2, 0))),
                layers.ZeroPadding2D(1),
                layers.Conv2D(1, 3, activation="tanh"),
            ]
        )
    )


# name: (builder, the bottleneck, what the model takes and gives for pixels)
NETS = {
    "dense": (dense, "z", "unit", "unit"),
    "skips": (skips, "z", "unit", "unit"),
    "nested": (nested, "encoder", "raw", "unit"),
    "signed": (signed, "z", "signed", "signed"),
}
