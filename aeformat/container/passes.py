"""The prior with passes: each pass of symbols has means and tables that a network gives (spec/model.md, section 10.1).

Owns the tables with their escapes, what the coder looks symbols up in, and the order of passes.  Knows no network: whoever runs
networks hands over what gives means and picks, as a PassNetwork.  Integers only.  NumPy is imported on first use.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from aeformat.container.prior import BadPrior, symbol_costs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PHASES: Final = ((0, 0), (1, 1), (0, 1), (1, 0))  # row and column of the first position of each
UNITS_A_STEP: Final = 4_096  # C6-8
LAYER_UNITS: Final = 10_000
LANE_STEP_UNITS: Final = 512
VALUE_UNITS: Final = 16


class NetworkCost(NamedTuple):
    """What all layers take for one row (C6-8).  sums: its multiply-adds, and 8 for each of its elements."""

    n_layers: int
    sums: int
    n_elements: int


class PassRow(Protocol):
    """One row on its way: passes are taken in order."""

    def expect(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Means and picks of the symbols of the next pass: two arrays (h_p, w_p, n_g) of integers."""
        ...

    def put(self, values: NDArray[Any]) -> None:
        """The latents of that pass: (h_p, w_p, n_g)."""
        ...


class PassNetwork(Protocol):
    """What computes the layers of the passes of one decoder."""

    def row(self, height: int, width: int) -> PassRow:
        """A row of h x w positions, of which nothing is decoded yet."""
        ...

    def cost(self, height: int, width: int) -> NetworkCost:
        """What such a row takes."""
        ...


class PassesPrior:
    """Tables of n + 1 frequencies, the last that of the escape, and the network that picks them.

    bits: frequencies sum to 2^bits.  lo, hi: the range of the latents.  groups: channels of each.  tables: (t, hi - lo + 2).
    Raises BadPrior (M10-4).
    """

    def __init__(
        self, *, bits: int, lo: int, hi: int, groups: tuple[int, ...], tables: NDArray[Any], network: PassNetwork
    ) -> None:
        import numpy as np

        self.bits, self.lo, self.hi, self.groups, self.network = bits, lo, hi, groups, network
        self.n_symbols = hi - lo + 1
        self.n_channels = sum(groups)
        self.tables = np.ascontiguousarray(tables, np.int32)
        check_tables(self.tables, bits)

    @property
    def held_bytes(self) -> int:
        """The memory of its tables, and of what they are looked up in if that was made; the network's own is not known here."""
        made: list[NDArray[Any]] = [self.tables]
        for key in ("symbols", "escaped"):
            made += vars(self).get(key, ())[2:]
        return sum(array.nbytes for array in made)

    @cached_property
    def symbols(self) -> Table:
        """What symbols and the escape are looked up in."""
        return Table.of(self.tables, self.bits)

    @cached_property
    def escaped(self) -> Table:
        """What the symbol behind an escape is looked up in: one table."""
        import numpy as np

        starts = (np.arange(self.n_symbols + 1, dtype=np.int64) << self.bits) // self.n_symbols
        return Table.of(np.diff(starts)[None].astype(np.int32), self.bits)

    @cached_property
    def costs(self) -> NDArray[np.uint32]:
        """(t, n): what each symbol costs under each table, with its escape if it takes one, in 1/65,536 bits."""
        import numpy as np

        costs = symbol_costs(np.maximum(self.tables, 1), self.bits)
        escapes = costs[:, -1:] + symbol_costs(self.escaped.frequencies[None], self.bits)
        found: NDArray[np.uint32] = np.where(self.tables[:, :-1] > 0, costs[:, :-1], escapes)
        return found

    def row_units(self, height: int, width: int, n_lanes: int) -> int:
        """The units of one row (C6-8), its elements apart."""
        cost = self.network.cost(height, width)
        steps = sum(
            -(-n_rows * n_columns * n_group // n_lanes)
            for n_group in self.groups
            for n_rows, n_columns in phase_sizes(height, width)
        )
        n_values = height * width * self.n_channels
        return LAYER_UNITS * cost.n_layers + VALUE_UNITS * n_values + LANE_STEP_UNITS * steps + cost.sums // 8

    def passes(self, height: int, width: int) -> Iterator[tuple[slice, slice, slice]]:
        """Rows, columns and channels of each pass that has symbols, in order."""
        start = 0
        for n_group in self.groups:
            for (y, x), (n_rows, n_columns) in zip(PHASES, phase_sizes(height, width), strict=True):
                if n_rows and n_columns:
                    yield slice(y, None, 2), slice(x, None, 2), slice(start, start + n_group)
            start += n_group


class Table(NamedTuple):
    """Rows of frequencies as the coder wants them.  Symbol s of row j is entry j * width + s.

    symbol_of_slot: (t * 2^bits,), at most 32 MiB.  frequencies, starts: (t * width,).  A start is the sum of the frequencies
    before.
    """

    bits: int
    width: int
    symbol_of_slot: NDArray[np.uint16]
    frequencies: NDArray[np.int64]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, tables: NDArray[np.int32], bits: int) -> Table:
        """tables: (t, width), each row with the sum 2^bits."""
        import numpy as np

        n_tables, width = tables.shape
        symbols = np.tile(np.arange(width, dtype=np.uint16), n_tables)
        wide = tables.astype(np.int64)
        starts = wide.cumsum(axis=1) - wide
        return cls(bits, width, np.repeat(symbols, tables.reshape(-1)), wide.reshape(-1), starts.reshape(-1))


def phase_sizes(height: int, width: int) -> list[tuple[int, int]]:
    """h_p, w_p of each phase."""
    return [((height - y + 1) // 2, (width - x + 1) // 2) for y, x in PHASES]


def check_tables(tables: NDArray[np.int32], bits: int) -> None:
    """M10-4 of tables with escapes: (t, n + 1).  Raises BadPrior."""
    import numpy as np

    whole = 1 << bits
    bad = (tables.min(axis=1) < 0) | (tables.sum(axis=1, dtype=np.int64) != whole)
    if bad.any():
        number = int(np.flatnonzero(bad)[0])
        raise BadPrior("M10-4", f"the frequencies of table {number} are not 0 or more with the sum {whole}")
    needs_escape = (tables[:, :-1] == 0).any(axis=1)
    bad = needs_escape != (tables[:, -1] > 0)
    if bad.any():
        number = int(np.flatnonzero(bad)[0])
        what = "no escape, and a symbol of frequency 0" if needs_escape[number] else "an escape that no symbol takes"
        raise BadPrior("M10-4", f"table {number} has {what}")
