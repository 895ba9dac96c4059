"""The prior while it is learned: one logistic distribution for every latent, or a mixture of classes of normal ones.

Owns bits as a function of latents, and the first guess of the classes.  The integer tables that travel with a decoder are
fitted afterwards, to the latents that came out (prior_fit.py).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_LEAST_PROBABILITY: Final = 1e-9
_ROUNDS: Final = 8


def initial_mixture(latents: Floats, n_classes: int, rng: np.random.Generator) -> list[Floats]:
    """Weights' logarithms (k,), means (k, d) and logarithms of scales (k, d), from latents (n, d).

    The scale of the one logistic distribution, or the deviation of a normal one.
    A few rounds of k-means in which a class also has its own deviations, shrunk towards those of all rows.
    """
    everywhere = latents.std(0) + 0.1
    means = latents[rng.choice(len(latents), n_classes, replace=False)].astype(np.float64)
    if n_classes == 1:
        means = latents.mean(0, keepdims=True, dtype=np.float64)
    deviations = np.tile(everywhere, (n_classes, 1))
    counts = np.full(n_classes, len(latents) / n_classes)
    for _ in range(_ROUNDS if n_classes > 1 else 0):
        inverse = 1 / deviations**2
        distances = latents**2 @ inverse.T - 2 * latents @ (means * inverse).T + (means**2 * inverse).sum(1)
        nearest = (distances + 2 * np.log(deviations).sum(1) - 2 * np.log(counts + 1)).argmin(1)
        counts = np.bincount(nearest, minlength=n_classes).astype(np.float64)
        for k in range(n_classes):
            mine = latents[nearest == k]
            if len(mine) == 0:  # an empty class begins again at some row
                means[k], deviations[k] = latents[rng.integers(len(latents))], everywhere
                continue
            means[k] = mine.mean(0)
            spread = np.square(mine - means[k]).sum(0) + 10 * everywhere**2
            deviations[k] = np.sqrt(spread / (len(mine) + 10))
    logits = np.log((counts + 1) / (counts + 1).sum())
    scales = np.log(deviations if n_classes > 1 else 0.55 * deviations)  # a logistic's deviation: pi / sqrt(3) scales
    return [array.astype(np.float32) for array in (logits, means, scales)]


def bits(tf: Any, mixture: list[Any], latents: Any) -> Any:
    """What latents (n, d), integers plus noise of width 1, are taken to cost, in bits (n,).

    One class: the logistic distribution in intervals of width 1.  Several: normal densities, widened by the noise's own
    variance, so that all rows and classes are two matrix products.  That asks a quarter of a bit too much of a latent that
    never changes, which is nothing to learn from.
    """
    logits, means, scales = mixture
    if means.shape[0] == 1:
        away = tf.abs(latents - means)  # the same on either side: take the tail that floats resolve
        per_scale = tf.exp(-scales)
        inside = tf.sigmoid((0.5 - away) * per_scale) - tf.sigmoid((-0.5 - away) * per_scale)
        logs = tf.reduce_sum(tf.math.log(inside + _LEAST_PROBABILITY), axis=-1) + tf.nn.log_softmax(logits)  # of one: 0
        return -logs / np.log(2)
    variances = tf.exp(2 * scales) + 1 / 12
    precisions = 1 / variances
    squares = (
        tf.matmul(tf.square(latents), precisions, transpose_b=True)
        - 2 * tf.matmul(latents, means * precisions, transpose_b=True)
        + tf.reduce_sum(tf.square(means) * precisions + tf.math.log(2 * np.pi * variances), axis=-1)
    )
    return -tf.reduce_logsumexp(tf.nn.log_softmax(logits) - squares / 2, axis=-1) / np.log(2)


def bits_of_integers(tf: Any, mixture: list[Any], latents: Any) -> Any:
    """What integer latents (n, d) cost, in bits (n,), each class's distributions in intervals of width 1."""
    logits, means, scales = mixture
    if means.shape[0] == 1:
        return bits(tf, mixture, latents)
    away = tf.abs(latents[:, None, :] - means)
    per_deviation = tf.exp(-scales) / np.sqrt(2)
    inside = tf.math.erfc((away - 0.5) * per_deviation) - tf.math.erfc((away + 0.5) * per_deviation)
    logs = tf.reduce_sum(tf.math.log(inside / 2 + _LEAST_PROBABILITY), axis=-1)
    return -tf.reduce_logsumexp(logs + tf.nn.log_softmax(logits), axis=-1) / np.log(2)
