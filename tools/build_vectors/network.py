"""Model packages and what they compute, in plain Python (spec/model.md).

Owns manifests of small networks and an evaluator in Python's own integers (exact profile) and floats (float32 profile).
"""

from __future__ import annotations

import hashlib
import itertools
import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import TYPE_CHECKING, Any

from tools.build_vectors import frames
from tools.build_vectors.emit import emit
from tools.build_vectors.framing import Chunk, Draft, Trailer
from tools.build_vectors.numbers import Number, pack, shuffle

if TYPE_CHECKING:
    from typing_extensions import Self

Shape = Sequence[int]
ITEM_BYTES = {"f32": 4, "f16": 2, "i8": 1, "u8": 1, "i32": 4}


@dataclass(frozen=True, slots=True)
class Tensor:
    """Numbers in C order.  sha256, payload: to lie with."""

    shape: Shape
    type: str
    numbers: Sequence[Number]
    sha256: bytes | None = None
    payload: bytes | None = None

    @property
    def raw(self) -> bytes:
        """The raw payload."""
        return pack(self.numbers, self.type) if self.payload is None else self.payload

    @property
    def entry(self) -> dict[str, Any]:
        """Its place in the manifest."""
        digest = hashlib.sha256(self.raw).digest() if self.sha256 is None else self.sha256
        return {"shape": list(self.shape), "type": self.type, "sha256": digest}


