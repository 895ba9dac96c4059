"""The training loop: Adam, a cosine schedule, and a result that the seed fixes.

Owns the order of images, steps, measurements and checkpoints.  Knows nothing of model packages or integers.
On one machine and CPU the same recipe and images give the same weights to the last bit, stopped and resumed or not.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from aeformat.backends.runtime import load_tensorflow
from aeformat.errors import UsageError
from aeformat.pipeline.evaluate import Fidelity, compare
from aeformat.training.adam import Adam
from aeformat.training.checkpoint import Checkpoint
from aeformat.training.network import TrainedDense, forward, initial_parameters
from aeformat.training.progress import Progress
from aeformat.training.recipe import Phase, Recipe

EPOCHS_BETWEEN_CHECKPOINTS = 5
_EPSILON = 1e-7  # of Adam
_TEST_BATCH = 1000

Images = NDArray[np.uint8]  # (n, h, w, c), 0..255


@dataclass(frozen=True, slots=True)
class TrainedPair:
    """The two halves of a trained autoencoder, and what they do to the test images."""

    recipe: Recipe
    encoder: tuple[TrainedDense, ...]
    decoder: tuple[TrainedDense, ...]
    test: Fidelity  # of 8-bit pixels, with everything else rounded as in the last phase
    seconds: float  # spent training
    tensorflow: str  # its version


def train(
    recipe: Recipe,
    train_images: Images,
    test_images: Images,
    out_dir: Path,
    *,
    resume: bool = False,
    progress: TextIO | None = None,
    epochs: int | None = None,
) -> TrainedPair:
    """Train `recipe`, on images (n, h, w, c) uint8, and leave a checkpoint in `out_dir`.

    `progress`: where to report, a bar where that is interactive, else a line every few epochs.  `epochs` stretches the recipe's
    schedule.  A finished run that is resumed trains no further.  Raises UsageError, BackendUnavailable.
    """
    if epochs is not None:
        recipe = recipe.with_epochs(epochs)
    tf = load_tensorflow()
    tf.config.experimental.enable_op_determinism()
    shuffler = np.random.default_rng(recipe.seed)
    if resume:
        start = Checkpoint.load(out_dir, recipe)
        shuffler.bit_generator.state = start.shuffler
    else:
        weights = initial_parameters(recipe, shuffler)
        zeros = [np.zeros_like(array) for array in weights]
        start = Checkpoint(0, 0.0, weights, zeros, zeros, dict(shuffler.bit_generator.state))

    trainer = _Trainer(tf, recipe, start, _pixels(recipe, train_images))
    test_pixels = _pixels(recipe, test_images)
    seconds = start.seconds
    began = time.monotonic() - seconds
    with Progress(progress, recipe, start.epoch) as report:
        for epoch in range(start.epoch, recipe.epochs):
            trainer.run_epoch(epoch, shuffler)
            finished = epoch + 1
            if finished % EPOCHS_BETWEEN_CHECKPOINTS == 0 or finished == recipe.epochs:
                seconds = time.monotonic() - began
                trainer.state(finished, seconds, shuffler).save(out_dir, recipe)
                report.measured(finished, seconds, trainer.measure(test_pixels, recipe.phase_at(epoch)[0]))
            else:
                report.finished(finished)

    state = trainer.state(recipe.epochs, seconds, shuffler)
    layers = tuple(
        TrainedDense(state.weights[2 * i], state.weights[2 * i + 1], layer.activation)
        for i, layer in enumerate(recipe.layers)
    )
    n_encoder = len(recipe.encoder)
    return TrainedPair(
        recipe=recipe,
        encoder=layers[:n_encoder],
        decoder=layers[n_encoder:],
        test=trainer.measure(test_pixels, recipe.phases[-1]),
        seconds=seconds,
        tensorflow=tf.__version__,
    )


class _Trainer:
    """The weights and Adam's moments as TensorFlow variables, with one compiled step for each kind of phase."""

    def __init__(self, tf: Any, recipe: Recipe, start: Checkpoint, pixels: Images) -> None:
        self._tf = tf
        self._recipe = recipe
        self._pixels = tf.constant(pixels)
        self._batch = min(recipe.batch, len(pixels))
        self._n_steps = len(pixels) // self._batch  # an epoch leaves out the odd images at its end; they are shuffled
        self._weights = [tf.Variable(array) for array in start.weights]
        self._adam = Adam(tf, self._weights, _EPSILON, start.first_moments, start.second_moments)
        self._step = tf.function(self._train_step)
        self._decode = tf.function(self._reconstruct)

    def run_epoch(self, epoch: int, shuffler: np.random.Generator) -> None:
        phase, epoch_in_phase = self._recipe.phase_at(epoch)
        order = shuffler.permutation(len(self._pixels)).astype(np.int32)
        for i in range(self._n_steps):
            done = (epoch_in_phase * self._n_steps + i) / (phase.epochs * self._n_steps)
            rate = phase.learning_rate * (1 + math.cos(math.pi * done)) / 2
            n = epoch * self._n_steps + i + 1
            rows = order[i * self._batch : (i + 1) * self._batch]
            tf_rate = self._tf.constant(Adam.corrected(rate, n), self._tf.float32)
            self._step(self._tf.constant(rows), tf_rate, phase.loss, phase.quantised)

    def _train_step(self, rows: Any, rate: Any, loss: str, quantised: bool) -> None:
        tf = self._tf
        pixels = tf.cast(tf.gather(self._pixels, rows), tf.float32) / 255
        with tf.GradientTape() as tape:
            logits, output = forward(tf, self._recipe, self._weights, pixels, quantised=quantised)
            if loss == "bce":
                errors = tf.nn.sigmoid_cross_entropy_with_logits(labels=pixels, logits=logits)
            else:
                errors = tf.square(output - pixels)
            value = tf.reduce_sum(errors) / tf.cast(tf.shape(rows)[0], tf.float32)
        self._adam.step(tape.gradient(value, self._weights), rate)

    def _reconstruct(self, pixels: Any, quantised: bool) -> Any:
        tf = self._tf
        _, output = forward(tf, self._recipe, self._weights, tf.cast(pixels, tf.float32) / 255, quantised=quantised)
        return tf.cast(tf.floor(255 * output + 0.5), tf.uint8)

    def measure(self, pixels: Images, phase: Phase) -> Fidelity:
        """Distances of the 8-bit reconstructions, rounded on the way as `phase` rounds."""
        blocks = [pixels[at : at + _TEST_BATCH] for at in range(0, len(pixels), _TEST_BATCH)]
        decoded = (self._decode(self._tf.constant(block), phase.quantised).numpy() for block in blocks)
        return compare(blocks, decoded)

    def state(self, epoch: int, seconds: float, shuffler: np.random.Generator) -> Checkpoint:
        first, second = self._adam.moments()
        return Checkpoint(
            epoch,
            seconds,
            weights=[variable.numpy() for variable in self._weights],
            first_moments=first,
            second_moments=second,
            shuffler=dict(shuffler.bit_generator.state),
        )


def _pixels(recipe: Recipe, images: Images) -> Images:
    """(n, h, w, c) -> (n, n_inputs), still 8-bit.  Raises UsageError for images of another shape or dtype."""
    if images.dtype != np.uint8 or len(images) == 0 or images[0].size != recipe.n_inputs:
        raise UsageError(
            f"{recipe.name} takes 8-bit images of {recipe.n_inputs} pixels, not {images.dtype} {images.shape}"
        )
    return images.reshape(len(images), recipe.n_inputs)
