"""Networks of any height and width to test with: small random ones, and one of the make of a photograph's decoder."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from aeformat.model.builder import PackageBuilder
from aeformat.model.manifest import Endpoint
from aeformat.model.package import ModelPackage
from aeformat.model.reference import golden_output

Run = Callable[[ModelPackage, np.ndarray], np.ndarray]


class FreeSketch:
    """Puts random layers of the exact profile behind each other."""

    def __init__(self, rng: np.random.Generator, role: str, n_in: int, kind: str, n_out: int, made: str) -> None:
        self.rng, self.channels, self.role = rng, [n_in], role
        decoder = bytes(range(32)) if role == "encoder" else None
        ends = Endpoint((0, 0, n_in), kind), Endpoint((0, 0, n_out), made)
        self.builder = PackageBuilder(role=role, profile="exact", input=ends[0], output=ends[1], decoder=decoder)
        self.kind = kind

    @property
    def last(self) -> int:
        return len(self.channels) - 1

    def _sums(self, kind: str, of: int, shape: tuple[int, ...], channels: int, **params: tuple[int, ...]) -> int:
        weights = self.rng.integers(-127, 128, shape).astype(np.int8)
        bias = self.rng.integers(-999, 999, channels).astype(np.int32)
        tensors = {"weights": self.builder.tensor(weights), "bias": self.builder.tensor(bias)}
        self.builder.layer(kind, (of,), **tensors, **params)
        self.channels.append(channels)
        met = weights.size / channels / math.prod(params["strides"] if kind == "conv2d_transpose" else (1,))
        return self.lookup("i8", 5_400 * math.sqrt(met))

    def lookup(self, kind: str, spread: float, n: int = 256) -> int:
        """From the sums made last, which have this standard deviation or so, to numbers of eight bits; some are clipped."""
        rng, low = self.rng, -128 if kind == "i8" else 0
        usual = n / 4 * 2**16 / spread
        numbers = rng.uniform(0.7, 1.4, self.channels[-1]) * usual
        multiplier = self.builder.tensor(np.maximum(1, numbers).astype(np.int32))
        table = self.builder.tensor(
            np.sort(rng.integers(low, low + 256, n)).astype(np.int8 if kind == "i8" else np.uint8)
        )
        self.builder.layer("lookup", multiplier=multiplier, shift=16, table=table)
        self.channels.append(self.channels[-1])
        return self.last

    def conv2d(self, of: int, channels: int, kernel: tuple[int, int], strides: tuple[int, int]) -> int:
        """With any padding that M3-11 takes."""
        padding: list[int] = []
        for size, stride in zip(kernel, strides, strict=True):
            both = int(self.rng.integers(max(0, size - stride), size))
            before = int(self.rng.integers(0, both + 1))
            padding += [before, both - before]
        shape = (*kernel, self.channels[of], channels)
        return self._sums("conv2d", of, shape, channels, strides=strides, padding=tuple(padding))

    def conv2d_transpose(self, of: int, channels: int, kernel: tuple[int, int], strides: tuple[int, int]) -> int:
        crop: list[int] = []
        for size, stride in zip(kernel, strides, strict=True):
            before = int(self.rng.integers(0, size - stride + 1))
            crop += [before, size - stride - before]
        shape = (*kernel, channels, self.channels[of])
        return self._sums("conv2d_transpose", of, shape, channels, strides=strides, crop=tuple(crop))

    def plain(self, kind: str, *of: int, channels: int, **params: object) -> int:
        self.builder.layer(kind, of, **params)
        self.channels.append(channels)
        return self.last

    def finish(self, sizes: list[tuple[int, int]], run: Run = golden_output) -> ModelPackage:
        """sizes: of the golden input rows."""
        low = -128 if self.kind == "i8" else 0
        dtype = np.int8 if self.kind == "i8" else np.uint8
        rows = [self.rng.integers(low, low + 256, (2, *size, self.channels[0])).astype(dtype) for size in sizes]
        return self.builder.build(golden_input=rows, golden_output=lambda draft: [run(draft, x) for x in rows])


def random_decoder(seed: int) -> ModelPackage:
    """Branches of different reach that come together: every kind that free sizes allow in the exact profile."""
    rng = np.random.default_rng(seed)
    sketch = FreeSketch(rng, "decoder", 5, "i8", 3, "u8")
    luma = sketch.plain("slice", 0, channels=3, start=0, stop=3)
    chroma = sketch.plain("slice", 0, channels=2, start=3, stop=5)
    sh, sw = (int(n) for n in rng.integers(1, 4, 2))
    kernel = sh + int(rng.integers(0, 4)), sw + int(rng.integers(0, 4))
    left = sketch.conv2d_transpose(luma, 2, kernel, (sh, sw))
    near = sketch.conv2d(chroma, 2, (int(rng.integers(1, 4)), int(rng.integers(1, 4))), (1, 1))
    right = sketch.plain("upsample", near, channels=2, factors=(sh, sw))
    joined = sketch.plain("concat", left, right, channels=4, axis=2)
    small = sketch.conv2d(joined, 4, (sh + 2, sw + 1), (sh, sw))  # down to the latent's size, and up again
    again = sketch.conv2d_transpose(small, 4, (sh, sw), (sh, sw))
    sketch.plain("add", joined, again, channels=4)
    wide = sketch.lookup("u8", 100)
    sketch.conv2d(wide, 3, (3, 5), (1, 1))
    sketch.builder.layer("affine", weights=sketch.builder.tensor(np.array([3, 5, 9], np.int32)),
                         bias=sketch.builder.tensor(np.array([-1, 0, 1], np.int32)))  # fmt: skip
    sketch.channels.append(3)
    sketch.lookup("u8", 500, 512)
    return sketch.finish([(1, 1), (3, 2)])


def random_encoder(seed: int) -> ModelPackage:
    """Down by strides of 1 to 3, with a branch."""
    rng = np.random.default_rng(seed)
    sketch = FreeSketch(rng, "encoder", 3, "u8", 4, "i8")
    sh, sw = (int(n) for n in rng.integers(1, 4, 2))
    one = sketch.conv2d(0, 4, (sh + 2, sw), (sh, sw))
    two = sketch.conv2d(0, 4, (3, 2), (sh, sw))
    sketch.plain("add", one, two, channels=4)
    sketch.lookup("i8", 100)
    sketch.conv2d(sketch.last, 4, (5, 3), (2, 1))
    return sketch.finish([(1, 1), (7, 5)])


def photo_decoder(seed: int = 0, run: Run = golden_output) -> ModelPackage:
    """160 latents at 1/16 of the size to RGB: luma and chroma apart, then two small convolutions as a correction."""
    rng = np.random.default_rng(seed)
    sketch = FreeSketch(rng, "decoder", 160, "i8", 3, "u8")
    planes = []
    for start, stop, channels in ((0, 112, 1), (112, 160, 2)):
        part = sketch.plain("slice", 0, channels=stop - start, start=start, stop=stop)
        planes.append(sketch.conv2d_transpose(part, channels, (32, 32), (16, 16)))
    both = sketch.plain("concat", *planes, channels=3, axis=2)
    rgb = sketch.conv2d(both, 3, (1, 1), (1, 1))
    wide = sketch.conv2d(rgb, 16, (3, 3), (1, 1))
    more = sketch.conv2d(wide, 3, (3, 3), (1, 1))
    sketch.plain("add", rgb, more, channels=3)
    sketch.lookup("u8", 100)
    return sketch.finish([(1, 1), (2, 3)], run)


def photo_encoder(seed: int = 0, channels: int = 32) -> ModelPackage:
    """The other way: four convolutions with stride 2."""
    rng = np.random.default_rng(seed)
    sketch = FreeSketch(rng, "encoder", 3, "u8", 160, "i8")
    for made in (channels, channels, channels, 160):
        sketch.conv2d(sketch.last, made, (5, 5), (2, 2))
    return sketch.finish([(1, 1), (20, 33)])


def float_pair() -> tuple[ModelPackage, ModelPackage]:
    """An encoder and a decoder of the float32 profile."""
    rng = np.random.default_rng(0)

    def part(
        builder: PackageBuilder, kind: str, shape: tuple[int, ...], channels: int, **params: tuple[int, ...]
    ) -> None:
        weights = builder.tensor((rng.standard_normal(shape) / 4).astype(np.float32))
        builder.layer(kind, weights=weights, bias=builder.tensor(np.zeros(channels, np.float32)), **params)

    down = PackageBuilder(
        role="encoder", profile="float32", input=Endpoint((0, 0, 3), "u8"), output=Endpoint((0, 0, 4), "f32"),
        decoder=bytes(32),
    )  # fmt: skip
    down.layer("scale", num=1, den=255)
    part(down, "conv2d", (5, 5, 3, 6), 6, strides=(2, 2), padding=(2, 2, 2, 1))
    down.layer("gelu")
    part(down, "conv2d", (3, 3, 6, 4), 4, strides=(2, 1), padding=(1, 1, 1, 1))
    images = [rng.integers(0, 256, (2, *size, 3)).astype(np.uint8) for size in ((1, 1), (9, 7))]
    encoder = down.build(golden_input=images, golden_output=lambda draft: [golden_output(draft, x) for x in images])
    up = PackageBuilder(
        role="decoder", profile="float32", input=Endpoint((0, 0, 4), "f32"), output=Endpoint((0, 0, 3), "u8")
    )
    part(up, "conv2d_transpose", (4, 4, 6, 4), 6, strides=(4, 2), crop=(0, 0, 1, 1))
    up.layer("leaky_relu", num=1, den=5)
    part(up, "conv2d", (3, 3, 6, 3), 3, strides=(1, 1), padding=(1, 1, 1, 1))
    up.layer("sigmoid")
    up.layer("to_u8")
    latents = [made for _, made in encoder.golden]
    sizes = [x.shape[1:3] for x in images]
    decoder = up.build(
        golden_input=latents,
        golden_output=lambda draft: [golden_output(draft, x, size) for x, size in zip(latents, sizes, strict=True)],
    )
    return encoder, decoder
