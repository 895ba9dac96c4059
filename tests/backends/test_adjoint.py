"""aeformat.backends.numpy_adjoint: derivatives are the differences that the layers make, and the same in any order of sums."""

from __future__ import annotations

import numpy as np
import pytest

from aeformat.backends.numpy_adjoint import slopes
from aeformat.backends.numpy_backend import NumpyNetwork
from aeformat.backends.numpy_layers import Fresh, Scratch
from aeformat.model.graph import Graph
from aeformat.model.manifest import Endpoint
from aeformat.model.reference import golden_output
from aeformat.model.values import EXACT, Value

SAME = np.arange(-128, 128).astype(np.int8)
SIZE = (5, 4)


def network():
    """Every kind of layer that goes with free sizes and integers; all lookups give the number itself."""
    draw = np.random.default_rng(3)
    graph = Graph(Value((1, 1, 3), "i8"), EXACT)

    def weights(*shape: int) -> np.ndarray:
        return draw.integers(-1, 2, shape).astype(np.int8)

    def looked(table: np.ndarray = SAME) -> int:
        return graph.add("lookup", multiplier=np.ones(1, np.int32), shift=0, table=table)

    nothing = np.zeros(3, np.int32)
    graph.add("conv2d", weights=weights(3, 1, 3, 3), bias=nothing, strides=(1, 1), padding=(2, 0, 0, 0))
    first = looked()
    graph.add("conv2d_transpose", weights=weights(5, 4, 2, 3), bias=nothing[:2], strides=(4, 2), crop=(1, 0, 0, 2))
    large = looked()
    graph.add("conv2d", large, weights=weights(3, 3, 2, 3), bias=nothing, strides=(4, 2), padding=(1, 0, 0, 1))
    both = graph.add("concat", first, looked(), axis=2)
    part = graph.add("slice", both, start=2, stop=5)
    graph.add("upsample", part, factors=(4, 2))
    scaled = graph.add("affine", weights=np.array([1, -2, 1], np.int32), bias=np.array([3, 0, -9], np.int32))
    other = graph.add("conv2d", large, weights=weights(1, 1, 2, 3), bias=nothing, strides=(1, 1), padding=(0, 0, 0, 0))
    graph.add("add", scaled, other, scaled)
    looked((np.arange(256)).astype(np.uint8))
    end, images = Endpoint((0, 0, 3), "i8"), Endpoint((0, 0, 3), "u8")
    codes = [np.zeros((1, h, w, 3), np.int8) for h, w in ((1, 1), (2, 2))]

    def pixels(half):
        return [golden_output(half, rows) for rows in codes]

    return NumpyNetwork(graph.build("decoder", (end, images), codes, pixels, name=None))


def test_derivatives_are_differences():
    """Of a sum over the pixels with weights of their own, for a step of every latent."""
    made = network()
    adjoint = made.adjoint()
    draw = np.random.default_rng(1)
    latents = (draw.random((1, *SIZE, 3)) < 0.2).astype(np.int8)
    values = adjoint.forward([latents.astype(np.float32)], Fresh())
    before = made.run(latents).astype(int)
    assert (values[-1] == before).all() and before.min() > 0 and before.max() < 255  # no table ends
    seed = draw.integers(-9, 10, before.shape)

    found = adjoint.backward(values, {len(values) - 1: seed.astype(np.float32)}, Scratch())[0]

    for place in np.ndindex(latents.shape):
        moved = latents.copy()
        moved[place] += 1
        assert found[place] == ((made.run(moved).astype(int) - before) * seed).sum(), place


@pytest.mark.parametrize(
    ("table", "wanted"),
    [
        (np.arange(10).repeat(3), [0, *[1 / 3] * 28, 0]),
        (np.arange(8)[::-1], [0, *[-1] * 6, 0]),
        (np.array([7, 7]), [0, 0]),
        (np.array([0, 0, 0, 9, 9, 9]), [0, 0, 4.5, 4.5, 0, 0]),
    ],
    ids=["steps of 3", "falling", "the same", "one jump"],
)
def test_slopes_of_tables(table, wanted):
    """Over as many entries as the table takes for a step, on either side; none behind its ends."""
    assert slopes(table) == pytest.approx(wanted, abs=0.14)


def test_sums_are_exact_whatever_the_size_of_derivatives():
    """Rounded so that no product sum leaves 2^24: two orders of the same pixels give the same numbers, to the bit."""
    made = network()
    adjoint = made.adjoint()
    latents = np.random.default_rng(1).integers(-2, 3, (1, *SIZE, 3)).astype(np.int8)
    values = adjoint.forward([latents.astype(np.float32)], Fresh())
    seed = np.random.default_rng(2).standard_normal(values[-1].shape).astype(np.float32) * 1e7
    once, again = (adjoint.backward(values, {len(values) - 1: seed}, Scratch())[0] for _ in range(2))
    small = adjoint.backward(values, {len(values) - 1: seed / 2**40}, Scratch())[0]
    np.testing.assert_array_equal(once, again)
    np.testing.assert_array_equal(once, small * np.float32(2**40))
