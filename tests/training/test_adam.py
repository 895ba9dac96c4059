"""Adam is the paper's: algorithm 1, with its bias corrections."""

from __future__ import annotations

import numpy as np
import pytest

from aeformat.backends.runtime import load_tensorflow
from aeformat.training.adam import Adam

pytestmark = pytest.mark.usefixtures("tensorflow")


def test_it_takes_the_steps_of_the_paper():
    """Written out in float64, epsilon scaled as folding the corrections into the rate scales it."""
    tf, rng = load_tensorflow(), np.random.default_rng(2)
    start, gradients = rng.normal(size=(3, 2)), rng.normal(size=(6, 3, 2))
    variable = tf.Variable(start.astype(np.float32))
    adam = Adam(tf, [variable], 1e-7)
    x, m, v = start.copy(), np.zeros((3, 2)), np.zeros((3, 2))
    for n, gradient in enumerate(gradients, 1):
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        x -= 0.01 * (m / (1 - 0.9**n)) / (np.sqrt(v / (1 - 0.999**n)) + 1e-7 / np.sqrt(1 - 0.999**n))
        adam.step([tf.constant(gradient.astype(np.float32))], Adam.corrected(0.01, n))
    assert np.allclose(variable.numpy(), x, rtol=1e-5)
    (first,), (second,) = adam.moments()
    assert np.allclose(first, m, rtol=1e-5) and np.allclose(second, v, rtol=1e-5)


def test_it_goes_on_from_moments():
    """As if it had not stopped, to the last bit."""
    tf, rng = load_tensorflow(), np.random.default_rng(3)
    gradients = [tf.constant(rng.normal(size=4).astype(np.float32)) for _ in range(4)]
    whole, parts = tf.Variable(np.ones(4, np.float32)), tf.Variable(np.ones(4, np.float32))
    adam, resumed = Adam(tf, [whole], 1e-7), Adam(tf, [parts], 1e-7)
    for n, gradient in enumerate(gradients, 1):
        adam.step([gradient], Adam.corrected(0.1, n))
        if n == 3:
            resumed = Adam(tf, [parts], 1e-7, *resumed.moments())
        resumed.step([gradient], Adam.corrected(0.1, n))
    assert np.array_equal(whole.numpy(), parts.numpy())
