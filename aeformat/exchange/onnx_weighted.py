"""ONNX operators with weights: convolutions, matrix products, and the moves between channels and pixels.

Owns how ONNX orders weights, pads, dilates and groups.  Everything becomes `dense`, `conv2d` or `conv2d_transpose`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.exchange.activations import NoForm
from aeformat.exchange.onnx_canvas import Canvas, Tensor, finite
from aeformat.exchange.onnx_file import Node
from aeformat.model.values import MAX_TENSOR_BYTES

Array = NDArray[Any]
Maker = Callable[[Canvas, Node, Sequence[Any]], Tensor]
Pair = tuple[int, int]
Sides = tuple[int, int, int, int]  # top, bottom, left, right

_PLAIN: Final = {"strides": (1, 1), "padding": (0, 0, 0, 0)}


def two(node: Node, key: str) -> Pair:
    """An attribute for rows and columns, 1 and 1 where it is left out.  Raises NoForm."""
    given = node.integers(key) or (1, 1)
    if len(given) != 2:
        raise NoForm(f"works on {len(given)} axes; here there are rows and columns")
    return given[0], given[1]


def sides(node: Node, shape: Sequence[int], window: Pair, strides: Pair) -> Sides:
    """The padding.  shape: rows and columns of the input.  window: of the kernel, spread by its dilation.  Raises NoForm."""
    auto = node.text("auto_pad", "NOTSET")
    if auto == "VALID":
        return (0, 0, 0, 0)
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        found: list[int] = []
        for n, k, s in zip(shape, window, strides, strict=True):
            total = max(0, (-(-n // s) - 1) * s + k - n)
            less, more = total // 2, total - total // 2
            found += [less, more] if auto == "SAME_UPPER" else [more, less]
        return found[0], found[1], found[2], found[3]
    given = node.integers("pads") or (0, 0, 0, 0)
    if auto != "NOTSET" or len(given) != 4 or min(given) < 0:
        raise NoForm(f"pads {list(given)}, auto_pad {auto}")
    top, left, bottom, right = given
    return top, bottom, left, right


def _constants(xs: Sequence[Any]) -> tuple[Array, Array | None]:
    """Weights and bias."""
    weights, bias = xs[1], xs[2] if len(xs) > 2 else None
    if not isinstance(weights, np.ndarray) or isinstance(bias, Tensor):
        raise NoForm("its weights depend on the image")
    return finite(weights), None if bias is None else finite(bias)


def _kernel(node: Node, weights: Array) -> Array:
    """[a, b, kh, kw], spread by the dilation."""
    if weights.ndim != 4:
        raise NoForm(f"weights of shape {list(weights.shape)}; here images have rows and columns")
    (dh, dw), (a, b, kh, kw) = two(node, "dilations"), weights.shape
    if min(dh, dw, kh, kw) < 1 or (kh - 1) * dh >= 1024 or (kw - 1) * dw >= 1024:
        raise NoForm(f"a kernel of {kh} x {kw}, spread {dh} x {dw}")
    spread = _zeros(a, b, (kh - 1) * dh + 1, (kw - 1) * dw + 1)
    spread[:, :, ::dh, ::dw] = weights
    return spread


def _zeros(*shape: int) -> Array:
    """Weights to be filled.  Raises NoForm where they are more than one tensor may have (M2-6)."""
    n_bytes = 4 * prod(shape)
    if n_bytes > MAX_TENSOR_BYTES:
        what = f"{n_bytes:,} bytes of weights, zeros between groups and places counted"
        raise NoForm(f"{what}; up to {MAX_TENSOR_BYTES:,} are taken")
    return np.zeros(shape, np.float32)


def _grouped(kernel: Array, groups: int) -> Array:
    """[a, b, ...] whose b channels are those of one group -> [a, b * groups, ...], zeros between different groups."""
    a, b = kernel.shape[:2]
    if groups < 1 or a % groups:
        raise NoForm(f"{groups} groups")
    full = _zeros(a, b * groups, *kernel.shape[2:])
    n = a // groups
    for g in range(groups):
        full[g * n : (g + 1) * n, g * b : (g + 1) * b] = kernel[g * n : (g + 1) * n]
    return full


def _conv(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    weights, bias = _constants(xs)
    kernel = _grouped(_kernel(node, weights), node.integer("group", 1)).transpose(2, 3, 1, 0)
    x, strides = canvas.as_pixels(xs[0], node.name), two(node, "strides")
    padding = sides(node, canvas.graph.shape(x)[:2], (kernel.shape[0], kernel.shape[1]), strides)
    made = canvas.graph.add(
        "conv2d", x, name=node.name, weights=kernel, bias=_bias(bias, kernel.shape[3]), strides=strides, padding=padding
    )
    return canvas.pixels(made)


def _conv_transpose(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    weights, bias = _constants(xs)
    kernel = _grouped(_kernel(node, weights), node.integer("group", 1)).transpose(2, 3, 1, 0)
    x, strides = canvas.as_pixels(xs[0], node.name), two(node, "strides")
    shape = canvas.graph.shape(x)[:2]
    kernel, crop = _cropped(node, kernel, shape, strides)
    made = canvas.graph.add(
        "conv2d_transpose", x, name=node.name, weights=kernel, bias=_bias(bias, kernel.shape[2]), strides=strides, crop=crop
    )  # fmt: skip
    return canvas.pixels(made)


def _cropped(node: Node, kernel: Array, shape: Sequence[int], strides: Pair) -> tuple[Array, Sides]:
    """What is cut off; rows that output_padding adds, and nothing is cut off there, are rows of zeros in the kernel."""
    extra = node.integers("output_padding") or (0, 0)
    wanted, auto = node.integers("output_shape"), node.text("auto_pad", "NOTSET")
    if len(extra) != 2 or min(extra) < 0 or (wanted is not None and len(wanted) < 2):
        raise NoForm(f"output_padding {list(extra)}")
    if wanted is None and auto in ("SAME_UPPER", "SAME_LOWER"):
        wanted = tuple(n * s for n, s in zip(shape, strides, strict=True))
    ends: list[tuple[int, int]] = []
    if wanted is None:
        top, bottom, left, right = sides(node, shape, (kernel.shape[0], kernel.shape[1]), strides)
        ends = [(top, bottom - extra[0]), (left, right - extra[1])]
    else:
        for n, s, k, more, size in zip(shape, strides, kernel.shape, extra, wanted[-2:], strict=False):
            total = (n - 1) * s + k + more - size
            less, rest = total // 2, total - total // 2
            first = less if auto == "SAME_UPPER" else rest
            ends.append((first, total - first - more))
    added = [(0, max(0, -end)) for _, end in ends]
    if min(start for start, _ in ends) < 0 or max(n for _, n in added) > 64:
        raise NoForm("pads that make it larger than it is")
    kernel = np.pad(kernel, [*added, (0, 0), (0, 0)])
    crop = tuple(side for start, end in ends for side in (start, max(0, end)))
    return kernel, (crop[0], crop[1], crop[2], crop[3])


def _bias(bias: Array | None, n: int) -> Array:
    return np.zeros(n, np.float32) if bias is None else bias.reshape(-1)


def _gemm(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    """alpha x w + beta c."""
    if node.integer("transA") or not isinstance(xs[0], Tensor):
        raise NoForm("transposes what depends on the image")
    weights, bias = _constants(xs)
    weights = weights.T if node.integer("transB") else weights
    if weights.ndim != 2:
        raise NoForm(f"weights of shape {list(weights.shape)}")
    n = weights.shape[1]
    if bias is not None and bias.size not in (1, n):
        raise NoForm(f"a bias of shape {list(bias.shape)}")
    offset = np.broadcast_to(_bias(bias, n), n) * np.float32(node.number("beta", 1.0))
    return _dense(canvas, node, xs[0], weights * np.float32(node.number("alpha", 1.0)), offset)


def _matmul(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    if not isinstance(xs[0], Tensor):
        raise NoForm("multiplies a constant by what depends on the image; the constant must come second")
    weights, _ = _constants(xs)
    if weights.ndim != 2:
        raise NoForm(f"weights of shape {list(weights.shape)}")
    return _dense(canvas, node, xs[0], weights, np.zeros(weights.shape[1], np.float32))


def _dense(canvas: Canvas, node: Node, x: Tensor, weights: Array, bias: Array) -> Tensor:
    """On the last axis; of many, a convolution of one pixel."""
    graph, name = canvas.graph, node.name
    if not x.shape or weights.shape[0] != x.shape[-1]:
        raise NoForm(f"weights of shape {list(weights.shape)} for {list(x.shape)}")
    weights, bias = np.ascontiguousarray(weights), np.ascontiguousarray(bias)
    if len(x.shape) == 1:
        value = canvas.value_of(x)
        flat = value if len(graph.shape(value)) == 1 else graph.add("flatten", value, name=name)
        ordered = np.empty_like(weights)
        ordered[x.order] = weights
        return canvas.plain(graph.add("dense", flat, name=name, weights=ordered, bias=bias))
    last = len(x.shape) - 1
    value = canvas.arranged(x, range(last + 1), name)
    rows = (prod(x.shape[:-1]), 1, x.shape[-1]) if last != 2 else x.shape
    if graph.shape(value) != rows:
        value = graph.add("reshape", value, name=name, shape=rows)
    made = graph.add("conv2d", value, name=name, weights=weights.reshape(1, 1, *weights.shape), bias=bias, **_PLAIN)
    return Tensor(made, canvas.plain(made).order.reshape(*x.shape[:-1], -1))


def _depth_to_space(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    """Channels become the pixels of blocks: a transposed convolution of zeros and ones."""
    x, size = canvas.as_pixels(xs[0], node.name), node.integer("blocksize")
    n = canvas.graph.shape(x)[2]
    kernel = _blocks(n, size, is_crd=node.text("mode", "DCR") == "CRD")
    made = canvas.graph.add(
        "conv2d_transpose", x, name=node.name, weights=kernel, bias=np.zeros(kernel.shape[2], np.float32),
        strides=(size, size), crop=(0, 0, 0, 0),
    )  # fmt: skip
    return canvas.pixels(made)


def _space_to_depth(canvas: Canvas, node: Node, xs: Sequence[Any]) -> Tensor:
    """The pixels of blocks become channels: a convolution of zeros and ones."""
    x, size = canvas.as_pixels(xs[0], node.name), node.integer("blocksize")
    height, width, n = canvas.graph.shape(x)
    if size < 1 or height % size or width % size:
        raise NoForm(f"blocks of {size} in {height} x {width}")
    kernel = _blocks(n * size * size, size, is_crd=False)
    made = canvas.graph.add(
        "conv2d", x, name=node.name, weights=kernel, bias=np.zeros(kernel.shape[3], np.float32),
        strides=(size, size), padding=(0, 0, 0, 0),
    )  # fmt: skip
    return canvas.pixels(made)


def _blocks(n: int, size: int, *, is_crd: bool) -> Array:
    """[size, size, n / size^2, n]: 1 where channel c of the pixel (i, j) of a block is channel k of n."""
    if not 1 <= size <= 16 or n % (size * size):
        raise NoForm(f"blocks of {size} for {n} channels")
    c = n // (size * size)
    kernel = _zeros(size, size, c, n)
    i, j, k = np.mgrid[:size, :size, :c]
    kernel[i, j, k, (k * size + i) * size + j if is_crd else (i * size + j) * c + k] = 1
    return kernel


WEIGHTED_OPS: Final[dict[str, Maker]] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
}
