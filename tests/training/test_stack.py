"""Stacks of layers: shapes, what TensorFlow makes of them, and their integers, each against plain NumPy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aeformat.errors import UsageError
from aeformat.model.plain import conv2d, conv2d_transpose
from aeformat.training.quantise import drop_constants, quantise_decoder, quantise_encoder
from aeformat.training.recipe import ConvRecipe
from aeformat.training.shipped import CONV_RECIPES
from aeformat.training.stack import (
    Conv,
    ConvTranspose,
    Dense,
    Near,
    Parameters,
    Reshape,
    best_steps,
    forward,
    initial_parameters,
    margins,
    present,
    shapes,
    weighted,
)

SHAPE = (9, 7, 2)
ENCODER = (Conv(5, 3, 2, "raised_gelu"), Reshape((100,)), Dense(12, "raised_gelu", 31), Dense(6, "latent"))
DECODER = (
    Dense(12, "raised_gelu", 31),
    Reshape((2, 3, 2)),
    ConvTranspose(4, 5, 2, "raised_gelu", 63),
    ConvTranspose(1, 3, 1, "sigmoid"),
)


NEAR = (
    Dense(8, "raised_gelu", 31, near=Near(2, 1, 0)),
    Reshape((2, 2, 2)),
    ConvTranspose(1, 3, 1, "sigmoid"),
)


def parameters(stack, shape, seed=0, unit=0.02):
    """Random parameters that round: 8-bit activations, steps as they are chosen."""
    rng = np.random.default_rng(seed)
    arrays = initial_parameters(stack, shape, rng)
    return [
        Parameters(
            weights, rng.normal(0, 0.2, bias.shape).astype(np.float32), best_steps(layer, weights), np.float32(unit)
        )
        for layer, weights, bias in zip(weighted(stack), arrays[::2], arrays[1::2], strict=True)
    ]


@pytest.mark.parametrize("recipe", CONV_RECIPES.values(), ids=CONV_RECIPES)
def test_recipes_fit_together(recipe: ConvRecipe):
    """Images come out as they went in, and a base has weights to start from."""
    latents = shapes(recipe.encoder, recipe.shape)[-1]
    assert latents == (recipe.latent_dims,)
    assert shapes(recipe.decoder, latents)[-1] == recipe.shape
    assert recipe.base is None or recipe.base in CONV_RECIPES
    assert recipe.until(recipe.epochs).phases == recipe.phases
    assert recipe.until(1).phases == recipe.phases[:1]


def test_stretching_keeps_all_phases():
    recipe = CONV_RECIPES["mnist-rd-25"]
    assert [phase.epochs for phase in recipe.with_epochs(100).phases] == [60, 28, 12]
    with pytest.raises(UsageError):
        recipe.with_epochs(0)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "expected"),
    [
        (28, 5, 2, (1, 2)),
        (14, 5, 2, (1, 2)),
        (7, 3, 1, (1, 1)),
        (9, 3, 2, (1, 1)),
        (8, 2, 2, (0, 0)),
        (5, 1, 3, (0, 0)),
    ],
)
def test_margins_are_those_of_same_padding(size, kernel, stride, expected):
    """ceil(size / stride) outputs, the odd zero behind."""
    assert margins(size, kernel, stride) == expected
    assert (size + sum(expected) - kernel) // stride + 1 == -(-size // stride)


def test_best_steps_do_not_clip_what_they_need_not():
    """Weights that lie on a grid keep it; a far outlier may be cut."""
    grid = np.outer(np.arange(-15, 16), [1.0, 0.01]).astype(np.float32)
    assert best_steps(Dense(2, "linear", 15), grid) == pytest.approx([1.0, 0.01], rel=1e-6)
    spread = np.random.default_rng(0).normal(0, 1, (1000, 1)).astype(np.float32)
    spread[0] = 8
    assert best_steps(Dense(1, "linear", 7), spread)[0] < 8 / 7


def test_local_inputs_reach_near_places_only():
    """One row and column away on a grid of 3 x 3, two channels to a place; the input behind the grid reaches all."""
    found = present(Dense(18, "linear", near=Near(3, 1, 1)), 10)
    places = [[0, 1, 3, 4], [0, 1, 2, 3, 4, 5], [1, 2, 4, 5]]
    for row, expected in enumerate(places):
        assert np.flatnonzero(found[row]).tolist() == [2 * place + channel for place in expected for channel in (0, 1)]
    assert found[4].all() and found[9].all()
    assert np.flatnonzero(found[8]).tolist() == [8, 9, 10, 11, 14, 15, 16, 17]
    assert present(Dense(18, "linear"), 10) is None


def test_two_local_inputs_to_a_place_lie_side_by_side():
    found = present(Dense(4, "linear", near=Near(2, 2, 0)), 8)
    assert found.tolist() == np.repeat(np.eye(4), 2, axis=0).tolist()


def test_absent_weights_start_at_0_and_the_others_make_up_for_them():
    dense = Dense(490, "linear", near=Near(7, 2, 1))
    weights = initial_parameters((dense,), (129,), np.random.default_rng(0))[0]
    mask = present(dense, 129)
    assert not weights[mask == 0].any() and weights[mask == 1].all()
    assert np.square(weights).sum() == pytest.approx(weights.size * 2 / (129 + 490), rel=0.03)


@pytest.mark.parametrize("near", [Near(3, 1, 0), Near(2, 2, 0)], ids=["units", "inputs"])
def test_a_grid_that_does_not_fit_is_refused(near):
    with pytest.raises(ValueError, match="do not hold a grid"):
        present(Dense(8, "linear", near=near), 6)


@pytest.mark.usefixtures("tensorflow")
def test_absent_weights_have_no_gradient():
    """So training leaves them at 0, whatever else it does."""
    import tensorflow as tf

    weights = tf.Variable(np.ones((6, 8), np.float32))
    with tf.GradientTape() as tape:
        made = forward(tf, NEAR[:1], [Parameters(weights, np.zeros(8, np.float32))], tf.ones((3, 6)))
    slopes = tape.gradient(made, weights).numpy()
    assert ((slopes != 0) == (present(NEAR[0], 6) == 1)).all()


@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize("rounded", [False, True], ids=["float", "rounded"])
@pytest.mark.parametrize(
    ("stack", "shape"), [(ENCODER, SHAPE), (DECODER, (6,)), (NEAR, (6,))], ids=["encoder", "decoder", "near"]
)
def test_the_forward_pass_is_that_of_plain_numpy(stack, shape, rounded):
    """TensorFlow's result, rounded on the way or not, within float32."""
    import tensorflow as tf

    mine = parameters(stack, shape)
    if not rounded:
        mine = [replace(each, steps=None, unit=None) for each in mine]
    values = np.random.default_rng(1).uniform(0, 1, (5, *shape)).astype(np.float32)
    found = forward(tf, stack, mine, tf.constant(values)).numpy()

    expected, left, before = values.astype(np.float64), iter(mine), shapes(stack, shape)
    for layer, size, after in zip(stack, before, before[1:], strict=False):
        if isinstance(layer, Reshape):
            expected = expected.reshape(len(expected), *layer.shape)
            continue
        each = next(left)
        weights = each.weights.astype(np.float64)
        if rounded:
            axis = {Dense: 1, Conv: 3, ConvTranspose: 2}[type(layer)]
            steps = each.steps.reshape([-1 if i == axis else 1 for i in range(weights.ndim)])
            weights = np.clip(np.rint(weights / steps), -layer.levels, layer.levels) * steps
        if isinstance(layer, Dense):
            expected = expected @ weights
        else:
            large = size if isinstance(layer, Conv) else after
            sides = [side for extent in large[:2] for side in margins(extent, layer.kernel, layer.stride)]
            run = conv2d if isinstance(layer, Conv) else conv2d_transpose
            expected = run(expected, weights, (layer.stride, layer.stride), tuple(sides))
        expected = expected + each.bias
        if layer.activation == "raised_gelu":
            expected = tf.nn.gelu(expected).numpy() + 0.17
            if rounded:
                expected = np.rint(np.clip(expected, 0, 255 * each.unit) / each.unit) * each.unit
        elif layer.activation == "latent":
            expected = 4 * expected
    assert np.abs(found - expected).max() < (0.1 if rounded else 1e-4)  # a level may tip over
    assert np.median(np.abs(found - expected)) < 1e-4


