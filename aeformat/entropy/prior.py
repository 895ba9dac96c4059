"""The prior of a decoder: how probable its latents are, in integers (spec/model.md, section 10).

Owns the prior's rules and the integer cost of a latent in each class.  Knows nothing of manifests, files, or how symbols
become bytes (rans.py).  There is no float here: the class that a writer chooses, and so the file, is the same on every
machine.
"""

from __future__ import annotations

from functools import cached_property
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

MIN_BITS: Final = 8
MAX_BITS: Final = 16
MAX_CLASSES: Final = 4_096  # M10-2
MAX_TABLES: Final = 256  # M10-2
COST_BITS: Final = 16  # costs are in 1/65,536 bits
_KEPT_BYTES: Final = 1 << 26  # costs of all positions are kept if they take no more
_BLOCK_BYTES: Final = 1 << 22  # sums of costs at a time; more do not stay in a processor's cache

Array = NDArray[Any]


class BadPrior(ValueError):
    """Numbers that break section 10.  rule: "M10-3"."""

    def __init__(self, rule: str, what: str) -> None:
        super().__init__(rule, what)
        self.rule, self.what = rule, what


class Prior:
    """A mixture of classes; each position of a latent has in each class a shared table of frequencies, shifted.

    bits: frequencies sum to 2^bits.  lo, hi: the range of the latents.  classes: (K,).  tables: (t, hi - lo + 1).  means
    and picks: (K, *dims).  All integers.  Raises BadPrior (M10-2 to M10-5).
    """

    def __init__(
        self, *, bits: int, lo: int, hi: int, classes: Array, tables: Array, means: Array, picks: Array
    ) -> None:
        self.bits, self.lo, self.hi = bits, lo, hi
        self.n_symbols = hi - lo + 1
        check_shapes(self.n_symbols, means.shape[1:], classes.shape, tables.shape, means.shape, picks.shape)
        self.classes = np.ascontiguousarray(classes, np.int32)
        self.tables = np.ascontiguousarray(tables, np.int32)
        self.means = np.ascontiguousarray(means, np.uint8)
        self.picks = np.ascontiguousarray(picks, np.uint8)
        self.dims: tuple[int, ...] = means.shape[1:]
        self.n_values = prod(self.dims)
        self.n_classes, self.n_tables = len(self.classes), len(self.tables)
        self._check_numbers()

    def _check_numbers(self) -> None:
        whole = 1 << self.bits
        if self.classes.min() < 1 or self.classes.sum(dtype=np.int64) != whole:
            raise BadPrior("M10-3", f"the frequencies of the classes are not 1 or more with the sum {whole}")
        bad = (self.tables.min(axis=1) < 1) | (self.tables.sum(axis=1, dtype=np.int64) != whole)
        if bad.any():
            number = int(np.flatnonzero(bad)[0])
            raise BadPrior("M10-4", f"the frequencies of table {number} are not 1 or more with the sum {whole}")
        if self.means.max() >= self.n_symbols:
            raise BadPrior("M10-5", f"a mean is {self.means.max()}, there are {self.n_symbols} symbols")
        if self.picks.max() >= self.n_tables:
            raise BadPrior("M10-5", f"table {self.picks.max()} is picked, there are {self.n_tables}")

    @cached_property
    def class_costs(self) -> NDArray[np.uint32]:
        """(K,): what naming each class costs, in 1/65,536 bits."""
        return symbol_costs(self.classes, self.bits)

    @cached_property
    def table_costs(self) -> NDArray[np.uint32]:
        """(t, n): what each symbol costs under each table, in 1/65,536 bits."""
        return symbol_costs(self.tables, self.bits)

    def value_costs(self, position: int) -> NDArray[np.uint32]:
        """(n, K): what the values lo to hi cost at one position (counted in C order) in each class, in 1/65,536 bits."""
        if self._all_costs is not None:
            return self._all_costs[position]
        return self._costs_at(position)

    def _costs_at(self, position: int) -> NDArray[np.uint32]:
        means = self.means.reshape(self.n_classes, -1)[:, position].astype(np.intp)
        picks = self.picks.reshape(self.n_classes, -1)[:, position].astype(np.intp)
        symbols = (np.arange(self.n_symbols)[:, None] - means) % self.n_symbols
        costs: NDArray[np.uint32] = self.table_costs[picks, symbols]
        return costs

    @cached_property
    def _all_costs(self) -> list[NDArray[np.uint32]] | None:
        if 4 * self.n_values * self.n_symbols * self.n_classes > _KEPT_BYTES:
            return None
        return [self._costs_at(position) for position in range(self.n_values)]

    def choose(self, rows: Array) -> tuple[NDArray[np.intp], NDArray[np.uint64]]:
        """The class in which each row costs least, of equals the lowest, and that cost in 1/65,536 bits, the class included.

        rows: (m, *dims) integers from lo to hi (not checked).  -> (m,), (m,).
        """
        values = (rows.reshape(len(rows), self.n_values).astype(np.int64) - self.lo).astype(np.intp)
        best = np.empty(len(rows), np.intp)
        cost = np.empty(len(rows), np.uint64)
        sums = np.uint32 if (self.n_values + 1) * MAX_BITS << COST_BITS < 1 << 32 else np.uint64
        step = max(1, _BLOCK_BYTES // (self.n_classes * np.dtype(sums).itemsize))
        if self._all_costs is None:
            step = max(step, self.n_symbols)  # tables are made anew for every block
        for start in range(0, len(rows), step):
            block = values[start : start + step]
            total = np.empty((len(block), self.n_classes), sums)
            total[:] = self.class_costs
            for position in range(self.n_values):
                total += self.value_costs(position)[block[:, position]]
            chosen = total.argmin(axis=1)
            best[start : start + step] = chosen
            cost[start : start + step] = np.take_along_axis(total, chosen[:, None], axis=1)[:, 0]
        return best, cost


def check_shapes(
    n_symbols: int,
    dims: tuple[int, ...],
    classes: tuple[int, ...],
    tables: tuple[int, ...],
    means: tuple[int, ...],
    picks: tuple[int, ...],
) -> None:
    """M10-2 for the shapes of the four tensors.  Raises BadPrior."""
    if len(classes) != 1 or not 1 <= classes[0] <= MAX_CLASSES:
        raise BadPrior("M10-2", f"classes has the shape {list(classes)}, not one axis of 1 to {MAX_CLASSES}")
    if len(tables) != 2 or not 1 <= tables[0] <= MAX_TABLES or tables[1] != n_symbols:
        raise BadPrior("M10-2", f"tables has the shape {list(tables)}, not 1 to {MAX_TABLES} rows of {n_symbols}")
    for name, shape in (("means", means), ("picks", picks)):
        if shape != (classes[0], *dims):
            raise BadPrior("M10-2", f"{name} has the shape {list(shape)}, not {[classes[0], *dims]}")


def symbol_costs(frequencies: Array, bits: int) -> NDArray[np.uint32]:
    """bits - log2(f) in 1/65,536 bits, by integer arithmetic alone: the same on every machine.  frequencies: 1 to 2^bits.

    log2 by repeated squaring of a 32-bit mantissa, one bit of the result at a time; what is cut off makes a cost larger.
    """
    f = np.ascontiguousarray(frequencies, np.uint64)
    whole = np.zeros(f.shape, np.uint64)
    for shift in (16, 8, 4, 2, 1):
        is_above = (f >> (whole + np.uint64(shift))) > 0
        whole += np.where(is_above, np.uint64(shift), np.uint64(0))
    mantissa = f << (np.uint64(31) - whole)
    log = whole
    for _ in range(COST_BITS):
        mantissa = (mantissa * mantissa) >> np.uint64(31)
        carry = mantissa >> np.uint64(32)
        mantissa >>= carry
        log = (log << np.uint64(1)) | carry
    return (np.uint64(bits << COST_BITS) - log).astype(np.uint32)
