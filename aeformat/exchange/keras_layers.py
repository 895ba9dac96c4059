"""What each Keras layer becomes: layers of the registry (spec/model.md, section 3).

Owns the table of layers that have a form here.  Whatever it does not know, by class or by option, is refused with the reason;
nothing is approximated.  Knows nothing of files or of the order of layers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.backends.runtime import load_keras
from aeformat.exchange.activations import NoForm, channelwise
from aeformat.exchange.keras_activations import ACTIVATION_LAYERS, Convert, activate
from aeformat.exchange.keras_calls import Call
from aeformat.exchange.keras_modern import stand_in
from aeformat.model.graph import Graph

Array = NDArray[Any]


def convert(graph: Graph, call: Call, inputs: Sequence[int]) -> int:
    """Add what a call computes to the graph; the number of its value.  Raises NoForm, ManifestInvalid, LimitExceeded."""
    layer = call.layer
    make = _form(layer)
    if getattr(layer, "quantization_mode", None) is not None:
        raise NoForm(
            f"quantised to {layer.quantization_mode}; save it before it is quantised, an exact import makes integers"
        )
    if getattr(layer, "compute_dtype", None) not in _FLOATS:
        raise NoForm(f"computes in {layer.compute_dtype}; save it with dtype policy float32")
    if len(inputs) != sum(1 if not isinstance(arg, list) else len(arg) for arg in call.args):
        raise NoForm("called with constants")
    if call.kwargs.get("training") and not type(layer).__name__.startswith("Random"):  # which are saved with it always
        raise NoForm("called with training=True")
    odd = [key for key, value in call.kwargs.items() if key not in ("training", "mask") and value is not None]
    if odd:
        raise NoForm(f"called with {', '.join(odd)}")
    return make(graph, layer, inputs, call.name)


def _form(layer: Any) -> Convert:
    """How a layer of this class is converted.  An operation is no layer, even if its class has the name of one."""
    what = stand_in(layer)
    if what is not None:
        raise NoForm(_NO_LAYERS.get(what, "not one of Keras's own layers"))
    kind, name = type(layer), type(layer).__name__
    if not kind.__module__.startswith("keras."):
        raise NoForm("not one of Keras's own layers")
    if kind is not getattr(load_keras().layers, name, None):
        if name in _OPERATIONS or name in _NOTHING:  # AlphaDropout has two classes
            return _LAYERS[name]
        raise NoForm("an operation; its layer has a form" if name in _LAYERS else "not in the registry of layers")
    if name not in _LAYERS:
        raise NoForm("not in the registry of layers")
    return _LAYERS[name]


# Layers with weights.


def _dense(graph: Graph, layer: Any, xs: Sequence[int], name: str) -> int:
    (x,) = xs
    weights, bias = _array(layer.kernel), _bias(layer, layer.units)
    shape = graph.shape(x)
    if len(shape) == 1:
        made = graph.add("dense", x, name=name, weights=weights, bias=bias)
    else:  # on the last axis of many: a convolution of one pixel
        flat = x if len(shape) == 3 else graph.add("reshape", x, name=name, shape=(math.prod(shape[:-1]), 1, shape[-1]))
        kernel = weights.reshape(1, 1, *weights.shape)
        made = graph.add("conv2d", flat, name=name, weights=kernel, bias=bias, strides=(1, 1), padding=(0, 0, 0, 0))
        if flat != x:
            made = graph.add("reshape", made, name=name, shape=(*shape[:-1], layer.units))
    return activate(graph, layer.activation, made, name)


def _conv2d(graph: Graph, layer: Any, xs: Sequence[int], name: str) -> int:
    kernel = _ungrouped(_array(layer.kernel), layer.groups)
    made = _convolved(graph, layer, xs[0], kernel, _bias(layer, layer.filters), name)
    return activate(graph, layer.activation, made, name)


def _depthwise_conv2d(graph: Graph, layer: Any, xs: Sequence[int], name: str) -> int:
    kernel = _depthwise(_array(layer.kernel))
    made = _convolved(graph, layer, xs[0], kernel, _bias(layer, kernel.shape[3]), name)
    return activate(graph, layer.activation, made, name)


def _separable_conv2d(graph: Graph, layer: Any, xs: Sequence[int], name: str) -> int:
    depthwise = _depthwise(_array(layer.depthwise_kernel))
    made = _convolved(graph, layer, xs[0], depthwise, np.zeros(depthwise.shape[3], np.float32), name)
    made = graph.add(
        "conv2d", made, name=name, weights=_array(layer.pointwise_kernel), bias=_bias(layer, layer.filters),
        strides=(1, 1), padding=(0, 0, 0, 0),
    )  # fmt: skip
    return activate(graph, layer.activation, made, name)


def _convolved(graph: Graph, layer: Any, x: int, kernel: Array, bias: Array, name: str) -> int:
    """The convolution that a layer's strides, dilation and padding make of a kernel [kh, kw, c, d]."""
    _channels_last(layer)
    (dh, dw), strides = _pair(layer.dilation_rate), _pair(layer.strides)
    kh, kw, c, d = kernel.shape
    spread = np.zeros(((kh - 1) * dh + 1, (kw - 1) * dw + 1, c, d), np.float32)
    spread[::dh, ::dw] = kernel
    padding = _padding(layer, graph.shape(x), spread.shape, strides)
    return graph.add("conv2d", x, name=name, weights=spread, bias=bias, strides=strides, padding=padding)


