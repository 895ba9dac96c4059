"""One run of the note's recipe, with everything measured that its Table 2 and its curves need.

Owns the steps, the order of images and the checkpoint.  Knows nothing of tables or pictures.  On one machine and CPU the
same recipe and images give the same figures to the last bit, stopped and resumed or not.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.backends.runtime import load_tensorflow
from aeformat.errors import UsageError
from aeformat.training.checkpoint import read_record, write_record
from tools.train.note.published import ITERATIONS, NoteRecipe

EPOCHS_BETWEEN_CHECKPOINTS: Final = 10
_TEST_BATCH: Final = 1000

Floats = NDArray[np.float32]
Images = NDArray[np.uint8]  # (n, h, w, c), 0..255


@dataclass(slots=True)
class NoteRun:
    """What has been measured so far: mean squared errors of float pixels in 0..1, nothing rounded."""

    recipe: NoteRecipe
    running: list[float] = field(default_factory=list)  # an epoch's mean over its batches, while the weights moved
    test: list[float] = field(default_factory=list)  # of the test images, after each epoch
    train: dict[int, float] = field(default_factory=dict)  # of all training images, after the epochs of Table 2
    seconds: float = 0.0

    @property
    def epoch(self) -> int:
        """Epochs that are done."""
        return len(self.test)


def initial_arrays(recipe: NoteRecipe, rng: np.random.Generator) -> list[Floats]:
    """Weights (n_in, n_out) and biases (n_out,) from N(0, 1), then as many ones: the optimizer's mean squares."""
    parameters: list[Floats] = []
    for n_in, n_out in zip(recipe.widths, recipe.widths[1:], strict=False):
        parameters.append(rng.standard_normal((n_in, n_out)).astype(np.float32))
        parameters.append(rng.standard_normal(n_out).astype(np.float32))
    return parameters + [np.ones_like(array) for array in parameters]


def train(
    recipe: NoteRecipe,
    train_images: Images,
    test_images: Images,
    directory: Path,
    *,
    resume: bool = False,
    told: Callable[[NoteRun], None] = lambda run: None,
) -> NoteRun:
    """Train one network, or what is left of it.  told: called after each epoch.  Raises UsageError, BackendUnavailable."""
    tf = load_tensorflow()
    tf.config.experimental.enable_op_determinism()
    rng = np.random.default_rng(recipe.seed)
    path = directory / f"{recipe.name}.npz"
    if resume and path.exists():
        run, arrays = _load(path, recipe, rng)
    else:
        run, arrays = NoteRun(recipe), initial_arrays(recipe, rng)
    trainer = _Trainer(tf, recipe, arrays, train_images)
    test_pixels = test_images.reshape(len(test_images), -1)
    began = time.monotonic() - run.seconds
    while run.epoch < recipe.epochs:
        run.running.append(trainer.run_epoch(rng))
        run.test.append(trainer.measure(test_pixels))
        if run.epoch in ITERATIONS:
            run.train[run.epoch] = trainer.measure(trainer.pixels)
        run.seconds = time.monotonic() - began
        if run.epoch % EPOCHS_BETWEEN_CHECKPOINTS == 0 or run.epoch == recipe.epochs:
            _save(path, run, trainer.arrays(), rng)
        told(run)
    return run


class _Trainer:
    """Weights and mean squares as TensorFlow variables, and the compiled step."""

    def __init__(self, tf: Any, recipe: NoteRecipe, arrays: list[Floats], images: Images) -> None:
        self._tf, self._recipe = tf, recipe
        self.pixels = images.reshape(len(images), -1)
        if self.pixels.dtype != np.uint8 or self.pixels.shape[1] != recipe.n_inputs:
            raise UsageError(f"{recipe.name} takes 8-bit images of {recipe.n_inputs} pixels, not {images.shape}")
        half = len(arrays) // 2
        self._constant = tf.constant(self.pixels)
        self._parameters = [tf.Variable(array) for array in arrays[:half]]
        self._squares = [tf.Variable(array) for array in arrays[half:]]
        self._batch = min(recipe.batch, len(self.pixels))
        self._step = tf.function(self._train_step)
        self._errors = tf.function(self._squared_errors)

    def run_epoch(self, rng: np.random.Generator) -> float:
        """Every image at most once, in a fresh order; the mean loss.  The odd images at the end are left out."""
        order = rng.permutation(len(self.pixels)).astype(np.int32)
        starts = range(0, len(order) - self._batch + 1, self._batch)
        losses = [self._step(self._tf.constant(order[at : at + self._batch])) for at in starts]
        return float(np.mean([loss.numpy() for loss in losses], dtype=np.float64))

    def _forward(self, pixels: Any) -> Any:
        values = pixels
        for weights, bias in zip(self._parameters[::2], self._parameters[1::2], strict=True):
            values = self._tf.sigmoid(self._tf.matmul(values, weights) + bias)
        return values

    def _train_step(self, rows: Any) -> Any:
        tf, recipe = self._tf, self._recipe
        pixels = tf.cast(tf.gather(self._constant, rows), tf.float32) / 255
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(self._forward(pixels) - pixels))
        gradients = tape.gradient(loss, self._parameters)
        for parameter, square, gradient in zip(self._parameters, self._squares, gradients, strict=True):
            square.assign(recipe.rho * square + (1 - recipe.rho) * tf.square(gradient))
            parameter.assign_sub(recipe.learning_rate * gradient / tf.sqrt(square + recipe.epsilon))
        return loss

    def _squared_errors(self, pixels: Any) -> Any:
        real = self._tf.cast(pixels, self._tf.float32) / 255
        return self._tf.reduce_sum(self._tf.square(self._forward(real) - real))

    def measure(self, pixels: NDArray[np.uint8]) -> float:
        """MSE over all pixels of (n, n_inputs)."""
        blocks = (pixels[at : at + _TEST_BATCH] for at in range(0, len(pixels), _TEST_BATCH))
        return sum(float(self._errors(self._tf.constant(block))) for block in blocks) / pixels.size

    def arrays(self) -> list[Floats]:
        """Parameters, then mean squares."""
        return [variable.numpy() for variable in (*self._parameters, *self._squares)]


def _save(path: Path, run: NoteRun, arrays: list[Floats], rng: np.random.Generator) -> None:
    about = {**asdict(run), "shuffler": dict(rng.bit_generator.state)}
    write_record(path, about, {f"array_{i}": array for i, array in enumerate(arrays)})


def _load(path: Path, recipe: NoteRecipe, rng: np.random.Generator) -> tuple[NoteRun, list[Floats]]:
    about, stored = read_record(path)
    arrays = [stored[f"array_{i}"] for i in range(len(stored))]
    if about.pop("recipe") != asdict(recipe):
        raise UsageError(
            f"{path} was made by another recipe, seed or number of epochs; remove it or leave out --resume"
        )
    rng.bit_generator.state = about.pop("shuffler")
    about["train"] = {int(epoch): mse for epoch, mse in about["train"].items()}
    return NoteRun(recipe, **about), arrays
