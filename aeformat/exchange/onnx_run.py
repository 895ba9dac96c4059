"""What an ONNX network itself gives, by onnxruntime, or by onnx's own reference where that is not installed.

Owns the file that is run: only the nodes that were read and understood, no other part of the one that was given.
"""

from __future__ import annotations

import importlib.util
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.errors import UsageError
from aeformat.exchange.onnx_file import Node, OnnxNet, load_onnx

Array = NDArray[Any]

ONNXRUNTIME: Final = "onnxruntime"
REFERENCE: Final = "onnx's reference"
_IR_VERSION: Final = 10
_FIRST_LINE: Final = 300


def runtime() -> str:
    """Which of the two there is."""
    return ONNXRUNTIME if importlib.util.find_spec(ONNXRUNTIME) is not None else REFERENCE


def run(net: OnnxNet, rows: Array, names: tuple[str, ...], *, by: str) -> list[Array]:
    """The values of these names for (n, *shape) rows of the network's type, one row at a time.  Raises UsageError."""
    model = model_of(net, rows.shape[1:], names)
    call = _session(model, net, names) if by == ONNXRUNTIME else _reference(model, net, names)
    made = [call(rows[i : i + 1]) for i in range(len(rows))]
    return [np.concatenate([one[k] for one in made]) for k in range(len(names))]


def model_of(net: OnnxNet, shape: tuple[int, ...], names: tuple[str, ...]) -> Any:
    """A model of the nodes of a network, for one row of a shape, with values of these names for outputs."""
    onnx = load_onnx()
    helper = onnx.helper
    kind = helper.np_dtype_to_tensor_dtype(net.dtype)
    ends = [helper.make_empty_tensor_value_info(name) for name in names]
    graph = helper.make_graph(
        [_proto(onnx, node) for node in net.nodes],
        "aeformat",
        [helper.make_tensor_value_info(net.input, kind, [1, *shape])],
        ends,
        [onnx.numpy_helper.from_array(np.asarray(array, order="C"), name) for name, array in net.constants.items()],
    )
    return helper.make_model(graph, ir_version=_IR_VERSION, opset_imports=[helper.make_opsetid("", net.opset)])


def shapes_of(net: OnnxNet, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """The shapes of one row that onnx infers, for an input of a shape, where it can."""
    onnx = load_onnx()
    try:
        graph = onnx.shape_inference.infer_shapes(model_of(net, shape, net.outputs)).graph
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        return {}
    found = {}
    for value in (*graph.value_info, *graph.output):
        dims = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        if len(dims) > 1 and all(dims):
            found[value.name] = tuple(dims[1:])
    return found


def _proto(onnx: Any, node: Node) -> Any:
    attributes = {
        key: onnx.numpy_helper.from_array(np.asarray(value, order="C")) if isinstance(value, np.ndarray) else value
        for key, value in node.attributes.items()
    }
    return onnx.helper.make_node(node.op, list(node.inputs), list(node.outputs), name=node.name, **attributes)


def _session(model: Any, net: OnnxNet, names: tuple[str, ...]) -> Any:
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except _failures(onnxruntime) as error:
        raise UsageError(f"onnxruntime cannot load it: {_first_line(error)}") from error

    def call(row: Array) -> list[Array]:
        try:
            return [np.asarray(one) for one in session.run(list(names), {net.input: row})]
        except _failures(onnxruntime) as error:
            raise UsageError(f"onnxruntime cannot run it: {_first_line(error)}") from error

    return call


def _failures(onnxruntime: Any) -> tuple[type[Exception], ...]:
    """What onnxruntime raises: its exceptions have no base of their own."""
    own = vars(onnxruntime.capi.onnxruntime_pybind11_state).values()
    return (
        ValueError,
        RuntimeError,
        TypeError,
        *(one for one in own if isinstance(one, type) and issubclass(one, Exception)),
    )


def _reference(model: Any, net: OnnxNet, names: tuple[str, ...]) -> Any:
    from onnx.reference import ReferenceEvaluator

    session = ReferenceEvaluator(model)

    def call(row: Array) -> list[Array]:
        try:
            return [np.asarray(one) for one in session.run(list(names), {net.input: row})]
        except (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError) as error:
            raise UsageError(f"onnx cannot run it: {_first_line(error)}") from error

    return call


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:_FIRST_LINE]
