"""The encoder in integers computes what the rounded networks of training compute."""

from dataclasses import replace

import numpy as np
import pytest

from aeformat.backends.runtime import load_tensorflow
from aeformat.model.manifest import ENCODER, Endpoint
from aeformat.model.reference import evaluate, golden_output
from aeformat.training.photo import network, rounding
from aeformat.training.photo.encoder_integers import encoder_graph
from aeformat.training.photo.recipe import RECIPES

RECIPE = replace(RECIPES["photo-3"], luma=20, chroma=4, step=20, features=3, hidden=5, encoder_hidden=12)


@pytest.fixture(scope="module")
def weights():
    rng = np.random.default_rng(1)
    made = network.initial_weights(RECIPE, rng)
    made["encoder_3"] += 0.1 * rng.standard_normal(made["encoder_3"].shape).astype(np.float32)
    return made


def picture(height, width, seed=3):
    """Edges, a ramp and noise, white and black among them."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    grey = 90 + columns - rows / 2 + 60 * ((rows // 12 + columns // 20) % 2)
    pixels = grey[..., None] + rng.normal(0, 12, (height, width, 3)) + [[(20, -10, -20)]]
    return np.clip(pixels, 0, 255).astype(np.uint8)


@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize(("height", "width"), [(48, 64), (32, 96)])
def test_latents_are_those_of_training(weights, height, width) -> None:
    tf = load_tensorflow()
    pixels = picture(height, width)[None]
    tensors = {name: tf.constant(array) for name, array in weights.items()}
    networks = network.Networks(tf, RECIPE, _encoder_rounded(tf, tensors), fast=False, rounded=True)
    wanted = networks.latents((pixels.astype(np.float32) - 128) / 64).numpy()
    made = evaluate(encoder_graph(weights, height // 16, width // 16).steps, pixels)
    assert made.shape == wanted.shape
    assert made.dtype == np.int8
    away = np.abs(made - wanted)
    assert np.abs(wanted).max() > 40
    assert away.max() < 0.9
    assert np.sqrt(np.square(away).mean()) < 0.32  # rounding alone gives up to 0.29
    borders = {"above": away[:, 0], "below": away[:, -1], "left": away[:, :, 0], "right": away[:, :, -1]}
    for name, found in borders.items():
        assert np.sqrt(np.square(found).mean()) < 0.34, name


def _encoder_rounded(tf, tensors):
    names = [f"encoder_{layer}" for layer in range(4)]
    return {**tensors, **{name: rounding.rounded(tf, [tensors[name]], rounding.GREATEST)[0] for name in names}}


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_rounded_kernels_see_in_even_areas_what_kernels_see(weights, grey) -> None:
    """Black and white are where a kernel's rounding would show most."""
    plain = {**weights, "encoder_3": np.zeros_like(weights["encoder_3"]), "dead_zone": np.zeros(1)}
    made = evaluate(encoder_graph(plain, 3, 3).steps, np.full((1, 48, 48, 3), grey, np.uint8))[0, 1, 1]
    wanted = (grey - 128) / 64 * weights["analysis"].sum(axis=(0, 1, 2)) / np.exp(weights["steps"])
    assert np.abs(made - np.clip(wanted, -127, 127)).max() < 0.55


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 3), (4, 2)])
def test_any_number_of_latents(weights, height, width) -> None:
    assert evaluate(encoder_graph(weights, height, width).steps, picture(16 * height, 16 * width)[None]).shape == (
        1, height, width, 24,
    )  # fmt: skip


def test_it_is_a_package_with_free_sizes(weights) -> None:
    """By all rules of the format, those of sums among them."""
    ends = Endpoint((0, 0, 3), "u8"), Endpoint((0, 0, RECIPE.channels), "i8")
    images = [picture(7, 5)[None], picture(33, 40)[None]]
    graph = encoder_graph(weights, 1, 1)

    def latents(package):
        return [golden_output(package, rows) for rows in images]

    package = graph.build(ENCODER, ends, images, latents, name="photo", decoder=bytes(32))
    assert package.manifest.scale == (16, 16)
    assert [made.shape for _, made in package.golden] == [(1, 1, 1, 24), (1, 3, 3, 24)]
