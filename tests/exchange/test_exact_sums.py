"""Sums stay below 2^31 in integers, whatever the weights are: with fewer levels for them, or with a refusal by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aeformat.backends.golden_check import check
from aeformat.errors import UsageError
from aeformat.exchange.exact import PIXELS, _natural_scale
from aeformat.exchange.exact_import import loss, make_exact
from aeformat.exchange.keras_import import Options, import_keras
from aeformat.exchange.samples import patterns
from aeformat.model.graph import Graph
from aeformat.model.values import Value


def one_sum(keras, x):
    """90,000 weights as large as any: at 127 levels the sum could reach 2.9e9."""
    return mean(keras, x, 90_000, "z")


def sum_of_two(keras, x):
    """40,000 weights each: one sum stays below 2^31, both together do not."""
    return keras.layers.Add(name="z")([mean(keras, x, 40_000, name) for name in "ab"])


def mean(keras, x, n, name):
    constant = keras.initializers.Constant
    return keras.layers.Dense(2, name=name, kernel_initializer=constant(1 / n), bias_initializer=constant(0.1))(x)


@pytest.mark.parametrize(("build", "side"), [(one_sum, 300), (sum_of_two, 200)])
def test_weights_have_fewer_levels_where_sums_would_be_too_large(keras, tmp_path: Path, build, side: int) -> None:
    image = keras.Input((side, side, 1))
    z = build(keras, keras.layers.Flatten()(image))
    keras.Model(image, keras.layers.Dense(side * side, "sigmoid")(z)).save(tmp_path / "net.keras")
    images = patterns((side, side, 1), 8)
    made = import_keras(Options(tmp_path / "net.keras", "z", "net"), lambda shape: images)

    pair = make_exact(made.graphs, images, "net")

    assert loss((made.encoder, made.decoder), pair, images).between > 40
    for package in pair:
        check(package)


def test_too_many_weights_for_any_levels_are_refused_by_name() -> None:
    graph = Graph(Value((1000,), "f32"))
    graph.add("dense", 0, weights=np.ones((1000, 2), np.float32), bias=np.zeros(2, np.float32))

    with pytest.raises(UsageError, match="no exact form for 'wide': too many weights"):
        _natural_scale(graph.steps[0], PIXELS, "wide", 1 << 17)


@pytest.mark.parametrize("what", ["a value that is 0 on all samples", "weights that are all 0"])
def test_a_bias_may_be_all_that_is_left(keras, tmp_path: Path, what: str) -> None:
    layers, constant = keras.layers, keras.initializers.Constant
    image = keras.Input((6, 6, 1))
    is_dead = what.startswith("a value")
    x = layers.Dense(5, "relu", bias_initializer=constant(-50.0 if is_dead else 0.0))(layers.Flatten()(image))
    kernel = "glorot_uniform" if is_dead else "zeros"
    z = layers.Dense(3, name="z", bias_initializer=constant(0.5), kernel_initializer=kernel)(x)
    keras.Model(image, layers.Dense(36, "sigmoid")(z)).save(tmp_path / "net.keras")
    made = import_keras(Options(tmp_path / "net.keras", "z", "net"))
    images = patterns((6, 6, 1), 30)

    pair = make_exact(made.graphs, images, "net")

    assert loss((made.encoder, made.decoder), pair, images).between > 45
