"""Packages as one ONNX graph, exact ones included (opset 17).

Owns which operators a layer becomes.  Images stay [n, h, w, c] u8 at both ends, as in a package.  In the exact profile the
operators are those of section 4 of spec/model.md: products in float32 where the bound is below 2^24, else in float64, and
lookups in float64; so a runtime that sums plainly, as onnxruntime does on a CPU, gives the very integers of the package.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.errors import UsageError
from aeformat.exchange.onnx_file import load_onnx
from aeformat.model.bounds import FLOAT32_EXACT, channel_bounds, half_step
from aeformat.model.manifest import ENCODER, Endpoint
from aeformat.model.package import ModelPackage, Step

Array = NDArray[Any]

_OPSET: Final = 17
_IR_VERSION: Final = 8
_DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "u8": np.dtype(np.uint8),
    "i8": np.dtype(np.int8),
    "f32": np.dtype(np.float32),
}
_NIBBLE: Final = 16


def onnx_bytes(packages: Sequence[ModelPackage]) -> bytes:
    """One file of one package, or of an encoder and its decoder: then latents and image are both outputs.

    Raises UsageError where the package `onnx` is not installed, or an exact convolution is too wide.
    """
    onnx = load_onnx()
    graph = _Graph(onnx)
    first = packages[0]
    value, inputs, outputs = graph.start(first), [_end(onnx, _start_name(first), first.input)], []
    for package in packages:
        value = graph.add(package, value)
        name = "latents" if package.role == ENCODER else "image_out"
        value = graph.named(value, name)
        outputs.append(_end(onnx, name, package.output))
    made = onnx.helper.make_graph(graph.nodes, "aeformat", inputs, outputs, graph.constants)
    model = onnx.helper.make_model(
        made, producer_name="aeformat", ir_version=_IR_VERSION, opset_imports=[onnx.helper.make_opsetid("", _OPSET)]
    )
    about = {
        f"aeformat.{p.role}.{key}": value
        for p in packages
        for key, value in (("model", p.model_id.hex()), ("profile", p.profile))
    }
    onnx.helper.set_model_props(model, about)
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


def _start_name(package: ModelPackage) -> str:
    return "image" if package.role == ENCODER else "latents"


def _end(onnx: Any, name: str, end: Endpoint) -> Any:
    kind = onnx.helper.np_dtype_to_tensor_dtype(_DTYPES[end.type])
    return onnx.helper.make_tensor_value_info(name, kind, ["n", *end.shape])


class _Graph:
    """nodes, constants: of the ONNX graph so far.  Values are names; dtypes: what each of them holds."""

    def __init__(self, onnx: Any) -> None:
        self._onnx = onnx
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.dtypes: dict[str, np.dtype[Any]] = {}

    def start(self, package: ModelPackage) -> str:
        """The graph's input."""
        name = _start_name(package)
        self.dtypes[name] = _DTYPES[package.input.type]
        return name

    def named(self, value: str, name: str) -> str:
        """The value under the name of an output."""
        return self.op("Identity", value, made=name)

    def add(self, package: ModelPackage, start: str) -> str:
        """All layers of a package; the last value."""
        values = [start]
        for step in package.plan:
            values.append(_MAKERS[step.kind](self, step, [values[i] for i in step.inputs]))
        return values[-1]

    def op(self, kind: str, *inputs: str, dtype: Any = None, made: str | None = None, **attributes: Any) -> str:
        """One operator; the name of what it makes, which holds what its first input does if `dtype` does not say."""
        name = made or f"v{len(self.nodes)}"
        self.nodes.append(self._onnx.helper.make_node(kind, list(inputs), [name], **attributes))
        self.dtypes[name] = self.dtypes[inputs[0]] if dtype is None else np.dtype(dtype)
        return name

    def constant(self, array: Any, dtype: Any) -> str:
        """A tensor of the file."""
        name = f"c{len(self.constants)}"
        self.constants.append(self._onnx.numpy_helper.from_array(np.asarray(array, dtype), name))
        self.dtypes[name] = np.dtype(dtype)
        return name

    def stored(self, array: Array, dtype: Any) -> str:
        """A tensor that is kept in its own type, which may be smaller, and used in another."""
        return self.cast(self.constant(array, array.dtype), dtype)

    def cast(self, value: str, dtype: Any) -> str:
        """The value in another type."""
        if self.dtypes[value] == np.dtype(dtype):
            return value
        return self.op("Cast", value, dtype=dtype, to=self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def on_channels_first(self, kind: str, x: str, *others: str, **attributes: Any) -> str:
        """An operator on pixels: ONNX has channels before rows."""
        first = self.op("Transpose", x, perm=(0, 3, 1, 2))
        return self.op("Transpose", self.op(kind, first, *others, **attributes), perm=(0, 2, 3, 1))


Maker = Callable[[_Graph, Step, Sequence[str]], str]


def _sum_dtype(step: Step) -> Any:
    return np.float32 if step.bounds is None or step.bound < FLOAT32_EXACT else np.float64


def _dense(graph: _Graph, step: Step, xs: Sequence[str]) -> str:
    dtype = _sum_dtype(step)
    weights, bias = (graph.stored(step.arrays[key], dtype) for key in ("weights", "bias"))
    return graph.op("Add", graph.op("MatMul", graph.cast(xs[0], dtype), weights), bias)


def _affine(graph: _Graph, step: Step, xs: Sequence[str]) -> str:
    dtype = _sum_dtype(step)
    weights, bias = (graph.stored(step.arrays[key], dtype) for key in ("weights", "bias"))
    return graph.op("Add", graph.op("Mul", graph.cast(xs[0], dtype), weights), bias)


def _conv2d(graph: _Graph, step: Step, xs: Sequence[str]) -> str:
    return _convolved(graph, step, xs[0], "Conv", (3, 2, 0, 1), 3, "padding")


def _conv2d_transpose(graph: _Graph, step: Step, xs: Sequence[str]) -> str:
    return _convolved(graph, step, xs[0], "ConvTranspose", (3, 2, 0, 1), 2, "crop")


def _convolved(graph: _Graph, step: Step, x: str, kind: str, perm: tuple[int, ...], axis: int, sides: str) -> str:
    """onnxruntime convolves in float32 only: weights of a wide layer go in two parts, each of whose sums is exact."""
    top, bottom, left, right = step.integers(sides)
    attributes = {"strides": step.integers("strides"), "pads": (top, left, bottom, right)}
    bias = step.arrays["bias"]
    if _sum_dtype(step) == np.float32:
        tensors = graph.stored(step.arrays["weights"].transpose(perm), np.float32), graph.stored(bias, np.float32)
        return graph.on_channels_first(kind, graph.cast(x, np.float32), *tensors, **attributes)
    whole = step.arrays["weights"].astype(np.int16)
    low = (whole + _NIBBLE // 2) % _NIBBLE - _NIBBLE // 2
    parts = []
    for part, factor in ((low, 1), ((whole - low) // _NIBBLE, _NIBBLE)):
        if max(channel_bounds(part.astype(np.int8), np.zeros_like(bias), axis, 255)) >= FLOAT32_EXACT:
            raise UsageError(
                f"no exact ONNX form: the sums of a {step.kind} reach {step.bound:,}, too wide for float32 in two parts"
            )
        weights = graph.stored(part.astype(np.int8).transpose(perm), np.float32)
        sums = graph.cast(graph.on_channels_first(kind, graph.cast(x, np.float32), weights, **attributes), np.float64)
        parts.append(graph.op("Mul", sums, graph.constant(factor, np.float64)))
    return graph.op("Add", graph.op("Add", *parts), graph.constant(bias, np.float64))


def _add(graph: _Graph, step: Step, xs: Sequence[str]) -> str:
    dtype = _sum_dtype(step)
    return graph.op("Sum", *(graph.cast(x, dtype) for x in xs))


def _concat(graph: _Graph, step: Step, xs: Sequence[str]) -> str:
    return graph.op("Concat", *xs, axis=step.integer("axis") + 1)


def _reshape(graph: _Graph, step: Step, xs: Sequence[str]) -> str:
    return graph.op("Reshape", xs[0], graph.constant([0, *step.made.shape], np.int64))  # 0: as many rows as there are


def _upsample(graph: _Graph, step: Step, xs: Sequence[str]) -> str:
    scales = graph.constant([1, 1, *step.integers("factors")], np.float32)
    how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return graph.on_channels_first("Resize", xs[0], "", scales, **how)


def _pool(kind: str) -> Maker:
    def make(graph: _Graph, step: Step, xs: Sequence[str]) -> str:
        top, bottom, left, right = step.integers("padding")
        size, strides = step.integers("size"), step.integers("strides")
        return graph.on_channels_first(kind, xs[0], kernel_shape=size, strides=strides, pads=(top, left, bottom, right))

    return make


def _pad(graph: _Graph, step: Step, xs: Sequence[str]) -> str:
    top, bottom, left, right = step.integers("padding")
    pads = graph.constant([0, top, left, 0, 0, bottom, right, 0], np.int64)
    return graph.op("Pad", xs[0], pads, graph.constant(step.integer("value"), graph.dtypes[xs[0]]))


def _crop(graph: _Graph, step: Step, xs: Sequence[str]) -> str:
    top, _, left, _ = step.integers("crop")
    height, width, _ = step.made.shape
    ends = [[top, left], [top + height, left + width], [1, 2]]
    return graph.op("Slice", xs[0], *(graph.constant(end, np.int64) for end in ends))


def _scale(graph: _Graph, step: Step, xs: Sequence[str]) -> str:
    num, den = (graph.constant(step.integer(key), np.float32) for key in ("num", "den"))
    return graph.op("Div", graph.op("Mul", graph.cast(xs[0], np.float32), num), den)


def _plain(kind: str, **attributes: Any) -> Maker:
    return lambda graph, step, xs: graph.op(kind, xs[0], **attributes)


def _leaky_relu(graph: _Graph, step: Step, xs: Sequence[str]) -> str:
    return graph.op("LeakyRelu", xs[0], alpha=step.integer("num") / step.integer("den"))


def _gelu(graph: _Graph, step: Step, xs: Sequence[str]) -> str:
    half, root = graph.constant(0.5, np.float32), graph.constant(0.5**0.5, np.float32)
    erf = graph.op("Erf", graph.op("Mul", xs[0], root))
    return graph.op("Mul", xs[0], graph.op("Add", graph.op("Mul", erf, half), half))


def _silu(graph: _Graph, step: Step, xs: Sequence[str]) -> str:
    return graph.op("Mul", xs[0], graph.op("Sigmoid", xs[0]))


def _to_u8(graph: _Graph, step: Step, xs: Sequence[str]) -> str:
    ends = (graph.constant(end, np.float32) for end in (0, 1))
    levels = graph.op("Mul", graph.op("Clip", xs[0], *ends), graph.constant(255, np.float32))
    return graph.cast(graph.op("Floor", graph.op("Add", levels, graph.constant(0.5, np.float32))), np.uint8)


def _lookup(graph: _Graph, step: Step, xs: Sequence[str]) -> str:
    """Section 4's formula in float64, where product, sum, division by a power of two and floor are exact (M4-4)."""
    shift, table = step.integer("shift"), step.arrays["table"]
    multiplier, half = (
        graph.constant(step.arrays["multiplier"], np.float64),
        graph.constant(half_step(shift), np.float64),
    )
    t = graph.op("Add", graph.op("Mul", graph.cast(xs[0], np.float64), multiplier), half)
    t = graph.op("Floor", graph.op("Mul", t, graph.constant(0.5**shift, np.float64)))
    t = graph.op("Add", t, graph.constant(len(table) // 2, np.float64))
    t = graph.op("Clip", t, *(graph.constant(end, np.float64) for end in (0, len(table) - 1)))
    return graph.op("Gather", graph.constant(table, table.dtype), graph.cast(t, np.int64), axis=0)


_MAKERS: Final[dict[str, Maker]] = {
    "dense": _dense,
    "conv2d": _conv2d,
    "conv2d_transpose": _conv2d_transpose,
    "affine": _affine,
    "add": _add,
    "concat": _concat,
    "upsample": _upsample,
    "max_pool": _pool("MaxPool"),
    "average_pool": _pool("AveragePool"),
    "pad": _pad,
    "crop": _crop,
    "reshape": _reshape,
    "flatten": _reshape,
    "scale": _scale,
    "relu": _plain("Relu"),
    "sigmoid": _plain("Sigmoid"),
    "tanh": _plain("Tanh"),
    "elu": _plain("Elu", alpha=1.0),
    "gelu": _gelu,
    "silu": _silu,
    "softplus": _plain("Softplus"),
    "leaky_relu": _leaky_relu,
    "to_u8": _to_u8,
    "lookup": _lookup,
}
