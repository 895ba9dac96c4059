"""The networks of a prior with passes, in NumPy (spec/model.md, section 10.1).

Owns when each value is computed, and how long it is kept.  The layers are those of numpy_layers.py, numpy_pixels.py and
numpy_lookup.py.  All are exact, so encoder and decoder come to the same tables on every machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from aeformat.backends import numpy_layers
from aeformat.backends.numpy_backend import sum_dtype
from aeformat.backends.numpy_layers import Array, Scratch
from aeformat.backends.numpy_lookup import Sums, lookup
from aeformat.backends.numpy_pixels import JOINS, Join
from aeformat.backends.tiled import own_sides
from aeformat.container.decoder_prior import DecoderPrior
from aeformat.container.passes import PHASES, NetworkCost, PassesPrior, phase_sizes
from aeformat.model import match
from aeformat.model.package import ModelPackage
from aeformat.model.passes import STAGES, PassPlan
from aeformat.model.step import Step

_HELD: Final = {"i8": np.dtype(np.int8), "u8": np.dtype(np.uint8)}
_WITH_WEIGHTS: Final = {"conv2d": numpy_layers.conv2d, "affine": numpy_layers.affine}


def prior_of(decoder: ModelPackage) -> DecoderPrior:
    """What codes the latents of a decoder with codec rans, its passes included."""
    found, plan, interval = match.prior_of(decoder), decoder.passes, decoder.input.interval
    if plan is None:
        return found
    prior = decoder.manifest.prior
    assert prior is not None and interval is not None  # M10-1
    tables = decoder.tensors[prior.tensors["tables"]]
    network = NumpyPasses(plan)
    passes = PassesPrior(
        bits=prior.bits, lo=interval.lo, hi=interval.hi, groups=plan.graph.spec.groups, tables=tables, network=network
    )
    return found._replace(prior=passes)


class NumpyPasses:
    """The layers of the passes of one decoder.  See container/passes.py, PassNetwork.  Threads may share it."""

    def __init__(self, plan: PassPlan) -> None:
        self.graph, self.spec = plan.graph, plan.graph.spec
        self.n_known = STAGES * len(self.spec.groups)
        self.ops = [self._op(plan, step) for step in plan.steps]
        self.steps = plan.steps
        self.sides = [own_sides(step) for step in plan.steps]
        self._schedules: dict[tuple[bool, ...], dict[int, list[tuple[int, list[int]]]]] = {}

    def row(self, height: int, width: int) -> NumpyPassRow:
        """A row of h x w positions, of which nothing is decoded yet."""
        return NumpyPassRow(self, height, width)

    def cost(self, height: int, width: int) -> NetworkCost:
        """What such a row takes."""
        return self.graph.cost(height, width)

    def schedule(self, filled: tuple[bool, ...]) -> dict[int, list[tuple[int, list[int]]]]:
        """For each pass with symbols the layers to compute, and after each the values that nothing needs any more.

        filled: which phases have positions.
        """
        found = self._schedules.get(filled)
        if found is None:
            found = self._schedules[filled] = self._scheduled(filled)
        return found

    def _scheduled(self, filled: tuple[bool, ...]) -> dict[int, list[tuple[int, list[int]]]]:
        done: set[int] = set()
        layers: dict[int, list[int]] = {}
        for number, pair in enumerate(self.spec.outputs):
            if filled[number % len(PHASES)]:
                layers[number] = sorted(self._needed(pair, done))
                done.update(layers[number])
        last: dict[int, tuple[int, int]] = {}
        for number, values in layers.items():
            for value in values:
                last.update(dict.fromkeys(self.steps[value - self.n_known].inputs, (number, value)))
        kept = {value for pair in self.spec.outputs for value in pair}
        dies: dict[tuple[int, int], list[int]] = {}
        for value, place in last.items():
            if value not in kept:
                dies.setdefault(place, []).append(value)
        return {n: [(value, dies.get((n, value), [])) for value in values] for n, values in layers.items()}

    def _needed(self, values: Iterable[int], done: set[int]) -> set[int]:
        """The values of layers that these depend on, but for those that are done."""
        found: set[int] = set()
        waiting = list(values)
        while waiting:
            value = waiting.pop()
            if value >= self.n_known and value not in done and value not in found:
                found.add(value)
                waiting += self.steps[value - self.n_known].inputs
        return found

    def _op(self, plan: PassPlan, step: Step) -> Join:
        if step.kind == "lookup":
            source = plan.steps[step.inputs[0] - self.n_known]
            assert source.bounds is not None  # M3-6: sums
            sums = Sums(sum_dtype(source), self._bias(plan, step.inputs[0]), source.bounds)
            op = lookup(step, sums, _HELD[step.made.type])
        elif step.kind in _WITH_WEIGHTS:
            op = _WITH_WEIGHTS[step.kind](step, sum_dtype(step))
        else:
            return JOINS[step.kind](step, _HELD[step.made.type] if step.bounds is None else sum_dtype(step))
        return lambda xs, scratch, sides: op(xs[0], scratch, sides)

    def _bias(self, plan: PassPlan, value: int) -> tuple[int, ...]:
        """What the channels of a sum still lack: layers leave their bias out, and `lookup` adds it."""
        if value < self.n_known:
            return (0,) * plan.graph.values[value].shape[2]
        step = plan.steps[value - self.n_known]
        if step.kind == "add":
            return tuple(map(sum, zip(*(self._bias(plan, i) for i in step.inputs), strict=True)))
        if step.bounds is None:
            return (0,) * step.made.shape[2]
        return tuple(int(b) for b in step.arrays["bias"])


class NumpyPassRow:
    """One row on its way.  See container/passes.py, PassRow."""

    def __init__(self, network: NumpyPasses, height: int, width: int) -> None:
        self._network, self._size = network, (height, width)
        self._filled = tuple(min(size) > 0 for size in phase_sizes(height, width))
        self._schedule = network.schedule(self._filled)
        self._values: dict[int, Array] = {}
        dtype = _HELD[network.graph.values[0].type]
        self._groups = [np.zeros((1, height, width, n), dtype) for n in network.spec.groups]
        self._scratch = _Fresh()
        self._passes: Iterator[int] = iter(self._schedule)
        self._pass = 0

    def expect(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Means and picks of the symbols of the next pass."""
        network, self._pass = self._network, next(self._passes)
        for value, dies in self._schedule[self._pass]:
            number = value - network.n_known
            xs = [self._value(i) for i in network.steps[number].inputs]
            self._values[value] = network.ops[number](xs, self._scratch, network.sides[number])
            for dead in dies:
                self._values.pop(dead, None)
        mean, pick = (self._value(i)[0] for i in network.spec.outputs[self._pass])
        return mean.astype(np.int16), pick

    def put(self, values: NDArray[Any]) -> None:
        """The latents of that pass."""
        group, phase = divmod(self._pass, len(PHASES))
        y, x = PHASES[phase]
        self._groups[group][0, y::2, x::2] = values

    def _value(self, number: int) -> Array:
        """A value, which is there already if a layer makes it."""
        if number not in self._values:
            self._values[number] = self._known(*divmod(number, STAGES))
        return self._values[number]

    def _known(self, group: int, stage: int) -> Array:
        return known(self._groups[group], stage)


def known(group: Array, stage: int) -> Array:
    """A group (n, h, w, channels) as it is known when so many phases are decoded: 0 elsewhere."""
    if stage == len(PHASES):
        return group
    made = np.zeros_like(group)
    for y, x in PHASES[:stage]:
        made[:, y::2, x::2] = group[:, y::2, x::2]
    return made


class _Fresh(Scratch):
    """Memory that is let go of with the value in it; only what lives within one layer is used again."""

    def array(self, slot: object, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """The array of a slot that has a name; any other is new."""
        if isinstance(slot, (str, tuple)):
            return super().array(slot, shape, dtype)
        return np.empty(prod(shape), dtype).reshape(shape)
