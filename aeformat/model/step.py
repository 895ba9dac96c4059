"""One layer with its numbers, ready to execute (spec/model.md, sections 3 and 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from aeformat.model.values import Interval, Number, Shape, Value

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One layer, ready to execute.  The output of step k is value k + 1; value 0 is the network's input.

    params: strides, padding and so on, as the kind has them.  arrays: weights, bias, multiplier, table.
    input_shape, made: shape of the first input, shape and type of the output; with free sizes, for a latent of 1 x 1.
    interval: the integers that the output can hold; None for f32.  bounds: of the sums of a layer in the exact profile, one a
    channel.
    """

    kind: str
    inputs: tuple[int, ...]
    params: Mapping[str, Number]
    arrays: Mapping[str, Array]
    input_shape: Shape
    made: Value
    interval: Interval | None
    bounds: tuple[int, ...] | None

    @property
    def bound(self) -> int:
        """The largest absolute value of its sums; only for layers of sums in the exact profile."""
        assert self.bounds is not None
        return max(self.bounds)

    def integer(self, key: str) -> int:
        """A parameter that is one integer."""
        value = self.params[key]
        assert isinstance(value, int)
        return value

    def integers(self, key: str) -> tuple[int, ...]:
        """A parameter that is a list of integers."""
        value = self.params[key]
        assert isinstance(value, tuple)
        return value
