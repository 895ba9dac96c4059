"""A half of an autoencoder as a list of layers: shapes, initial weights, the forward pass, rounding as integers will do it.

Owns the layer records of all recipes, and the arithmetic of convolutional ones in TensorFlow (that of dense ones is in
dense.py).  Knows nothing of losses, schedules, packages or files.

Everything that convolutions see is at least 0 and stands for `unit * integer`, so the zeros that padding adds mean the
same before and after quantisation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Shape = tuple[int, ...]
Activation = Literal["gelu", "raised_gelu", "latent", "linear", "sigmoid", "clip"]

GELU_FLOOR: Final = 0.17
"""raised_gelu is GELU plus this: just above the depth of its dip, so never negative."""
LATENT_GAIN: Final = 4.0
"""What the last sums of an encoder are multiplied by: from sums of deviation 1 to integers worth rounding to."""
CLIP_RATIOS: Final = np.linspace(0.4, 1.0, 25)
"""Where to clip a channel's weights, as a part of the largest, before they are spread over the integers."""


@dataclass(frozen=True, slots=True)
class Near:
    """Which weights there are of a dense layer that makes (grid, grid, channels): the others are 0 and cost next to nothing.

    Of the inputs, the first grid * grid * `n_local` lie on that grid too, `n_local` to a place, and reach the places at most
    `reach` rows and columns away.  The inputs after them reach all.
    """

    grid: int
    n_local: int
    reach: int


@dataclass(frozen=True, slots=True)
class Dense:
    """(n,) -> (units,)"""

    units: int
    activation: Activation
    levels: int = 127  # weights are rounded to -levels..levels in each channel (convolutional recipes)
    gain: float = 1.0  # width of the initial weights
    near: Near | None = None  # None: every input reaches every unit


@dataclass(frozen=True, slots=True)
class _Convolution:
    """A square kernel, the same stride along both axes."""

    channels: int
    kernel: int
    stride: int
    activation: Activation
    levels: int = 127  # as of Dense


@dataclass(frozen=True, slots=True)
class Conv(_Convolution):
    """(h, w, c) -> (ceil(h / stride), ceil(w / stride), channels), zeros around the input."""


@dataclass(frozen=True, slots=True)
class ConvTranspose(_Convolution):
    """(h, w, c) -> (h * stride, w * stride, channels), cut to size on all sides."""


@dataclass(frozen=True, slots=True)
class Reshape:
    """Any -> shape, C order."""

    shape: Shape


Weighted = Dense | Conv | ConvTranspose
Layer = Weighted | Reshape
Stack = tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class Parameters:
    """Weights and bias of one weighted layer, and what rounding needs: nothing of it is learned by gradient."""

    weights: Any
    bias: Any
    steps: Any = None  # (channels,): the weight that the integer 1 stands for
    unit: Any = None  # (): what the integer 1 stands for after the activation


