"""Small ONNX networks, written node by node, one for each thing that a network can have.  No torch is needed for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


@dataclass
class Net:
    """A network that is being written.  Values are names."""

    shape: tuple[int | str, ...] = ("n", 1, 8, 8)
    opset: int = 20
    kind: int = TensorProto.FLOAT
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def op(self, op: str, *inputs: str, made: str | None = None, n: int = 1, **attributes: Any) -> Any:
        """One node; the name of what it makes, or the names of several."""
        names = [made or f"{op.lower()}_{len(self.nodes)}" + (f"_{i}" if n > 1 else "") for i in range(n)]
        self.nodes.append(helper.make_node(op, list(inputs), names, name=f"/{op}_{len(self.nodes)}", **attributes))
        return names[0] if n == 1 else names

    def constant(self, array: Any, dtype: Any = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def ints(self, *numbers: int) -> str:
        return self.constant(numbers, np.int64)

    def random(self, *shape: int, scale: float = 0.3) -> str:
        return self.constant(self.rng.normal(0, scale, shape))

    def conv(self, x: str, c: int, d: int, k: int = 3, made: str | None = None, groups: int = 1, **more: Any) -> str:
        more = {"pads": [k // 2] * 4, "group": groups, **more}
        return self.op("Conv", x, self.random(d, c // groups, k, k), self.random(d), made=made, **more)

    def up(self, x: str, c: int, d: int, k: int = 4, groups: int = 1, **more: Any) -> str:
        more = {"strides": [2, 2], "pads": [1, 1, 1, 1], "group": groups, **more}
        return self.op("ConvTranspose", x, self.random(c, d // groups, k, k), self.random(d), **more)

    def linear(self, x: str, n: int, m: int, made: str | None = None) -> str:
        return self.op("Gemm", x, self.random(m, n, scale=0.2), self.random(m), made=made, transB=1)

    def model(self, *outputs: str) -> Any:
        ends = [helper.make_empty_tensor_value_info(name) for name in outputs]
        start = helper.make_tensor_value_info("x", self.kind, list(self.shape))
        graph = helper.make_graph(self.nodes, "net", [start], ends, self.constants)
        return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", self.opset)])

    def save(self, path: Path, *outputs: str) -> Path:
        onnx.save(self.model(*outputs), path)
        return path


Part = Callable[[Net, str], str]


def autoencoder(part: Part, *, channels: int = 4, back: Part | None = None, **more: Any) -> Net:
    """[1, 8, 8] -> 4 channels -> the part -> [4, 8, 8] again or what `back` makes so -> latents -> image, called y."""
    net = Net(**more)
    x = part(net, net.op("Tanh", net.conv("x", 1, channels)))
    x = x if back is None else back(net, x)
    z = net.conv(x, channels, 2, made="z")
    net.op("Sigmoid", net.conv(net.op("Relu", net.conv(z, 2, 4)), 4, 1), made="y")
    return net


def _silu(net: Net, x: str) -> str:
    return net.op("Mul", x, net.op("Sigmoid", x))


def gelu_of_old_opsets(net: Net, x: str, order: int = 0) -> str:
    """As exporters write it where the opset has no Gelu; three ways to multiply."""
    erf = net.op("Erf", net.op("Div", x, net.constant(2**0.5)))
    both = net.op("Add", erf, net.constant(1.0))
    half = net.constant(0.5)
    if order == 0:
        return net.op("Mul", net.op("Mul", x, both), half)
    if order == 1:
        return net.op("Mul", net.op("Mul", x, half), both)
    return net.op("Mul", x, net.op("Mul", half, both))


def _residual(net: Net, x: str) -> str:
    inner = net.conv(net.op("Relu", net.conv(x, 4, 4)), 4, 4, k=1)
    added = net.op("Add", x, batch_norm(net, inner))
    return net.conv(net.op("Concat", added, x, inner, axis=1), 12, 4)


def batch_norm(net: Net, x: str, c: int = 4) -> str:
    scale, offset, mean = (net.random(c) for _ in range(3))
    variance = net.constant(net.rng.uniform(0.5, 1.5, c))
    return net.op("BatchNormalization", x, scale, offset, mean, variance, epsilon=1e-3)


def _unary(op: str, **attributes: Any) -> Part:
    return lambda net, x: net.op(op, x, **attributes)


def _with_constant(op: str, array: Any, *, first: bool = False) -> Part:
    def part(net: Net, x: str) -> str:
        c = net.constant(array)
        return net.op(op, *((c, x) if first else (x, c)))

    return part


def _clip(*ends: float | None) -> Part:
    return lambda net, x: net.op("Clip", x, *("" if end is None else net.constant(end) for end in ends))


CHANNELS = np.asarray([0.5, -1.0, 2.0, 0.25], np.float32).reshape(4, 1, 1)
PLACES = np.random.default_rng(1).normal(0, 0.5, (4, 8, 8)).astype(np.float32)

# name: a part that keeps the shape [4, 8, 8]
POINTWISE: dict[str, Part] = {
    "relu": _unary("Relu"),
    "tanh": _unary("Tanh"),
    "softplus": _unary("Softplus"),
    "leaky relu": _unary("LeakyRelu", alpha=0.1),
    "elu": _unary("Elu", alpha=0.5),
    "celu": _unary("Celu", alpha=0.5),
    "selu": _unary("Selu"),
    "hard sigmoid": _unary("HardSigmoid", alpha=1 / 6, beta=0.4),
    "gelu": _unary("Gelu"),
    "gelu of old opsets": gelu_of_old_opsets,
    "gelu, the half first": lambda net, x: gelu_of_old_opsets(net, x, 1),
    "gelu, the half inside": lambda net, x: gelu_of_old_opsets(net, x, 2),
    "silu": _silu,
    "silu of a sum": lambda net, x: _silu(net, net.op("Add", x, net.constant(0.3))),
    "softplus by its formula": lambda net, x: net.op("Log", net.op("Add", net.op("Exp", x), net.constant(1.0))),
    "sigmoid by its formula": lambda net, x: net.op(
        "Reciprocal", net.op("Add", net.op("Exp", net.op("Neg", x)), net.constant(1.0))
    ),
    "softplus in two pieces": lambda net, x: net.op("Where", net.op("Greater", x, net.constant(20.0)), x, net.op("Softplus", x)),
    "prelu": lambda net, x: net.op("PRelu", x, net.constant(np.abs(CHANNELS) / 4)),
    "clip": _clip(-0.5, 0.4),
    "clip below": _clip(-0.25),
    "clip above": _clip(None, 0.25),
    "clip to nothing": _clip(-3e38, None),
    "max": _with_constant("Max", 0.1),
    "min": _with_constant("Min", 0.1),
    "abs": _unary("Abs"),
    "neg": _unary("Neg"),
    "times channels": _with_constant("Mul", CHANNELS),
    "plus channels": _with_constant("Add", CHANNELS, first=True),
    "plus places": _with_constant("Add", PLACES),
    "minus": _with_constant("Sub", CHANNELS),
    "minus, the constant first": _with_constant("Sub", CHANNELS, first=True),
    "divided": _with_constant("Div", CHANNELS),
    "batch norm": batch_norm,
    "a sum of three": lambda net, x: net.op("Sum", x, net.op("Relu", x), x),
    "a difference": lambda net, x: net.op("Sub", x, net.op("Relu", x)),
    "a cast": lambda net, x: net.op("Cast", net.op("Cast", x, to=TensorProto.DOUBLE), to=TensorProto.FLOAT),
    "dropout": _unary("Dropout"),
    "identity": _unary("Identity"),
}  # fmt: skip


def _pads(net: Net, x: str) -> str:
    x = net.op("Pad", x, net.ints(0, 0, 1, 2, 0, 0, 2, 0), net.constant(0.0))
    return net.op("Pad", x, net.ints(0, 0, -1, -2, 0, 0, -2, 0))


def _ones_around(net: Net, x: str) -> str:
    return net.conv(net.op("Pad", x, net.ints(1, 1, 1, 1), net.constant(1.0), net.ints(2, 3)), 4, 4, pads=[0] * 4)


def _slices(net: Net, x: str) -> str:
    """Halves of the channels in the other order, and rows and columns cut off and put back."""
    a = net.op("Slice", x, net.ints(0), net.ints(2), net.ints(1))
    b = net.op("Slice", x, net.ints(-2), net.ints(2**62), net.ints(1))
    x = net.op("Concat", b, a, axis=1)
    top = net.op("Slice", x, net.ints(0, 0), net.ints(3, 8), net.ints(2, 3), net.ints(1, 1))
    rest = net.op("Slice", x, net.ints(3), net.ints(8), net.ints(2))
    return net.op("Concat", rest, top, axis=2)


def _split(net: Net, x: str) -> str:
    a, b = net.op("Split", x, n=2, axis=1, num_outputs=2)
    return net.op("Concat", b, net.op("Relu", a), axis=1)


def _flat(net: Net, x: str) -> str:
    """To a vector and back, in ways that exporters write; a dense layer between."""
    shape = net.op("Shape", x)
    rows = net.op("Unsqueeze", net.op("Gather", shape, net.constant(0, np.int64), axis=0), net.ints(0))
    flat = net.op("Reshape", x, net.op("Concat", rows, net.ints(-1), axis=0))
    flat = net.op("Relu", net.linear(net.op("Dropout", flat), 256, 256))
    return net.op("Reshape", flat, net.op("Concat", rows, net.ints(4, 8, 8), axis=0))


def _twisted(net: Net, x: str) -> str:
    """Rows and columns change places, channels are the last, and all is flat in between."""
    x = net.op("Transpose", x, perm=[0, 3, 2, 1])
    x = net.op("Relu", net.op("Reshape", x, net.ints(0, -1)))
    x = net.op("MatMul", x, net.random(256, 32, scale=0.1))
    x = net.op("Add", net.op("MatMul", x, net.random(32, 256, scale=0.3)), net.random(256))
    return net.op("Transpose", net.op("Reshape", x, net.ints(-1, 8, 8, 4)), perm=[0, 3, 2, 1])


def _tokens(net: Net, x: str) -> str:
    """A matrix product on the channels of every pixel."""
    x = net.op("Transpose", net.op("Reshape", x, net.ints(0, 4, 64)), perm=[0, 2, 1])
    x = net.op("Add", net.op("MatMul", x, net.random(4, 4)), net.random(4))
    return net.op("Reshape", net.op("Transpose", x, perm=[0, 2, 1]), net.ints(0, 4, 8, 8))


def _squeezed(net: Net, x: str) -> str:
    x = net.op("Squeeze", net.op("Unsqueeze", x, net.ints(1, -1)), net.ints(1, 5))
    return net.op("Reshape", net.op("Flatten", x, axis=2), net.ints(0, 4, 8, 8))  # [n c, h w], then back


def _resized(**how: Any) -> Part:
    return lambda net, x: net.op("Resize", x, "", net.constant([1, 1, 2, 3]), mode="nearest", **how)


def _sized(net: Net, x: str) -> str:
    """To a size that is worked out of the shape, as F.interpolate is exported."""
    size = net.op("Mul", net.op("Slice", net.op("Shape", x), net.ints(2), net.ints(4)), net.ints(2, 2))
    wanted = net.op("Concat", net.op("Shape", x, start=0, end=2), size, axis=0)
    return net.op("Resize", x, "", "", wanted, nearest_mode="floor", coordinate_transformation_mode="asymmetric")


def _down(net: Net, x: str) -> str:
    return net.conv(x, 4, 4, k=2, strides=[2, 2], pads=[0] * 4)


def _down_by(rows: int, columns: int) -> Part:
    return lambda net, x: net.op("Conv", x, net.random(4, 4, rows, columns), net.random(4), strides=[rows, columns])


def _up(net: Net, x: str) -> str:
    return net.up(x, 4, 4)


def _pooled(op: str, **how: Any) -> Part:
    return lambda net, x: net.op(op, x, **{"kernel_shape": [2, 2], "strides": [2, 2], **how})


def _gate(net: Net, x: str) -> str:
    """Means of the channels, through a dense layer, as if they were a pixel."""
    mean = net.op("Flatten", net.op("GlobalAveragePool", x))
    return net.op("Reshape", net.op("Relu", net.linear(mean, 4, 256)), net.ints(-1, 4, 8, 8))


# name: (a part, what leads back to [4, 8, 8])
SHAPED: dict[str, tuple[Part, Part | None]] = {
    "residual block and concat": (_residual, None),
    "pads and negative pads": (_pads, None),
    "ones around": (_ones_around, None),
    "slices": (_slices, None),
    "split": (_split, None),
    "flat and back": (_flat, None),
    "twisted": (_twisted, None),
    "a product on the channels": (_tokens, None),
    "nearest, asymmetric": (_resized(coordinate_transformation_mode="asymmetric", nearest_mode="floor"), _down_by(2, 3)),
    "nearest, half pixel": (_resized(), _down_by(2, 3)),
    "nearest to a size": (_sized, _down),
    "transposed, output padding": (lambda net, x: net.up(x, 4, 4, k=3, output_padding=[1, 1]), _down),
    "transposed, more output padding than pads": (
        lambda net, x: net.up(x, 4, 4, k=2, pads=[0] * 4, strides=[3, 2], output_padding=[1, 0]), _down_by(3, 2),
    ),
    "transposed, uneven pads": (lambda net, x: net.up(x, 4, 4, k=5, pads=[0, 2, 3, 1]), _down),
    "transposed to a size": (lambda net, x: net.up(x, 4, 4, k=3, pads=None, output_shape=[16, 16]), _down),
    "transposed in groups": (lambda net, x: net.up(x, 4, 4, groups=2, dilations=[1, 1]), _down),
    "transposed, dilated": (lambda net, x: net.up(x, 4, 4, k=2, dilations=[3, 3]), _down),
    "grouped": (lambda net, x: net.conv(x, 4, 4, groups=2), None),
    "depthwise, dilated": (lambda net, x: net.conv(x, 4, 4, groups=4, dilations=[2, 2], pads=[2] * 4), None),
    "uneven strides and pads": (
        lambda net, x: net.conv(x, 4, 4, k=4, strides=[2, 1], pads=[1, 3, 1, 0]),
        lambda net, x: net.up(x, 4, 4, k=2, strides=[2, 1], pads=[0, 0, 0, 1]),
    ),
    "same, the odd row below": (lambda net, x: net.conv(x, 4, 4, k=4, pads=None, auto_pad="SAME_UPPER"), None),
    "same, the odd row above": (lambda net, x: net.conv(x, 4, 4, k=4, pads=None, auto_pad="SAME_LOWER"), None),
    "max pool": (_pooled("MaxPool"), _up),
    "max pool with pads": (_pooled("MaxPool", kernel_shape=[3, 3], pads=[1] * 4), _up),
    "max pool, the last window not full": (_pooled("MaxPool", kernel_shape=[3, 3], ceil_mode=1), _up),
    "average pool": (_pooled("AveragePool"), _up),
    "average pool with pads": (_pooled("AveragePool", kernel_shape=[3, 3], pads=[1] * 4), _up),
    "average pool that counts pads": (
        _pooled("AveragePool", kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1), _up,
    ),
    "global means": (_gate, None),
    "reduced means": (
        lambda net, x: net.op("ReduceMean", x, net.ints(2, 3), keepdims=0),
        lambda net, x: net.op("Reshape", net.linear(x, 4, 256), net.ints(-1, 4, 8, 8)),
    ),
    "pixel shuffle": (
        lambda net, x: net.op("DepthToSpace", net.conv(x, 4, 16), blocksize=2, mode="CRD"), _down,
    ),
    "depth to space": (lambda net, x: net.op("DepthToSpace", net.conv(x, 4, 16), blocksize=2), _down),
    "space to depth": (
        lambda net, x: net.op("SpaceToDepth", x, blocksize=2), lambda net, x: net.up(x, 16, 4),
    ),
}  # fmt: skip


def dense(shape: Sequence[int | str] = ("n", 64), opset: int = 20) -> Net:
    """Pixels in one row, as many as a digit of 8 x 8 has."""
    net = Net(shape=tuple(shape), opset=opset)
    x = net.op("Relu", net.linear("x", 64, 20))
    z = net.linear(x, 20, 5, made="z")
    net.op("Sigmoid", net.linear(net.op("Tanh", net.linear(z, 5, 20)), 20, 64), made="y")
    return net


def photo(opset: int = 20, **more: Any) -> Net:
    """A network of any height and width: 4 x 4 pixels to one of the latent."""
    net = Net(shape=("n", 3, "h", "w"), opset=opset, **more)
    x = _silu(net, batch_norm(net, net.conv("x", 3, 4, strides=[2, 2])))
    x = net.op("Add", x, net.op("LeakyRelu", net.conv(x, 4, 4), alpha=0.125))
    net.op("Split", net.conv(x, 4, 6, k=5, strides=[2, 2]), n=2, axis=1, num_outputs=2)
    net.nodes[-1].output[0] = "z"
    x = net.op("Relu", net.up("z", 3, 4, k=3, output_padding=[1, 1]))
    x = net.op(
        "Resize", x, "", net.constant([1, 1, 2, 2]), coordinate_transformation_mode="asymmetric", nearest_mode="floor"
    )
    net.op("Sigmoid", net.conv(x, 4, 3), made="y")
    return net
