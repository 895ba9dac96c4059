"""Networks in NumPy.  This backend is always installed, starts at once and runs everywhere.

Owns the number type of each step, and the size of a block.  The layer kinds themselves are in numpy_layers.py,
numpy_pixels.py, numpy_floats.py and numpy_lookup.py.
"""

from __future__ import annotations

import threading
from typing import Any, Final

import numpy as np

from aeformat.backends import numpy_convolutions, numpy_floats, numpy_layers
from aeformat.backends.base import Rows, array_type, checked_rows
from aeformat.backends.exact_sums import SUM_AXIS
from aeformat.backends.numpy_adjoint import Adjoint
from aeformat.backends.numpy_float_sums import float_sums
from aeformat.backends.numpy_layers import Op, Scratch
from aeformat.backends.numpy_lookup import Sums, lookup
from aeformat.backends.numpy_pixels import JOINS, Join
from aeformat.backends.threads import Threads
from aeformat.backends.tiled import Tiled, own_sides
from aeformat.container.threads import n_processors
from aeformat.model.bounds import FLOAT32_EXACT
from aeformat.model.free_sizes import Size
from aeformat.model.memory import Stage, stages
from aeformat.model.package import ModelPackage, Step
from aeformat.model.tiles import Tile
from aeformat.model.values import EXACT, Interval

DType = np.dtype[Any]

_NATURAL: Final[dict[str, DType]] = {"u8": np.dtype(np.uint8), "i8": np.dtype(np.int8), "f32": np.dtype(np.float32)}


class NumpyBackend:
    """Backend "numpy"."""

    name = "numpy"

    def load(self, package: ModelPackage) -> NumpyNetwork:
        """The network of a package."""
        return NumpyNetwork(package)


class NumpyNetwork:
    """One half of an autoencoder in NumPy.  See base.Network.  Threads may share it.

    n_block: rows computed at once; the default depends on the network's size.  integers: for the exact profile only; compute
    sums and lookups in 64-bit integers instead of floats; slower, except where floats are emulated.  tile: for free
    sizes, the pixels of the output that are computed at once.  n_threads: blocks or tiles computed side by side.
    """

    def __init__(
        self,
        package: ModelPackage,
        *,
        n_block: int | None = None,
        integers: bool = False,
        tile: Size | None = None,
        n_threads: int | None = None,
    ) -> None:
        assert not integers or package.profile == EXACT
        self.package = package
        self._local = threading.local()  # each thread has its own scratch memory
        self._threads = Threads(n_threads or n_processors())
        self._dtypes = _carriers(package, integers=integers)
        self._biases = _missing_biases(package)
        self._stages = [] if package.has_free_sizes else _stages(package, n_block)
        self._n_block = max((stage.n_rows for stage in self._stages), default=1)
        self._tiled = Tiled(package, tile=tile, threads=self._threads) if package.has_free_sizes else None
        self._sides = [own_sides(step) for step in package.plan]
        self._ops = [self._join(number, step) for number, step in enumerate(package.plan)]

    def run(self, rows: Rows, image: Size | None = None) -> Rows:
        """(n, *input.shape) -> (n, *output.shape).  See base.Network."""
        checked_rows(self.package.input, rows)
        if self._tiled is not None:
            return self._tiled.run(self._run_tile, rows, image)
        assert image is None
        made = np.empty((len(rows), *self.package.output.shape), array_type(self.package.output))
        blocks = [slice(first, first + self._n_block) for first in range(0, len(rows), self._n_block)]

        def compute(block: slice) -> None:
            made[block] = self._run_block(rows[block])

        # A golden set goes through one thread: the memory that it takes is counted before (C13-1).
        threads = self._threads if len(rows) > len(self.package.golden_input) else Threads(1)
        threads.each(compute, blocks)
        return made

    def _run_block(self, rows: Rows) -> Rows:
        """The result lies in scratch memory: the next block overwrites it."""
        scratch, shapes = self._scratch(), [value.shape for value in self.package.manifest.values]
        for stage in self._stages:
            rows = rows.astype(self._dtypes[stage.start], copy=False)
            if len(rows) <= stage.n_rows:
                rows = self._run_stage(stage, rows, scratch)
                continue
            made = scratch.array(stage, (len(rows), *shapes[stage.stop]), self._dtypes[stage.stop])
            for first in range(0, len(rows), stage.n_rows):
                part = slice(first, first + stage.n_rows)
                made[part] = self._run_stage(stage, rows[part], scratch)
            rows = made
        return rows

    def _run_stage(self, stage: Stage, rows: Rows, scratch: Scratch) -> Rows:
        values = {stage.start: rows}
        for number in range(stage.start, stage.stop):
            xs = [values[value] for value in self.package.plan[number].inputs]
            values[number + 1] = self._ops[number](xs, scratch, self._sides[number])
        return values[stage.stop]

    def _run_tile(self, rows: Rows, tile: Tile) -> Rows:
        """The same for a part of an image."""
        values, scratch = [rows.astype(self._dtypes[0], copy=False)], self._scratch()
        for number, (step, op) in enumerate(zip(self.package.plan, self._ops, strict=True)):
            parts = zip(step.inputs, tile.takes(number), strict=True)
            xs = [values[value][:, down, across] for value, (down, across) in parts]
            values.append(op(xs, scratch, tile.sides(number)))
        return values[-1]

    def _scratch(self) -> Scratch:
        if not hasattr(self._local, "scratch"):
            self._local.scratch = Scratch()
        scratch: Scratch = self._local.scratch
        return scratch

    def _join(self, number: int, step: Step) -> Join:
        if step.kind in JOINS:
            return JOINS[step.kind](step, self._dtypes[number + 1])
        op = self._op(number, step)
        return lambda xs, scratch, sides: op(xs[0], scratch, sides)

    def adjoint(self) -> Adjoint:
        """The same layers, for who asks what changes with each number of the input; of profile exact and with free sizes."""
        return Adjoint(self.package.plan, self._ops, self._sides, n_known=1, sums_of=self._sums_of)

    def _sums_of(self, value: int) -> Sums:
        """What a lookup has to know of the sums that it reads."""
        bounds = self.package.plan[value - 1].bounds
        assert bounds is not None  # M3-6: sums
        return Sums(self._dtypes[value], self._biases[value], bounds)

    def _op(self, number: int, step: Step) -> Op:
        made_dtype = self._dtypes[number + 1]
        match step.kind:
            case "dense" | "conv2d" | "conv2d_transpose" | "affine":
                if step.bounds is None:
                    return float_sums(step)
                return (_LINEAR if self.package.has_free_sizes else _OF_ONE_SIZE)[step.kind](step, made_dtype)
            case "lookup":
                sums = self._sums_of(step.inputs[0])
                if self.package.has_free_sizes:
                    return lookup(step, sums, made_dtype)
                return lookup(step, sums, made_dtype, most=self._n_block * step.made.n_elements)
            case "reshape" | "flatten":
                shape = step.made.shape
                return lambda x, _scratch, _sides: x.reshape(-1, *shape)
            case "scale":
                function = numpy_floats.scale(step.integer("num"), step.integer("den"))
            case "leaky_relu":
                function = numpy_floats.leaky_relu(step.integer("num"), step.integer("den"))
            case kind:
                function = numpy_floats.PLAIN[kind]
        return numpy_layers.elementwise(function, made_dtype)


