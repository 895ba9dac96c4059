"""The context model of a trained photograph model in integers: for each pass the layers that give means and table numbers.

Owns the layers, their order and integers.  Knows nothing of TensorFlow, of files, or of the tables that are picked.

Values are numbered: value INPUTS * g + k is group g as it is known when k of its four phases are decoded, zeros elsewhere;
layer j makes value INPUTS * G + j, where G is the number of groups.  Convolutions of stride 2 give the positions of one phase.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.training.photo.context import LEAST_LEVEL, MOST_LEVEL
from aeformat.training.photo.integers import i8_table
from aeformat.training.photo.order import PHASES, Group, known_neighbours
from aeformat.training.photo.rounding import CONTEXT_LEVELS, FEATURE_UNIT, MAGNITUDE_UNIT, VALUE_UNIT
from aeformat.training.quantise import fixed_point

INPUTS: Final = 5
"""Of each group: with 0 to 4 phases known."""
TABLES_PER_OCTAVE: Final = 4
N_TABLES: Final = round((MOST_LEVEL - LEAST_LEVEL) * TABLES_PER_OCTAVE) + 1
_PER_STEP: Final = 64  # entries of a table between two integers
_PER_ARGUMENT: Final = 1024  # entries for one unit of GELU's argument
_ENTRIES: Final = 16_384
_MAGNITUDES: Final = 256  # entries: one for each latent
_LEAST: Final = 1e-6

Floats = NDArray[np.float64]
Weights = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class PassLayer:
    """A layer of the registry.  inputs: numbers of values.  arrays: its tensors."""

    kind: str
    inputs: tuple[int, ...]
    params: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Passes:
    """layers: in order of computation.  outputs: for each pass, group by group, the values with its means and its picks."""

    layers: list[PassLayer]
    outputs: list[tuple[int, int]]


def passes_of(parts: tuple[Group, ...], weights: Weights) -> Passes:
    """The layers for latents in these groups."""
    maker = _Maker(parts, weights)
    outputs = [maker.one_pass(number, phase) for number in range(len(parts)) for phase in range(len(PHASES))]
    return Passes(maker.layers, outputs)


class _Maker:
    def __init__(self, parts: tuple[Group, ...], weights: Weights) -> None:
        self._parts, self._weights = parts, weights
        self.layers: list[PassLayer] = []
        self._features: list[int] = []  # values, of the whole groups

    def one_pass(self, number: int, phase: int) -> tuple[int, int]:
        if phase == 0 and number:
            self._features.append(self._features_of(number - 1, len(PHASES)))
        sums = self._sums(number, phase)
        _, unit = self._around(number)
        hidden = self._lookup(sums, unit * FEATURE_UNIT, _PER_ARGUMENT, _gelu_table())
        kernel, unit = _whole([self._weights[f"context/out_{number}"]])
        bias = self._weights[f"context/out_bias_{number}_{phase}"].astype(np.float64)
        made: list[int] = []
        for part, table in zip(np.split(np.arange(len(unit)), 2), (_mean_table(), _pick_table()), strict=True):
            scale = unit[part] * FEATURE_UNIT
            level = bias[part] - (LEAST_LEVEL if made else 0)
            value = self._conv(hidden, kernel[0][None, None, :, part], level / scale)
            entries = _PER_STEP * (TABLES_PER_OCTAVE if made else 1)
            made.append(self._lookup(value, scale, entries, table))
        return made[0], made[1]

    def _sums(self, number: int, phase: int) -> int:
        """What is added up for the hidden numbers of a pass."""
        kernels, unit = self._around(number)
        bias = self._weights[f"context/bias_{number}_{phase}"] / (unit * FEATURE_UNIT)
        found = []
        if number:
            found.append(self._at_phase(self._joined(), kernels[-1], bias, phase))
        if phase:
            mine = self._features_of(number, phase)
            found.append(self._at_phase(mine, kernels[phase - 1], bias * (not number), phase))
        if not found:
            nothing = np.zeros((3, 3, self._parts[0].size, len(unit)))
            found.append(self._at_phase(0, nothing, bias, phase))
        return found[0] if len(found) == 1 else self._add("add", *found)

    def _around(self, number: int) -> tuple[list[Floats], Floats]:
        """The kernels of the three later phases, then that of the groups before, and the unit of their sums."""
        names = [f"context/own_{number}_{phase}" for phase in range(1, len(PHASES))]
        known = [known_neighbours(phase)[..., None, None] for phase in range(1, len(PHASES))]
        kernels = [self._weights[name] * seen for name, seen in zip(names, known, strict=True)]
        if number:
            kernels.append(self._weights[f"context/before_{number}"])
        return _whole(kernels)

    def _features_of(self, number: int, n_known: int) -> int:
        """The features of a group of which so many phases are known."""
        value, n = INPUTS * number + n_known, self._parts[number].size
        ones, zeros = np.ones(n, np.int32), np.zeros(n, np.int32)
        same = self._add("affine", value, weights=ones, bias=zeros)
        magnitudes = self._lookup(same, np.ones(1), 1, _magnitude_table())
        kernel, unit = _whole([self._weights[f"context/features_{number}"]])
        whole = kernel[0].copy()
        whole[n:] *= VALUE_UNIT / MAGNITUDE_UNIT
        scale = unit * MAGNITUDE_UNIT
        both = self._add("concat", magnitudes, value, axis=2)
        sums = self._conv(both, whole[None, None], self._weights[f"context/features_bias_{number}"] / scale)
        return self._lookup(sums, scale, _PER_ARGUMENT, _gelu_table())

    def _joined(self) -> int:
        return self._features[0] if len(self._features) == 1 else self._add("concat", *self._features, axis=2)

    def _at_phase(self, value: int, kernel: Floats, bias: Floats, phase: int) -> int:
        row, column = PHASES[phase]
        return self._conv(value, kernel, bias, strides=(2, 2), padding=(1 - row, 1, 1 - column, 1))

    def _conv(
        self,
        value: int,
        kernel: Floats,
        bias: Floats,
        *,
        strides: tuple[int, int] = (1, 1),
        padding: tuple[int, ...] = (0, 0, 0, 0),
    ) -> int:
        arrays = {"weights": kernel.astype(np.int8), "bias": np.rint(bias).astype(np.int32)}
        return self._add("conv2d", value, strides=strides, padding=padding, **arrays)

    def _lookup(self, value: int, unit: Floats, per_number: float, table: NDArray[Any]) -> int:
        multiplier, shift = fixed_point(unit * per_number)
        return self._add("lookup", value, multiplier=multiplier, shift=shift, table=table)

    def _add(self, kind: str, *inputs: int, **params: Any) -> int:
        arrays = {key: value for key, value in params.items() if isinstance(value, np.ndarray)}
        plain = {key: value for key, value in params.items() if not isinstance(value, np.ndarray)}
        self.layers.append(PassLayer(kind, inputs, plain, arrays))
        return INPUTS * len(self._parts) + len(self.layers) - 1


def _whole(kernels: list[NDArray[Any]]) -> tuple[list[Floats], Floats]:
    """The integers of kernels whose sums are added, and what 1 stands for in each output channel."""
    axes = tuple(range(kernels[0].ndim - 1))
    largest = np.max([np.abs(kernel).max(axis=axes) for kernel in kernels], axis=0).astype(np.float64)
    unit = np.maximum(largest, _LEAST) / CONTEXT_LEVELS
    return [np.rint(kernel / unit) for kernel in kernels], unit


def _centred(n: int) -> Floats:
    centred: Floats = np.arange(n, dtype=np.float64) - n // 2
    return centred


def _gelu_table() -> NDArray[np.int8]:
    x = _centred(_ENTRIES) / _PER_ARGUMENT
    return i8_table(x / 2 * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / FEATURE_UNIT)


def _magnitude_table() -> NDArray[np.int8]:
    return i8_table(np.log2(1 + np.abs(_centred(_MAGNITUDES))) / MAGNITUDE_UNIT)


def _mean_table() -> NDArray[np.int8]:
    return i8_table(_centred(_ENTRIES) / _PER_STEP)


def _pick_table() -> NDArray[np.uint8]:
    table: NDArray[np.uint8] = np.clip(np.floor(_centred(_ENTRIES) / _PER_STEP + 0.5), 0, N_TABLES - 1).astype(np.uint8)
    return table