def test_tables_reach_where_gelu_is_flat(evaluate):
    """Sums far below 0 come out as 0.17, however narrow the range of the layer's activations is."""
    for unit in (0.004, 0.05):
        layer = Parameters(
            np.ones((1, 1), np.float32), np.zeros(1, np.float32), np.ones(1, np.float32), np.float32(unit)
        )
        (step,) = quantise_decoder((Dense(1, "raised_gelu"),), [layer], 1)
        made = evaluate((step,), np.array([[-100], [-5], [-4], [0]], np.int8))
        assert made[:, 0].tolist() == pytest.approx([0.17 / unit] * 4, abs=0.51)


@pytest.mark.usefixtures("tensorflow")
def test_integers_make_what_the_rounded_floats_make(evaluate):
    """Latents and pixels: all but a few equal, as steps of tables and of 8 bits tip over here and there."""
    import tensorflow as tf

    images = np.random.default_rng(2).integers(0, 256, (40, *SHAPE), np.uint8)
    mine = parameters(ENCODER, SHAPE)
    latents = evaluate(quantise_encoder(ENCODER, mine, SHAPE, (-20, 20)), images)
    floats = forward(tf, ENCODER, mine, tf.constant(images.astype(np.float32) / 255)).numpy()
    off = np.abs(latents - np.clip(np.rint(floats), -20, 20))
    assert latents.dtype == np.int8
    assert len(np.unique(latents)) > 5
    assert off.max() <= 1
    assert (off > 0).mean() < 0.1

    theirs = parameters(DECODER, (6,), seed=3)
    pixels = evaluate(quantise_decoder(DECODER, theirs, 6), latents)
    logits = forward(tf, DECODER, theirs, tf.constant(latents.astype(np.float32))).numpy()
    expected = np.floor(255 / (1 + np.exp(-logits.astype(np.float64))) + 0.5)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (40, 4, 6, 1)
    assert np.ptp(pixels) > 20
    off = np.abs(pixels - expected)
    assert off.max() <= 5
    assert (off > 1).mean() < 0.05


