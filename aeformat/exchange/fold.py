"""The same network in fewer layers: what follows a layer with weights and only scales its channels becomes part of it.

Owns four rewrites: an affine layer (a batch normalisation, most often) behind a layer with weights, zeros put around what a
convolution takes, one shape after another, and what changes nothing.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from aeformat.exchange.graph import Array, Graph
from aeformat.model.layers import KINDS
from aeformat.model.package import Step

WEIGHTED: Final = frozenset({"dense", "conv2d", "conv2d_transpose", "affine"})
_SHAPES: Final = frozenset({"reshape", "flatten"})
_MAX_PADDING: Final = 64  # section 3 of spec/model.md


def fold(graph: Graph) -> Graph:
    """A graph that computes the same."""
    made, new = Graph(graph.values[0], graph.profile), {0: 0}
    n_takers = graph.n_takers()
    pads: dict[int, Step] = {}  # values of the old graph that are not made: the convolution that takes them pads
    for number, step in enumerate(graph.steps, 1):
        (source, *_), name = step.inputs, graph.names[number]
        takers = {other.kind for other in graph.steps if number in other.inputs}
        is_passing = bool(takers) and takers <= _SHAPES
        if step.kind in _SHAPES and (is_passing or step.made.shape == step.input_shape):
            new[number] = new[source]
        elif step.kind == "pad" and n_takers[number] == 1 and _goes_into_conv(graph, number):
            pads[number], new[number] = step, new[source]
        elif step.kind == "affine" and _is_identity(step):
            new[number] = new[source]
            made.names[new[source]] = name
        elif (
            step.kind == "affine"
            and n_takers[source] == 1
            and new[source]
            and made.steps[new[source] - 1].kind in WEIGHTED
        ):
            made.replace(new[source], _scaled(made.steps[new[source] - 1], step), name)
            new[number] = new[source]
        elif step.kind == "affine" and n_takers[source] == 1 and (dense := _reshaped_dense(made, new[source])):
            made.replace(dense, _scaled(made.steps[dense - 1], step), name)
            new[number] = new[source]
        elif step.kind == "conv2d" and source in pads:
            padding = _sum(pads[source].integers("padding"), step.integers("padding"))
            params = {**step.params, "padding": padding}
            new[number] = made.add(step.kind, new[source], name=name, **params, **step.arrays)
        else:
            new[number] = made.copy_step(step, [new[i] for i in step.inputs], name)
    return made


def _reshaped_dense(made: Graph, value: int) -> int:
    """The value of a dense layer that goes into nothing but the reshape that makes `value`; 0 if that is not how it is made."""
    step = made.steps[value - 1] if value else None
    if step is None or step.kind not in _SHAPES or not step.inputs[0] or made.n_takers()[step.inputs[0]] > 1:
        return 0
    return step.inputs[0] if made.steps[step.inputs[0] - 1].kind == "dense" else 0


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
