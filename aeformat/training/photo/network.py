"""The networks of a photograph model in TensorFlow: pixels to latents, latents to pixels.

Owns their weights' shapes and first values, which come from the lapped transform (lapped.py), and the forward pass in floats.
Knows nothing of rates, losses, schedules or packages.

Pixels are (grey level - 128) / UNIT here.  Latents are in steps: `weights["steps"]` holds the logarithm of each channel's step.
Planes of the decoder are half as high and wide as the image: the four phases of its luma, two of chroma, then features.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.training.photo import lapped
from aeformat.training.photo.order import numbers, sources
from aeformat.training.photo.recipe import PhotoRecipe
from aeformat.training.photo.rounding import FEATURE_UNIT, GREATEST, LOG_UNIT, PLANE_UNIT, UNIT, kept

Floats = NDArray[np.float32]
Weights = Mapping[str, Any]

LUMA_PLANES: Final = 4
CHROMA_PLANES: Final = 2
_HALF: Final = lapped.BANDS // 2  # rows of a plane that belong to a row of latents
_LEAST_MEAN_STEP: Final = 28.5  # below it the mean of bright blocks would not fit 8 bits
_DEAD_ZONE: Final = 0.12
_LINEAR: Final = ((0.25, 0.75, 0.0), (0.0, 0.75, 0.25))
"""Pixels between those of a plane of half the size: weights of the one before, here and behind."""


def initial_weights(recipe: PhotoRecipe, rng: np.random.Generator) -> dict[str, Floats]:
    """Those of the lapped transform; what comes on top of it starts as 0, behind random layers."""
    made = {**_encoder(recipe, rng), **_decoder(recipe, rng)}
    return {name: array.astype(np.float32) for name, array in made.items()}


def _he(rng: np.random.Generator, *shape: int) -> NDArray[np.float64]:
    found: NDArray[np.float64] = rng.standard_normal(shape) * np.sqrt(2.5 / np.prod(shape[:-1]))
    return found


def _encoder(recipe: PhotoRecipe, rng: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    n, hidden = recipe.channels, recipe.encoder_hidden
    runs = sources(recipe.groups)
    luma, chroma = numbers(runs["luma"]), numbers(runs["chroma"])
    pictures = lapped.basis_images(max(recipe.luma, recipe.chroma // 2))
    kernel = np.zeros((lapped.TAPS, lapped.TAPS, 3, n))
    kernel[..., luma] = np.einsum("cyx,k->yxkc", pictures[: recipe.luma], lapped.COLOURS[0])
    borders = np.zeros((4, n, n))
    borders[:, luma[:, None], luma] = lapped.border_corrections(recipe.luma)
    for colour in (0, 1):
        mine = chroma[colour::2]
        kernel[..., mine] = np.einsum("cyx,k->yxkc", pictures[: len(mine)], lapped.COLOURS[1 + colour])
        borders[:, mine[:, None], mine] = lapped.border_corrections(len(mine))
    steps = np.full(n, np.log(recipe.step / UNIT))
    steps[0] = np.log(max(recipe.step, _LEAST_MEAN_STEP) / UNIT)
    return {
        "analysis": kernel,
        "borders": borders,
        "steps": steps,
        "dead_zone": np.full(1, _DEAD_ZONE),
        "encoder_0": _he(rng, 1, 1, n + 1, hidden),
        "encoder_bias_0": np.zeros(hidden),
        "encoder_1": _he(rng, 3, 3, hidden, hidden),
        "encoder_bias_1": np.zeros(hidden),
        "encoder_2": _he(rng, 3, 3, hidden, hidden),
        "encoder_bias_2": np.zeros(hidden),
        "encoder_3": np.zeros((1, 1, hidden, n)),
    }


def _decoder(recipe: PhotoRecipe, rng: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    pictures = lapped.basis_images(max(recipe.luma, recipe.chroma // 2))
    phases = pictures.reshape(-1, lapped.BANDS, 2, lapped.BANDS, 2).transpose(1, 3, 2, 4, 0)
    luma = phases.reshape(lapped.BANDS, lapped.BANDS, LUMA_PLANES, -1)
    smooth = luma.mean(axis=2)
    chroma = np.zeros((lapped.BANDS, lapped.BANDS, CHROMA_PLANES, recipe.chroma))
    for colour in (0, 1):
        chroma[:, :, colour, colour::2] = smooth[..., : recipe.chroma // 2]
    seen = np.zeros((lapped.BANDS, lapped.BANDS, recipe.channels))
    runs = sources(recipe.groups)
    seen[..., numbers(runs["luma"])] = smooth[..., : recipe.luma]
    seen[..., numbers(runs["chroma"])] = smooth[..., np.arange(recipe.chroma) // 2]
    seen = seen[..., numbers(runs["features"])]
    n_planes = LUMA_PLANES + CHROMA_PLANES + recipe.features
    hidden = recipe.hidden
    return {
        "synthesis_luma": luma[..., : recipe.luma],
        "synthesis_chroma": chroma,
        "synthesis_features": 0.7 * seen[:, :, None] * rng.standard_normal((recipe.features, seen.shape[-1])),
        "decoder_0": _he(rng, 3, 3, n_planes, hidden),
        "decoder_bias_0": np.zeros(hidden),
        "decoder_1": _he(rng, 3, 3, hidden, hidden),
        "decoder_bias_1": np.zeros(hidden),
        "decoder_2": np.concatenate([_planes_to_pixels(n_planes), np.zeros((3, 3, hidden, 12))], axis=2),
        "decoder_bias_2": np.zeros(3),
    }


def _planes_to_pixels(n_planes: int) -> NDArray[np.float64]:
    """(3, 3, n_planes, 12): luma to its places, chroma in between by linear interpolation; the 12: row, column, colour."""
    kernel = np.zeros((3, 3, n_planes, 2, 2, 3))
    for row in (0, 1):
        for column in (0, 1):
            kernel[1, 1, 2 * row + column, row, column] = lapped.COLOURS[0]
            between = np.outer(_LINEAR[row], _LINEAR[column])
            for colour in (0, 1):
                kernel[:, :, LUMA_PLANES + colour, row, column] = between[..., None] * lapped.COLOURS[1 + colour]
    return kernel.reshape(3, 3, n_planes, 12)


class Networks:
    """The forward passes.  weights: what `initial_weights` names, as tensors or variables.

    fast: large products in bfloat16, which some processors multiply several times as fast; good enough to train with.
    rounded: the decoder's planes and hidden numbers, as 8 bits hold them.
    """

    def __init__(self, tf: Any, recipe: PhotoRecipe, weights: Weights, *, fast: bool, rounded: bool) -> None:
        self._tf, self._recipe, self._weights, self._rounded = tf, recipe, weights, rounded
        self._type = tf.bfloat16 if fast else tf.float32

    def latents(self, pixels: Any) -> Any:
        """Pixels (n, 16 h, 16 w, 3) -> latents (n, h, w, channels), not yet rounded, -GREATEST..GREATEST."""
        tf, weights = self._tf, self._weights
        numbers = self._corrected_at_borders(self._projected(pixels)) * tf.exp(-weights["steps"])
        ones = tf.ones_like(numbers[..., :1])  # they tell a convolution where the image ends
        logarithms = tf.sign(numbers) * tf.math.log1p(tf.abs(numbers))
        seen = tf.concat([ones, self._encoder_sees(logarithms, LOG_UNIT)], -1)
        for layer in (0, 1, 2):
            sums = self._conv(seen, weights[f"encoder_{layer}"]) + weights[f"encoder_bias_{layer}"]
            seen = self._encoder_sees(tf.nn.gelu(sums, True), FEATURE_UNIT)
        numbers = numbers + self._conv(seen, weights["encoder_3"])
        numbers = tf.sign(numbers) * tf.nn.relu(tf.abs(numbers) - tf.nn.relu(weights["dead_zone"]))
        return tf.clip_by_value(numbers, -GREATEST, GREATEST)

    def pixels(self, latents: Any) -> Any:
        """Latents (n, h, w, channels) -> pixels (n, 16 h, 16 w, 3), neither rounded nor clamped."""
        tf, weights = self._tf, self._weights
        planes = self._planes(latents * tf.exp(weights["steps"]))
        hidden = planes
        for layer in (0, 1):
            sums = self._conv(hidden, weights[f"decoder_{layer}"]) + weights[f"decoder_bias_{layer}"]
            hidden = kept(tf, tf.nn.gelu(sums), PLANE_UNIT, rounded=self._rounded)
        last = self._conv(tf.concat([planes, hidden], -1), weights["decoder_2"])
        return tf.nn.depth_to_space(last, 2) + weights["decoder_bias_2"]

    def _encoder_sees(self, values: Any, unit: float) -> Any:
        return kept(self._tf, values, unit, rounded=True) if self._rounded else values

    def _projected(self, pixels: Any) -> Any:
        """Products with the analysis kernels; zeros around the image.  The mean, whose numbers are large, in float32."""
        tf, n = self._tf, self._recipe.channels
        side = [lapped.OVERLAP] * 2
        blocks = _two_by_two(tf, tf.nn.space_to_depth(tf.pad(pixels, [[0, 0], side, side, [0, 0]]), lapped.BANDS))
        split = tf.reshape(self._weights["analysis"], (2, lapped.BANDS, 2, lapped.BANDS, 3, n))
        kernel = tf.reshape(tf.transpose(split, (0, 2, 1, 3, 4, 5)), (-1, n))
        mean = tf.tensordot(blocks, kernel[:, :1], 1)
        return tf.concat([mean, self._product(blocks, kernel[:, 1:])], -1)

    def _corrected_at_borders(self, numbers: Any) -> Any:
        """At least 2 x 2 latents."""
        tf = self._tf
        left, right, top, bottom = (self._weights["borders"][side] for side in range(4))
        for axis, before, behind in ((2, left, right), (1, top, bottom)):
            size = numbers.shape[axis]
            first, inner, last = tf.split(numbers, [1, size - 2, 1], axis)
            first, last = (edge + tf.tensordot(edge, matrix, 1) for edge, matrix in ((first, before), (last, behind)))
            numbers = tf.concat([first, inner, last], axis)
        return numbers

    def _planes(self, numbers: Any) -> Any:
        """(n, h, w, channels) in units of pixels -> (n, 8 h, 8 w, planes)."""
        tf, weights = self._tf, self._weights
        around = _two_by_two(tf, tf.pad(numbers, [[0, 0], [1, 1], [1, 1], [0, 0]]))
        n, height, width = around.shape[:3]
        around = tf.reshape(around, (n, height, width, 4, self._recipe.channels))
        made = []
        for name, runs in sources(self._recipe.groups).items():
            matrix = self._as_matrix(weights[f"synthesis_{name}"])
            mine = tf.concat([around[..., run] for run in runs], -1)
            sums = self._product(tf.reshape(mine, (n, height, width, -1)), matrix)
            made.append(tf.nn.depth_to_space(sums, _HALF))
        cut = _HALF // 2
        planes = tf.concat(made, -1)[:, cut:-cut, cut:-cut]
        return kept(tf, planes, PLANE_UNIT, rounded=self._rounded)

    def _as_matrix(self, kernel: Any) -> Any:
        """(16, 16, planes, channels) of a transposed convolution of stride 8 -> (4 channels, 64 planes).

        Rows: the latents above left, above right, below left, below right of a block of 8 x 8; of the latent before a block the
        second half of the kernel reaches it, of the latent behind it the first.
        """
        tf = self._tf
        planes, channels = kernel.shape[2:]
        halves = tf.reverse(tf.reshape(kernel, (2, _HALF, 2, _HALF, planes, channels)), [0, 2])
        return tf.reshape(tf.transpose(halves, (0, 2, 5, 1, 3, 4)), (4 * channels, _HALF * _HALF * planes))

    def _product(self, values: Any, matrix: Any) -> Any:
        tf = self._tf
        return tf.cast(tf.tensordot(tf.cast(values, self._type), tf.cast(matrix, self._type), 1), tf.float32)

    def _conv(self, values: Any, kernel: Any) -> Any:
        tf = self._tf
        made = tf.nn.conv2d(tf.cast(values, self._type), tf.cast(kernel, self._type), 1, "SAME")
        return tf.cast(made, tf.float32)


def _two_by_two(tf: Any, blocks: Any) -> Any:
    """(n, h + 1, w + 1, c) -> (n, h, w, 4 c): each with those to the right, below, and both."""
    return tf.concat([blocks[:, :-1, :-1], blocks[:, :-1, 1:], blocks[:, 1:, :-1], blocks[:, 1:, 1:]], -1)
