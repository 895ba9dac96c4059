"""Networks in TensorFlow: slow to start, fast for many rows.

Owns the graph: one `tf.function` with a fixed block of rows.  Sums are computed by TensorFlow's ordinary CPU
kernels, which add the products that the spec names: no Winograd, no FFT, no TF32.  So the CPU is used even where there is a
GPU.  Elementwise kinds are compiled by XLA, so that a lookup is one pass over memory.  The layer kinds are in
tensorflow_layers.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from aeformat.backends.base import Rows, array_type, checked_rows, in_blocks, probe_rows, steady_block
from aeformat.backends.runtime import load_tensorflow
from aeformat.backends.tensorflow_layers import ACTIVATIONS, Op, make_op
from aeformat.backends.threads import Threads
from aeformat.backends.tiled import Tiled, own_sides
from aeformat.model.free_sizes import Size
from aeformat.model.package import ModelPackage, Step
from aeformat.model.tiles import Tile
from aeformat.model.values import EXACT

_BLOCK_ELEMENTS: Final = 1 << 23  # of the input and all values of a block together
_FLOAT_BLOCK_ELEMENTS: Final = 1 << 20  # the same in the float32 profile, which makes a few float64 sums of each
_MAX_BLOCK: Final = 4096
_CPU: Final = "/device:CPU:0"
_COMPILED: Final = frozenset({"scale", "to_u8", "lookup", "leaky_relu", *ACTIVATIONS})


class TensorflowBackend:
    """Backend "tensorflow".  Raises BackendUnavailable on `load` where TensorFlow is not installed."""

    name = "tensorflow"

    def load(self, package: ModelPackage) -> TensorflowNetwork:
        """The network of a package."""
        return TensorflowNetwork(package)


class TensorflowNetwork:
    """One half of an autoencoder in TensorFlow.  See base.Network.  Threads may share it.

    n_block: rows computed at once, exact profile only; the default depends on the network's size.  tile: for free sizes, the
    pixels of the output that are computed at once.
    """

    def __init__(self, package: ModelPackage, *, n_block: int | None = None, tile: Size | None = None) -> None:
        self.package = package
        self._sides = [own_sides(step) for step in package.plan]
        self._tf: Any = load_tensorflow()
        with self._tf.device(_CPU):
            self._ops = [self._op(step) for step in package.plan]
        self._tiled = None
        if package.has_free_sizes:  # one graph for all sizes
            self._compiled = self._compile_tile()
            self._tiled = Tiled(package, tile=tile, threads=Threads(1))
            return
        is_exact = package.profile == EXACT
        assert is_exact or n_block is None  # M5-3: the steady sizes are measured below
        if n_block is None:
            n_block, n_elements = 1, _BLOCK_ELEMENTS if is_exact else _FLOAT_BLOCK_ELEMENTS
            n_numbers = package.input.value.n_elements + package.n_made
            while n_block < _MAX_BLOCK and 2 * n_block * n_numbers <= n_elements:
                n_block *= 2
        if not is_exact:
            sizes = [size for size in (n_block, 64, 8) if size <= n_block]
            n_block = steady_block(sizes, self._all_values, probe_rows(package))
        self._n_block = n_block
        self._compiled = self._compile(n_block)

    def run(self, rows: Rows, image: Size | None = None) -> Rows:
        """(n, *input.shape) -> (n, *output.shape).  See base.Network."""
        checked_rows(self.package.input, rows)
        if self._tiled is not None:
            return self._tiled.run(self._run_tile, rows, image)
        assert image is None
        return in_blocks(self._run_block, rows, self._n_block, self.package.output, pad=True)

    def _op(self, step: Step) -> Op:
        op = make_op(self._tf, step)
        is_compiled = step.kind in _COMPILED and not self.package.has_free_sizes  # XLA compiles anew for each size
        if not is_compiled:
            return op
        compiled: Op = self._tf.function(lambda x: op(x, None), jit_compile=True)
        return lambda x, _sides: compiled(x)

    def _run_block(self, rows: Rows) -> Rows:
        with self._tf.device(_CPU):
            made: Rows = self._compiled(rows)[-1].numpy()
        return made

    def _all_values(self, n_block: int) -> Callable[[Rows], Rows]:
        """What makes (n, bytes): all numbers on the way, so that the probe sees floats before they are rounded to pixels."""
        compiled = self._compile(n_block, first=1)

        def run_block(rows: Rows) -> Rows:
            with self._tf.device(_CPU):
                values = [value.numpy().reshape(len(rows), -1) for value in compiled(rows)]
            return np.concatenate([value.view(np.uint8).reshape(len(rows), -1) for value in values], axis=1)

        return run_block

    def _compile(self, n_block: int, *, first: int = -1) -> Callable[[Rows], list[Any]]:
        """A graph for blocks of that many rows, which gives the values of the network from number `first` on."""
        tf, start = self._tf, self.package.input

        def network(rows: Any) -> list[Any]:
            values = [rows]
            for step, op, sides in zip(self.package.plan, self._ops, self._sides, strict=True):
                values.append(op(*(values[number] for number in step.inputs), sides))
            return values[first:]

        signature = tf.TensorSpec((n_block, *start.shape), tf.as_dtype(array_type(start)))
        compiled: Callable[[Rows], list[Any]] = tf.function(network, input_signature=[signature])
        return compiled

    def _run_tile(self, rows: Rows, tile: Tile) -> Rows:
        numbers = range(len(self.package.plan))
        takes = [
            (down.start, down.stop, across.start, across.stop)
            for number in numbers
            for down, across in tile.takes(number)
        ]
        sides = [tile.sides(number) for number in numbers]
        with self._tf.device(_CPU):
            made: Rows = self._compiled(rows, np.array(takes, np.int32), np.array(sides, np.int32)).numpy()
        return made

    def _compile_tile(self) -> Callable[..., Any]:
        """A graph for tiles of any size.  takes: of each input of each step, its part; sides: of each step."""
        tf, start = self._tf, self.package.input

        def network(rows: Any, takes: Any, sides: Any) -> Any:
            values, at = [rows], 0
            for number, (step, op) in enumerate(zip(self.package.plan, self._ops, strict=True)):
                xs = []
                for value in step.inputs:
                    top, bottom, left, right = tf.unstack(takes[at])
                    xs.append(values[value][:, top:bottom, left:right])
                    at += 1
                values.append(op(*xs, tf.unstack(sides[number])))
            return values[-1]

        signature = [
            tf.TensorSpec((None, None, None, start.shape[2]), tf.as_dtype(array_type(start))),
            tf.TensorSpec((sum(len(step.inputs) for step in self.package.plan), 4), tf.int32),
            tf.TensorSpec((len(self.package.plan), 4), tf.int32),
        ]
        compiled: Callable[..., Any] = tf.function(network, input_signature=signature)
        return compiled
