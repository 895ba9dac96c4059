"""A plain reading of spec/model.md: every layer as its sentence says it, in int64 and float64, with loops.

For tests only, and slow.  It uses the manifest and the tensors, none of the package's own layer code, so that the backends have
something independent to agree with.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeformat.model.package import ModelPackage

Array = NDArray[Any]


def evaluate(package: ModelPackage, rows: Array, image: tuple[int, int] | None = None) -> Array:
    """(n, *input.shape) -> (n, *output.shape): integers as int64, floats as float64.

    image: height and width of what a decoder of free sizes hands out, by default all.
    """
    scale = package.manifest.scale
    if scale is None:
        return np.stack([_row(package, row) for row in rows])
    if package.role == "encoder":
        return np.stack([_row(package, _continued(row, scale)) for row in rows])
    made = np.stack([_row(package, row) for row in rows])
    height, width = image or made.shape[1:3]
    return made[:, :height, :width]


def _continued(row: Array, scale: tuple[int, int]) -> Array:
    """The image with its last row, then its last column, repeated until its sizes are multiples of the scale."""
    while row.shape[0] % scale[0]:
        row = np.concatenate([row, row[-1:]], axis=0)
    while row.shape[1] % scale[1]:
        row = np.concatenate([row, row[:, -1:]], axis=1)
    return row


def _row(package: ModelPackage, row: Array) -> Array:
    number_type = np.int64 if package.profile == "exact" else np.float64
    values = [row.astype(number_type)]
    for layer in package.manifest.layers:
        p = dict(layer.params)
        t = {
            key: package.tensors[p[key]].astype(number_type)
            for key in ("weights", "bias", "multiplier", "table")
            if key in p
        }
        xs = [values[i] for i in layer.inputs]
        values.append(_JOINS[layer.kind](xs, p) if layer.kind in _JOINS else _LAYERS[layer.kind](xs[0], p, t))
    made = values[-1]
    return made.astype(np.int64) if package.output.type != "f32" else made


def _dense(x: Array, p: dict, t: dict) -> Array:
    n, m = t["weights"].shape
    y = t["bias"].copy()
    for j in range(m):
        for i in range(n):
            y[j] += x[i] * t["weights"][i, j]
    return y


def _conv2d(x: Array, p: dict, t: dict) -> Array:
    kh, kw, c, d = t["weights"].shape
    top, bottom, left, right = p["padding"]
    sh, sw = p["strides"]
    h, w, _ = x.shape
    padded = np.zeros((top + h + bottom, left + w + right, c), x.dtype)
    padded[top : top + h, left : left + w] = x
    made_h = math.floor((h + top + bottom - kh) / sh) + 1
    made_w = math.floor((w + left + right - kw) / sw) + 1
    y = np.zeros((made_h, made_w, d), x.dtype)
    for i in range(made_h):
        for j in range(made_w):
            y[i, j] = t["bias"]
            for a in range(kh):
                for b in range(kw):
                    for channel in range(c):
                        y[i, j] += padded[i * sh + a, j * sw + b, channel] * t["weights"][a, b, channel]
    return y


def _conv2d_transpose(x: Array, p: dict, t: dict) -> Array:
    kh, kw, d, c = t["weights"].shape
    top, bottom, left, right = p["crop"]
    sh, sw = p["strides"]
    h, w, _ = x.shape
    full = np.zeros(((h - 1) * sh + kh, (w - 1) * sw + kw, d), x.dtype)
    for i in range(h):
        for j in range(w):
            for a in range(kh):
                for b in range(kw):
                    for channel in range(c):
                        full[i * sh + a, j * sw + b] += x[i, j, channel] * t["weights"][a, b, :, channel]
    return full[top : full.shape[0] - bottom, left : full.shape[1] - right] + t["bias"]


def _pool(reduce):  # what makes one number of those in a window
    def pool(x: Array, p: dict, t: dict) -> Array:
        (kh, kw), (sh, sw), (top, bottom, left, right) = p["size"], p["strides"], p["padding"]
        h, w, channels = x.shape
        made_h, made_w = (h + top + bottom - kh) // sh + 1, (w + left + right - kw) // sw + 1
        y = np.zeros((made_h, made_w, channels), x.dtype)
        for i, j, c in np.ndindex(y.shape):
            rows = [r for r in range(i * sh - top, i * sh - top + kh) if 0 <= r < h]
            columns = [s for s in range(j * sw - left, j * sw - left + kw) if 0 <= s < w]
            y[i, j, c] = reduce([x[r, s, c] for r in rows for s in columns])
        return y

    return pool


def _upsample(x: Array, p: dict, t: dict) -> Array:
    fh, fw = p["factors"]
    y = np.zeros((x.shape[0] * fh, x.shape[1] * fw, x.shape[2]), x.dtype)
    for i, j in np.ndindex(y.shape[:2]):
        y[i, j] = x[i // fh, j // fw]
    return y


def _pad(x: Array, p: dict, t: dict) -> Array:
    top, bottom, left, right = p["padding"]
    h, w, c = x.shape
    y = np.full((top + h + bottom, left + w + right, c), p["value"], x.dtype)
    y[top : top + h, left : left + w] = x
    return y


def _crop(x: Array, p: dict, t: dict) -> Array:
    top, bottom, left, right = p["crop"]
    return x[top : x.shape[0] - bottom, left : x.shape[1] - right]


def _lookup(x: Array, p: dict, t: dict) -> Array:
    s, table = p["shift"], t["table"]
    n = len(table)
    h = 2 ** (s - 1) if s > 0 else 0
    y = np.zeros_like(x)
    for at in np.ndindex(x.shape):
        m = t["multiplier"][at[-1] if len(t["multiplier"]) > 1 else 0]
        step = (int(x[at]) * int(m) + h) // 2**s
        y[at] = table[min(max(step + n // 2, 0), n - 1)]
    return y


def _each(function):  # a scalar function, elementwise
    return lambda x, p, t: np.array([function(float(v)) for v in x.ravel()]).reshape(x.shape)


def _sigmoid(v: float) -> float:
    return 1 / (1 + math.exp(-v)) if v > -700 else 0.0


_JOINS = {
    "add": lambda xs, p: sum(xs),
    "concat": lambda xs, p: np.concatenate(xs, axis=p["axis"]),
}

_LAYERS = {
    "affine": lambda x, p, t: x * t["weights"] + t["bias"],
    "slice": lambda x, p, t: x[..., p["start"] : p["stop"]],
    "upsample": _upsample,
    "max_pool": _pool(max),
    "average_pool": _pool(lambda numbers: sum(numbers) / len(numbers)),
    "pad": _pad,
    "crop": _crop,
    "dense": _dense,
    "conv2d": _conv2d,
    "conv2d_transpose": _conv2d_transpose,
    "reshape": lambda x, p, t: x.reshape(p["shape"]),
    "flatten": lambda x, p, t: x.reshape(-1),
    "lookup": _lookup,
    "scale": lambda x, p, t: x * p["num"] / p["den"],
    "relu": _each(lambda v: max(v, 0.0)),
    "sigmoid": _each(_sigmoid),
    "tanh": _each(math.tanh),
    "elu": _each(lambda v: v if v > 0 else math.exp(v) - 1),
    "gelu": _each(lambda v: v * (1 + math.erf(v / math.sqrt(2))) / 2),
    "silu": _each(lambda v: v * _sigmoid(v)),
    "softplus": _each(lambda v: math.log1p(math.exp(v)) if v < 700 else v),
    "leaky_relu": lambda x, p, t: np.where(x >= 0, x, x * p["num"] / p["den"]),
    "to_u8": lambda x, p, t: np.floor(255 * np.minimum(np.maximum(x, 0), 1) + 0.5),
}
