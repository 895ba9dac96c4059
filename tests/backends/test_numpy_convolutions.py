"""Convolutions of many images at once make the integers of the spec, whatever kernel, strides, padding and crop are."""

from __future__ import annotations

import random

import numpy as np
import pytest

from aeformat.backends import numpy_convolutions, numpy_layers
from aeformat.backends.numpy_layers import Array, Op, Scratch
from aeformat.backends.tiled import own_sides
from aeformat.model.package import Step
from aeformat.model.reference import value_of
from aeformat.model.values import Interval, Value

MAKERS = {"conv2d": numpy_convolutions.conv2d, "conv2d_transpose": numpy_convolutions.conv2d_transpose}
SEEDS = range(120)


def random_step(kind: str, seed: int) -> Step:
    """A layer with small integers as weights, and with sizes of either axis of their own."""
    draw = random.Random(f"{kind} {seed}")
    n_made, n_channels = draw.choice([1, 1, 2, 9]), draw.choice([1, 2, 8, 20])
    sizes, ends, strides, shape, made = [], [], [], [], []
    for _ in range(2):
        n, size, stride = draw.randint(1, 7), draw.randint(1, 6), draw.randint(1, 4)
        if kind == "conv2d":
            sides = draw.randint(0, 3), draw.randint(0, 3)
            n = max(n, size - sum(sides), 1)
            n_out = (n + sum(sides) - size) // stride + 1
        else:
            whole = (n - 1) * stride + size
            before = draw.randint(0, min(3, whole - 1))
            sides = before, draw.randint(0, min(3, whole - 1 - before))
            n_out = whole - sum(sides)
        sizes.append(size), ends.extend(sides), strides.append(stride), shape.append(n), made.append(n_out)
    channels = (n_channels, n_made) if kind == "conv2d" else (n_made, n_channels)
    rng = np.random.default_rng(seed)
    arrays = {"weights": rng.integers(-9, 10, (*sizes, *channels)).astype(np.int8), "bias": np.zeros(n_made, np.int32)}
    params = {"strides": tuple(strides), "padding" if kind == "conv2d" else "crop": tuple(ends)}
    value = Value((*made, n_made), "acc")
    return Step(kind, (0,), params, arrays, (*shape, n_channels), value, Interval(-(2**23), 2**23), (2**23,) * n_made)


def run(op: Op, step: Step, rows: Array) -> Array:
    return op(rows.astype(np.float32), Scratch(), own_sides(step))


@pytest.mark.parametrize("unfolded", [50, 1_000, 1 << 18])
@pytest.mark.parametrize("kind", MAKERS)
def test_random_layers_give_the_sums_of_the_spec(monkeypatch: pytest.MonkeyPatch, kind: str, unfolded: int) -> None:
    """Also a few images at a time, and where one image is too large for that."""
    monkeypatch.setattr(numpy_convolutions, "UNFOLDED", unfolded)
    for seed in SEEDS:
        step = random_step(kind, seed)
        rows = np.random.default_rng(seed).integers(0, 256, (5, *step.input_shape))

        found = run(MAKERS[kind](step, np.float32), step, rows)

        np.testing.assert_array_equal(found, value_of(step, [rows]), err_msg=str(seed))


@pytest.mark.parametrize("kind", MAKERS)
def test_scratch_memory_of_other_rows_does_no_harm(kind: str) -> None:
    """Padding and sums begin with zeros each time, also for fewer rows than before."""
    for seed in SEEDS:
        step, scratch = random_step(kind, seed), Scratch()
        rows = np.random.default_rng(seed).integers(0, 256, (6, *step.input_shape)).astype(np.float32)
        op = MAKERS[kind](step, np.float32)
        op(255 - rows, scratch, own_sides(step))

        for n in (6, 2):
            found = op(rows[:n], scratch, own_sides(step))
            np.testing.assert_array_equal(found, value_of(step, [rows[:n].astype(np.int64)]), err_msg=str(seed))


def test_the_random_layers_go_every_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gathered, scattered, and handed to numpy_layers; phases without a number of the kernel; outputs cut at the end."""
    steps = [random_step("conv2d_transpose", seed) for seed in SEEDS]
    ways = []
    for name in ("_gathered", "_scattered"):
        monkeypatch.setattr(numpy_convolutions, name, lambda *_args, name=name: ways.append(name))
    for step in steps:
        numpy_convolutions.conv2d_transpose(step, np.float32)
    monkeypatch.undo()
    plain = []
    monkeypatch.setattr(numpy_convolutions, "UNFOLDED", 1_000)
    for name in MAKERS:
        monkeypatch.setattr(numpy_layers, name, lambda *_args, name=name: plain.append(name))
        for seed in SEEDS:
            MAKERS[name](random_step(name, seed), np.float32)

    assert min(ways.count("_gathered"), ways.count("_scattered")) > 20
    assert min(plain.count(name) for name in MAKERS) > 5
    kernels = [(step.arrays["weights"].shape, step.integers("strides"), step.made.shape) for step in steps]
    assert any(stride[0] > shape[0] and made[0] % stride[0] for shape, stride, made in kernels)