_LINEAR: Final = {
    "dense": numpy_layers.dense,
    "conv2d": numpy_layers.conv2d,
    "conv2d_transpose": numpy_layers.conv2d_transpose,
    "affine": numpy_layers.affine,
}
_OF_ONE_SIZE: Final = {
    **_LINEAR,
    "conv2d": numpy_convolutions.conv2d,
    "conv2d_transpose": numpy_convolutions.conv2d_transpose,
}
_SUMS: Final = frozenset({*_LINEAR, "add"})
_MOVES: Final = frozenset({"concat", "upsample", "slice", "max_pool", "pad", "crop", "reshape", "flatten"})
_KEEP_TYPE: Final = _SUMS | _MOVES  # kinds whose inputs have the type of their output


def _stages(package: ModelPackage, n_block: int | None) -> list[Stage]:
    """n_block: rows computed at once, if not as many as the network's size suggests."""
    usual = stages(package.manifest)
    if n_block is None:
        return usual
    most = max(stage.n_rows for stage in usual)
    return [stage._replace(n_rows=n_block if stage.n_rows == most else min(stage.n_rows, n_block)) for stage in usual]


def sum_dtype(step: Step, *, integers: bool = False) -> DType:
    """The type that holds a layer's sums; in the exact profile it holds them without rounding (section 4)."""
    if integers:
        return np.dtype(np.int64)
    return np.dtype(np.float32 if step.bounds is None or step.bound < FLOAT32_EXACT else np.float64)


def one_sign_reach(step: Step, span: Interval | None) -> int:
    """The largest absolute value of any part of a layer's sums, without the bias; span: what the layer reads.

    Where no number that it reads is negative, a part of a sum, whatever its order, is at most that of all positive weights, and
    at least that of all negative ones: often half of the bound.
    """
    if step.kind not in SUM_AXIS or span is None or span.lo < 0:
        return step.bound
    weights, axis = step.arrays["weights"], SUM_AXIS[step.kind]
    others = tuple(i for i in range(weights.ndim) if i != axis)
    up, down = (np.maximum(way * weights.astype(np.int64), 0).sum(axis=others).max() for way in (1, -1))
    return int(max(up, down)) * span.hi


def _carriers(package: ModelPackage, *, integers: bool) -> list[DType]:
    """The number type that holds each value of the network.

    An 8-bit value whose readers all compute in one type of sums is held in that type from the start: that saves a conversion.
    """
    values, plan = package.manifest.values, package.plan
    spans = [package.input.interval, *(step.interval for step in plan)]
    dtypes: list[DType] = [_NATURAL.get(value.type, np.dtype(np.float64)) for value in values]
    dtypes[-1] = array_type(package.output)
    for number in reversed(range(len(values))):
        if number and plan[number - 1].kind in _SUMS:
            step = plan[number - 1]
            fits = (
                step.bounds is not None and not integers and one_sign_reach(step, spans[step.inputs[0]]) < FLOAT32_EXACT
            )
            dtypes[number] = np.dtype(np.float32) if fits else sum_dtype(step, integers=integers)
            continue
        readers = [k for k, step in enumerate(plan) if number in step.inputs]
        read_as = {dtypes[k + 1] if plan[k].kind in _KEEP_TYPE else dtypes[number] for k in readers}
        if len(read_as) == 1:
            dtypes[number] = read_as.pop()
    return dtypes


def _missing_biases(package: ModelPackage) -> list[tuple[int, ...]]:
    """For each value, the bias that its channels still lack: layers of integer sums leave it out, and `lookup` adds it."""
    biases: list[tuple[int, ...]] = [(0,) * value.shape[-1] for value in package.manifest.values]
    for made, step in enumerate(package.plan, 1):
        if step.bounds is not None and step.kind == "add":
            biases[made] = tuple(map(sum, zip(*(biases[number] for number in step.inputs), strict=True)))
        elif step.bounds is not None:
            biases[made] = tuple(int(b) for b in step.arrays["bias"])
    return biases