def test_latents_that_never_change_are_left_out(evaluate):
    """What they added goes into the decoder's bias, so all else comes out the same."""
    encoder, decoder = parameters(ENCODER, SHAPE), parameters(DECODER, (6,), seed=3)
    for dim, value in ((1, 3), (4, -2)):
        encoder[-1].weights[:, dim] = 0
        encoder[-1].bias[dim] = value / 4
    images = np.random.default_rng(2).integers(0, 256, (30, *SHAPE), np.uint8)
    before = evaluate(quantise_encoder(ENCODER, encoder, SHAPE, (-20, 20)), images)
    stack, _, less_encoder, less_decoder, kept = drop_constants(ENCODER, DECODER, (encoder, decoder), before)
    after = evaluate(quantise_encoder(stack, less_encoder, SHAPE, (-20, 20)), images)

    assert kept.tolist() == [0, 2, 3, 5]
    assert np.array_equal(after, before[:, kept])
    whole = evaluate(quantise_decoder(DECODER, decoder, 6), before)
    less = evaluate(quantise_decoder(DECODER, less_decoder, 4), after)
    assert np.abs(whole.astype(int) - less).max() <= 1


def test_what_could_leave_the_exact_range_is_refused():
    """M4-1 and M4-4 are kept when packages are made, not only when they are read."""
    mine = parameters((Dense(3, "sigmoid"),), (400_000,))
    with pytest.raises(UsageError, match="no exact form"):
        quantise_decoder(
            (Dense(3, "sigmoid"),),
            [replace(each, weights=each.weights * 0 + 127 * 0.01, steps=np.full(3, 0.01, np.float32)) for each in mine],
            400_000,
        )
    huge = parameters((Dense(3, "sigmoid"),), (4,))
    with pytest.raises(UsageError, match="bias"):
        quantise_decoder((Dense(3, "sigmoid"),), [replace(each, bias=each.bias + 1e9) for each in huge], 4)
