"""The training loop of dense recipes: Adam, a cosine schedule, and a result that the seed fixes.

Owns the order of images, steps, measurements and checkpoints.  Knows nothing of model packages or integers.
On one machine and CPU the same recipe and images give the same weights to the last bit, stopped and resumed or not.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from aeformat.backends.runtime import load_tensorflow
from aeformat.errors import UsageError
from aeformat.pipeline.evaluate import Fidelity, compare
from aeformat.training.adam import Adam
from aeformat.training.checkpoint import Checkpoint
from aeformat.training.dense import forward, initial_parameters
from aeformat.training.recipe import DensePhase, DenseRecipe
from aeformat.training.reporting import Progress
from aeformat.training.trained import Images, TrainedPair

EPOCHS_BETWEEN_CHECKPOINTS = 5
_EPSILON = 1e-7  # of Adam
_TEST_BATCH = 1000


def train(
    recipe: DenseRecipe,
    train_images: Images,
    test_images: Images,
    runs: Path,
    *,
    resume: bool = False,
    progress: TextIO | None = None,
) -> TrainedPair:
    """Train `recipe` on images (n, h, w, c) uint8, and leave a checkpoint in runs/NAME.

    `progress`: where to report, a bar where that is interactive, else a line every few epochs.  A finished run that is resumed
    trains no further.  Raises UsageError (no checkpoint, images of another shape), BackendUnavailable.
    """
    tf = load_tensorflow()
    tf.config.experimental.enable_op_determinism()
    shuffler = np.random.default_rng(recipe.seed)
    if resume:
        start = Checkpoint.load(runs, recipe)
        shuffler.bit_generator.state = start.generator
    else:
        start = Checkpoint(0, 0.0, initial_parameters(recipe, shuffler))

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
                trainer.state(finished, seconds, shuffler).save(runs, recipe)
                phase = recipe.phases[recipe.phase_at(epoch)[0]]
                report.measured(finished, seconds, trainer.measure(test_pixels, phase))
            else:
                report.finished(finished)

    trained = trainer.state(recipe.epochs, seconds, shuffler).parameters()
    n_encoder = len(recipe.encoder)
    return TrainedPair(
        recipe=recipe,
        encoder=trained[:n_encoder],
        decoder=trained[n_encoder:],
        test=trainer.measure(test_pixels, recipe.phases[-1]),
        seconds=seconds,
        tensorflow=tf.__version__,
    )


class _Trainer:
    """The weights and Adam's moments as TensorFlow variables, with one compiled step for each kind of phase."""

    def __init__(self, tf: Any, recipe: DenseRecipe, start: Checkpoint, pixels: Images) -> None:
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
        number, epoch_in_phase = self._recipe.phase_at(epoch)
        phase = self._recipe.phases[number]
        order = shuffler.permutation(len(self._pixels)).astype(np.int32)
        for i in range(self._n_steps):
            done = (epoch_in_phase * self._n_steps + i) / (phase.epochs * self._n_steps)
            rate = phase.learning_rate * (1 + math.cos(math.pi * done)) / 2
            n = epoch * self._n_steps + i + 1
            rows = order[i * self._batch : (i + 1) * self._batch]
            tf_rate = self._tf.constant(Adam.corrected(rate, n), self._tf.float32)
            self._step(self._tf.constant(rows), tf_rate, phase.loss, phase.rounded)

    def _train_step(self, rows: Any, rate: Any, loss: str, rounded: bool) -> None:
        tf = self._tf
        pixels = tf.cast(tf.gather(self._pixels, rows), tf.float32) / 255
        with tf.GradientTape() as tape:
            logits, output = forward(tf, self._recipe, self._weights, pixels, rounded=rounded)
            if loss == "bce":
                errors = tf.nn.sigmoid_cross_entropy_with_logits(labels=pixels, logits=logits)
            else:
                errors = tf.square(output - pixels)
            value = tf.reduce_sum(errors) / tf.cast(tf.shape(rows)[0], tf.float32)
        self._adam.step(tape.gradient(value, self._weights), rate)

    def _reconstruct(self, pixels: Any, rounded: bool) -> Any:
        tf = self._tf
        _, output = forward(tf, self._recipe, self._weights, tf.cast(pixels, tf.float32) / 255, rounded=rounded)
        return tf.cast(tf.floor(255 * output + 0.5), tf.uint8)

    def measure(self, pixels: Images, phase: DensePhase) -> Fidelity:
        """Distances of the 8-bit reconstructions, rounded on the way as `phase` rounds."""
        blocks = [pixels[at : at + _TEST_BATCH] for at in range(0, len(pixels), _TEST_BATCH)]
        decoded = (self._decode(self._tf.constant(block), phase.rounded).numpy() for block in blocks)
        return compare(blocks, decoded)

    def state(self, epoch: int, seconds: float, shuffler: np.random.Generator) -> Checkpoint:
        first, second = self._adam.moments()
        return Checkpoint(
            epoch,
            seconds,
            weights=[variable.numpy() for variable in self._weights],
            first_moments=first,
            second_moments=second,
            generator=dict(shuffler.bit_generator.state),
        )


def _pixels(recipe: DenseRecipe, images: Images) -> Images:
    """(n, h, w, c) -> (n, n_inputs), still 8-bit.  Raises UsageError for images of another shape or dtype."""
    if images.dtype != np.uint8 or len(images) == 0 or images[0].size != recipe.n_inputs:
        raise UsageError(
            f"{recipe.name} takes 8-bit images of {recipe.n_inputs} pixels, not {images.dtype} {images.shape}"
        )
    return images.reshape(len(images), recipe.n_inputs)
