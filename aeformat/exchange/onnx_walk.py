"""From ONNX operators to layers of the registry, one after the other.

Owns the table of operators that have a form here, and the refusal of all others, by name and at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from aeformat.errors import LimitExceeded, ManifestInvalid, UsageError
from aeformat.exchange.activations import NoForm
from aeformat.exchange.onnx_arithmetic import ARITHMETIC_OPS
from aeformat.exchange.onnx_canvas import Canvas, Tensor
from aeformat.exchange.onnx_constants import fold_constants, shape_of
from aeformat.exchange.onnx_file import Node
from aeformat.exchange.onnx_pointwise import POINTWISE_OPS
from aeformat.exchange.onnx_prune import Pruned
from aeformat.exchange.onnx_run import shapes_of
from aeformat.exchange.onnx_shapes import SHAPE_OPS
from aeformat.exchange.onnx_weighted import WEIGHTED_OPS

_MOST_FOLDED: Final = 1 << 26  # numbers that follow from constants, in all
_OPS: Final[dict[str, Callable[[Canvas, Node, Sequence[Any]], Any]]] = {
    **ARITHMETIC_OPS,
    **POINTWISE_OPS,
    **WEIGHTED_OPS,
    **SHAPE_OPS,
}


def walk(pruned: Pruned, canvas: Canvas, start: Tensor) -> dict[str, Any]:
    """All values by name: tensors, and arrays of constants.  start: the input.

    Raises UsageError: all that has no form, as far as shapes are known.
    """
    net = pruned.net
    values: dict[str, Any] = {**net.constants, net.input: start, "": None}
    refused: list[str] = []
    n_folded = 0
    shapes: dict[str, tuple[int, ...]] | None = None
    for node in net.nodes:
        inputs = [values.get(name, _UNKNOWN) for name in node.inputs]
        if any(one is _UNKNOWN for one in inputs):
            continue
        try:
            made = _made(canvas, node, inputs)
        except (NoForm, ManifestInvalid, LimitExceeded, RecursionError) as error:
            refused.append(_refusal(node, error))
            shapes = shapes_of(net, start.shape) if shapes is None else shapes
            made = [_stand_in(canvas, shapes.get(name), name) for name in node.outputs]
        values.update(zip(node.outputs, made, strict=False))
        n_folded += sum(one.size for one in made if isinstance(one, np.ndarray))
        if n_folded > _MOST_FOLDED:
            raise UsageError(
                f"{node.label}) and what stands before it make too many constants; export with constants folded"
            )
        if pruned.bottleneck in node.outputs and not refused:
            _begin_decoder(canvas, values, pruned.bottleneck)
        elif canvas.latents is not None:
            values[pruned.bottleneck] = canvas.latents  # in another order, perhaps
    if refused:
        what = ", ".join(dict.fromkeys(refused))
        raise UsageError(f"no form here for {what}; spec/model.md, section 3, lists what has one")
    return values


_UNKNOWN: Final = object()


def _made(canvas: Canvas, node: Node, inputs: list[Any]) -> Sequence[Any]:
    if not any(isinstance(one, Tensor) for one in inputs):
        folded = fold_constants(node, inputs)
        if folded is None:
            raise NoForm(_ADVICE.get(node.op, "of constants; export with constants folded"))
        return folded
    if isinstance(inputs[0], Tensor):
        constant = shape_of(node, (1, *inputs[0].shape))
        if constant is not None:
            return constant
    if node.op not in _OPS:
        raise NoForm(_ADVICE.get(node.op, "not in the registry of layers"))
    made = _OPS[node.op](canvas, node, inputs)
    return made if isinstance(made, list) else [made]


def _begin_decoder(canvas: Canvas, values: dict[str, Any], name: str) -> None:
    latents = values[name]
    if not isinstance(latents, Tensor):
        raise UsageError(f"the bottleneck {name!r} is a constant")
    try:
        canvas.latents = Tensor(canvas.value_of(latents), latents.order)
    except NoForm as error:
        raise UsageError(f"the bottleneck {name!r} is no value here: {error.label}: {error})") from error


def _stand_in(canvas: Canvas, shape: tuple[int, ...] | None, name: str) -> Any:
    """Of what has no form, so that what stands behind it can be looked at."""
    if not name or not shape:
        return _UNKNOWN
    if len(shape) == 3:
        return canvas.pixels(canvas.graph.add_unknown((*shape[1:], shape[0]), name))
    return canvas.plain(canvas.graph.add_unknown(shape, name))


def _refusal(node: Node, error: NoForm | ManifestInvalid | LimitExceeded | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return f"{node.label}: stands behind too many other functions)"
    what = str(error) if isinstance(error, NoForm) else error.what
    label = error.label if isinstance(error, NoForm) and error.label is not None else node.label
    return f"{label}: {what})"


_DRAWS: Final = "draws at random; give the mean for the bottleneck, or export one that gives the mean to the decoder"
_NORM: Final = "its factors depend on the image; train with BatchNorm2d, or with no norm"
_QUANTISED: Final = "quantised; export it before it is quantised, an exact import makes integers"
_ADVICE: Final = {
    **dict.fromkeys(("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli"), _DRAWS),
    **dict.fromkeys(
        ("InstanceNormalization", "GroupNormalization", "LayerNormalization", "RMSNormalization", "LpNormalization"),
        _NORM,
    ),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger"), _QUANTISED),
}
