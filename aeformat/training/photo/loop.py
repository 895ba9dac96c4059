"""The training loop of photograph models: bits a pixel plus priced error, Adam, and a result that the seed fixes.

Owns the order of crops, noise, steps, measurements and checkpoints.  Knows nothing of model packages.
On one machine and CPU the same recipe and photographs give the same weights to the last bit, stopped and resumed or not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

import numpy as np

from aeformat.backends.runtime import load_tensorflow
from aeformat.training.adam import Adam
from aeformat.training.photo import context, network
from aeformat.training.photo.crops import Photo, random_crops, whole_blocks
from aeformat.training.photo.lapped import BANDS
from aeformat.training.photo.recipe import PhotoPhase, PhotoRecipe
from aeformat.training.photo.rounding import UNIT, rounded_weights, to_whole
from aeformat.training.photo.state import Arrays, PhotoState

EPOCHS_BETWEEN_MEASUREMENTS: Final = 4
_GREY: Final = 128  # the grey level that is 0 in the networks
_EPSILON: Final = 1e-8  # of Adam
_WARM_UP_STEPS: Final = 300
_CLIP_NORM: Final = 1.0  # of the gradient of the context model
_RATES: Final = {
    "context": 2e-3, "dead_zone": 1e-3, "encoder": 6e-4, "decoder": 4e-4, "steps": 5e-4, "analysis": 1.5e-4,
    "borders": 1.5e-4, "synthesis": 1.5e-4,
}  # fmt: skip
_GREYS: Final = 255


@dataclass(frozen=True, slots=True)
class Measured:
    """Means over photographs: bits a pixel by the learned distributions, and PSNR in dB of 8-bit pixels."""

    bits: float
    psnr: float


@dataclass(frozen=True, slots=True)
class TrainedPhoto:
    """What a run gives.  weights: of `network` and `context`, by name."""

    recipe: PhotoRecipe
    weights: Arrays
    measured: Measured
    seconds: float
    tensorflow: str


def train(
    recipe: PhotoRecipe,
    train_photos: Sequence[Photo],
    validation: Sequence[Photo],
    runs: Path,
    *,
    resume: bool = False,
    progress: TextIO | None = None,
) -> TrainedPhoto:
    """Train `recipe`, and leave checkpoints in runs/NAME.  A finished run that is resumed trains no further.

    progress: where a line goes every few epochs.  Raises UsageError (no checkpoint), BackendUnavailable.
    """
    tf = load_tensorflow()
    tf.config.experimental.enable_op_determinism()
    state = PhotoState.load(runs, recipe) if resume else start(recipe, runs)
    began = time.monotonic() - state.seconds
    trainer: _Trainer | None = None
    for epoch in range(state.epoch, recipe.epochs):
        number, epoch_in_phase = recipe.phase_at(epoch)
        phase = recipe.phases[number]
        if trainer is None or epoch_in_phase == 0:
            fresh = PhotoState(state.epoch, state.seconds, state.weights) if epoch_in_phase == 0 else state
            trainer = _Trainer(tf, recipe, phase, fresh)
        trainer.run_epoch(epoch, epoch_in_phase, train_photos)
        state = trainer.state(epoch + 1, time.monotonic() - began)
        state.save(runs, recipe)
        if (epoch + 1) % EPOCHS_BETWEEN_MEASUREMENTS == 0 and progress is not None:
            _report(progress, recipe, state, trainer.measure(validation))
    trainer = trainer or _Trainer(tf, recipe, recipe.phases[-1], state)
    return TrainedPhoto(recipe, state.weights, trainer.measure(validation), state.seconds, tf.__version__)


def start(recipe: PhotoRecipe, runs: Path) -> PhotoState:
    """The weights that a run begins with: the lapped transform's, and the base's where the recipe has one.

    A base's arrays may be smaller: what its channels lack starts anew.  Its steps are brought to the recipe's.
    """
    rng = np.random.default_rng(recipe.seed)
    weights = network.initial_weights(recipe, rng)
    spread = np.geomspace(2, 0.06, recipe.channels).astype(np.float32)
    weights.update(context.initial_weights(recipe.groups, recipe.context, spread, rng))
    if recipe.base is None:
        return PhotoState(0, 0.0, weights)
    base = PhotoState.load_base(runs, recipe.base)
    for name, mine in weights.items():
        if name in base.weights:
            part = tuple(slice(min(sizes)) for sizes in zip(mine.shape, base.weights[name].shape, strict=True))
            mine[part] = base.weights[name][part]
    weights["steps"] = weights["steps"] + np.float32(math.log(recipe.step / recipe.base_step))
    return PhotoState(0, 0.0, weights)


def _report(stream: TextIO, recipe: PhotoRecipe, state: PhotoState, found: Measured) -> None:
    stream.write(
        f"{recipe.name}: epoch {state.epoch}/{recipe.epochs}  {state.seconds:.0f} s  "
        f"validation {found.bits:.4f} bits a pixel, {found.psnr:.2f} dB\n"
    )
    stream.flush()


class _Trainer:
    """The weights and Adam's moments as TensorFlow variables, with the compiled step of one phase."""

    def __init__(self, tf: Any, recipe: PhotoRecipe, phase: PhotoPhase, state: PhotoState) -> None:
        self._tf, self._recipe, self._phase = tf, recipe, phase
        self._weights = {name: tf.Variable(array) for name, array in state.weights.items()}
        self._adams = [_Part(tf, rate, self._named(prefix), self._weights, state) for prefix, rate in _RATES.items()]
        self._step = tf.function(self._train_step, autograph=False)
        self._code = tf.function(self._encode_and_decode, autograph=False, reduce_retracing=True)

    def _named(self, prefix: str) -> list[str]:
        """Names of the weights that learn at one rate; in a phase for the context alone, none of the others."""
        if self._phase.context_only and prefix != "context":
            return []
        return [name for name in self._weights if name.startswith(prefix)]

    def run_epoch(self, epoch: int, epoch_in_phase: int, photos: Sequence[Photo]) -> None:
        tf, phase, n_steps = self._tf, self._phase, self._recipe.epoch_steps
        n_in_phase = phase.epochs * n_steps
        for i in range(n_steps):
            n = epoch_in_phase * n_steps + i + 1
            rate = phase.rate * (1 + math.cos(math.pi * (n - 1) / n_in_phase)) / 2
            rate *= min(n / min(_WARM_UP_STEPS, n_in_phase / 4), 1)
            rng = np.random.default_rng((self._recipe.seed, epoch, i))
            crops = random_crops(photos, phase.batch, phase.crop, rng)
            noise_seed = rng.integers(2**31, size=2, dtype=np.int32)
            self._step(tf.constant(crops), tf.constant(Adam.corrected(rate, n), tf.float32), tf.constant(noise_seed))

    def _train_step(self, crops: Any, rate: Any, noise_seed: Any) -> None:
        tf = self._tf
        pixels = (tf.cast(crops, tf.float32) - _GREY) / UNIT
        learned = [name for part in self._adams for name in part.names]
        with tf.GradientTape() as tape:
            weights = self._seen()
            networks = self._networks(weights)
            latents = networks.latents(pixels)
            whole = to_whole(tf, latents)
            noisy = latents + tf.random.stateless_uniform(latents.shape, noise_seed, -0.5, 0.5)
            value = tf.reduce_sum(self._bits(weights, noisy, whole)) / math.prod(pixels.shape[:3])
            if not self._phase.context_only:
                errors = tf.reduce_mean(tf.square(networks.pixels(whole) - pixels)) * UNIT**2
                value = value + self._recipe.price * errors
        gradients = dict(zip(learned, tape.gradient(value, [self._weights[name] for name in learned]), strict=True))
        for part in self._adams:
            part.step(gradients, rate)

    def _seen(self) -> dict[str, Any]:
        if not self._phase.rounded:
            return dict(self._weights)
        return rounded_weights(self._tf, self._weights, self._recipe.groups)

    def _networks(self, weights: dict[str, Any]) -> network.Networks:
        return network.Networks(self._tf, self._recipe, weights, fast=True, rounded=self._phase.rounded)

    def _bits(self, weights: dict[str, Any], latents: Any, whole: Any) -> Any:
        """What each latent costs where `whole` is what the decoder knows."""
        parts = self._recipe.groups
        means, levels = context.statistics(self._tf, weights, parts, whole, rounded=self._phase.rounded)
        return context.bits(self._tf, latents, means, levels)

    def _encode_and_decode(self, photo: Any) -> tuple[Any, Any]:
        tf, weights = self._tf, self._seen()
        networks = self._networks(weights)
        whole = tf.round(networks.latents((tf.cast(photo, tf.float32) - _GREY) / UNIT))
        levels = tf.round(networks.pixels(whole) * UNIT) + _GREY
        pixels = tf.cast(tf.clip_by_value(levels, 0, _GREYS), tf.uint8)
        return tf.reduce_sum(self._bits(weights, whole, whole)), pixels

    def measure(self, photos: Sequence[Photo]) -> Measured:
        """Rounded on the way as the phase rounds."""
        found = [self._measure_one(photo) for photo in photos]
        return Measured(*(float(np.mean(column)) for column in zip(*found, strict=True)))

    def _measure_one(self, photo: Photo) -> tuple[float, float]:
        height, width = photo.shape[:2]
        bits, pixels = self._code(self._tf.constant(whole_blocks(photo, 2 * BANDS)[None]))
        made = pixels.numpy()[0, :height, :width].astype(np.int32)
        error = float(np.square(made - photo).mean())
        return float(bits) / (height * width), 10 * math.log10(_GREYS**2 / max(error, 1e-9))

    def state(self, epoch: int, seconds: float) -> PhotoState:
        """Everything that the next epoch depends on."""
        weights = {name: variable.numpy() for name, variable in self._weights.items()}
        first: Arrays = {}
        second: Arrays = {}
        for part in self._adams:
            part.moments(first, second)
        return PhotoState(epoch, seconds, weights, first, second)


class _Part:
    """The weights that learn at one rate."""

    def __init__(self, tf: Any, rate: float, names: list[str], weights: dict[str, Any], state: PhotoState) -> None:
        self._tf, self._rate, self.names = tf, rate, names
        moments = [[found[name] for name in names if found] for found in (state.first, state.second)]
        self._adam = Adam(tf, [weights[name] for name in names], _EPSILON, *moments)

    def step(self, gradients: dict[str, Any], rate: Any) -> None:
        mine: list[Any] = [gradients[name] for name in self.names]
        if self.names and self.names[0].startswith("context"):
            mine, _ = self._tf.clip_by_global_norm(mine, _CLIP_NORM)
        self._adam.step(mine, self._rate * rate)

    def moments(self, first: Arrays, second: Arrays) -> None:
        """Add them by name."""
        for name, one, two in zip(self.names, *self._adam.moments(), strict=True):
            first[name], second[name] = one, two
