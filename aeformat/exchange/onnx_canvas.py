"""The network that is being made of an ONNX file, and where in its values the numbers of ONNX's tensors lie.

ONNX has channels before rows, packages have them last.  Owns that difference: a tensor here is a value of the graph and, for
each place of the ONNX tensor, the place in the value.  So reshaping and transposing make no layer; a layer that needs its
numbers in one order gets them by a change of the weights before it.  Knows nothing of single operators.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.exchange.activations import NoForm
from aeformat.model.graph import Graph
from aeformat.model.package import Step
from aeformat.model.values import Value

Array = NDArray[Any]
Function = Callable[[Array], Array]

POINTWISE: Final = frozenset(
    {"scale", "relu", "sigmoid", "tanh", "elu", "gelu", "silu", "softplus", "leaky_relu"}
)  # and uniform affines
_MOST_MOVED: Final = 1024  # numbers that a dense layer of zeros and ones puts in order, where no other layer can


@dataclass(frozen=True, slots=True)
class Pending:
    """A function of the numbers of a value that the registry has no kind for.  label: of the operator that made it so."""

    function: Function
    label: str


@dataclass(frozen=True, slots=True)
class Tensor:
    """order: [*shape of one row in ONNX] int32, where in the value, flat, each number is.  Every number is in it once."""

    value: int
    order: Array
    pending: Pending | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row, as ONNX has it."""
        return self.order.shape