@dataclass(frozen=True, slots=True)
class Network:
    """One half of an autoencoder.  golden: rows that go in; their results are computed and become the last tensor.

    layers: maps as in the manifest, `inputs` left out where it is the value before.  golden_output, ends: other results,
    or other tensors altogether.  manifest: keys to change (None takes one away).
    """

    input: dict[str, Any]
    output: dict[str, Any]
    layers: Sequence[dict[str, Any]]
    tensors: Sequence[Tensor]
    golden: Sequence[Sequence[Number]]
    golden_output: Sequence[Sequence[Number]] | None = None
    ends: Sequence[Tensor] | None = None
    role: str = "decoder"
    profile: str = "exact"
    decoder: bytes | None = None
    manifest: dict[str, Any] = field(default_factory=dict)

    def with_(self, **changes: Any) -> Self:
        """The same with other fields."""
        return replace(self, **changes)

    def tensor(self, number: int, **changes: Any) -> Self:
        """The same with another tensor in one place."""
        tensors = list(self.tensors)
        tensors[number] = replace(tensors[number], **changes)
        return self.with_(tensors=tensors)

    def layer(self, number: int, **changes: Any) -> Self:
        """The same with other keys in one layer (None takes one away)."""
        layers = [dict(layer) for layer in self.layers]
        layers[number] = {k: v for k, v in {**layers[number], **changes}.items() if v is not None}
        return self.with_(layers=layers)

    @property
    def all_tensors(self) -> list[Tensor]:
        """Those of the layers, then the golden input and output."""
        if self.ends is not None:
            return [*self.tensors, *self.ends]
        rows = self.golden_output
        if rows is None:
            rows = [self.run(row) for row in self.golden]
            if self.output["type"] == "f32":
                rows = [[single(number) for number in row] for row in rows]
        ends = []
        for end, numbers in ((self.input, self.golden), (self.output, rows)):
            shape = [len(numbers), *end["shape"]]
            ends.append(Tensor(shape, str(end["type"]), [x for row in numbers for x in row]))
        return [*self.tensors, *ends]

    @property
    def manifest_map(self) -> dict[str, Any]:
        """The manifest as a map."""
        tensors = self.all_tensors
        fields: dict[str, Any] = {
            "role": self.role,
            "profile": self.profile,
            "input": self.input,
            "output": self.output,
            "layers": [{"inputs": [k], **layer} for k, layer in enumerate(self.layers)],
            "tensors": [tensor.entry for tensor in tensors],
            "golden": {"input": len(tensors) - 2, "output": len(tensors) - 1},
            "decoder": self.decoder,
        }
        fields.update(self.manifest)
        return {key: value for key, value in fields.items() if value is not None}

    @property
    def manifest_bytes(self) -> bytes:
        """The raw payload of MANF."""
        return emit(self.manifest_map)

    @property
    def model_id(self) -> bytes:
        """SHA-256 of the manifest."""
        return hashlib.sha256(self.manifest_bytes).digest()

    def file(
        self,
        *,
        codec: str = "none",
        ext: dict[str, Any] | None = None,
        data: bytes | None = None,
        tensors: bool = True,
    ) -> Draft:
        """The container.  data: another manifest.  tensors: whether its TENS chunks are there."""
        data = self.manifest_bytes if data is None else data
        model_id = hashlib.sha256(data).digest()
        fields: dict[str, Any] = {"byte_order": "little", "codec": codec, "kind": "model", "model": model_id}
        if codec != "none":
            fields["filter"] = "shuffle"
        if ext is not None:
            fields["ext"] = ext
        pieces = [(b"MANF", data, 1)]
        if tensors:
            pieces += [(b"TENS", tensor.raw, ITEM_BYTES[tensor.type]) for tensor in self.all_tensors]
        chunks = []
        for tag, raw, width in pieces:
            frame = frames.frame(shuffle(raw, width)) if codec != "none" else raw
            stored = frame if len(frame) < len(raw) else raw
            chunks.append(Chunk(tag, stored, raw_len=None if stored == raw else len(raw)))
        aligned = frozenset({b"TENS"} if codec == "none" else ())
        return Draft(header=emit(fields), chunks=tuple(chunks), trailer=Trailer(model_id), aligned=aligned)

    @property
    def work(self) -> int:
        """What one row takes (M7-1): multiply-adds, and the elements of all values but the input."""
        values = self._values(self.golden[0])
        total = 0
        for layer, (before, _), (made, _) in zip(self.layers, values, values[1:], strict=False):
            total += prod(made)
            if layer["kind"] in ("affine", "add", "max_pool", "average_pool"):
                n_each = {"affine": 1, "add": len(layer.get("inputs", ()))}
                total += prod(made) * n_each.get(layer["kind"], prod(layer.get("size", ())))
            if layer["kind"] in _LINEAR:
                n_weights = prod(self.tensors[layer["weights"]].shape)
                pixels = {"dense": 1, "conv2d": prod(made[:2]), "conv2d_transpose": prod(before[:2])}
                total += n_weights * pixels[str(layer["kind"])]
        return total

    def run(self, row: Sequence[Number]) -> list[Number]:
        """What the network makes of one row."""
        return self._values(row)[-1][1]

    def _values(self, row: Sequence[Number]) -> list[tuple[list[int], list[Number]]]:
        values = [(list(self.input["shape"]), list(row))]
        for k, layer in enumerate(self.layers):
            sources = [values[source] for source in layer.get("inputs", [k])]
            if layer["kind"] in ("add", "concat"):
                values.append(_join(layer, sources))
            else:
                values.append(self._layer(layer, *sources[0]))
        return values

    def _layer(self, layer: dict[str, Any], shape: list[int], x: list[Number]) -> tuple[list[int], list[Number]]:
        kind = layer["kind"]
        if kind in _LINEAR:
            weights, bias = (self.tensors[layer[key]] for key in ("weights", "bias"))
            made = _LINEAR[str(kind)](layer, shape, x, weights)
            n = len(bias.numbers)
            return made[0], [y + bias.numbers[i % n] for i, y in enumerate(made[1])]
        if kind == "affine":
            weights, bias = (self.tensors[layer[key]].numbers for key in ("weights", "bias"))
            return shape, [v * weights[i % len(weights)] + bias[i % len(bias)] for i, v in enumerate(x)]
        if kind in ("upsample", "max_pool", "average_pool", "pad", "crop"):
            return _move(layer, shape, x)
        if kind == "slice":
            start, stop, n = layer["start"], layer["stop"], shape[-1]
            return [*shape[:-1], stop - start], [v for i, v in enumerate(x) if start <= i % n < stop]
        if kind == "reshape":
            return list(layer["shape"]), x
        if kind == "flatten":
            return [prod(shape)], x
        if kind == "lookup":
            return shape, self._lookup(layer, shape, x)
        if kind in ("scale", "leaky_relu"):
            num, den = layer["num"], layer["den"]
            assert isinstance(num, int) and isinstance(den, int)
            return shape, [
                single(single(v * num) / den) if kind == "scale" else v * num / den if v < 0 else v for v in x
            ]
        return shape, [FLOAT_KINDS[str(kind)](v) for v in x]

    def _lookup(self, layer: dict[str, Any], shape: list[int], x: list[Number]) -> list[Number]:
        multiplier, table = (self.tensors[layer[key]].numbers for key in ("multiplier", "table"))
        shift = layer["shift"]
        assert isinstance(shift, int)
        h = 1 << shift - 1 if shift else 0
        out = []
        for i, a in enumerate(x):
            m = multiplier[i % shape[-1] % len(multiplier)]
            t = (int(a) * int(m) + h) >> shift
            out.append(table[min(max(t + len(table) // 2, 0), len(table) - 1)])
        return out


def _dense(
    _layer: dict[str, Any], _shape: list[int], x: list[Number], weights: Tensor
) -> tuple[list[int], list[Number]]:
    n, m = weights.shape
    return [m], [sum(x[i] * weights.numbers[i * m + j] for i in range(n)) for j in range(m)]


def _conv2d(
    layer: dict[str, Any], shape: list[int], x: list[Number], weights: Tensor
) -> tuple[list[int], list[Number]]:
    height, width, channels = shape
    kh, kw, _, d = weights.shape
    sh, sw = layer["strides"]
    top, bottom, left, right = layer["padding"]
    made = [(height + top + bottom - kh) // sh + 1, (width + left + right - kw) // sw + 1, d]
    out: list[Number] = []
    for y, z, j in itertools.product(*map(range, made)):
        total: Number = 0
        for u, v, c in itertools.product(range(kh), range(kw), range(channels)):
            row, column = y * sh + u - top, z * sw + v - left
            if 0 <= row < height and 0 <= column < width:
                total += (
                    x[(row * width + column) * channels + c] * weights.numbers[((u * kw + v) * channels + c) * d + j]
                )
        out.append(total)
    return made, out


def _conv2d_transpose(
    layer: dict[str, Any], shape: list[int], x: list[Number], weights: Tensor
) -> tuple[list[int], list[Number]]:
    height, width, channels = shape
    kh, kw, d, _ = weights.shape
    sh, sw = layer["strides"]
    top, bottom, left, right = layer["crop"]
    full = [(height - 1) * sh + kh, (width - 1) * sw + kw]
    made = [full[0] - top - bottom, full[1] - left - right, d]
    out: list[Number] = [0] * prod(made)
    for y, z, c, u, v, j in itertools.product(*map(range, (height, width, channels, kh, kw, d))):
        row, column = y * sh + u - top, z * sw + v - left
        if 0 <= row < made[0] and 0 <= column < made[1]:
            weight = weights.numbers[((u * kw + v) * d + j) * channels + c]
            out[(row * made[1] + column) * d + j] += x[(y * width + z) * channels + c] * weight
    return made, out


def _join(layer: dict[str, Any], sources: list[tuple[list[int], list[Number]]]) -> tuple[list[int], list[Number]]:
    shape = list(sources[0][0])
    if layer["kind"] == "add":
        return shape, [sum(numbers) for numbers in zip(*(x for _, x in sources), strict=True)]
    axis = layer["axis"]
    shape[axis] = sum(one[axis] for one, _ in sources)
    out: list[Number] = []
    for i in range(prod(shape[:axis])):
        for one, x in sources:
            n = prod(one[axis:])
            out += x[i * n : i * n + n]
    return shape, out


def _move(layer: dict[str, Any], shape: list[int], x: list[Number]) -> tuple[list[int], list[Number]]:
    """Each kind by what it takes a number from: the list of places of the input under it."""
    height, width, channels = shape
    kind = layer["kind"]
    top, bottom, left, right = layer.get("padding") or layer.get("crop") or (0, 0, 0, 0)
    if kind == "upsample":
        fh, fw = layer["factors"]
        made = [height * fh, width * fw, channels]
    elif kind == "crop":
        made = [height - top - bottom, width - left - right, channels]
    elif kind == "pad":
        made = [height + top + bottom, width + left + right, channels]
    else:
        (kh, kw), (sh, sw) = layer["size"], layer["strides"]
        made = [(height + top + bottom - kh) // sh + 1, (width + left + right - kw) // sw + 1, channels]
    out: list[Number] = []
    for y, z, c in itertools.product(*map(range, made)):
        if kind == "upsample":
            rows, columns = [y // fh], [z // fw]
        elif kind == "crop":
            rows, columns = [y + top], [z + left]
        elif kind == "pad":
            rows, columns = [y - top], [z - left]
        else:
            rows = [y * sh - top + u for u in range(kh)]
            columns = [z * sw - left + v for v in range(kw)]
        places = [(u, v) for u in rows for v in columns if 0 <= u < height and 0 <= v < width]
        numbers = [x[(u * width + v) * channels + c] for u, v in places] or [layer["value"]]
        out.append(sum(numbers) / len(numbers) if kind == "average_pool" else max(numbers))
    return made, out


_LINEAR = {"dense": _dense, "conv2d": _conv2d, "conv2d_transpose": _conv2d_transpose}


def single(value: float) -> float:
    """The nearest float32."""
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


FLOAT_KINDS: dict[str, Callable[[float], float]] = {
    "relu": lambda x: max(x, 0.0),
    "sigmoid": _sigmoid,
    "tanh": math.tanh,
    "elu": lambda x: x if x > 0 else math.expm1(x),
    "gelu": lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
    "silu": lambda x: x * _sigmoid(x),
    "softplus": lambda x: math.log1p(math.exp(x)),
    "to_u8": lambda x: math.floor(255 * min(max(x, 0.0), 1.0) + 0.5),
}