def _conv2d_transpose(graph: Graph, layer: Any, xs: Sequence[int], name: str) -> int:
    """Keras's result has h * s + max(k - s, 0) rows, or h * s with padding "same": a kernel smaller than s leaves gaps.

    With "same", max(k - s, 0) rows are cut off, the odd one below.
    """
    _channels_last(layer)
    if layer.output_padding is not None or max(_pair(layer.dilation_rate)) > 1:
        raise NoForm("output_padding or dilation_rate")
    kernel, strides = _array(layer.kernel), _pair(layer.strides)
    gaps = [(0, max(0, s - k)) for s, k in zip(strides, kernel.shape[:2], strict=True)]
    kernel = np.pad(kernel, [*gaps, (0, 0), (0, 0)])
    crop = [0, 0, 0, 0]
    if layer.padding == "same":
        cuts = [max(0, k - s) for s, k in zip(strides, kernel.shape[:2], strict=True)]
        crop = [side for n in cuts for side in (n // 2, n - n // 2)]
    made = graph.add(
        "conv2d_transpose",
        xs[0],
        name=name,
        weights=kernel,
        bias=_bias(layer, layer.filters),
        strides=strides,
        crop=tuple(crop),
    )
    return activate(graph, layer.activation, made, name)


def _batch_normalization(graph: Graph, layer: Any, xs: Sequence[int], name: str) -> int:
    (x,) = xs
    axes = layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]
    if [axis % (len(graph.shape(x)) + 1) for axis in axes] != [len(graph.shape(x))]:
        raise NoForm(f"normalises axis {layer.axis}, not the last one")
    mean, variance = (np.asarray(v, np.float64) for v in (layer.moving_mean, layer.moving_variance))
    factor = (np.asarray(layer.gamma, np.float64) if layer.scale else 1.0) / np.sqrt(variance + layer.epsilon)
    offset = (np.asarray(layer.beta, np.float64) if layer.center else 0.0) - mean * factor
    return channelwise(graph, x, factor, offset, name)


def _rescaling(graph: Graph, layer: Any, xs: Sequence[int], name: str) -> int:
    try:
        return channelwise(graph, xs[0], np.asarray(layer.scale), np.asarray(layer.offset), name)
    except ValueError as error:
        raise NoForm("scale or offset of another shape than the channels'") from error


# Layers that move numbers about.


def _flatten(graph: Graph, layer: Any, xs: Sequence[int], name: str) -> int:
    _channels_last(layer)
    return graph.add("flatten", xs[0], name=name)


def _reshape(graph: Graph, layer: Any, xs: Sequence[int], name: str) -> int:
    n, shape = math.prod(graph.shape(xs[0])), list(layer.target_shape)
    if -1 in shape:
        shape[shape.index(-1)] = n // -math.prod(shape)
    return graph.add("reshape", xs[0], name=name, shape=tuple(shape))


def _upsampling2d(graph: Graph, layer: Any, xs: Sequence[int], name: str) -> int:
    _channels_last(layer)
    if layer.interpolation != "nearest":
        raise NoForm(f"interpolation {layer.interpolation}; there is nearest")
    return graph.add("upsample", xs[0], name=name, factors=_pair(layer.size))


def _pooling2d(kind: str) -> Convert:
    def make(graph: Graph, layer: Any, xs: Sequence[int], name: str) -> int:
        _channels_last(layer)
        size, strides = _pair(layer.pool_size), _pair(layer.strides)
        padding = _padding(layer, graph.shape(xs[0]), size, strides)
        return graph.add(kind, xs[0], name=name, size=size, strides=strides, padding=padding)

    return make


def _global_pooling2d(kind: str) -> Convert:
    def make(graph: Graph, layer: Any, xs: Sequence[int], name: str) -> int:
        _channels_last(layer)
        size = graph.shape(xs[0])[:2]
        made = graph.add(kind, xs[0], name=name, size=size, strides=(1, 1), padding=(0, 0, 0, 0))
        return made if layer.keepdims else graph.add("flatten", made, name=name)

    return make


def _zero_padding2d(graph: Graph, layer: Any, xs: Sequence[int], name: str) -> int:
    _channels_last(layer)
    (top, bottom), (left, right) = layer.padding
    return graph.add("pad", xs[0], name=name, padding=(top, bottom, left, right), value=0)


def _cropping2d(graph: Graph, layer: Any, xs: Sequence[int], name: str) -> int:
    _channels_last(layer)
    (top, bottom), (left, right) = layer.cropping
    return graph.add("crop", xs[0], name=name, crop=(top, bottom, left, right))


def _add(graph: Graph, layer: Any, xs: Sequence[int], name: str) -> int:
    return xs[0] if len(xs) == 1 else graph.add("add", *xs, name=name)


def _average(graph: Graph, layer: Any, xs: Sequence[int], name: str) -> int:
    return channelwise(graph, _add(graph, layer, xs, name), 1 / len(xs), 0, name)


def _subtract(graph: Graph, layer: Any, xs: Sequence[int], name: str) -> int:
    return graph.add("add", xs[0], channelwise(graph, xs[1], -1, 0, name), name=name)


def _concatenate(graph: Graph, layer: Any, xs: Sequence[int], name: str) -> int:
    axis = layer.axis % (len(graph.shape(xs[0])) + 1)
    return xs[0] if len(xs) == 1 else graph.add("concat", *xs, name=name, axis=axis - 1)


_NOTHING: Final = (  # at inference
    "InputLayer", "Dropout", "SpatialDropout2D", "AlphaDropout", "GaussianNoise", "GaussianDropout", "ActivityRegularization",
    "Identity", "SpatialDropout1D", "SpatialDropout3D",
    "RandomBrightness", "RandomColorDegeneration", "RandomColorJitter", "RandomContrast", "RandomElasticTransform",
    "RandomErasing", "RandomFlip", "RandomGaussianBlur", "RandomGrayscale", "RandomHue", "RandomInvert", "RandomPerspective",
    "RandomPosterization", "RandomRotation", "RandomSaturation", "RandomSharpness", "RandomShear", "RandomTranslation",
    "RandomZoom",
)  # fmt: skip
_LAYERS: Final[dict[str, Convert]] = {
    **ACTIVATION_LAYERS,
    **dict.fromkeys(_NOTHING, lambda graph, layer, xs, name: xs[0]),
    "Dense": _dense,
    "Conv2D": _conv2d,
    "DepthwiseConv2D": _depthwise_conv2d,
    "SeparableConv2D": _separable_conv2d,
    "Conv2DTranspose": _conv2d_transpose,
    "BatchNormalization": _batch_normalization,
    "Rescaling": _rescaling,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "UpSampling2D": _upsampling2d,
    "MaxPooling2D": _pooling2d("max_pool"),
    "AveragePooling2D": _pooling2d("average_pool"),
    "GlobalMaxPooling2D": _global_pooling2d("max_pool"),
    "GlobalAveragePooling2D": _global_pooling2d("average_pool"),
    "ZeroPadding2D": _zero_padding2d,
    "Cropping2D": _cropping2d,
    "Add": _add,
    "Average": _average,
    "Subtract": _subtract,
    "Concatenate": _concatenate,
}
_NO_LAYERS: Final = {
    "Lambda": "code, not a layer",
    "TFOpLambda": "an operation of TensorFlow, not a layer",
    "SlicingOpLambda": "an operation of TensorFlow, not a layer",
}
_FLOATS: Final = (None, "float32", "float64")  # None: an operation, which computes in what it gets
_OPERATIONS: Final = frozenset({"Add", "Subtract", "Concatenate"})  # such as a + b, that do what their layers do


# What their options mean.


def _array(weights: Any) -> Array:
    return np.asarray(weights, np.float32)


def _bias(layer: Any, n: int) -> Array:
    return _array(layer.bias) if layer.use_bias else np.zeros(n, np.float32)


def _pair(value: Any) -> tuple[int, int]:
    a, b = value if isinstance(value, (list, tuple)) else (value, value)
    return int(a), int(b)


def _channels_last(layer: Any) -> None:
    if layer.data_format != "channels_last":
        raise NoForm(f"data_format {layer.data_format}; there is channels_last")


def _padding(layer: Any, shape: Sequence[int], size: Sequence[int], strides: Sequence[int]) -> tuple[int, ...]:
    """ "same" makes ceil(h / s) rows, and puts the odd row of padding below."""
    sides: list[int] = []
    for n, k, s in zip(shape, size, strides, strict=False):
        total = max(0, (math.ceil(n / s) - 1) * s + k - n) if layer.padding == "same" else 0
        sides += [total // 2, total - total // 2]
    return tuple(sides)


def _ungrouped(kernel: Array, groups: int) -> Array:
    """[kh, kw, c / groups, d] -> [kh, kw, c, d], zero between channels of different groups."""
    kh, kw, c, d = kernel.shape
    full = np.zeros((kh, kw, c * groups, d), np.float32)
    for g in range(groups):
        part = slice(g * d // groups, (g + 1) * d // groups)
        full[:, :, g * c : (g + 1) * c, part] = kernel[..., part]
    return full


def _depthwise(kernel: Array) -> Array:
    """[kh, kw, c, m] -> [kh, kw, c, c * m]: channel i makes channels i * m to i * m + m - 1."""
    kh, kw, c, m = kernel.shape
    full = np.zeros((kh, kw, c, c * m), np.float32)
    for i in range(c):
        full[:, :, i, i * m : (i + 1) * m] = kernel[:, :, i]
    return full
