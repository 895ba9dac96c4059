"""What a backend is, and what all backends share.

Owns the Protocols, the check of the input (M4-7), and the choice of a block size that M5-3 allows.  Knows nothing of
how a layer is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import prod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aeformat.errors import ValueInvalid
from aeformat.model.free_sizes import Size, sized
from aeformat.model.manifest import Endpoint
from aeformat.model.package import ModelPackage
from aeformat.model.values import DTYPES

Rows = NDArray[Any]


class Network(Protocol):
    """One half of an autoencoder, ready to run."""

    package: ModelPackage

    def run(self, rows: Rows, image: Size | None = None) -> Rows:
        """(n, *input.shape) in the input's type -> (n, *output.shape) in the output's type; any n.

        With free sizes all these rows have one height and width.  image: how much of what its layers make a decoder hands
        out, by default all.  A row's result does not depend on the rows beside it (M5-3).  Raises ValueInvalid for an
        integer outside the input's range (M4-7); ValueInvalid, LimitExceeded for sizes that M3-12 refuses; ValueError and
        TypeError for rows of another shape or type.
        """
        ...


class Backend(Protocol):
    """A way to compute networks.  name: "numpy" or "tensorflow"."""

    name: str

    def load(self, package: ModelPackage) -> Network:
        """The network of a package."""
        ...


def array_type(end: Endpoint) -> np.dtype[Any]:
    """The dtype of an endpoint's rows, in this machine's byte order."""
    return np.dtype(DTYPES[end.type]).newbyteorder("=")


def checked_rows(end: Endpoint, rows: Rows) -> Rows:
    """`rows`, if they are what the endpoint takes.  Raises ValueInvalid (`at`: byte in these rows), ValueError, TypeError."""
    if rows.dtype != array_type(end):
        raise TypeError(f"rows are {rows.dtype}, the model takes {array_type(end)}")
    wanted = sized(end.shape, rows.shape[1:3]) if rows.ndim == len(end.shape) + 1 else end.shape
    if rows.shape[1:] != wanted:
        raise ValueError(f"rows have shape {list(rows.shape[1:])}, the model takes {list(end.shape)}")
    if end.range is not None and len(rows):
        lo, hi = end.range
        if rows.min() < lo or rows.max() > hi:
            first = int(np.flatnonzero((rows < lo) | (rows > hi))[0])
            what = f"row {first // prod(rows.shape[1:])} holds {rows.flat[first]}, the model takes {lo} to {hi}"
            raise ValueInvalid("M4-7", first * rows.itemsize, what)
    return rows


def in_blocks(run_block: Callable[[Rows], Rows], rows: Rows, n_block: int, output: Endpoint, *, pad: bool) -> Rows:
    """Run a network on blocks of n_block rows.  pad: fill the last block with rows of zeros, so that all are of one size."""
    result = np.empty((len(rows), *output.shape), array_type(output))
    for start in range(0, len(rows), n_block):
        block = rows[start : start + n_block]
        n_rows = len(block)
        if pad and n_rows < n_block:
            block = np.concatenate([block, np.zeros((n_block - n_rows, *rows.shape[1:]), rows.dtype)])
        result[start : start + n_rows] = run_block(block)[:n_rows]
    return result


def steady_block(candidates: Iterable[int], prepare: Callable[[int], Callable[[Rows], Rows]], probe: Rows) -> int:
    """The first block size at which a row's result does not depend on its place in the block (M5-3).

    A library may compute the last rows of a block in another way than the first.  Which sizes are steady depends on the
    machine, so it is measured: for every row of `probe` a block is filled with copies of it, and all results must have the same
    bits.  A block of one row is always steady.  prepare: block size -> the function that runs such a block; its results
    should hold the floats on the way too, since rounding to pixels hides most differences.
    """
    for n_block in candidates:
        if n_block > 1:
            run_block = prepare(n_block)
            if all(_is_steady(run_block(np.repeat(row[np.newaxis], n_block, axis=0))) for row in probe):
                return n_block
    return 1


def probe_rows(package: ModelPackage) -> Rows:
    """Rows for `steady_block`: two of the golden set, and three of random numbers."""
    end = package.input
    draw = np.random.default_rng(0)
    dtype = array_type(end)
    if dtype.kind in "iu":
        lo, hi = end.range or (np.iinfo(dtype).min, np.iinfo(dtype).max)
        random = draw.integers(lo, hi, (3, *end.shape), endpoint=True)
    else:
        random = draw.standard_normal((3, *end.shape)) * np.array([0.01, 1, 30]).reshape(3, *(1,) * len(end.shape))
    return np.concatenate([package.golden_input[:2], random.astype(dtype)])


def _is_steady(results: Rows) -> bool:
    bits = np.ascontiguousarray(results).view(np.uint8).reshape(len(results), -1)
    return bool((bits == bits[0]).all())