class Canvas:
    """graph: the layers so far.  latents: the bottleneck, once it is made; no layer before it changes then."""

    def __init__(self, start: Value) -> None:
        self.graph = Graph(start)
        self.latents: Tensor | None = None
        self._functions: dict[int, tuple[int, Function]] = {}

    # Tensors of new values.

    def plain(self, value: int) -> Tensor:
        """A value whose numbers are where ONNX would have them."""
        shape = self.graph.shape(value)
        return Tensor(value, _places(prod(shape)).reshape(shape))

    def pixels(self, value: int) -> Tensor:
        """A value [h, w, c] as the tensor [c, h, w]."""
        height, width, n_channels = self.graph.shape(value)
        return Tensor(value, _places(height * width * n_channels).reshape(height, width, n_channels).transpose(2, 0, 1))

    def with_axes(self, value: int, axes: Sequence[int]) -> Tensor:
        """The tensor whose axes, in this order, are those of a value."""
        return Tensor(value, self.plain(value).order.transpose(np.argsort(axes)))

    def pointwise(self, x: Tensor, make: Callable[[int], int], function: Function) -> Tensor:
        """What a layer, or several, make of single numbers.  make: value -> value."""
        source = self.value_of(x)
        made = make(source)
        if made != source:
            self._functions[made] = source, function
        return Tensor(made, x.order)

    # Values of tensors.

    def value_of(self, x: Tensor) -> int:
        """The value that holds a tensor.  Raises NoForm where it is a function without a form."""
        if x.pending is not None:
            raise NoForm(_NO_FUNCTION, x.pending.label)
        return x.value

    def arranged(self, x: Tensor, axes: Sequence[int], name: str) -> int:
        """The value that holds a tensor with its axes in this order.  Raises NoForm."""
        return self.holding(self.value_of(x), x.order.transpose(axes), name)

    def as_pixels(self, x: Tensor, name: str) -> int:
        """A tensor [c, h, w] as a value [h, w, c].  Raises NoForm."""
        if len(x.shape) != 3:
            raise NoForm(f"takes {list(x.shape)}; here it takes [channels, rows, columns]")
        return self.arranged(x, (1, 2, 0), name)

    def natural(self, x: Tensor, name: str) -> tuple[int, tuple[int, ...]]:
        """A value with a tensor's axes in some order, if possible the value it is in; and that order.  Raises NoForm."""
        n = len(x.shape)
        preferred = (1, 2, 0) if n == 3 else tuple(range(n))
        for axes in (preferred, *permutations(range(n))) if n <= 4 else (preferred,):
            if _in_order(x.order.transpose(axes)):
                return self.arranged(x, axes, name), axes
        return self.arranged(x, preferred, name), preferred

    def holding(self, value: int, wanted: Array, name: str) -> int:
        """A value of the shape of `wanted`, which has for each number its place in `value`.  Raises NoForm."""
        if not _in_order(wanted):
            value = self._reordered(value, wanted.reshape(-1), name)
        if self.graph.shape(value) == wanted.shape:
            return value
        made = self.graph.add("reshape", value, name=name, shape=wanted.shape)
        self._functions[made] = value, _same
        return made

    def same_order(self, x: Tensor, like: Tensor, name: str) -> int:
        """The value of a tensor, with its numbers where another tensor of that shape has them.  Raises NoForm."""
        value, shape = self.value_of(x), self.graph.shape(like.value)
        wanted = np.empty(like.order.size, x.order.dtype)
        wanted[like.order.reshape(-1)] = x.order.reshape(-1)
        return self.holding(value, wanted.reshape(shape), name)

    # Changing the order of numbers.

    def _reordered(self, value: int, places: Array, name: str) -> int:
        """A value [n] with the numbers of these places of another.  Raises NoForm."""
        found = self._remade(value, places, frozenset())
        if found is None and self.latents is not None and value == self.latents.value:
            found = self._reordered_latents(value, places)
        if found is None:
            found = self._by_dense(value, places, name)
        return found

    def _remade(self, value: int, places: Array, kept: frozenset[int]) -> int | None:
        """The same by a layer with other weights and copies of what follows it; None where there is none."""
        if not value or (self.latents is not None and value in {self.latents.value} - kept):
            return None
        step, name = self.graph.steps[value - 1], self.graph.names[value]
        if step.kind == "dense":
            arrays = {"weights": step.arrays["weights"][:, places], "bias": step.arrays["bias"][places]}
            return self.graph.copy_step(step, step.inputs, name, arrays)
        if step.kind in POINTWISE or step.kind in ("reshape", "flatten", "add", "affine"):
            inputs = [self._remade(i, places, kept) for i in step.inputs]
            if None in inputs:
                return None
            return self._copied(step, [i for i in inputs if i is not None], places, name)
        return None

    def _copied(self, step: Step, inputs: list[int], places: Array, name: str) -> int:
        if step.kind in ("reshape", "flatten"):
            return inputs[0]
        arrays: Mapping[str, Array] = step.arrays
        if step.kind == "affine":
            arrays = {key: array[places % len(array)] for key, array in arrays.items()}
        return self.graph.copy_step(step, inputs, name, arrays)

    def _reordered_latents(self, value: int, places: Array) -> int | None:
        """The encoder can give its latents in the order that the decoder needs, if nothing of the decoder is made yet."""
        assert self.latents is not None
        if any(value in step.inputs for step in self.graph.steps) or len(places) != self.latents.order.size:
            return None
        found = self._remade(value, places, frozenset({value}))
        if found is not None:
            at = np.empty_like(places)
            at[places] = np.arange(len(places), dtype=places.dtype)
            self.latents = Tensor(found, at[self.latents.order])
        return found

    def _by_dense(self, value: int, places: Array, name: str) -> int:
        n = prod(self.graph.shape(value))
        if n > _MOST_MOVED:
            raise NoForm(
                f"needs {n:,} numbers in another order than they are made in; only a dense layer before it allows that"
            )
        flat = value if len(self.graph.shape(value)) == 1 else self.graph.add("flatten", value, name=name)
        weights = np.zeros((n, len(places)), np.float32)
        weights[places, range(len(places))] = 1
        return self.graph.add("dense", flat, name=name, weights=weights, bias=np.zeros(len(places), np.float32))

    # Functions of single numbers.

    def sources(self, value: int) -> list[tuple[int, Function]]:
        """The values that a value is a function of, number by number, and the functions; itself first."""
        found: list[tuple[int, Function]] = [(value, _same)]
        while found[-1][0] in self._functions:
            source, function = self._functions[found[-1][0]]
            found.append((source, _after(found[-1][1], function)))
        return found


def finite(array: Array) -> Array:
    """Numbers of the network in float32.  Raises NoForm."""
    made = array.astype(np.float32)
    if not np.isfinite(made).all():
        raise NoForm("holds NaN or infinity; train the network again")
    return made


_NO_FUNCTION: Final = "a function that the registry has no form for, by itself or with what follows it"


def _places(n: int) -> Array:
    return np.arange(n, dtype=np.int32)


def _in_order(places: Array) -> bool:
    return bool((places.reshape(-1) == _places(places.size)).all())


def _same(x: Array) -> Array:
    return x


def _after(second: Function, first: Function) -> Function:
    return lambda x: second(first(x))
