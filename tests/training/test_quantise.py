"""What the exact form promises: it stays within its bounds or is refused, and it computes what the floats do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aeformat.errors import UsageError
from aeformat.pipeline.evaluate import compare
from aeformat.training.dense import RANGES
from aeformat.training.dense_loop import train
from aeformat.training.quantise import (
    SHIFT_LIMIT,
    ExactStep,
    activation_table,
    check_bounds,
    quantise_half,
    quantise_pair,
)
from aeformat.training.stack import Dense, Parameters

RNG = np.random.default_rng(3)


def dense(n_in=20, n_out=10, activation="sigmoid", scale=0.5, bias=0.1):
    weights = RNG.normal(0, scale, (n_in, n_out)).astype(np.float32)
    return Dense(n_out, activation), Parameters(weights, np.full(n_out, bias, np.float32))


def exact_layer(**changes):
    layer = ExactStep(
        kind="dense",
        shape=(1,),
        weights=np.ones((2, 1), np.int8),
        bias=np.zeros(1, np.int32),
        multiplier=np.ones(1, np.int32),
        shift=0,
        table=np.arange(256).astype(np.uint8),
    )
    return replace(layer, **changes)


@pytest.mark.parametrize("activation", RANGES)
@pytest.mark.parametrize("levels", [31, 63, 127])
def test_integers_are_within_the_specs_ranges(activation, levels):
    """Types, shapes and limits of spec/model.md, section 4."""
    layers = [dense(20, 10, activation), dense(10, 5, "sigmoid")]
    for layer in quantise_half(*zip(*layers, strict=True), levels=levels, low=0, high=1):
        assert (layer.weights.dtype, layer.bias.dtype, layer.multiplier.dtype) == (np.int8, np.int32, np.int32)
        assert np.abs(layer.weights.astype(int)).max() == levels
        assert layer.multiplier.min() >= 1
        assert layer.multiplier.max() <= 2**24
        assert 0 <= layer.shift <= SHIFT_LIMIT
        assert (layer.table.dtype, layer.table.shape) == (np.uint8, (4096,))


@pytest.mark.parametrize("activation", RANGES)
def test_an_exact_layer_follows_its_float_layer(activation, evaluate):
    """At most 2 of 255 levels apart, whatever the scale of the weights: the loss of 7-bit weights over 20 inputs."""
    low, high = RANGES[activation]
    inputs = RNG.integers(0, 256, (200, 20), np.uint8)
    for scale in (0.01, 0.3):
        layer, floats = dense(activation=activation, scale=scale)
        before = (inputs / 255) @ floats.weights + floats.bias
        function = {"sigmoid": lambda x: 1 / (1 + np.exp(-x)), "clip": lambda x: x, "gelu": reference_gelu}[activation]
        wanted = 255 * (np.clip(function(before), low, high) - low) / (high - low)

        got = evaluate(quantise_half([layer], [floats], levels=127, low=0, high=1), inputs)

        assert np.abs(got - wanted).max() <= 2


def reference_gelu(x):
    """By its integral: half of x times one plus the area of the bell curve between -x and x."""
    steps = np.linspace(0, 1, 2001)
    bell = np.exp(-((x[..., np.newaxis] * steps) ** 2) / 2)
    area = (bell[..., 1:] + bell[..., :-1]).mean(axis=-1) / 2 * x
    return x * (1 + 2 * area / np.sqrt(2 * np.pi)) / 2


@pytest.mark.parametrize(
    "layer",
    [
        exact_layer(weights=np.full((600, 1), 127, np.int8)),
        exact_layer(bias=np.array([2**24], np.int32)),
        exact_layer(bias=np.array([2**24 - 1], np.int32)),
        exact_layer(bias=np.array([-(2**24)], np.int32)),
    ],
    ids=["weights", "bias", "weights-and-bias", "negative-bias"],
)
def test_sums_that_could_reach_2_24_are_refused(layer):
    with pytest.raises(UsageError, match="sums of layer 0"):
        check_bounds([layer])


def test_products_that_could_reach_2_53_are_refused():
    """The bound counts the rounding term too: shift 40 adds 2^39."""
    at_most = exact_layer(bias=np.array([2**24 - 511], np.int32), multiplier=np.array([2**29], np.int32))
    check_bounds([at_most])
    with pytest.raises(UsageError, match="products of layer 0"):
        check_bounds([replace(at_most, shift=40)])


def test_the_bound_of_a_layer_counts_what_the_layer_before_can_give():
    """A table that never exceeds 1 allows sums that 255 would not."""
    wide = exact_layer(weights=np.full((600, 1), 127, np.int8))
    quiet = exact_layer(table=np.array([0, 1], np.uint8))
    check_bounds([quiet, wide])


@pytest.mark.parametrize("layer", [dense(2, 2, bias=1e9), dense(400, 2, scale=1e9)], ids=["bias", "weights"])
def test_weights_without_an_exact_form_are_refused(layer):
    with pytest.raises(UsageError, match="no exact form"):
        quantise_half([layer[0]], [layer[1]], levels=127, low=0, high=1)


def test_evaluate_rounds_as_the_spec_says(evaluate):
    """t = floor((acc m + h) / 2^s), clamped into the table: by hand, around zero and at both ends."""
    layer = exact_layer(weights=np.array([[1], [-1]], np.int8), multiplier=np.array([3], np.int32), shift=2)
    inputs = np.array([[1, 0], [0, 1], [2, 0], [0, 2], [255, 0], [0, 255]], np.uint8)
    wanted = [128 + 1, 128 - 1, 128 + 2, 128 - 1, 255, 0]  # 5/4, -1/4, 8/4, -4/4, out, out
    assert evaluate([layer], inputs).ravel().tolist() == wanted


def test_tables_span_their_whole_range():
    assert activation_table("sigmoid")[[0, 2048, 4095]].tolist() == [0, 128, 255]
    assert activation_table("clip")[[0, 1024, 2048, 3072, 4095]].tolist() == [0, 0, 128, 255, 255]
    assert activation_table("gelu")[-1] == 255


@pytest.mark.usefixtures("tensorflow")
def test_the_exact_pair_is_as_good_as_the_float_pair(recipe, images, tmp_path, evaluate):
    """After a quantised phase the integers lose at most 0.1 dB against what training measured with rounding."""
    pair = train(recipe, images[:300], images[300:], tmp_path)
    encoder, decoder = quantise_pair(recipe, pair.encoder, pair.decoder)
    pixels = images[300:].reshape(100, -1)

    exact = compare([pixels], [evaluate(decoder, evaluate(encoder, pixels))])

    assert exact.psnr > pair.test.psnr - 0.1
