"""The network of a prior with passes: what its values depend on, and where they lie (spec/model.md, section 10.1).

Owns the rules M10-7 to M10-11, and the plan that a backend executes.  Runs nothing.  The tables that it picks among, and the
order of passes, are container/passes.py's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from numpy.typing import NDArray

from aeformat.container.fields import Place
from aeformat.container.passes import PHASES, NetworkCost, phase_sizes
from aeformat.model.bounds import Span, span_of
from aeformat.model.layers import KINDS, TENSOR_KEYS, Layer, infer
from aeformat.model.parts import Endpoint, PassesSpec
from aeformat.model.step import Step
from aeformat.model.values import EXACT, INTEGER_RANGES, Interval, Shape, TensorSpec, Value

FULL: Final = -1  # the grid of all positions; else the number of a phase
STAGES: Final = 5  # of each group: nothing, and what is known after each phase
_KINDS: Final = ("conv2d", "affine", "add", "concat", "slice", "lookup")
_SIDE: Final = 2  # of the latent that shapes are said of: each phase has one position


@dataclass(frozen=True, slots=True)
class PassGraph:
    """The layers of passes, checked without the numbers of their tensors.

    values: the 5 G known ones, then each layer's output; shapes for a latent of 2 x 2.  grids: of each value.
    """

    spec: PassesSpec
    values: tuple[Value, ...]
    grids: tuple[int, ...]
    n_weights: tuple[int, ...]  # of each layer

    def cost(self, height: int, width: int) -> NetworkCost:
        """What a row takes (container.md, C6-8)."""
        positions = [n_rows * n_columns for n_rows, n_columns in phase_sizes(height, width)]
        positions.append(height * width)  # FULL
        sums = n_elements = 0
        first = len(self.values) - len(self.spec.layers)
        for number, layer in enumerate(self.spec.layers):
            n = positions[self.grids[first + number]]
            made = self.values[first + number].shape[2] * n
            n_elements += made
            sums += 8 * made
            if layer.kind == "conv2d":
                sums += self.n_weights[number] * n
            elif layer.kind == "affine":
                sums += made
            else:
                sums += made * KINDS[layer.kind].n_steps(layer)
        return NetworkCost(len(self.spec.layers), sums, n_elements)


@dataclass(frozen=True, slots=True, eq=False)
class PassPlan:
    """The same with its numbers, ready to execute.  steps: one a layer; their inputs are numbers of values, 5 G and up."""

    graph: PassGraph
    steps: tuple[Step, ...]


def check_passes(place: Place, spec: PassesSpec, tensors: tuple[TensorSpec, ...], input: Endpoint) -> PassGraph:
    """M10-7 to M10-10, and what section 3 says of the layers.  input: the decoder's.  Raises ManifestInvalid, LimitExceeded."""
    n_known = STAGES * len(spec.groups)
    n_channels = input.shape[2]
    if sum(spec.groups) != n_channels:
        raise place.invalid("M10-7", f"groups of {sum(spec.groups)} channels together, the input has {n_channels}")
    n_values = n_known + len(spec.layers)
    if len(spec.outputs) != len(PHASES) * len(spec.groups):
        raise place.invalid("M10-7", f"{len(spec.outputs)} pairs for {len(spec.groups)} groups of 4 phases")
    if max(map(max, spec.outputs)) >= n_values:
        raise place.invalid("M10-7", f"an output is value {max(map(max, spec.outputs))}, there are {n_values}")
    wheres = [place.inside(f"layer {number} ({layer.kind})") for number, layer in enumerate(spec.layers)]
    for where, layer in zip(wheres, spec.layers, strict=True):
        if layer.kind not in _KINDS:
            raise where.invalid("M10-8", f"passes have layers of kind {', '.join(_KINDS)}")
    values = [Value((_SIDE, _SIDE, n), input.type) for n in spec.groups for _ in range(STAGES)]
    grids, n_weights = [FULL] * n_known, []
    for where, layer in zip(wheres, spec.layers, strict=True):
        named = {key: tensors[layer.params[key]] for key in TENSOR_KEYS if key in layer.params}  # type: ignore[index]
        values.append(infer(where, EXACT, layer, tuple(values[i] for i in layer.inputs), named))
        n_weights.append(named["weights"].n_elements if "weights" in named else 0)
        grids.append(_grid(where, layer, [grids[i] for i in layer.inputs], named))
    _check_causal(place, spec)
    for number, pair in enumerate(spec.outputs):
        _check_pair(place, spec, number, [(values[i], grids[i]) for i in pair])
    return PassGraph(spec, tuple(values), tuple(grids), tuple(n_weights))


