"""The encoder of a trained photograph model in integers: what it computes in profile exact (spec/model.md, section 4).

Owns its layers, their integer weights and tables.  Knows nothing of TensorFlow, of decoders, or of how weights came about.

A latent's number, in steps, is a sum of products with the pixels, plus a correction where the image ends, plus what a small
network adds; then a dead zone, and the nearest integer.  The sums stay as they are, 32 bits wide; what is added comes in 8 bits
and is multiplied to the scale of the sums.

A border is where a convolution of a plane of ones lacks a neighbour.  There it adds _GATE to a number, and a table gives the
number where that was added, and 0 elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.model.graph import Graph
from aeformat.model.values import EXACT, Value
from aeformat.training.photo.integers import convolution, gelu_table, i8_table
from aeformat.training.photo.lapped import BANDS, OVERLAP
from aeformat.training.photo.rounding import FEATURE_UNIT, LOG_UNIT, UNIT
from aeformat.training.quantise import fixed_point

Floats = NDArray[np.float64]
Weights = Mapping[str, NDArray[Any]]

_PER_STEP: Final = 64  # entries of a table between two latents
_PER_ARGUMENT: Final = 1024  # entries for one unit of GELU's argument
_ENTRIES: Final = 16_384
_PER_BORDER: Final = 8  # parts of a step that a correction at a border is rounded to
_PER_ADDED: Final = 32  # and what the small network adds
_ONE: Final = round(1 / LOG_UNIT)  # what the plane of ones holds
_GATE: Final = 20 * _ONE  # more than two numbers of 8 bits differ
_GREY: Final = 128
_BEYOND: Final = (
    ((1, 3), (0, 0, 1, 1), ((0, 0), (0, 2))),
    ((3, 1), (1, 1, 0, 0), ((0, 0), (2, 0))),
)
"""Across, then along: kernel and padding that see two neighbours, and the places of both."""


def encoder_graph(weights: Weights, height: int, width: int) -> Graph:
    """Pixels (16 height, 16 width, 3) to latents (height, width, channels); the integers are the same for all sizes."""
    graph = Graph(Value((BANDS * height, BANDS * width, 3), "u8"), EXACT)
    maker = _Maker(graph, weights)
    numbers = maker.projected()
    ones = maker.ones(numbers)
    numbers = maker.corrected(numbers, ones, 0)
    numbers = maker.corrected(numbers, ones, 1)
    maker.whole(maker.improved(numbers, ones))
    return graph


class _Maker:
    """Adds to a graph.  unit: what 1 in the sums of each channel stands for, in steps."""

    def __init__(self, graph: Graph, weights: Weights) -> None:
        self._graph, self._weights = graph, weights
        self._steps = np.exp(weights["steps"].astype(np.float64))
        self._kernel, kernel_unit = convolution(weights["analysis"])
        self._unit: Floats = kernel_unit / (UNIT * self._steps)

    def projected(self) -> int:
        """Products of the pixels, less the middle grey, with the analysis kernels; beyond the image is grey."""
        colours = np.ones(3, np.int32)
        moved = self._graph.add("affine", 0, weights=colours, bias=-_GREY * colours)
        pixels = self._lookup(moved, np.ones(1), np.arange(-_GREY, _GREY).astype(np.int8))
        nothing = np.zeros(len(self._unit))
        return self._conv(pixels, self._kernel, nothing, strides=(BANDS, BANDS), padding=(OVERLAP,) * 4)

    def ones(self, numbers: int) -> int:
        """(h, w, 1): the same number everywhere."""
        first = self._graph.add("slice", self._latents(numbers), start=0, stop=1)
        sums = self._graph.add("affine", first, weights=np.ones(1, np.int32), bias=np.zeros(1, np.int32))
        return self._lookup(sums, np.ones(1), np.full(2, _ONE, np.int8))

    def corrected(self, numbers: int, ones: int, axis: int) -> int:
        """With what the numbers lack at the left and right border (axis 0), or at the upper and lower one."""
        latents = self._latents(numbers)
        kernel_size, padding, places = _BEYOND[axis]
        gated = []
        for place in places:
            kernel = np.zeros((*kernel_size, 1, len(self._unit)))
            kernel[place] = -_GATE // _ONE
            beyond = self._conv(ones, kernel, np.full(len(self._unit), _GATE), padding=padding)
            gated.append(self._lookup(self._graph.add("add", latents, beyond), np.ones(1), _gate_table()))
        both = self._weights["borders"][2 * axis : 2 * axis + 2].astype(np.float64)
        real = both * self._steps[:, None] / self._steps
        kernel, unit = convolution(real.reshape(1, 1, -1, len(self._unit)))
        sums = self._conv(self._graph.add("concat", *gated, axis=2), kernel, np.zeros(len(unit)))
        return self._added(numbers, sums, unit, _PER_BORDER)

    def improved(self, numbers: int, ones: int) -> int:
        """With what the small network adds."""
        seen = self._lookup(numbers, self._unit * _PER_STEP, _log_table())
        hidden, hidden_unit = self._graph.add("concat", ones, seen, axis=2), LOG_UNIT
        for layer in (0, 1, 2):
            kernel, unit = convolution(self._weights[f"encoder_{layer}"])
            unit = unit * hidden_unit
            bias = self._weights[f"encoder_bias_{layer}"] / unit
            sums = self._conv(hidden, kernel, bias, padding=(kernel.shape[0] // 2,) * 4)
            hidden, hidden_unit = self._lookup(sums, unit * _PER_ARGUMENT, gelu_table(FEATURE_UNIT)), FEATURE_UNIT
        kernel, unit = convolution(self._weights["encoder_3"])
        sums = self._conv(hidden, kernel, np.zeros(len(unit)))
        return self._added(numbers, sums, unit * hidden_unit, _PER_ADDED)

    def whole(self, numbers: int) -> int:
        """The latents: nearer to 0 by the dead zone, and rounded."""
        dead = max(float(self._weights["dead_zone"][0]), 0.0)
        table = np.sign(_centred()) * np.maximum(np.abs(_centred()) / _PER_STEP - dead, 0)
        return self._lookup(numbers, self._unit * _PER_STEP, i8_table(table))

    def _latents(self, numbers: int) -> int:
        return self._lookup(numbers, self._unit * _PER_STEP, i8_table(_centred() / _PER_STEP))

    def _added(self, numbers: int, sums: int, unit: Floats, per_step: int) -> int:
        """Sums of a unit of their own, in parts of a step, added to the numbers."""
        centred = np.arange(-_GREY, _GREY, dtype=np.float64)
        small = self._lookup(sums, unit * per_step, i8_table(centred))
        factors = np.rint(1 / (per_step * self._unit)).astype(np.int32)
        scaled = self._graph.add("affine", small, weights=factors, bias=np.zeros(len(factors), np.int32))
        return self._graph.add("add", numbers, scaled)

    def _conv(
        self,
        value: int,
        kernel: Floats,
        bias: NDArray[Any],
        *,
        strides: tuple[int, int] = (1, 1),
        padding: tuple[int, ...] = (0, 0, 0, 0),
    ) -> int:
        arrays = {"weights": kernel.astype(np.int8), "bias": np.rint(bias).astype(np.int32)}
        return self._graph.add("conv2d", value, strides=strides, padding=padding, **arrays)

    def _lookup(self, value: int, per_sum: Floats, table: NDArray[Any]) -> int:
        """per_sum: entries of the table for 1 in the sums of each channel."""
        multiplier, shift = fixed_point(per_sum)
        return self._graph.add("lookup", value, multiplier=multiplier, shift=shift, table=table)


def _centred() -> Floats:
    centred: Floats = np.arange(_ENTRIES, dtype=np.float64) - _ENTRIES // 2
    return centred


def _gate_table() -> NDArray[np.int8]:
    reach = _GATE + _GREY
    sums = np.arange(-reach, reach)
    return np.where(sums >= _GATE - _GREY, sums - _GATE, 0).astype(np.int8)


def _log_table() -> NDArray[np.int8]:
    numbers = _centred() / _PER_STEP
    return i8_table(np.sign(numbers) * np.log1p(np.abs(numbers)) / LOG_UNIT)