def parameters_of(arrays: Sequence[Any], steps: Sequence[Any], units: Sequence[Any]) -> list[Parameters]:
    """One record a layer, from weights, bias, weights, bias, ...  steps, units: one a layer, or none where nothing rounds."""
    rounding = zip(steps, units, strict=True) if steps else [(None, None)] * (len(arrays) // 2)
    return [
        Parameters(weights, bias, *rounded)
        for weights, bias, rounded in zip(arrays[::2], arrays[1::2], rounding, strict=True)
    ]


def weighted(stack: Stack) -> list[Weighted]:
    """The layers that have weights, in order."""
    return [layer for layer in stack if not isinstance(layer, Reshape)]


def channel_axis(layer: Weighted) -> int:
    """The axis of the weights that counts the channels which the layer makes (spec/model.md, section 3)."""
    return {Dense: 1, Conv: 3, ConvTranspose: 2}[type(layer)]


def margins(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after `size` pixels, so that a convolution makes ceil(size / stride); the odd one goes behind."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def shapes(stack: Stack, shape: Shape) -> list[Shape]:
    """The shape of one row before the first layer and after each."""
    found = [shape]
    for layer in stack:
        match layer:
            case Dense():
                shape = (layer.units,)
            case Conv():
                shape = (-(-shape[0] // layer.stride), -(-shape[1] // layer.stride), layer.channels)
            case ConvTranspose():
                shape = (shape[0] * layer.stride, shape[1] * layer.stride, layer.channels)
            case Reshape():
                if prod(layer.shape) != prod(shape):
                    raise ValueError(f"{shape} cannot become {layer.shape}")
                shape = layer.shape
        found.append(shape)
    return found


def walk(stack: Stack, parameters: Sequence[Parameters], shape: Shape) -> Iterator[tuple[Layer, Shape, Shape, Any]]:
    """Each layer, the shape of one row before and after it, and its parameters; None for a reshape."""
    found, left = shapes(stack, shape), iter(parameters)
    for layer, before, after in zip(stack, found, found[1:], strict=False):
        yield layer, before, after, None if isinstance(layer, Reshape) else next(left)


def registry_form(layer: Weighted, before: Shape, after: Shape) -> tuple[str, dict[str, Any]]:
    """The layer's kind and its parameters but for the tensors, as spec/model.md names them in section 3."""
    if isinstance(layer, Dense):
        return "dense", {}
    kind, sides, large = (
        ("conv2d", "padding", before) if isinstance(layer, Conv) else ("conv2d_transpose", "crop", after)
    )
    rows, columns = (margins(size, layer.kernel, layer.stride) for size in large[:2])
    return kind, {"strides": (layer.stride, layer.stride), sides: (*rows, *columns)}


def present(layer: Dense, n_inputs: int) -> Floats | None:
    """(n_inputs, units): 1 where there is a weight, 0 where there is none; None where all are."""
    if layer.near is None:
        return None
    side, n_local = layer.near.grid, layer.near.n_local
    rows, columns = np.divmod(np.arange(side * side), side)
    apart = np.maximum(np.abs(rows[:, None] - rows), np.abs(columns[:, None] - columns))
    n_channels = layer.units // side**2
    local = np.repeat(np.repeat(apart <= layer.near.reach, n_local, axis=0), n_channels, axis=1)
    if len(local) > n_inputs or local.shape[1] != layer.units:
        raise ValueError(f"{n_inputs} inputs and {layer.units} units do not hold a grid of {side} x {side} x {n_local}")
    found = np.ones((n_inputs, layer.units), np.float32)
    found[: len(local)] = local
    return found


def initial_parameters(stack: Stack, shape: Shape, rng: np.random.Generator) -> list[Floats]:
    """Normal weights (He et al. 2015, halfway to Glorot for dense layers), zero biases: weights, bias, weights, ..."""
    parameters: list[Floats] = []
    for layer, before in zip(stack, shapes(stack, shape), strict=False):
        match layer:
            case Dense():
                size: Shape = (before[0], layer.units)
                deviation, n_made = layer.gain * np.sqrt(2 / (before[0] + layer.units)), layer.units
            case Conv():
                size = (layer.kernel, layer.kernel, before[2], layer.channels)
                deviation, n_made = np.sqrt(2 / (layer.kernel**2 * before[2])), layer.channels
            case ConvTranspose():
                size = (layer.kernel, layer.kernel, layer.channels, before[2])
                deviation, n_made = np.sqrt(2 * layer.stride**2 / (layer.kernel**2 * before[2])), layer.channels
            case Reshape():
                continue
        weights = (deviation * rng.standard_normal(size)).astype(np.float32)
        if isinstance(layer, Dense) and (mask := present(layer, size[0])) is not None:
            weights *= mask / np.sqrt(mask.mean())  # fewer weights, as much in all
        parameters.append(weights)
        parameters.append(np.zeros(n_made, np.float32))
    return parameters


def forward(tf: Any, stack: Stack, parameters: Sequence[Parameters], values: Any) -> Any:
    """Run `values` (n, ...) float32 through the stack; the result before a last sigmoid, which losses want that way.

    Where parameters carry steps and a unit, weights and activations are rounded; gradients pass straight through.
    """
    left = iter(parameters)
    for number, layer in enumerate(stack):
        if isinstance(layer, Reshape):
            values = tf.reshape(values, (-1, *layer.shape))
            continue
        mine = next(left)
        weights = mine.weights if mine.steps is None else round_weights(tf, layer, mine)
        match layer:
            case Dense():
                mask = present(layer, weights.shape[0])
                values = tf.matmul(values, weights if mask is None else weights * mask)  # no gradient where none is
            case Conv():
                values = tf.nn.conv2d(values, weights, layer.stride, "SAME")
            case ConvTranspose():
                n, height, width = tf.shape(values)[0], values.shape[1], values.shape[2]
                made = (n, height * layer.stride, width * layer.stride, layer.channels)
                values = tf.nn.conv2d_transpose(values, weights, made, layer.stride, "SAME")
        values = values + mine.bias
        if layer.activation == "sigmoid":
            assert number == len(stack) - 1 or all(isinstance(rest, Reshape) for rest in stack[number + 1 :])
        values = _activate(tf, layer.activation, values, mine.unit)
    return values


def _activate(tf: Any, activation: Activation, values: Any, unit: Any) -> Any:
    if activation == "gelu":
        return tf.nn.gelu(values)
    if activation == "raised_gelu":
        values = tf.nn.gelu(values) + GELU_FLOOR
        if unit is None:
            return values
        values = tf.clip_by_value(values, 0.0, 255 * unit)
        return values + tf.stop_gradient(tf.round(values / unit) * unit - values)
    if activation == "latent":
        return LATENT_GAIN * values
    return values


def round_weights(tf: Any, layer: Weighted, mine: Parameters) -> Any:
    """Weights as integers times the steps of their channels; gradients pass straight through."""
    shape = [1] * (2 if isinstance(layer, Dense) else 4)
    shape[channel_axis(layer)] = -1
    steps = tf.reshape(mine.steps, shape)
    clipped = tf.clip_by_value(mine.weights, -layer.levels * steps, layer.levels * steps)
    return clipped + tf.stop_gradient(tf.round(clipped / steps) * steps - clipped)


def best_steps(layer: Weighted, weights: Floats) -> Floats:
    """For each channel the step that rounds its weights with the least squared error, of 25 tried."""
    rows = np.moveaxis(weights, channel_axis(layer), 0).reshape(-1, weights.size // weights.shape[channel_axis(layer)])
    peaks = np.maximum(np.abs(rows).max(1), 1e-3)
    tried = CLIP_RATIOS[:, None] * peaks / layer.levels  # (ratios, channels)
    errors = np.stack([
        np.square(np.clip(np.rint(rows / step[:, None]), -layer.levels, layer.levels) * step[:, None] - rows).sum(1)
        for step in tried
    ])  # fmt: skip
    best: Floats = np.take_along_axis(tried, errors.argmin(0)[None], 0)[0].astype(np.float32)
    return best
