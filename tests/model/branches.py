"""Random networks with branches: every kind that joins, moves or pools values, in both profiles."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from aeformat.model.builder import PackageBuilder
from aeformat.model.manifest import Endpoint
from aeformat.model.package import ModelPackage
from model.networks import random_rows
from model.plain import evaluate


def random_branches(seed: int, profile: str) -> ModelPackage:
    """A decoder of 4 to 10 layers on small images, each taking any values made before, and what they leave side by side."""
    rng = np.random.default_rng(seed)
    start = Endpoint((*(int(n) for n in rng.integers(1, 5, 3)),), "i8" if profile == "exact" else "f32")
    graph = _Graph(rng, start, profile)
    while len(graph.shapes) < 1 + rng.integers(4, 10):
        getattr(graph, "add_" + _pick(rng, _KINDS[profile]))()
    return graph.finish()


_KINDS = {
    "exact": ["sums", "sums", "lookup", "affine", "add", "add", "concat", "upsample", "max_pool", "pad", "crop"],
    "float32": [
        "sums",
        "relu",
        "affine",
        "add",
        "add",
        "concat",
        "upsample",
        "max_pool",
        "average_pool",
        "pad",
        "crop",
    ],
}


class _Graph:
    """shapes, types, reach: of each value; reach is the largest magnitude of its integers."""

    def __init__(self, rng: np.random.Generator, start: Endpoint, profile: str) -> None:
        self.rng, self.start, self.profile = rng, start, profile
        self.shapes, self.types = [start.shape], [start.type]
        self.reach = [128]
        self.calls: list[tuple[str, tuple[int, ...], dict]] = []

    def _make(self, kind: str, inputs: tuple, shape: tuple, type_: str, reach: int = 0, /, **params: object) -> int:
        self.calls.append((kind, inputs, params))
        self.shapes.append(tuple(shape))
        self.types.append(type_)
        self.reach.append(reach)
        return len(self.calls)

    def _value(self, *types: str) -> int | None:
        found = [i for i, type_ in enumerate(self.types) if type_ in types]
        return _pick(self.rng, found[-3:]) if found else None

    def _plain(self) -> int:
        """u8, i8 or f32, and small enough to go on with."""
        found = [i for i, t in enumerate(self.types) if t != "acc" and math.prod(self.shapes[i]) < 400]
        return _pick(self.rng, found[-3:])

    @property
    def _sum_type(self) -> str:
        return "acc" if self.profile == "exact" else "f32"

    def _numbers(self, shape: tuple[int, ...], kind: type) -> np.ndarray:
        if self.profile == "float32":
            return self.rng.standard_normal(shape).astype(np.float32) / 2
        reach = 127 if kind is np.int8 else _pick(self.rng, [3, 300, 2**17])
        return self.rng.integers(-reach, reach + 1, shape).astype(kind)

    def add_sums(self) -> None:
        x = self._plain()
        c, d = self.shapes[x][2], int(self.rng.integers(1, 4))
        weights, bias = self._numbers((3, 3, c, d), np.int8), self._numbers((d,), np.int32)
        self._make("conv2d", (x,), (*self.shapes[x][:2], d), self._sum_type, 9 * c * 127 * 128 + 2**17,
                   weights=weights, bias=bias, strides=(1, 1), padding=(1, 1, 1, 1))  # fmt: skip

    def add_affine(self) -> None:
        x = self._plain()
        c = self.shapes[x][-1:]
        weights, bias = self._numbers(c, np.int32), self._numbers(c, np.int32)
        self._make("affine", (x,), self.shapes[x], self._sum_type, 2**17 * 257, weights=weights, bias=bias)

    def add_lookup(self, kind: str | None = None, x: int | None = None) -> int | None:
        x = self._value("acc") if x is None else x
        if x is None:
            return None
        kind = kind or _pick(self.rng, ["u8", "i8"])
        lo, hi = (0, 256) if kind == "u8" else (-128, 128)
        table = self.rng.integers(lo, hi, 256).astype(np.uint8 if kind == "u8" else np.int8)
        multiplier = self.rng.integers(1, 200, _pick(self.rng, [1, self.shapes[x][-1]])).astype(np.int32)
        shift = max(0, self.reach[x].bit_length() - int(self.rng.integers(0, 8)))
        return self._make("lookup", (x,), self.shapes[x], kind, 255, multiplier=multiplier, shift=shift, table=table)

    def add_relu(self) -> None:
        x = self._plain()
        self._make("relu", (x,), self.shapes[x], "f32")

    def add_add(self) -> None:
        shape = self.shapes[-1]
        found = [i for i, other in enumerate(self.shapes) if other == shape]
        inputs = tuple(int(i) for i in self.rng.choice(found, int(self.rng.integers(2, 4))))
        if sum(self.reach[i] for i in inputs) < 2**31:
            self._make("add", inputs, shape, self._sum_type, sum(self.reach[i] for i in inputs))

    def add_concat(self) -> None:
        first, axis = self._plain(), int(self.rng.integers(3))
        others = [
            i for i, shape in enumerate(self.shapes)
            if self.types[i] == self.types[first] and all(a == b for k, (a, b) in enumerate(zip(shape, self.shapes[first], strict=True)) if k != axis)
        ]  # fmt: skip
        inputs = (first, *(int(i) for i in self.rng.choice(others, int(self.rng.integers(1, 3)))))
        shape = list(self.shapes[first])
        shape[axis] = sum(self.shapes[i][axis] for i in inputs)
        self._make("concat", inputs, tuple(shape), self.types[first], 255, axis=axis)

    def add_upsample(self) -> None:
        x = self._plain()
        (h, w, c), (fh, fw) = self.shapes[x], (int(n) for n in self.rng.integers(1, 4, 2))
        self._make("upsample", (x,), (h * fh, w * fw, c), self.types[x], 255, factors=(fh, fw))

    def add_max_pool(self, kind: str = "max_pool") -> None:
        x = self._plain()
        h, w, c = self.shapes[x]
        kh, kw, sh, sw = (int(n) for n in self.rng.integers(1, 4, 4))
        padding = tuple(int(self.rng.integers(0, k)) for k in (kh, kh, kw, kw))
        made = (h + padding[0] + padding[1] - kh) // sh + 1, (w + padding[2] + padding[3] - kw) // sw + 1
        if min(made) >= 1:
            self._make(kind, (x,), (*made, c), self.types[x], 255, size=(kh, kw), strides=(sh, sw), padding=padding)

    def add_average_pool(self) -> None:
        self.add_max_pool("average_pool")

    def add_pad(self) -> None:
        x = self._plain()
        h, w, c = self.shapes[x]
        top, bottom, left, right = (int(n) for n in self.rng.integers(0, 3, 4))
        value = int(self.rng.integers(0, 128))
        self._make("pad", (x,), (top + h + bottom, left + w + right, c), self.types[x], 255,
                   padding=(top, bottom, left, right), value=value)  # fmt: skip

    def add_crop(self) -> None:
        x = self._plain()
        h, w, c = self.shapes[x]
        top, left = int(self.rng.integers(0, h)), int(self.rng.integers(0, w))
        bottom, right = int(self.rng.integers(0, h - top)), int(self.rng.integers(0, w - left))
        self._make(
            "crop", (x,), (h - top - bottom, w - left - right, c), self.types[x], 255, crop=(top, bottom, left, right)
        )

    def finish(self) -> ModelPackage:
        """What nobody takes becomes u8 and is put behind each other: the pixels."""
        used = {i for _, inputs, _ in self.calls for i in inputs}
        ends = []
        for i in [i for i in range(len(self.shapes)) if i not in used]:
            if self.profile == "exact":
                x = i
                if self.types[i] != "acc":
                    c = self.shapes[i][-1:]
                    ones, zeros = np.full(c, 3, np.int32), np.zeros(c, np.int32)
                    x = self._make("affine", (i,), self.shapes[i], "acc", 3 * 255, weights=ones, bias=zeros)
                i = self.add_lookup("u8", x)
            ends.append(self._make("flatten", (i,), (math.prod(self.shapes[i]),), self.types[i]))
        n = sum(self.shapes[i][0] for i in ends)
        if len(ends) > 1:
            self._make("concat", tuple(ends), (n,), self.types[ends[0]], axis=0)
        self._make("reshape", (len(self.calls),), (1, n, 1), self.types[-1], shape=(1, n, 1))
        if self.profile == "float32":
            self._make("sigmoid", (len(self.calls),), (1, n, 1), "f32")
            self._make("to_u8", (len(self.calls),), (1, n, 1), "u8")
        builder = PackageBuilder(
            role="decoder", profile=self.profile, input=self.start, output=Endpoint((1, n, 1), "u8")
        )
        for kind, inputs, params in self.calls:
            made = {k: builder.tensor(v) if isinstance(v, np.ndarray) else v for k, v in params.items()}
            builder.layer(kind, inputs, **made)
        golden = random_rows(self.start, 2, self.rng)
        return builder.build(golden_input=golden, golden_output=lambda d: evaluate(d, golden).astype(np.uint8))


def kinds_of(packages: list[ModelPackage]) -> Counter[str]:
    """How often each kind occurs."""
    return Counter(step.kind for package in packages for step in package.plan)


def _pick(rng: np.random.Generator, choices: list):
    return choices[int(rng.integers(len(choices)))]
