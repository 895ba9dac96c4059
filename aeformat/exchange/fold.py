"""The same network in fewer layers: what follows a layer with weights and only scales its channels becomes part of it.

Owns five rewrites in three passes: first a layer with weights of which only some channels are taken makes only those; then what
changes nothing and one shape after another go; then an affine layer (a batch normalisation, most often) goes into the weights
before it, and zeros into the convolution that they are put around.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import numpy as np

from aeformat.model.graph import Array, Graph
from aeformat.model.layers import KINDS
from aeformat.model.package import Step

WEIGHTED: Final = frozenset({"dense", "conv2d", "conv2d_transpose", "affine"})
_SHAPES: Final = frozenset({"reshape", "flatten"})
_MAX_PADDING: Final = 64  # section 3 of spec/model.md


def fold(graph: Graph) -> Graph:
    """A graph that computes the same."""
    return _merged(_without_nothing(_without_slices(graph)))


def _without_slices(graph: Graph) -> Graph:
    """With layers of fewer channels where nothing but slices takes what they make."""
    made, new = Graph(graph.values[0], graph.profile), {0: 0}
    n_takers = graph.n_takers()
    n_slices = Counter(step.inputs[0] for step in graph.steps if step.kind == "slice")
    cut = {i for i in n_slices if i and n_slices[i] == n_takers[i] and graph.steps[i - 1].kind in WEIGHTED - {"affine"}}
    for number, step in enumerate(graph.steps, 1):
        source = step.inputs[0]
        if number in cut:
            continue
        if source in cut:
            whole = graph.steps[source - 1]
            inputs = [new[i] for i in whole.inputs]
            new[number] = made.copy_step(whole, inputs, graph.names[number], _some_channels(whole, step))
        else:
            new[number] = made.copy_step(step, [new[i] for i in step.inputs], graph.names[number])
    return made


def _some_channels(step: Step, part: Step) -> dict[str, Array]:
    axis = KINDS[step.kind].channel_axis
    assert axis is not None  # only layers with weights come here
    taken = slice(part.integer("start"), part.integer("stop"))
    weights = np.moveaxis(np.moveaxis(step.arrays["weights"], axis, 0)[taken], 0, axis)
    return {"weights": np.ascontiguousarray(weights), "bias": step.arrays["bias"][taken]}


def _without_nothing(graph: Graph) -> Graph:
    """Without the affine layers that change nothing, and the shapes that another follows or that are there already."""
    made, new = Graph(graph.values[0], graph.profile), {0: 0}
    for number, step in enumerate(graph.steps, 1):
        source, name = new[step.inputs[0]], graph.names[number]
        takers = {other.kind for other in graph.steps if number in other.inputs}
        is_passing = bool(takers) and takers <= _SHAPES
        if step.kind in _SHAPES and (is_passing or step.made.shape == made.shape(source)):
            new[number] = source
        elif step.kind == "affine" and _is_identity(step):
            new[number] = source
            made.names[source] = name
        else:
            new[number] = made.copy_step(step, [new[i] for i in step.inputs], name)
    return made


def _merged(graph: Graph) -> Graph:
    """Affine layers in the weights before them, and zeros in the convolution that takes them.

    Each value of the given graph is made by a layer of its own (`_without_nothing`), so the takers are counted there: of two
    values that become one here, the first has no other taker.
    """
    made, new = Graph(graph.values[0], graph.profile), {0: 0}
    n_takers = graph.n_takers()
    pads: dict[int, Step] = {}  # values of the old graph that are not made: the convolution that takes them pads
    for number, step in enumerate(graph.steps, 1):
        source, name = step.inputs[0], graph.names[number]
        if step.kind == "pad" and n_takers[number] == 1 and _goes_into_conv(graph, number):
            pads[number], new[number] = step, new[source]
        elif step.kind == "affine" and (weighted := _weights_before(graph, source, n_takers, made, new)):
            made.replace(weighted, _scaled(made.steps[weighted - 1], step), name)
            new[number] = new[source]
        elif step.kind == "conv2d" and source in pads:
            padding = _sum(pads[source].integers("padding"), step.integers("padding"))
            params = {**step.params, "padding": padding}
            new[number] = made.add(step.kind, new[source], name=name, **params, **step.arrays)
        else:
            new[number] = made.copy_step(step, [new[i] for i in step.inputs], name)
    return made


def _weights_before(graph: Graph, source: int, n_takers: Counter[int], made: Graph, new: dict[int, int]) -> int:
    """The new value of a layer with weights that goes into nothing but one taker of the old value `source`; 0 for none.

    Between a dense layer and that one there may be shapes.
    """
    kinds = WEIGHTED
    while new[source] and n_takers[source] == 1:
        kind, step = made.steps[new[source] - 1].kind, graph.steps[source - 1]
        if kind in kinds:
            return new[source]
        if kind not in _SHAPES:
            return 0
        if step.kind in _SHAPES:
            kinds = frozenset({"dense"})
        source = step.inputs[0]
    return 0


def _goes_into_conv(graph: Graph, number: int) -> bool:
    """Whether the one layer that takes the value is a convolution that can do this padding itself."""
    taker = next((step for step in graph.steps if number in step.inputs), None)
    step = graph.steps[number - 1]
    if taker is None or taker.kind != "conv2d" or step.integer("value"):
        return False
    return max(_sum(step.integers("padding"), taker.integers("padding"))) <= _MAX_PADDING


def _sum(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(x + y for x, y in zip(a, b, strict=True))


def _is_identity(step: Step) -> bool:
    return bool((step.arrays["weights"] == 1).all() and not step.arrays["bias"].any())


def _scaled(step: Step, affine: Step) -> dict[str, Array]:
    """(w x + b) a + c = (w a) x + (b a + c), worked out in float64.  A dense layer may make several pixels of channels."""
    axis = KINDS[step.kind].channel_axis
    assert axis is not None  # only layers with weights come here
    n_made = len(step.arrays["bias"])
    factor, offset = (np.resize(affine.arrays[key].astype(np.float64), n_made) for key in ("weights", "bias"))
    along = [1] * step.arrays["weights"].ndim
    along[axis] = -1
    weights = step.arrays["weights"] * factor.reshape(along)
    bias = step.arrays["bias"] * factor + offset
    return {"weights": weights.astype(np.float32), "bias": bias.astype(np.float32)}