def _grid(place: Place, layer: Layer, inputs: Sequence[int], tensors: Mapping[str, TensorSpec]) -> int:
    """The grid of a layer's output.  M10-8."""
    grid = inputs[0]
    if any(other != grid for other in inputs):
        raise place.invalid("M10-8", "its inputs lie on grids of several phases")
    if layer.kind == "concat" and layer.params["axis"] != 2:
        raise place.invalid("M10-8", "only channels are joined: axis 2")
    if layer.kind != "conv2d":
        return grid
    kernel, strides, padding = tensors["weights"].shape, layer.params["strides"], layer.params["padding"]
    assert isinstance(padding, tuple)
    (kh, kw), (top, bottom, left, right) = kernel[:2], padding
    if strides == (1, 1) and kh % 2 and kw % 2 and padding == (kh // 2, kh // 2, kw // 2, kw // 2):
        return grid
    phase = kh // 2 - top, kw // 2 - left
    is_odd = kh % 2 and kw % 2 and min(kh, kw) >= 3
    if strides == (2, 2) and is_odd and grid == FULL and (bottom, right) == (kh // 2, kw // 2) and phase in PHASES:
        return PHASES.index(phase)
    what = f"a kernel of {kh} x {kw} with strides {list(strides)} and padding {list(padding)}"  # type: ignore[arg-type]
    raise place.invalid("M10-8", f"{what} goes from no grid to another")


def n_decoded(value: int, spec: PassesSpec, known: Sequence[int]) -> int:
    """How many passes must be decoded before a known value is there; for a layer's, what `known` says."""
    if value >= STAGES * len(spec.groups):
        return known[value - STAGES * len(spec.groups)]
    group, stage = divmod(value, STAGES)
    return len(PHASES) * group + stage if stage else 0


def reach_of_passes(graph: PassGraph) -> int:
    """How many positions around a latent its mean and its pick see."""
    reach = [0] * (len(graph.values) - len(graph.spec.layers))
    for layer in graph.spec.layers:
        padding = layer.params["padding"] if layer.kind == "conv2d" else (0,)
        assert isinstance(padding, tuple)
        apart = 1 if graph.grids[layer.inputs[0]] == FULL else 2
        reach.append(max(reach[i] for i in layer.inputs) + apart * max(padding))
    return max(reach[value] for pair in graph.spec.outputs for value in pair)


def _check_causal(place: Place, spec: PassesSpec) -> None:
    """M10-9."""
    ready: list[int] = []
    used = {i for layer in spec.layers for i in layer.inputs} | {i for pair in spec.outputs for i in pair}
    n_known = STAGES * len(spec.groups)
    for layer in spec.layers:
        ready.append(max(n_decoded(i, spec, ready) for i in layer.inputs))
    for number, pair in enumerate(spec.outputs):
        if max(n_decoded(i, spec, ready) for i in pair) > number:
            raise place.invalid("M10-9", f"pass {number} depends on symbols that are not decoded before it")
    for number in range(n_known, n_known + len(spec.layers)):
        if number not in used:
            raise place.invalid("M10-9", f"nothing takes value {number}")


def _check_pair(place: Place, spec: PassesSpec, number: int, pair: Sequence[tuple[Value, int]]) -> None:
    """M10-10."""
    group, phase = divmod(number, len(PHASES))
    for name, (value, grid), types in zip(("mean", "pick"), pair, (("i8", "u8"), ("u8",)), strict=True):
        if grid != phase or value.shape[2] != spec.groups[group] or value.type not in types:
            where = "all positions" if grid == FULL else f"phase {grid}"
            what = f"the {name} of pass {number} is {value.type} of {value.shape[2]} channels on {where}"
            raise place.invalid("M10-10", f"{what}, not {' or '.join(types)} of {spec.groups[group]} on phase {phase}")


def plan_passes(
    place: Place, graph: PassGraph, tensors: tuple[NDArray[Any], ...], interval: Interval, n_tables: int
) -> PassPlan:
    """Section 4 of the layers, and M10-11.  interval: of the decoder's input.  Raises ManifestInvalid."""
    spec, n_known = graph.spec, STAGES * len(graph.spec.groups)
    spans = [Span(Interval(min(interval.lo, 0), max(interval.hi, 0)))] * n_known
    steps = []
    for number, layer in enumerate(spec.layers):
        where = place.inside(f"layer {number} ({layer.kind})")
        made = graph.values[n_known + number]
        arrays = {key: tensors[layer.params[key]] for key in TENSOR_KEYS if key in layer.params}  # type: ignore[index]
        params = {key: value for key, value in layer.params.items() if key not in arrays}
        span = span_of(where, layer.kind, [spans[i] for i in layer.inputs], made, params, arrays, minor=1)
        spans.append(span)
        shape: Shape = graph.values[layer.inputs[0]].shape
        steps.append(Step(layer.kind, layer.inputs, params, arrays, shape, made, span.interval, span.bounds))
    for number, (_, pick) in enumerate(spec.outputs):
        found = spans[pick].interval
        assert found is not None and graph.values[pick].type in INTEGER_RANGES  # M10-10
        if found.hi >= n_tables:
            raise place.invalid("M10-11", f"pass {number} can pick table {found.hi}, there are {n_tables}")
    return PassPlan(graph, tuple(steps))
