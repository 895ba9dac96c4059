"""The prior of a decoder: how probable its latents are, in integers (spec/model.md, section 10).

Owns the prior's rules, what the coder looks symbols up in, and the integer cost of a latent in each class.  Knows nothing of
manifests, files, or how symbols become bytes (rans.py).  There is no float here: the class that a writer chooses, and so the
file, is the same on every machine.  NumPy is imported on first use.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MIN_BITS: Final = 8
MAX_BITS: Final = 16
MAX_CLASSES: Final = 4_096  # M10-2
MAX_TABLES: Final = 256  # M10-2
COST_BITS: Final = 16  # costs are in 1/65,536 bits
PRIOR_TENSORS: Final = {"classes": "i32", "means": "u8", "picks": "u8", "tables": "i32"}  # keys of a prior -> type
_KEPT_BYTES: Final = 1 << 26  # costs of all positions are kept if they take no more
_BLOCK_BYTES: Final = 1 << 18  # sums of costs at a time; more do not stay in a processor's cache


class BadPrior(ValueError):
    """What breaks section 10.  rule: "M10-3"."""

    def __init__(self, rule: str, what: str) -> None:
        super().__init__(rule, what)
        self.rule, self.what = rule, what


class Prior:
    """A mixture of classes; each position of a latent has in each class a shared table of frequencies, shifted.

    bits: frequencies sum to 2^bits.  lo, hi: the range of the latents.  classes: (K,).  tables: (t, hi - lo + 1).  means
    and picks: (K, *dims).  All integers.  Raises BadPrior (M10-2 to M10-5).
    """

    def __init__(
        self,
        *,
        bits: int,
        lo: int,
        hi: int,
        classes: NDArray[Any],
        tables: NDArray[Any],
        means: NDArray[Any],
        picks: NDArray[Any],
    ) -> None:
        import numpy as np

        self.bits, self.lo, self.hi = bits, lo, hi
        self.n_symbols = hi - lo + 1
        self.dims: tuple[int, ...] = means.shape[1:]
        arrays = {"classes": classes, "means": means, "picks": picks, "tables": tables}
        check_shapes(self.n_symbols, self.dims, {key: array.shape for key, array in arrays.items()})
        self.classes = np.ascontiguousarray(classes, np.int32)
        self.tables = np.ascontiguousarray(tables, np.int32)
        self.means = np.ascontiguousarray(means, np.uint8)
        self.picks = np.ascontiguousarray(picks, np.uint8)
        self.n_values = prod(self.dims)
        self.n_classes, self.n_tables = len(self.classes), len(self.tables)
        self._check_numbers()

    def _check_numbers(self) -> None:
        """M10-3 to M10-5."""
        import numpy as np

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

    @property
    def flat_means(self) -> NDArray[np.uint8]:
        """(K, n_values)."""
        return self.means.reshape(self.n_classes, self.n_values)

    @property
    def flat_picks(self) -> NDArray[np.uint8]:
        """(K, n_values)."""
        return self.picks.reshape(self.n_classes, self.n_values)

    @property
    def held_bytes(self) -> int:
        """The memory of its arrays, and of the lookup tables if they were made."""
        arrays: list[NDArray[Any]] = [self.classes, self.tables, self.means, self.picks]
        arrays += vars(self).get("lookup", ())
        return sum(array.nbytes for array in arrays)

    @cached_property
    def lookup(self) -> Lookup:
        """What the coder looks symbols up in, made on first use."""
        return Lookup.of(self)

    @cached_property
    def listed(self) -> tuple[list[int], list[int], list[int], list[int]]:
        """Frequencies and starts of the entries, then of the classes, as lists: Python looks them up faster."""
        lookup = self.lookup
        frequencies, starts = lookup.frequencies.tolist(), lookup.starts.tolist()
        return frequencies, starts, lookup.class_frequencies.tolist(), lookup.class_starts.tolist()

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
        return self._costs_at(position) if self._all_costs is None else self._all_costs[position]

    def _costs_at(self, position: int) -> NDArray[np.uint32]:
        import numpy as np

        means, picks = self.flat_means[:, position].astype(np.intp), self.flat_picks[:, position]
        symbols = (np.arange(self.n_symbols)[:, None] - means) % self.n_symbols
        costs: NDArray[np.uint32] = self.table_costs[picks, symbols]
        return costs

    @cached_property
    def _all_costs(self) -> list[NDArray[np.uint32]] | None:
        if 4 * self.n_values * self.n_symbols * self.n_classes > _KEPT_BYTES:
            return None
        return [self._costs_at(position) for position in range(self.n_values)]

    def choose(self, rows: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.uint64]]:
        """The class in which each row costs least, of equals the lowest, and that cost in 1/65,536 bits, the class included.

        rows: (m, *dims) integers from lo to hi (nonsense if they are not).  -> (m,), (m,).
        """
        import numpy as np

        if self.n_classes == 1:
            return np.zeros(len(rows), np.intp), self._costs_in_one_class(rows)
        values = rows.reshape(len(rows), self.n_values).astype(np.intp) - self.lo
        best = np.empty(len(rows), np.intp)
        cost = np.empty(len(rows), np.uint64)
        fits = (self.n_values + 1) * MAX_BITS << COST_BITS < 1 << 32
        sums = np.dtype(np.uint32 if fits else np.uint64)
        step = max(1, _BLOCK_BYTES // (self.n_classes * sums.itemsize))
        if self._all_costs is None:
            step = max(step, self.n_symbols)  # costs are made anew for every block
        found = np.empty((min(step, len(rows)), self.n_classes), np.uint32)
        for start in range(0, len(rows), step):
            block = np.ascontiguousarray(values[start : start + step].T)
            total = np.empty((block.shape[1], self.n_classes), sums)
            total[:] = self.class_costs
            for position, of_rows in enumerate(block):
                total += self.value_costs(position).take(of_rows, 0, out=found[: len(of_rows)], mode="clip")
            chosen = total.argmin(axis=1)
            best[start : start + step] = chosen
            cost[start : start + step] = np.take_along_axis(total, chosen[:, None], axis=1)[:, 0]
        return best, cost

    def _costs_in_one_class(self, rows: NDArray[Any]) -> NDArray[np.uint64]:
        """Of a prior that has no other: what `choose` gives, without a step for each position, of which there may be many."""
        import numpy as np

        values = rows.reshape(len(rows), self.n_values)
        means, picks = self.flat_means[0].astype(np.int16), self.flat_picks[0]
        cost = np.full(len(rows), self.class_costs[0], np.uint64)
        step = max(1, 2 * _BLOCK_BYTES // self.n_values)
        for start in range(0, len(rows), step):
            symbols = (values[start : start + step].astype(np.int16) - np.int16(self.lo) - means) % self.n_symbols
            cost[start : start + step] += self.table_costs[picks, symbols].sum(axis=1, dtype=np.uint64)
        return cost


class Lookup(NamedTuple):
    """A prior's frequencies as the coder wants them.  Symbol s of table j is entry j * n_symbols + s.

    class_of_slot: (2^bits,).  class_frequencies, class_starts: (K,).  entry_of_slot: (t * 2^bits,), at most 32 MiB.
    frequencies, starts: (t * n_symbols,).  A start is the sum of the frequencies before.
    """

    class_of_slot: NDArray[np.uint16]
    class_frequencies: NDArray[np.int64]
    class_starts: NDArray[np.int64]
    entry_of_slot: NDArray[np.uint16]
    frequencies: NDArray[np.int64]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, prior: Prior) -> Lookup:
        """The lookup tables of a prior."""
        return cls(*_looked_up(prior.classes[None]), *_looked_up(prior.tables))


def _looked_up(frequencies: NDArray[np.int32]) -> tuple[NDArray[np.uint16], NDArray[np.int64], NDArray[np.int64]]:
    """(m, n), each row with the same sum -> entry of each slot, frequency of each entry, start of each entry; flat."""
    import numpy as np

    entries = np.repeat(np.arange(frequencies.size, dtype=np.uint16), frequencies.reshape(-1))
    wide = frequencies.astype(np.int64)
    return entries, wide.reshape(-1), (wide.cumsum(axis=1) - wide).reshape(-1)


def check_shapes(n_symbols: int, dims: tuple[int, ...], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """M10-2 for the shapes of the four tensors, by key.  Raises BadPrior."""
    classes, tables = shapes["classes"], shapes["tables"]
    if len(classes) != 1 or not 1 <= classes[0] <= MAX_CLASSES:
        raise BadPrior("M10-2", f"classes has the shape {list(classes)}, not one axis of 1 to {MAX_CLASSES}")
    if len(tables) != 2 or not 1 <= tables[0] <= MAX_TABLES or tables[1] != n_symbols:
        raise BadPrior("M10-2", f"tables has the shape {list(tables)}, not 1 to {MAX_TABLES} rows of {n_symbols}")
    for key in ("means", "picks"):
        if shapes[key] != (classes[0], *dims):
            raise BadPrior("M10-2", f"{key} has the shape {list(shapes[key])}, not {[classes[0], *dims]}")


def symbol_costs(frequencies: NDArray[Any], bits: int) -> NDArray[np.uint32]:
    """bits - log2(f) in 1/65,536 bits, by integer arithmetic alone: the same on every machine.  frequencies: 1 to 2^bits.

    log2 by repeated squaring of a 32-bit mantissa, one bit of the result at a time; what is cut off makes a cost larger.
    """
    import numpy as np

    f = np.ascontiguousarray(frequencies, np.uint64)
    log = np.zeros(f.shape, np.uint64)
    for shift in (16, 8, 4, 2, 1):
        is_above = (f >> (log + np.uint64(shift))) > 0
        log += np.where(is_above, np.uint64(shift), np.uint64(0))
    mantissa = f << (np.uint64(31) - log)
    for _ in range(COST_BITS):
        mantissa = (mantissa * mantissa) >> np.uint64(31)
        carry = mantissa >> np.uint64(32)
        mantissa >>= carry
        log = (log << np.uint64(1)) | carry
    return (np.uint64(bits << COST_BITS) - log).astype(np.uint32)
