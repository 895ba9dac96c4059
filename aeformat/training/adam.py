"""Adam (Kingma & Ba 2015, algorithm 1), on TensorFlow variables.

Owns the moments and the step.  The two bias corrections are folded into the rate (section 2 of the paper, last paragraph).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_BETA_1: Final = 0.9
_BETA_2: Final = 0.999


class Adam:
    """Adam for these variables.  first, second: moments of an earlier run, as `moments` gave them; none: zeros."""

    def __init__(
        self,
        tf: Any,
        variables: Sequence[Any],
        epsilon: float,
        first: Sequence[NDArray[np.float32]] = (),
        second: Sequence[NDArray[np.float32]] = (),
    ) -> None:
        self._tf, self._variables, self._epsilon = tf, variables, epsilon
        zeros = [np.zeros(variable.shape, np.float32) for variable in variables]
        self._first = [tf.Variable(array) for array in first or zeros]
        self._second = [tf.Variable(array) for array in second or zeros]

    @staticmethod
    def corrected(rate: float, n: int) -> float:
        """The rate of step n, from 1 on."""
        return rate * (math.sqrt(1 - _BETA_2**n) / (1 - _BETA_1**n))

    def step(self, gradients: Iterable[Any], rate: Any) -> None:
        """Move the variables against their gradients.  rate: corrected."""
        for variable, first, second, gradient in zip(
            self._variables, self._first, self._second, gradients, strict=True
        ):
            first.assign(_BETA_1 * first + (1 - _BETA_1) * gradient)
            second.assign(_BETA_2 * second + (1 - _BETA_2) * self._tf.square(gradient))
            variable.assign_sub(rate * first / (self._tf.sqrt(second) + self._epsilon))

    def moments(self) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
        """(first, second), as arrays of the variables' shapes."""
        return [variable.numpy() for variable in self._first], [variable.numpy() for variable in self._second]
