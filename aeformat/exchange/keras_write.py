"""Float32 packages as one Keras model in a .keras file.

Owns which Keras layer a layer becomes.  The model takes pixels as numbers from 0 to 255 and gives them from 0 to 1; between the
halves stands a layer called "latents".  So an import with bottleneck "latents" and pixels_in
"raw" makes packages that compute the same.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from aeformat.backends.runtime import keras_as_shipped
from aeformat.errors import UsageError
from aeformat.model.manifest import ENCODER
from aeformat.model.package import ModelPackage, Step
from aeformat.model.values import EXACT

LATENTS: Final = "latents"


def keras_bytes(packages: Sequence[ModelPackage]) -> bytes:
    """The .keras file.  Raises UsageError for what Keras's layers cannot compute, BackendUnavailable."""
    for package in packages:
        if package.profile == EXACT:
            raise UsageError(
                f"this {package.role} is exact: it computes with lookup tables, which Keras has no layer for; "
                "export it to .onnx, which computes the same integers"
            )
        if package.role == ENCODER and package.output.type != "f32":
            raise UsageError("this encoder rounds its latents, which Keras has no layer for; export it to .onnx")
    with keras_as_shipped() as keras, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        _model(keras, packages).save(path)
        return path.read_bytes()


def _model(keras: Any, packages: Sequence[ModelPackage]) -> Any:
    first = packages[0]
    start = x = keras.Input(first.input.shape, name="image" if first.role == ENCODER else LATENTS)
    for package in packages:
        x = _add_half(keras, package, x)
        if package.role == ENCODER:
            x = keras.layers.Identity(name=LATENTS)(x)
    return keras.Model(start, x, name="aeformat")


def _add_half(keras: Any, package: ModelPackage, start: Any) -> Any:
    values, is_rounded = [start], False
    for number, step in enumerate(package.plan):
        if is_rounded and step.kind not in ("reshape", "flatten"):
            raise UsageError(
                f"layer {number} ({step.kind}) follows the rounding to pixels, which a Keras model ends before"
            )
        is_rounded |= step.kind == "to_u8"
        values.append(_MAKERS[step.kind](keras.layers, step, *(values[i] for i in step.inputs)))
    return values[-1]


Maker = Callable[..., Any]


def _with_weights(layer: Any, x: Any, *arrays: Any) -> Any:
    made = layer(x)
    layer.set_weights([np.asarray(array, np.float32) for array in arrays])
    return made


def _dense(layers: Any, step: Step, x: Any) -> Any:
    weights, bias = step.arrays["weights"], step.arrays["bias"]
    return _with_weights(layers.Dense(weights.shape[1]), x, weights, bias)


def _conv2d(layers: Any, step: Step, x: Any) -> Any:
    weights, bias = step.arrays["weights"], step.arrays["bias"]
    layer = layers.Conv2D(weights.shape[3], weights.shape[:2], strides=step.integers("strides"))
    return _with_weights(layer, _zeros(layers, step, x), weights, bias)


def _conv2d_transpose(layers: Any, step: Step, x: Any) -> Any:
    """Keras adds rows where the kernel is smaller than the stride; they are cut off again."""
    weights, bias, strides = step.arrays["weights"], step.arrays["bias"], step.integers("strides")
    made = _with_weights(layers.Conv2DTranspose(weights.shape[2], weights.shape[:2], strides=strides), x, weights, bias)
    more = [max(0, s - k) for s, k in zip(strides, weights.shape[:2], strict=True)]
    top, bottom, left, right = step.integers("crop")
    return _cut(layers, (top, bottom + more[0], left, right + more[1]), made)


def _affine(layers: Any, step: Step, x: Any) -> Any:
    weights, bias = step.arrays["weights"], step.arrays["bias"]
    still = np.zeros(len(bias)), np.ones(len(bias))  # mean and variance
    return _with_weights(layers.BatchNormalization(epsilon=0.0), x, weights, bias, *still)


def _concat(layers: Any, step: Step, *xs: Any) -> Any:
    return layers.Concatenate(axis=step.integer("axis") + 1)(list(xs))


def _pool(name: str) -> Maker:
    def make(layers: Any, step: Step, x: Any) -> Any:
        size, strides, padding = step.integers("size"), step.integers("strides"), step.integers("padding")
        same: list[int] = []
        for n, k, s in zip(step.input_shape, size, strides, strict=False):
            total = max(0, (-(-n // s) - 1) * s + k - n)
            same += [total // 2, total - total // 2]
        if any(padding) and list(padding) != same:
            raise UsageError(
                f"a {step.kind} with padding {list(padding)} has no form in Keras, which pads by {same} or not at all"
            )
        return getattr(layers, name)(size, strides=strides, padding="same" if any(padding) else "valid")(x)

    return make


def _pad(layers: Any, step: Step, x: Any) -> Any:
    """Keras puts zeros around: what is 0 is moved to them, and back."""
    value = step.integer("value")
    x = layers.Rescaling(1.0, offset=float(-value))(x) if value else x
    x = _zeros(layers, step, x)
    return layers.Rescaling(1.0, offset=float(value))(x) if value else x


def _zeros(layers: Any, step: Step, x: Any) -> Any:
    top, bottom, left, right = step.integers("padding")
    return layers.ZeroPadding2D(((top, bottom), (left, right)))(x) if top + bottom + left + right else x


def _cut(layers: Any, sides: Sequence[int], x: Any) -> Any:
    top, bottom, left, right = sides
    return layers.Cropping2D(((top, bottom), (left, right)))(x) if any(sides) else x


def _activation(name: str) -> Maker:
    return lambda layers, step, x: layers.Activation(name)(x)


_MAKERS: Final[dict[str, Maker]] = {
    "dense": _dense,
    "conv2d": _conv2d,
    "conv2d_transpose": _conv2d_transpose,
    "affine": _affine,
    "add": lambda layers, step, *xs: layers.Add()(list(xs)),
    "concat": _concat,
    "upsample": lambda layers, step, x: layers.UpSampling2D(step.integers("factors"))(x),
    "max_pool": _pool("MaxPooling2D"),
    "average_pool": _pool("AveragePooling2D"),
    "pad": _pad,
    "crop": lambda layers, step, x: _cut(layers, step.integers("crop"), x),
    "reshape": lambda layers, step, x: layers.Reshape(step.made.shape)(x),
    "flatten": lambda layers, step, x: layers.Flatten()(x),
    "scale": lambda layers, step, x: layers.Rescaling(step.integer("num") / step.integer("den"))(x),
    "leaky_relu": lambda layers, step, x: layers.LeakyReLU(step.integer("num") / step.integer("den"))(x),
    "to_u8": lambda layers, step, x: x,
    **{kind: _activation(kind) for kind in ("relu", "sigmoid", "tanh", "elu", "gelu", "silu", "softplus")},
}
