"""Networks to test with: small random ones of every shape, and the 784-128-64-128-784 of the note."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from aeformat.model.builder import PackageBuilder
from aeformat.model.manifest import Endpoint
from aeformat.model.package import ModelPackage
from model.plain import evaluate

ACTIVATIONS = ("relu", "sigmoid", "tanh", "elu", "gelu", "silu", "softplus")


def random_exact(seed: int) -> ModelPackage:
    """A decoder of 1 to 3 layers with weights, dense, conv2d and conv2d_transpose mixed, odd strides, padding, crops."""
    rng = np.random.default_rng(seed)
    is_signed = bool(rng.integers(2))
    start = _pick(rng, [(int(rng.integers(1, 12)),), tuple(int(n) for n in rng.integers(1, 5, 3))])
    kind = "i8" if is_signed else "u8"
    span = [-int(rng.integers(1, 128)), int(rng.integers(1, 127))] if is_signed else [0, int(rng.integers(1, 255))]
    builder = Sketch(rng, Endpoint(start, kind, (span[0], span[1])), "exact")
    for _ in range(rng.integers(1, 4)):
        builder.add_sums()
        builder.add_lookup(_pick(rng, ["u8", "i8"]))
    builder.add_sums()
    builder.add_lookup("u8")
    return builder.finish()


def random_float(seed: int) -> ModelPackage:
    """The same in float32, with every activation."""
    rng = np.random.default_rng(seed)
    start = _pick(rng, [(int(rng.integers(1, 12)),), tuple(int(n) for n in rng.integers(1, 5, 3))])
    kind = _pick(rng, ["u8", "i8", "f32"])
    builder = Sketch(rng, Endpoint(start, kind), "float32")
    if kind != "f32":
        builder.add("scale", num=int(rng.integers(1, 9)), den=int(rng.integers(1, 900)))
    for _ in range(rng.integers(1, 4)):
        builder.add_sums()
        name = _pick(rng, [*ACTIVATIONS, "leaky_relu"])
        builder.add(name, **({"num": int(rng.integers(-9, 9)) or 1, "den": 10} if name == "leaky_relu" else {}))
    builder.add_sums()
    builder.add("sigmoid")
    builder.add("to_u8")
    return builder.finish()


class Sketch:
    """Puts random layers behind each other, and keeps track of the shape."""

    def __init__(self, rng: np.random.Generator, start: Endpoint, profile: str) -> None:
        self._rng, self._start, self._profile = rng, start, profile
        self._shape = start.shape
        self._calls: list[tuple[str, dict]] = []
        self._magnitude = 1 if profile == "float32" else start.interval.magnitude
        self._bound = 0

    def add(self, kind: str, **params: object) -> None:
        self._calls.append((kind, params))

    def add_sums(self) -> None:
        rng = self._rng
        if len(self._shape) == 3 and rng.integers(4) == 0:
            self.add("flatten")
            self._shape = (math.prod(self._shape),)
        elif len(self._shape) == 1 and rng.integers(2) == 0:
            self._shape = (1, *self._shape) if rng.integers(2) else (self._shape[0], 1)
            self._shape = (*self._shape, 1)
            self.add("reshape", shape=self._shape)
        d = int(rng.integers(1, 5))
        if len(self._shape) == 1:
            self._weigh("dense", (self._shape[0], d), d, 1)
            self._shape = (d,)
            return
        h, w, c = self._shape
        kh, kw, sh, sw = (int(n) for n in rng.integers(1, 5, 4))
        if rng.integers(2):
            padding = [int(n) for n in rng.integers(0, 4, 4)]
            padding[0] += max(0, kh - h - padding[0] - padding[1])
            padding[2] += max(0, kw - w - padding[2] - padding[3])
            self._weigh("conv2d", (kh, kw, c, d), d, 3, strides=(sh, sw), padding=tuple(padding))
            self._shape = (
                (h + padding[0] + padding[1] - kh) // sh + 1,
                (w + padding[2] + padding[3] - kw) // sw + 1,
                d,
            )
        else:
            full = (h - 1) * sh + kh, (w - 1) * sw + kw
            cuts = [int(rng.integers(0, min(3, n))) for n in full]
            crop = (
                cuts[0],
                int(rng.integers(0, full[0] - cuts[0])) % 3,
                cuts[1],
                int(rng.integers(0, full[1] - cuts[1])) % 3,
            )
            self._weigh("conv2d_transpose", (kh, kw, d, c), d, 2, strides=(sh, sw), crop=crop)
            self._shape = (full[0] - crop[0] - crop[1], full[1] - crop[2] - crop[3], d)

    def _weigh(self, kind: str, shape: tuple, channels: int, axis: int, **params: object) -> None:
        rng = self._rng
        if self._profile == "exact":
            weights = rng.integers(-127, 128, shape).astype(np.int8)
            reach = _pick(rng, [2**8, 2**20, 2**29])
            bias = rng.integers(-reach, reach, channels).astype(np.int32)
            axes = tuple(i for i in range(len(shape)) if i != axis)
            self._bound = int(
                (np.abs(weights.astype(int)).sum(axes) * self._magnitude + np.abs(bias.astype(int))).max()
            )
        else:
            kind_of = _pick(rng, [np.float32, np.float16])
            weights = (rng.standard_normal(shape) / np.sqrt(math.prod(shape) / channels)).astype(kind_of)
            bias = (rng.standard_normal(channels) / 4).astype(np.float32)
        self.add(kind, weights=weights, bias=bias, **params)

    def add_lookup(self, kind: str) -> None:
        rng = self._rng
        n = 2 * int(_pick(rng, [1, 5, 128, 500, 4096]))
        lo, hi = (0, 256) if kind == "u8" else (-128, 128)
        table = rng.integers(lo, hi, n).astype(np.uint8 if kind == "u8" else np.int8)
        channels = self._shape[-1]
        count = _pick(rng, [1, channels])
        if rng.integers(2):
            multiplier = 2 ** rng.integers(0, 8, count)
        else:
            multiplier = rng.integers(1, min(2**24, 2**52 // max(1, self._bound)), count)
        best = math.log2(max(1, self._bound * int(multiplier.max()) / n))
        shift = int(np.clip(round(best + rng.integers(-2, 3)), 0, 40))
        self.add("lookup", multiplier=multiplier.astype(np.int32), shift=shift, table=table)
        self._magnitude = int(np.abs(table.astype(int)).max())

    def finish(self) -> ModelPackage:
        n = math.prod(self._shape)
        self.add("reshape", shape=(1, n, 1))
        builder = PackageBuilder(
            role="decoder", profile=self._profile, input=self._start, output=Endpoint((1, n, 1), "u8")
        )
        for kind, params in self._calls:
            builder.layer(kind, **{k: builder.tensor(v) if isinstance(v, np.ndarray) else v for k, v in params.items()})
        golden = random_rows(self._start, 3, self._rng)
        return builder.build(golden_input=golden, golden_output=lambda d: evaluate(d, golden).astype(np.uint8))


def random_rows(end: Endpoint, n: int, rng: np.random.Generator) -> np.ndarray:
    """(n, *end.shape): the ends of the range are among them."""
    if end.type == "f32":
        return rng.standard_normal((n, *end.shape)).astype(np.float32)
    lo, hi = end.interval.lo, end.interval.hi
    rows = rng.integers(lo, hi + 1, (n, *end.shape)).astype(np.uint8 if end.type == "u8" else np.int8)
    rows.flat[0], rows.flat[-1] = lo, hi
    return rows


def cancelling(kind: str) -> ModelPackage:
    """Sums of 1,200 products near 2^25 with a bias that takes them back to what a table of 256 shows bit by bit.

    In float32 the products' last bits are lost.
    """
    n = 1200
    shape, start = {
        "dense": ((n, 1), Endpoint((n,), "u8")),
        "conv2d": ((1, 1, n, 1), Endpoint((1, 1, n), "u8")),
        "conv2d_transpose": ((1, 1, 1, n), Endpoint((1, 1, n), "u8")),
    }[kind]
    more = {
        "dense": {},
        "conv2d": {"strides": (1, 1), "padding": (0, 0, 0, 0)},
        "conv2d_transpose": {"strides": (1, 1), "crop": (0, 0, 0, 0)},
    }[kind]
    builder = PackageBuilder(role="decoder", profile="exact", input=start, output=Endpoint((1, 1, 1), "u8"))
    weights = np.full(n, 127, np.int8)
    weights[-1] = 1
    bias = builder.tensor(np.array([-127 * 225 * (n - 1)], np.int32))
    builder.layer(kind, weights=builder.tensor(weights.reshape(shape)), bias=bias, **more)
    table = np.arange(256, dtype=np.uint8)
    builder.layer("lookup", multiplier=builder.tensor(np.array([1], np.int32)), shift=0, table=builder.tensor(table))
    builder.layer("reshape", shape=(1, 1, 1))
    rows = np.full((64, n), 225, np.uint8)
    rows[:, -1] = np.arange(64)
    rows = rows.reshape(64, *start.shape)
    return builder.build(golden_input=rows, golden_output=lambda draft: evaluate(draft, rows).astype(np.uint8))


def note_halves(profile: str, *, power_of_two: bool = False) -> tuple[ModelPackage, ModelPackage]:
    """Encoder and decoder of the note's 784-128-64-128-784 network, with random weights."""
    rng = np.random.default_rng(0)

    def half(role: str, widths: tuple[int, ...], start: Endpoint, end: Endpoint, decoder: bytes | None) -> ModelPackage:
        b = PackageBuilder(role=role, profile=profile, input=start, output=end, decoder=decoder)
        if len(start.shape) == 3:
            b.layer("flatten")
            if profile == "float32":
                b.layer("scale", num=1, den=255)
        for n, m in pairwise(widths):
            if profile == "float32":
                weights = (rng.standard_normal((n, m)) / np.sqrt(n)).astype(np.float32)
                b.layer("dense", weights=b.tensor(weights), bias=b.tensor(np.zeros(m, np.float32)))
                b.layer("sigmoid")
            else:
                weights = np.clip(np.round(rng.standard_normal((n, m)) * 40), -127, 127).astype(np.int8)
                bias = rng.integers(-9999, 9999, m).astype(np.int32)
                b.layer("dense", weights=b.tensor(weights), bias=b.tensor(bias))
                multiplier = (
                    np.full(m, 64, np.int32) if power_of_two else rng.integers(10_000, 20_000, m).astype(np.int32)
                )
                table = np.round(255 / (1 + np.exp(-np.arange(-512, 512) / 64))).astype(np.uint8)
                shift = 15 if power_of_two else 23
                b.layer("lookup", multiplier=b.tensor(multiplier), shift=shift, table=b.tensor(table))
        if profile == "float32" and end.type == "u8":
            b.layer("to_u8")
        if len(end.shape) == 3:
            b.layer("reshape", shape=end.shape)
        golden = random_rows(start, 2, rng)
        return b.build(golden_input=golden, golden_output=lambda d: evaluate(d, golden).astype(d.golden_output.dtype))

    image = Endpoint((28, 28, 1), "u8")
    code = Endpoint((64,), "u8" if profile == "exact" else "f32")
    decoder = half("decoder", (64, 128, 784), code, image, None)
    return half("encoder", (784, 128, 64), image, code, decoder.model_id), decoder


def _pick(rng: np.random.Generator, choices: list):
    return choices[int(rng.integers(len(choices)))]
