"""The training loop of convolutional recipes: bits plus priced error, Adam, and a result that the seed fixes.

Owns the order of images, noise, steps, measurements and checkpoints.  Knows nothing of model packages.
On one machine and CPU the same recipe and images give the same weights to the last bit, stopped and resumed or not.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from aeformat.backends.runtime import load_tensorflow
from aeformat.errors import UsageError
from aeformat.pipeline.evaluate import Fidelity, compare
from aeformat.training import augment, mixture
from aeformat.training.adam import Adam
from aeformat.training.checkpoint import Checkpoint, phase_file
from aeformat.training.recipe import ConvPhase, ConvRecipe
from aeformat.training.reporting import Progress
from aeformat.training.stack import (
    GELU_FLOOR,
    Parameters,
    Reshape,
    Stack,
    best_steps,
    forward,
    initial_parameters,
    parameters_of,
    shapes,
    weighted,
)
from aeformat.training.trained import Images, TrainedPair

EPOCHS_BETWEEN_MEASUREMENTS = 2
_EPSILON = 1e-8  # of Adam
_WARM_UP_STEPS = 300
_CLIP_NORM = 1000.0  # of the gradient of bits plus priced error, an image's mean
_BLOCK = 500
_N_CALIBRATION = 10_000


def train(
    recipe: ConvRecipe,
    train_images: Images,
    test_images: Images,
    runs: Path,
    *,
    resume: bool = False,
    progress: TextIO | None = None,
) -> TrainedPair:
    """Train `recipe` on images (n, h, w, c) uint8, and leave checkpoints in runs/NAME.

    `progress`: where to report, a bar where that is interactive, else a line every other epoch.  A finished run that is resumed
    trains no further.  Raises UsageError (no checkpoint, images of another shape), BackendUnavailable.
    """
    tf = load_tensorflow()
    tf.config.experimental.enable_op_determinism()
    for images in (train_images, test_images):
        if images.dtype != np.uint8 or len(images) == 0 or images.shape[1:] != recipe.shape:
            raise UsageError(
                f"{recipe.name} takes 8-bit images {list(recipe.shape)}, not {images.dtype} {images.shape}"
            )
    state = Checkpoint.load(runs, recipe) if resume else _start(recipe, runs)
    rng = np.random.default_rng(recipe.seed)
    if state.generator:
        rng.bit_generator.state = state.generator
    pixels = tf.constant(train_images)
    began = time.monotonic() - state.seconds
    trainer: _Trainer | None = None
    with Progress(progress, recipe, state.epoch) as report:
        for epoch in range(state.epoch, recipe.epochs):
            number, epoch_in_phase = recipe.phase_at(epoch)
            phase = recipe.phases[number]
            if epoch_in_phase == 0:
                state = _begin_phase(tf, recipe, phase, state, train_images, rng)
            if trainer is None or epoch_in_phase == 0:
                trainer = _Trainer(tf, recipe, phase, state, pixels)
            trainer.run_epoch(epoch_in_phase, rng)
            last_of_phase = epoch_in_phase + 1 == phase.epochs
            if (epoch + 1) % EPOCHS_BETWEEN_MEASUREMENTS == 0 or last_of_phase:
                state = trainer.state(epoch + 1, time.monotonic() - began, rng)
                state.save(runs, recipe)
                if last_of_phase:
                    state.save(runs, recipe, phase_file(number))
                fidelity, bits = trainer.measure(test_images)
                report.measured(epoch + 1, state.seconds, fidelity, bits)
            else:
                report.finished(epoch + 1)

    trainer = trainer or _Trainer(tf, recipe, recipe.phases[-1], state, pixels)
    fidelity, bits = trainer.measure(test_images)
    n_encoder = len(weighted(recipe.encoder))
    trained = state.parameters()
    return TrainedPair(
        recipe=recipe,
        encoder=trained[:n_encoder],
        decoder=trained[n_encoder:],
        test=fidelity,
        bits=bits,
        seconds=state.seconds,
        tensorflow=tf.__version__,
    )


def _start(recipe: ConvRecipe, runs: Path) -> Checkpoint:
    """Random weights, or those of the recipe's base where they have the same shape."""
    rng = np.random.default_rng(recipe.seed)
    latents = shapes(recipe.encoder, recipe.shape)[-1]
    weights = initial_parameters(recipe.encoder, recipe.shape, rng) + initial_parameters(recipe.decoder, latents, rng)
    if recipe.base is not None:
        found = Checkpoint.load_base(runs, recipe.base).weights
        weights = [old if old.shape == new.shape else new for old, new in zip(found, weights, strict=False)] + weights[
            len(found) :
        ]
    return Checkpoint(epoch=0, seconds=0.0, weights=weights)


