"""What a network computes (model.md, sections 3 to 6): loops over lists, nothing else.

Profile "exact" in Python's integers; profile "float32" in Python's floats, which are binary64: the evaluation that
section 5 measures by.
"""

from __future__ import annotations

import math
import struct
from typing import Any

from . import free
from .errors import SpecError
from .model import WEIGHTED, Model, endpoint_range, golden_maps, half, rows_of
from .sizes import count
from .values import Number

Values = list[Number]


def run_rows(
    model: Model, rows: list[Values], sizes: list[list[int]] | None = None, images: Any = None
) -> list[Values]:
    """Each row, flat in C order, through the network.

    sizes: with free sizes, height and width of each row.  images: of what a decoder makes of it; by default all.
    """
    # M3-12
    for k, (height, width) in enumerate(sizes or []):
        assert model.scale
        given, channels = (height, width), [model.manifest[end]["shape"][2] for end in ("input", "output")]
        if model.manifest["role"] == "encoder":
            free.check_row(model.scale, free.latent_of(model.scale, given), given, (channels[1], channels[0]), 0)
        else:
            whole = height * model.scale[0], width * model.scale[1]
            image: free.Size = (images[k][0], images[k][1]) if images else whole
            free.check_row(model.scale, given, image, (channels[0], channels[1]), 0)
    # M4-7: its place in the rows
    range_ = endpoint_range(model.manifest["input"])
    for i, x in enumerate(x for row in rows for x in row):
        if range_ and not range_[0] <= x <= range_[1]:
            raise SpecError("M4-7", i, f"input {x}, range {range_}")
    if model.scale is None:
        return [_run_row(model, row, model.shapes) for row in rows]
    assert sizes is not None
    cuts = images or [None] * len(rows)
    return [_run_free(model, row, (h, w), cut) for row, (h, w), cut in zip(rows, sizes, cuts, strict=True)]


def _run_free(model: Model, row: Values, size: free.Size, image: list[int] | None) -> Values:
    """Section 3.1: the image continued, or the output cut."""
    scale, first, last = model.scale, model.shapes[0], model.shapes[-1]
    assert scale
    if model.manifest["role"] == "encoder":
        row, size = free.continued(row, size, first[2], scale)
    latent = size[0] // first[0], size[1] // first[1]
    shapes = [[f * latent[0], g * latent[1], c] for f, g, c in model.shapes]
    made = _run_row(model, row, shapes)
    if image is None:
        return made
    return free.cut(made, (latent[0] * last[0], latent[1] * last[1]), last[2], (image[0], image[1]))


def _run_row(model: Model, row: Values, shapes: list[list[int]]) -> Values:
    results = [row]
    for k, layer in enumerate(model.manifest["layers"]):
        sources = layer["inputs"]
        xs, of_xs = [results[i] for i in sources], [shapes[i] for i in sources]
        results.append(layer_of(model, layer, xs, of_xs, shapes[k + 1]))
    return results[-1]


def layer_of(
    model: Model, layer: dict[str, Any], xs: list[Values], shapes: list[list[int]], shape_after: list[int]
) -> Values:
    """What one layer makes of its inputs."""
    if layer["kind"] == "add":
        return [sum(numbers) for numbers in zip(*xs, strict=True)]
    if layer["kind"] == "concat":
        return _concat(layer["axis"], xs, shapes)
    return _layer(model, layer, xs[0], shapes[0], shape_after)


def _layer(model: Model, layer: dict[str, Any], x: Values, shape: list[int], shape_after: list[int]) -> Values:
    kind = layer["kind"]
    if kind in WEIGHTED:
        weights, bias = model.tensors[layer["weights"]], model.tensors[layer["bias"]].values
        w = weights.values
        if kind == "affine":
            return [value * w[i % len(w)] + bias[i % len(w)] for i, value in enumerate(x)]
        if kind == "dense":
            n, m = weights.shape
            return [sum(x[i] * w[i * m + j] for i in range(n)) + bias[j] for j in range(m)]
        return (_conv2d if kind == "conv2d" else _conv2d_transpose)(
            layer, x, shape, w, weights.shape, bias, shape_after
        )
    if kind in ("reshape", "flatten"):
        return x
    if kind == "slice":
        return [value for i, value in enumerate(x) if layer["start"] <= i % shape[-1] < layer["stop"]]
    if kind in ("upsample", "max_pool", "average_pool", "pad", "crop"):
        return _moved(layer, x, shape, shape_after)
    if kind == "lookup":
        return _lookup(model, layer, x, shape[-1])
    if kind in ("scale", "leaky_relu"):
        num, den = layer["num"], layer["den"]
        if kind == "scale":
            return [_float32(_float32(value * num) / den) for value in x]
        return [value if value >= 0 else value * num / den for value in x]
    return [_FUNCTIONS[kind](value) for value in x]


def _conv2d(
    layer: dict[str, Any], x: Values, shape: list[int], w: Values, w_shape: list[int], bias: Values, after: list[int]
) -> Values:
    """Cross-correlation over an input with zeros around it."""
    (height, width, c), (kh, kw, _, d) = shape, w_shape
    sh, sw = layer["strides"]
    top, _, left, _ = layer["padding"]
    y: Values = []
    for row in range(after[0]):
        for column in range(after[1]):
            for j in range(d):
                total: Number = 0
                for a in range(kh):
                    for b in range(kw):
                        r, s = row * sh + a - top, column * sw + b - left
                        if 0 <= r < height and 0 <= s < width:
                            for i in range(c):
                                total += x[(r * width + s) * c + i] * w[((a * kw + b) * c + i) * d + j]
                y.append(total + bias[j])
    return y


