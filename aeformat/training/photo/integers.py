"""The decoder of a trained photograph model in integers: what it computes in profile exact (spec/model.md, section 4).

Owns its layers, their integer weights and tables.  Knows nothing of TensorFlow, of priors, or of how weights came about.

Each kind of planes comes from transposed convolutions of its own channels, one for each grain of weights, whose sums are added.
The pixels come from a transposed convolution, too: it is a convolution to 12 numbers at each place of the
planes, which are then laid out as 2 x 2 pixels of 3 colours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.model.graph import Graph
from aeformat.model.values import EXACT, Value
from aeformat.training.photo.lapped import BANDS
from aeformat.training.photo.order import numbers, sources
from aeformat.training.photo.recipe import PhotoRecipe
from aeformat.training.photo.rounding import GREATEST, PLANE_UNIT, SYNTHESIS_LEVELS, UNIT, grains
from aeformat.training.quantise import fixed_point

Floats = NDArray[np.float64]
Weights = Mapping[str, NDArray[Any]]

_TABLE_ENTRIES: Final = 16_384
_PER_STEP: Final = 64  # entries of a table between two integers; it reaches 128 either side
_PER_ARGUMENT: Final = 1024  # entries for one unit of GELU's argument
_GREY: Final = 128
_WHITE: Final = 255
_LEAST: Final = 1e-6
_CURVE: Final = np.sqrt(2 / np.pi)


def decoder_graph(recipe: PhotoRecipe, weights: Weights, height: int, width: int) -> Graph:
    """Latents (height, width, channels) to pixels (16 height, 16 width, 3); the integers are the same for all sizes."""
    graph = Graph(Value((height, width, recipe.channels), "i8"), EXACT)
    planes = graph.add("concat", *(_planes(graph, recipe, weights, name) for name in sources(recipe.groups)), axis=2)
    for layer in (0, 1):
        kernel, unit = convolution(weights[f"decoder_{layer}"])
        bias = weights[f"decoder_bias_{layer}"]
        _add(graph, "conv2d", kernel, 3, unit * PLANE_UNIT, bias, strides=(1, 1), padding=(1,) * 4)
        hidden = _lookup(graph, unit * PLANE_UNIT, _PER_ARGUMENT, gelu_table(PLANE_UNIT))
    graph.add("concat", planes, hidden, axis=2)
    kernel, unit = _as_transposed(weights["decoder_2"])
    bias = weights["decoder_bias_2"]
    _add(graph, "conv2d_transpose", kernel, 2, unit * PLANE_UNIT, bias, strides=(2, 2), crop=(2,) * 4)
    _lookup(graph, unit * PLANE_UNIT, UNIT * _PER_STEP, _pixel_table())
    return graph


def _planes(graph: Graph, recipe: PhotoRecipe, weights: Weights, name: str) -> int:
    """The planes of luma, of chroma, or of features: (8 height, 8 width, planes)."""
    channels = numbers(sources(recipe.groups)[name])
    real = weights[f"synthesis_{name}"].astype(np.float64) * np.exp(weights["steps"].astype(np.float64))[channels]
    unit = np.maximum(np.abs(real).max(axis=(0, 1, 3)), _LEAST) / SYNTHESIS_LEVELS
    grain = grains(name, len(channels)).astype(np.float64)
    whole = np.rint(real / (unit[:, None] * grain)) * grain
    half, side = BANDS // 2, BANDS // 4
    sums = []
    for size in np.unique(grain):
        mine = grain == size
        taken, kernel = _channels(graph, channels[mine]), whole[..., mine].astype(np.int8)
        nothing = np.zeros(len(unit), np.int32)
        sums.append(
            graph.add("conv2d_transpose", taken, weights=kernel, bias=nothing, strides=(half, half), crop=(side,) * 4)
        )
    if len(sums) > 1:
        graph.add("add", *sums)
    return _lookup(graph, unit, 1 / PLANE_UNIT * _PER_STEP, _whole_table())


def _channels(graph: Graph, wanted: NDArray[np.intp]) -> int:
    """Some channels of the latents, in rising order."""
    ends = np.flatnonzero(np.diff(wanted) > 1) + 1
    runs = [graph.add("slice", 0, start=int(run[0]), stop=int(run[-1]) + 1) for run in np.split(wanted, ends)]
    return runs[0] if len(runs) == 1 else graph.add("concat", *runs, axis=2)


def convolution(real: NDArray[Any]) -> tuple[Floats, Floats]:
    """The integers of a kernel whose last axis is that of output channels, and what 1 stands for in each of them."""
    unit = np.maximum(np.abs(real).astype(np.float64).max(axis=(0, 1, 2)), _LEAST) / GREATEST
    return np.rint(real / unit), unit


def _as_transposed(real: NDArray[Any]) -> tuple[Floats, Floats]:
    """(3, 3, c, 12), to 2 x 2 pixels of 3 colours -> (6, 6, 3, c) of stride 2, and what 1 stands for in each colour."""
    places = real.astype(np.float64).reshape(3, 3, -1, 2, 2, 3)
    turned = np.zeros((6, 6, 3, places.shape[2]))
    for row in (0, 1):
        for column in (0, 1):
            turned[row::2, column::2] = places[::-1, ::-1, :, row, column].transpose(0, 1, 3, 2)
    unit = np.maximum(np.abs(turned).max(axis=(0, 1, 3)), _LEAST) / GREATEST
    return np.rint(turned / unit[:, None]), unit


def _add(
    graph: Graph, kind: str, kernel: NDArray[Any], axis: int, unit: Floats, bias: NDArray[Any], **params: Any
) -> None:
    """A layer with weights.  unit: what 1 stands for in its sums."""
    assert kernel.shape[axis] == len(unit)
    graph.add(kind, weights=kernel.astype(np.int8), bias=np.rint(bias / unit).astype(np.int32), **params)


def _lookup(graph: Graph, unit: Floats, per_number: float, table: NDArray[Any]) -> int:
    """The lookup behind a layer.  per_number: entries of the table for the number 1."""
    multiplier, shift = fixed_point(unit * per_number)
    return graph.add("lookup", multiplier=multiplier, shift=shift, table=table)


def _centred() -> Floats:
    centred: Floats = np.arange(_TABLE_ENTRIES, dtype=np.float64) - _TABLE_ENTRIES // 2
    return centred


def _whole_table() -> NDArray[np.int8]:
    return i8_table(_centred() / _PER_STEP)


def gelu_table(unit: float) -> NDArray[np.int8]:
    """By the formula that training takes, with tanh.  unit: what 1 of its numbers stands for."""
    x = _centred() / _PER_ARGUMENT
    made = x / 2 * (1 + np.tanh(_CURVE * (x + 0.044715 * x**3)))
    return i8_table(made / unit)


def i8_table(entries: Floats) -> NDArray[np.int8]:
    """Rounded, within what latents and weights can be."""
    table: NDArray[np.int8] = np.clip(np.floor(entries + 0.5), -GREATEST, GREATEST).astype(np.int8)
    return table


def _pixel_table() -> NDArray[np.uint8]:
    table: NDArray[np.uint8] = np.clip(np.floor(_centred() / _PER_STEP + 0.5) + _GREY, 0, _WHITE).astype(np.uint8)
    return table