def _begin_phase(
    tf: Any, recipe: ConvRecipe, phase: ConvPhase, state: Checkpoint, images: Images, rng: np.random.Generator
) -> Checkpoint:
    """The mixture with as many classes as the phase wants, and, where it rounds, the steps to round to."""
    some = images[rng.choice(len(images), min(_N_CALIBRATION, len(images)), replace=False)]
    found = state.mixture
    if phase.n_classes and (not found or len(found[0]) != phase.n_classes):
        latents = _run(tf, recipe.encoder, state.parameters()[: len(weighted(recipe.encoder))], some)
        found = mixture.initial_mixture(latents, phase.n_classes, rng)
    steps, units = state.steps, state.units
    if phase.rounded and not steps:
        layers = [*weighted(recipe.encoder), *weighted(recipe.decoder)]
        steps = [best_steps(layer, weights) for layer, weights in zip(layers, state.weights[::2], strict=True)]
        units = _units(tf, recipe, state, some)
    return Checkpoint(
        epoch=state.epoch, seconds=state.seconds, weights=state.weights, mixture=found, steps=steps, units=units
    )


def _units(tf: Any, recipe: ConvRecipe, state: Checkpoint, images: Images) -> list[np.float32]:
    """For each weighted layer what the integer 1 stands for: the largest activation seen, spread over 255 levels."""
    n_encoder = len(weighted(recipe.encoder))
    parameters = state.parameters()
    units: list[np.float32] = []
    values = images
    for stack, mine in ((recipe.encoder, parameters[:n_encoder]), (recipe.decoder, parameters[n_encoder:])):
        n_seen = 0
        for end, layer in enumerate(stack, start=1):
            if isinstance(layer, Reshape):
                continue
            n_seen += 1
            if layer.activation != "raised_gelu":
                units.append(np.float32(1))
                continue
            made = _run(tf, stack[:end], mine[:n_seen], values)
            high = max(float(np.quantile(made, 0.99995)), 8 * GELU_FLOOR)
            units.append(np.float32(high / 255))
        values = np.rint(_run(tf, stack, mine, values)) if stack is recipe.encoder else values
    return units


def _run(tf: Any, stack: Stack, parameters: list[Parameters], values: NDArray[Any]) -> NDArray[np.float32]:
    """The stack over many rows; images (uint8) are brought to 0..1 first."""
    run = tf.function(lambda rows: forward(tf, stack, parameters, rows), autograph=False)
    blocks = []
    for at in range(0, len(values), _BLOCK):
        block = values[at : at + _BLOCK].astype(np.float32)
        blocks.append(run(tf.constant(block / 255 if values.dtype == np.uint8 else block)).numpy())
    return np.concatenate(blocks)