def _conv2d_transpose(
    layer: dict[str, Any], x: Values, shape: list[int], w: Values, w_shape: list[int], bias: Values, after: list[int]
) -> Values:
    """Every input pixel adds its values times the kernel; then the crop; then the bias."""
    (height, width, c), (kh, kw, d, _) = shape, w_shape
    sh, sw = layer["strides"]
    top, _, left, _ = layer["crop"]
    y: Values = [0] * count(after)
    for row in range(height):
        for column in range(width):
            for a in range(kh):
                for b in range(kw):
                    r, s = row * sh + a - top, column * sw + b - left
                    if 0 <= r < after[0] and 0 <= s < after[1]:
                        for j in range(d):
                            for i in range(c):
                                y[(r * after[1] + s) * d + j] += (
                                    x[(row * width + column) * c + i] * w[((a * kw + b) * d + j) * c + i]
                                )
    return [value + bias[n % d] for n, value in enumerate(y)]


def _concat(axis: int, xs: list[Values], shapes: list[list[int]]) -> Values:
    """Each input, cut into the pieces that lie together."""
    n_outer = count(shapes[0][:axis])
    pieces = [count(shape[axis:]) for shape in shapes]
    return [value for i in range(n_outer) for x, n in zip(xs, pieces, strict=True) for value in x[i * n : (i + 1) * n]]


def _moved(layer: dict[str, Any], x: Values, shape: list[int], after: list[int]) -> Values:
    """upsample, the pools, pad and crop, one number of the output after the other."""
    (height, width, c), kind = shape, layer["kind"]
    (kh, kw), (sh, sw) = layer.get("size", (1, 1)), layer.get("strides", (1, 1))
    fh, fw = layer.get("factors", (1, 1))
    top, _, left, _ = [-n for n in layer["crop"]] if kind == "crop" else layer.get("padding", (0, 0, 0, 0))
    y: Values = []
    for row in range(after[0]):
        for column in range(after[1]):
            for i in range(c):
                under = [
                    x[(r * width + s) * c + i]
                    for r in range(row // fh * sh - top, row // fh * sh - top + kh)
                    for s in range(column // fw * sw - left, column // fw * sw - left + kw)
                    if 0 <= r < height and 0 <= s < width
                ]
                if kind == "average_pool":
                    y.append(sum(under) / len(under))
                else:
                    y.append(max(under) if under else layer["value"])
    return y


def _lookup(model: Model, layer: dict[str, Any], sums: Values, channels: int) -> Values:
    multiplier, table = model.tensors[layer["multiplier"]].values, model.tensors[layer["table"]].values
    n, s = len(table), layer["shift"]
    y: Values = []
    for i, a in enumerate(sums):
        m = multiplier[i % channels if len(multiplier) > 1 else 0]
        t = (int(a) * int(m) + half(s)) >> s  # Python's >> rounds towards minus infinity
        y.append(table[min(max(t + n // 2, 0), n - 1)])
    return y


def _float32(value: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def _exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def _sigmoid(x: float) -> float:
    return 1 / (1 + _exp(-x))


def _to_u8(x: float) -> int:
    if math.isnan(x):
        return 0
    return math.floor(255 * min(max(x, 0), 1) + 0.5)


_FUNCTIONS = {
    "relu": lambda x: max(x, 0),
    "sigmoid": _sigmoid,
    "tanh": math.tanh,
    "elu": lambda x: x if x > 0 else math.expm1(x),
    "gelu": lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
    "silu": lambda x: x * _sigmoid(x),
    "softplus": lambda x: max(x, 0) + math.log1p(_exp(-abs(x))),
    "to_u8": _to_u8,
}


# --- 6. The golden set ------------------------------------------------------------------------------------------------


def check_golden(model: Model) -> None:
    """M6-2."""
    for one in golden_maps(model):
        _check_golden_rows(model, one["input"], one["output"])


def _check_golden_rows(model: Model, input_: int, output: int) -> None:
    rows = rows_of(model, input_)
    sizes, images = None, None
    if model.scale:
        sizes = [model.tensors[input_].shape[1:3]] * len(rows)
        images = [model.tensors[output].shape[1:3]] * len(rows) if model.manifest["role"] == "decoder" else None
    wanted = [x for row in rows_of(model, output) for x in row]
    got = [x for row in run_rows(model, rows, sizes, images) for x in row]
    if model.manifest["profile"] == "exact":
        holds = got == wanted
    elif model.manifest["output"]["type"] == "f32":  # M5-2
        holds = all(abs(a - b) <= 2**-14 * max(1, abs(a)) for a, b in zip(got, wanted, strict=True))
    else:  # M5-1
        apart = [abs(a - b) for a, b in zip(got, wanted, strict=True)]
        holds = max(apart) <= 1 and sum(n > 0 for n in apart) <= 1 + len(got) / 1_000
    if not holds:
        raise SpecError("M6-2", 0, "the golden input does not give the golden output")
