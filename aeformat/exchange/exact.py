"""A float network in integers: 8-bit weights and values, sums and lookups (spec/model.md, section 4), after training.

Owns which integers stand for which numbers.  A value is either a *sum*, which only lookups and adds take, with a scale for
each channel, or 8-bit, with a quantiser (calibrate.py).  Functions of single numbers, however many follow each other, become
one lookup table.  Layers are made when something needs their values, so what a table has swallowed is never made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.errors import UsageError
from aeformat.exchange.calibrate import Quantiser, Seen, cover, fit
from aeformat.model.graph import Graph
from aeformat.model.layers import KINDS
from aeformat.model.package import Step
from aeformat.model.reference import value_of
from aeformat.model.values import EXACT, Value

Array = NDArray[Any]
Function = Callable[[Array], Array]

_POINTWISE: Final = frozenset(
    {
        "relu",
        "sigmoid",
        "tanh",
        "elu",
        "gelu",
        "silu",
        "softplus",
        "leaky_relu",
        "to_u8",
    }  # and uniform affines, and their sums
)
_MOVES: Final = frozenset({"slice", "upsample", "max_pool", "pad", "crop", "reshape", "flatten"})
_WEIGHTED: Final = frozenset({"dense", "conv2d", "conv2d_transpose", "affine"})
PIXELS: Final = Quantiser(1.0, 0.0)  # what to_u8 makes
_LEVELS: Final = 127  # of a weight, either side
_TABLE: Final = 4096
_FINE: Final = 1 << 12  # steps of a sum that one step of an 8-bit value becomes, where no weights decide it
_FINEST: Final = 1 << 14
_DEAD: Final = 2.0**-12  # of the strongest channel's weights: a channel below it is as good as constant
_MULTIPLIER_BITS: Final = 16
_MAX_SHIFT: Final = 40
_ACC_LIMIT: Final = 2**31
_TOP: Final = 255


@dataclass(frozen=True, slots=True)
class _Expr:
    """A value as a function of single numbers of another, the base; then reshaped, `shape` being None if it is not."""

    base: int
    function: Function | None = None
    shape: tuple[int, ...] | None = None


def quantise(
    graph: Graph, seen: Sequence[Seen], start: Quantiser, *, keep_zero: bool = False, any_size: bool = False
) -> tuple[Graph, Quantiser]:
    """The graph in integers, and the quantiser of its last value.  start: that of value 0.

    seen: what each value was on samples.  keep_zero: 0 must be the integer 0 in the last value.  any_size: the graph is that of
    a network with free sizes, where nothing but a convolution pads, with the integer 0.  Raises UsageError where a layer has
    no exact form.
    """
    refused = [
        f"{name!r} ({step.kind} with padding)" for step, name in zip(graph.steps, graph.names[1:], strict=True)
        if step.kind == "average_pool" and any(step.integers("padding"))
    ]  # fmt: skip
    if refused:
        raise UsageError(f"no exact form for {', '.join(refused)}")
    work = _Quantisation(graph, seen, start, keep_zero, any_size)
    work.eight_bit(graph.last)
    return work.made, work.quantisers[graph.last]


def starts_with_zero(graph: Graph, *, any_size: bool = False) -> bool:
    """Whether a layer takes what goes in that needs the integer 0 for 0."""
    classes = _classes(graph)
    return any(classes[step.inputs[0]] == classes[0] for step in graph.steps if _needs_zero(step, any_size=any_size))


def _needs_zero(step: Step, *, any_size: bool) -> bool:
    """Whether its border has fewer products, which no bias can make good for."""
    return step.kind == "conv2d_transpose" or (any_size and step.kind == "conv2d" and any(step.integers("padding")))


class _Quantisation:
    """made: the exact graph so far.  eights, quantisers: of values of the float graph, by their numbers in it."""

    def __init__(self, graph: Graph, seen: Sequence[Seen], start: Quantiser, keep_zero: bool, any_size: bool) -> None:
        self._graph, self._seen, self._keep_zero, self._any_size = graph, seen, keep_zero, any_size
        self.made = Graph(Value(graph.shape(0), start.type), EXACT)
        self.eights: dict[int, int] = {0: 0}
        self.quantisers: dict[int, Quantiser] = {0: start}
        self._sums: dict[int, tuple[int, Array]] = {}
        self._n_takers = graph.n_takers()
        self._exprs = [_Expr(0)]
        for number, step in enumerate(graph.steps, 1):
            self._exprs.append(self._expr(number, step))
        self._classes = _classes(graph)

    # What is a function of what.

    def _expr(self, number: int, step: Step) -> _Expr:
        exprs = [self._exprs[i] for i in step.inputs]
        first = exprs[0]
        if step.kind in ("reshape", "flatten"):
            return _Expr(first.base, first.function, step.made.shape)
        function: Function | None = None
        if step.kind in _POINTWISE or step.kind == "scale" or (step.kind == "affine" and _is_uniform(step)):
            function = partial(_apply, _uniform(step))
        elif step.kind == "add" and len({(e.base, e.shape) for e in exprs}) == 1:
            return _Expr(first.base, partial(_total, [e.function for e in exprs]), first.shape)
        if function is None:
            return _Expr(number)
        inner = first.function
        return _Expr(first.base, function if inner is None else partial(_after, function, inner), first.shape)

    def _quantiser(self, number: int) -> Quantiser:
        """Of all values that share it."""
        if self._graph.steps[number - 1].kind == "to_u8":
            return PIXELS
        members = [i for i, one in self._classes.items() if one == self._classes[number] and i]
        if any(self._graph.steps[i - 1].kind == "to_u8" for i in members):
            return PIXELS
        keep_zero = any(s.inputs[0] in members and _needs_zero(s, any_size=self._any_size) for s in self._graph.steps)
        keep_zero = keep_zero or (self._keep_zero and self._graph.last in members)
        return fit(np.concatenate([self._seen[i].numbers for i in members]), keep_zero=keep_zero)

    # Making 8-bit values.

    def eight_bit(self, number: int) -> int:
        """The 8-bit form of a value, in the exact graph."""
        if number in self.eights:
            return self.eights[number]
        expr, step = self._exprs[number], self._graph.steps[number - 1]
        if expr.base != number:
            made = self._function_of(number, expr)
        elif step.kind == "concat":
            made = self._concat(number, step)
        elif step.kind in _MOVES:
            made = self._moved(number, step)
        else:
            made = self._looked_up(number, self._sum(number), None)
        self.eights[number] = made
        return made

    def _function_of(self, number: int, expr: _Expr) -> int:
        base, name = expr.base, self._graph.names[number]
        if self._is_sum(base):
            made = self._looked_up(number, self._sum(base), expr.function)
        else:
            x, q = self.eight_bit(base), self.quantisers[base]
            shifted = None if expr.function is None else _same_integers(expr.function, q)
            if expr.function is None or shifted is not None:
                self.quantisers[number] = shifted or q
                made = x
            else:
                made = self._mapped(x, q, expr.function, self._choose(number), name)
        return made if expr.shape is None else self.made.add("reshape", made, name=name, shape=expr.shape)

    def _is_sum(self, number: int) -> bool:
        return bool(number) and self._graph.steps[number - 1].kind in _WEIGHTED | {"add", "average_pool"}

    def _choose(self, number: int) -> Quantiser:
        """The quantiser of a value that is made anew; what else shares it gets the same."""
        if number not in self.quantisers:
            chosen = self._quantiser(number)
            for i, one in self._classes.items():
                if one == self._classes[number]:
                    self.quantisers.setdefault(i, chosen)
        return self.quantisers[number]

    def _concat(self, number: int, step: Step) -> int:
        """Inputs that stand for something else, such as pixels, are made to fit first."""
        q, name = self._choose(number), self._graph.names[number]
        parts = []
        for i in step.inputs:
            x = self.eight_bit(i)
            parts.append(x if self.quantisers[i] == q else self._mapped(x, self.quantisers[i], _identity, q, name))
        return self.made.add("concat", *parts, name=name, **step.params)

    def _moved(self, number: int, step: Step) -> int:
        params, value = dict(step.params), float(step.integer("value")) if step.kind == "pad" else None
        x, q = self._holding(step.inputs[0], value, self._graph.names[number])
        self.quantisers[number] = q
        if value is not None:
            params["value"] = int(q.of(np.asarray(value)))
        return self.made.add(step.kind, x, name=self._graph.names[number], **params)

    def _holding(self, number: int, value: float | None, name: str) -> tuple[int, Quantiser]:
        """The 8-bit form of a value, and its quantiser, which has an integer for one more number."""
        x, q = self.eight_bit(number), self.quantisers[number]
        if value is None or abs(float(q.real(q.of(np.asarray(value)))) - value) <= q.scale:
            return x, q
        wanted = cover(np.append(self._seen[number].numbers, value))
        return self._mapped(x, q, _identity, wanted, name), wanted

    def _mapped(self, x: int, q: Quantiser, function: Function, wanted: Quantiser, name: str) -> int:
        """A function of 8-bit values: one entry of the table for each of them."""
        n = self.made.shape(x)[-1]
        ones, zeros = np.ones(n, np.int32), np.zeros(n, np.int32)
        acc = self.made.add("affine", x, name=name, weights=ones, bias=zeros)
        table = wanted.of(function(q.real(np.arange(-256, 256, dtype=np.float64))))
        return self._lookup(acc, np.ones(1), table, wanted, name)

    def _looked_up(self, number: int, sums: tuple[int, Array], function: Function | None) -> int:
        """The 8-bit values of a function of sums; the table reaches as far as its result changes, on either side."""
        acc, scale = sums
        wanted = self._choose(number)
        whole = function or _identity
        peak = max(self._seen[self._exprs[number].base].peak * 1.1, 1e-6)
        grid = np.linspace(-peak, peak, 1 << 14)
        levels = wanted.of(whole(grid))
        changes = np.abs(grid[:-1][np.diff(levels) != 0])
        reach = min(peak, float(changes.max(initial=peak / 100)) * 1.01)
        step = 2 * reach / _TABLE
        table = wanted.of(whole((np.arange(_TABLE) - _TABLE // 2) * step))
        return self._lookup(acc, scale / step, table, wanted, self._graph.names[number])

    def _lookup(self, acc: int, factors: Array, table: Array, wanted: Quantiser, name: str) -> int:
        """factors: how many entries of the table one step of a sum is, for each channel."""
        shift = int(np.clip(np.floor(_MULTIPLIER_BITS - np.log2(factors.max())), 0, _MAX_SHIFT))
        multiplier = np.clip(np.rint(factors * 2.0**shift), 1, 2**_MULTIPLIER_BITS).astype(np.int32)
        kind = np.uint8 if wanted.type == "u8" else np.int8
        return self.made.add("lookup", acc, name=name, multiplier=multiplier, shift=shift, table=table.astype(kind))

    # Making sums.

    def _sum(self, number: int, scale: Array | None = None) -> tuple[int, Array]:
        """A sum in the exact graph and what one step of it is, for each channel.  scale: the least that it may be."""
        step, name = self._graph.steps[number - 1], self._graph.names[number]
        if number not in self._sums:
            self._sums[number] = self._added(step, name) if step.kind == "add" else self._weighted(step, name, scale)
        return self._sums[number]

    def _weighted(self, step: Step, name: str, scale: Array | None) -> tuple[int, Array]:
        if step.kind == "average_pool":
            step = as_convolution(step)
        is_padded = step.kind == "conv2d" and any(step.integers("padding"))
        x, q = self._holding(step.inputs[0], 0.0 if is_padded and not self._any_size else None, name)
        if q.zero and is_padded and self._any_size:
            wanted = fit(self._seen[step.inputs[0]].numbers, keep_zero=True)
            x, q = self._mapped(x, q, _identity, wanted, name), wanted
        natural = _natural_scale(step, q, name)
        scale = natural if scale is None else np.maximum(scale, natural)
        if step.kind == "conv2d_transpose" and q.zero:
            raise UsageError(
                f"no exact form for {name!r}: a transposed convolution of pixels that are not 0 where black is"
            )
        whole, shifted = _integers(step, q, scale)
        params = dict(step.params)
        if is_padded and q.zero:  # zeros around stand for something else
            x = self.made.add("pad", x, name=name, padding=step.integers("padding"), value=int(q.of(np.zeros(()))))
            params["padding"] = (0, 0, 0, 0)
        kind = np.int32 if step.kind == "affine" else np.int8
        made = self.made.add(
            step.kind, x, name=name, **params, weights=whole.astype(kind), bias=shifted.astype(np.int32)
        )
        return made, scale

    def _added(self, step: Step, name: str) -> tuple[int, Array]:
        """All inputs on one scale: that of the coarsest sum; 8-bit ones are multiplied up to it."""
        direct = {i for i in step.inputs if self._goes_in_as_sum(i)}
        for i in step.inputs:
            self.eight_bit(self._graph.steps[i - 1].inputs[0] if i in direct else i)
        steps = [self.quantisers[i].scale for i in step.inputs if i not in direct]
        scale = np.full(step.made.shape[-1], max(steps, default=0.0) / (_FINEST if direct else _FINE))
        for i in direct:
            taken, share = self._graph.steps[i - 1], _ACC_LIMIT // len(step.inputs)
            q = self.quantisers[taken.inputs[0]]
            scale = np.maximum(scale, _natural_scale(taken, q, self._graph.names[i], share))
        parts = [self._sum(i, scale)[0] if i in direct else self._multiplied(i, scale, name) for i in step.inputs]
        return self.made.add("add", *parts, name=name), scale

    def _goes_in_as_sum(self, number: int) -> bool:
        """Whether an add is all that takes the sums of a layer with weights."""
        return self._n_takers[number] == 1 and bool(number) and self._exprs[number].base == number and (
            self._graph.steps[number - 1].kind in _WEIGHTED
        )  # fmt: skip

    def _multiplied(self, number: int, scale: Array, name: str) -> int:
        x, q = self.eight_bit(number), self.quantisers[number]
        weights = np.rint(q.scale / scale)
        bias = np.rint(-q.zero * weights)
        return self.made.add("affine", x, name=name, weights=weights.astype(np.int32), bias=bias.astype(np.int32))


def _others(step: Step) -> tuple[int, ...]:
    """The axes of the weights that a sum goes over."""
    return tuple(i for i in range(step.arrays["weights"].ndim) if i != KINDS[step.kind].channel_axis)


def _integers(step: Step, q: Quantiser, scale: Array) -> tuple[Array, Array]:
    """Weights and bias in integers, for inputs with a quantiser and sums with a scale for each channel."""
    weights, bias = step.arrays["weights"].astype(np.float64), step.arrays["bias"].astype(np.float64)
    whole = np.rint(weights * q.scale / np.expand_dims(scale, _others(step)))
    return whole, np.rint(bias / scale - q.zero * whole.sum(axis=_others(step)))


def _natural_scale(step: Step, q: Quantiser, name: str, limit: int = _ACC_LIMIT) -> Array:
    """One step of the sums, for each channel: the finest that 8-bit weights allow and that keeps bounds below a limit (M4-1).

    Raises UsageError where no weight would be left.
    """
    others, magnitude = _others(step), max(abs(q.lo), abs(q.hi))
    sizes = np.abs(step.arrays["weights"].astype(np.float64))
    if step.kind == "affine":
        first = np.full(sizes.shape, max(sizes.max(), 1e-9) * q.scale / _FINE)
    else:
        peaks = sizes.max(axis=others)
        first = np.maximum(peaks, max(peaks.max() * _DEAD, 1e-9)) * q.scale / _LEVELS
    scale, is_over = first, np.ones(first.shape, bool)
    while is_over.any():
        whole, shifted = _integers(step, q, scale)
        bounds = np.abs(whole).sum(axis=others) * magnitude + np.abs(shifted)
        is_over = bounds >= limit
        scale = np.where(is_over, scale * (1.01 * bounds / limit), scale)
    reach = sizes.sum(axis=others) * q.scale * magnitude
    shows = reach * _TOP > np.abs(step.arrays["bias"])  # in 8 bits, next to the bias
    if ((scale > first) & ~whole.any(axis=others) & shows).any():
        raise UsageError(f"no exact form for {name!r}: too many weights for sums below 2^31")
    return scale


def _classes(graph: Graph) -> dict[int, int]:
    """Values that share a quantiser, because numbers move from one to the other unchanged; by one of them."""
    group = list(range(len(graph.values)))

    def find(i: int) -> int:
        return i if group[i] == i else find(group[i])

    for number, step in enumerate(graph.steps, 1):
        if step.kind in _MOVES | {"concat"}:
            for i in step.inputs:
                group[find(i)] = find(number)
    return {i: find(i) for i in range(len(group))}


def _is_uniform(step: Step) -> bool:
    """Whether an affine layer does the same to all channels."""
    return all((step.arrays[key] == step.arrays[key][0]).all() for key in ("weights", "bias"))


def _uniform(step: Step) -> Step:
    """The step for a single number."""
    arrays = {key: array[:1] for key, array in step.arrays.items()}
    return Step(step.kind, (0,), step.params, arrays, (1,), Value((1,), step.made.type), None, None)


def _apply(step: Step, x: Array) -> Array:
    return value_of(step, [np.reshape(x, (-1, 1)).astype(np.float64)]).reshape(np.shape(x))


def _after(second: Function, first: Function, x: Array) -> Array:
    return np.asarray(second(first(x)))


def _total(functions: Sequence[Function | None], x: Array) -> Array:
    return np.asarray(sum((x if function is None else function(x)) for function in functions))


def _identity(x: Array) -> Array:
    return x


def _same_integers(function: Function, q: Quantiser) -> Quantiser | None:
    """The quantiser that makes the same integers stand for function(x); None if the function is not a rising line."""
    reals = q.real(np.arange(q.lo, q.hi + 1, dtype=np.float64))
    made = function(reals)
    scale = (made[-1] - made[0]) / (q.hi - q.lo)
    if scale <= 0 or np.abs(np.diff(made) - scale).max() > 1e-5 * scale:
        return None
    return Quantiser(float(scale), float(q.lo - made[0] / scale), q.type, q.lo, q.hi)


def as_convolution(step: Step) -> Step:
    """A mean over windows that are all full: every channel by itself, all weights alike."""
    kh, kw = step.integers("size")
    c = step.input_shape[2]
    weights = np.zeros((kh, kw, c, c), np.float32)
    weights[:, :, range(c), range(c)] = 1 / (kh * kw)
    params = {"strides": step.params["strides"], "padding": step.params["padding"]}
    arrays = {"weights": weights, "bias": np.zeros(c, np.float32)}
    return Step("conv2d", step.inputs, params, arrays, step.input_shape, step.made, None, None)