class _Trainer:
    """The weights, the mixture and Adam's moments as TensorFlow variables, with the compiled step of one phase."""

    def __init__(self, tf: Any, recipe: ConvRecipe, phase: ConvPhase, state: Checkpoint, pixels: Any) -> None:
        self._tf = tf
        self._recipe = recipe
        self._phase = phase
        self._pixels = pixels
        self._batch = min(recipe.batch, len(pixels))
        self._n_steps = len(pixels) // self._batch  # an epoch leaves out the odd images at its end; they are shuffled
        self._weights = [tf.Variable(array) for array in state.weights]
        self._mixture = [tf.Variable(array) for array in state.mixture] if phase.n_classes else []
        self._learned = self._weights + self._mixture
        self._adam = Adam(tf, self._learned, _EPSILON, state.first_moments, state.second_moments)
        self._steps, self._units = state.steps, state.units
        self._step = tf.function(self._train_step, autograph=False)
        self._code = tf.function(self._encode_and_decode, autograph=False)

    def run_epoch(self, epoch: int, rng: np.random.Generator) -> None:
        phase, tf = self._phase, self._tf
        order = rng.permutation(len(self._pixels)).astype(np.int32)
        for i in range(self._n_steps):
            n = epoch * self._n_steps + i + 1
            n_in_phase = phase.epochs * self._n_steps
            rate = phase.learning_rate * (1 + math.cos(math.pi * (n - 1) / n_in_phase)) / 2
            rate *= min(n / min(_WARM_UP_STEPS, n_in_phase / 4), 1)
            rate = Adam.corrected(rate, n)
            maps = augment.random_maps(rng, self._batch, self._recipe.shape[:2], phase.augmented)  # type: ignore[arg-type]
            noise = rng.random((self._batch, self._recipe.latent_dims), np.float32) - np.float32(0.5)
            rows = order[i * self._batch : (i + 1) * self._batch]
            self._step(tf.constant(rows), tf.constant(rate, tf.float32), tf.constant(maps), tf.constant(noise))

    def _train_step(self, rows: Any, rate: Any, maps: Any, noise: Any) -> None:
        tf, phase = self._tf, self._phase
        pixels = tf.cast(tf.gather(self._pixels, rows), tf.float32) / 255
        if phase.augmented:
            pixels = augment.transform(tf, pixels, maps)
        with tf.GradientTape() as tape:
            encoder, decoder = self._parameters()
            latents = forward(tf, self._recipe.encoder, encoder, pixels)
            noisy = latents + noise if phase.n_classes else latents
            seen = latents + tf.stop_gradient(tf.round(latents) - latents) if phase.rounded else noisy
            errors = tf.square(tf.sigmoid(forward(tf, self._recipe.decoder, decoder, seen)) - pixels)
            value = tf.reduce_mean(tf.reduce_sum(errors, axis=(1, 2, 3)))
            if phase.n_classes:
                value = self._recipe.price * value + tf.reduce_mean(mixture.bits(tf, self._mixture, noisy))
        gradients, _ = tf.clip_by_global_norm(tape.gradient(value, self._learned), _CLIP_NORM)
        self._adam.step(gradients, rate)

    def _parameters(self) -> tuple[list[Parameters], list[Parameters]]:
        every = parameters_of(self._weights, self._steps if self._phase.rounded else (), self._units)
        n_encoder = len(weighted(self._recipe.encoder))
        return every[:n_encoder], every[n_encoder:]

    def _encode_and_decode(self, images: Any) -> tuple[Any, Any]:
        tf = self._tf
        encoder, decoder = self._parameters()
        latents = forward(tf, self._recipe.encoder, encoder, tf.cast(images, tf.float32) / 255)
        bits = tf.zeros(tf.shape(images)[0])
        if self._phase.n_classes:
            latents = tf.round(latents)
            bits = mixture.bits_of_integers(tf, self._mixture, latents)
        output = tf.sigmoid(forward(tf, self._recipe.decoder, decoder, latents))
        return tf.cast(tf.floor(255 * output + 0.5), tf.uint8), bits

    def measure(self, images: Images) -> tuple[Fidelity, float | None]:
        """Distances of the 8-bit reconstructions and bits an image, rounded on the way as the phase rounds."""
        blocks = [images[at : at + _BLOCK] for at in range(0, len(images), _BLOCK)]
        coded = [self._code(self._tf.constant(block)) for block in blocks]
        fidelity = compare(blocks, (pixels.numpy() for pixels, _ in coded))
        if not self._phase.n_classes:
            return fidelity, None
        return fidelity, float(np.concatenate([bits.numpy() for _, bits in coded]).mean())

    def state(self, epoch: int, seconds: float, rng: np.random.Generator) -> Checkpoint:
        """Everything that the next epoch depends on."""
        first, second = self._adam.moments()
        return Checkpoint(
            epoch=epoch,
            seconds=seconds,
            weights=[variable.numpy() for variable in self._weights],
            mixture=[variable.numpy() for variable in self._mixture],
            steps=self._steps,
            units=self._units,
            first_moments=first,
            second_moments=second,
            generator=dict(rng.bit_generator.state),
        )
