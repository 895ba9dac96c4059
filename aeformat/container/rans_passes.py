"""rANS with passes: lanes over the symbols of a row (spec/container.md, section 6.1).

Owns the code's bytes: rows of latents <-> a payload.  All lanes take a step at once, as one NumPy operation each; a few lanes
go faster one after the other.  Integers only.  What gives the tables is the prior's network.
NumPy is imported on first use.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aeformat.container.limits import PASS_ELEMENTS, RANS_STEPS
from aeformat.container.passes import UNITS_A_STEP, PassesPrior, Table
from aeformat.container.prior import COST_BITS
from aeformat.container.rans import BadCode, check_lanes, check_states
from aeformat.container.rans_few import LOWEST_STATE
from aeformat.container.sizes import RowSizes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FEW_LANES: Final = 8  # lanes that go faster one after the other
_BYTES_A_LANE: Final = 512  # of a code, that a writer wants for each of its lanes
_VALUES_A_LANE: Final = 1 << 14  # at most
_USUAL_LANES: Final = 256
_AT_ONCE: Final = 1 << 16  # symbols that are looked up together: what they take in memory stays in the cache


def check_passes_code(stored: bytes | memoryview, n_values: int) -> int:
    """All that a payload shows without a prior: C6-7, C6-9, C6-10; its lanes.  n_values: of all rows.  Raises BadCode."""
    n_lanes = check_lanes(stored, n_values, "values")
    check_states(stored, n_lanes)
    return n_lanes


def n_passes_steps(prior: PassesPrior, sizes: RowSizes, n_lanes: int) -> int:
    """The steps that it takes to decode these rows (C6-8).  Raises BadCode for a row whose layers make too much."""
    units = 0
    for run in sizes.runs():
        height, width, _ = sizes.form.dims_of(run.sizes)
        n_elements = prior.network.cost(height, width).n_elements
        if n_elements > PASS_ELEMENTS:
            what = f"the layers of the passes make {n_elements} numbers for a row of {height} x {width}"
            raise BadCode("C6-8", f"{what}, allowed are {PASS_ELEMENTS}")
        units += run.n_rows * prior.row_units(height, width, n_lanes)
    return -(-units // UNITS_A_STEP)


def check_steps(stored: bytes | memoryview, prior: PassesPrior, sizes: RowSizes, most_steps: int = RANS_STEPS) -> int:
    """C6-7 and C6-8; the steps.  Raises BadCode."""
    n_lanes = check_lanes(stored, sizes.n_values, "values")
    steps = n_passes_steps(prior, sizes, n_lanes)
    if steps > most_steps:
        per = "in one chunk" if most_steps == RANS_STEPS else "more after what came before"
        raise BadCode("C6-8", f"{steps} steps, allowed are {max(most_steps, 0)} {per}")
    return steps


def decode_passes(stored: bytes | memoryview, prior: PassesPrior, sizes: RowSizes) -> memoryview:
    """The raw payload of rows: one byte a value, i8 as its two's complement.  Raises BadCode (C6-7, C6-9 to C6-13)."""
    import numpy as np

    n_lanes = check_passes_code(stored, sizes.n_values)
    lanes = _Lanes(stored, n_lanes)
    out = np.empty(sizes.n_values, np.uint8)
    start, is_canonical = 0, True
    for run in sizes.runs():
        height, width, n_channels = sizes.form.dims_of(run.sizes)
        for _ in range(run.n_rows):
            row = out[start : start + run.n_values].reshape(height, width, n_channels)
            is_canonical &= _decode_row(lanes, prior, row)
            start += run.n_values
    lanes.end()
    if not is_canonical:
        raise BadCode("C6-13", "an escape stands for a symbol that has a frequency of its own")
    return out.data


def _decode_row(lanes: _Lanes, prior: PassesPrior, row: NDArray[np.uint8]) -> bool:
    """Fill a row (h, w, channels) with the bytes of its values.  Whether its escapes stand for symbols of frequency 0."""
    import numpy as np

    passing, is_canonical = prior.network.row(*row.shape[:2]), True
    for place in prior.passes(*row.shape[:2]):
        means, picks = passing.expect()
        tables = picks.reshape(-1)
        symbols = lanes.take(prior.symbols, tables)
        escapes = np.flatnonzero(symbols == prior.n_symbols)
        if escapes.size:
            symbols[escapes] = lanes.take(prior.escaped, np.zeros(len(escapes), np.uint8))
            is_canonical &= not prior.tables[tables[escapes], symbols[escapes]].any()
        values = symbols.reshape(means.shape)
        values += means.astype(np.int16)
        values -= prior.lo
        values %= prior.n_symbols
        values += prior.lo
        row[place] = values.astype(np.uint8)
        passing.put(values)
    return is_canonical


class _Lanes:
    """The states of the lanes and the words that are left: what decodes a sequence of symbols."""

    def __init__(self, stored: bytes | memoryview, n_lanes: int) -> None:
        import numpy as np

        self._x = np.frombuffer(stored, "<u4", n_lanes, 1).astype(np.int64)
        self._words = np.frombuffer(stored, "<u2", -1, 1 + 4 * n_lanes).astype(np.int64)
        self._n_used = 0

    def take(self, table: Table, rows: NDArray[np.uint8]) -> NDArray[np.int16]:
        """The next symbols, the one counted j in lane j mod W.  rows: of the table, one for each.  Raises BadCode (C6-11)."""
        import numpy as np

        some, out = self._few if len(self._x) <= _FEW_LANES else self._many, np.empty(len(rows), np.int16)
        for start in range(0, len(rows), _AT_ONCE):  # a multiple of all numbers of lanes
            out[start : start + _AT_ONCE] = some(table, rows[start : start + _AT_ONCE].astype(np.intp))
        return out

    def _many(self, table: Table, rows: NDArray[np.intp]) -> NDArray[np.int64]:
        import numpy as np

        out, words, n_used = np.empty(len(rows), np.int64), self._words, self._n_used
        slots, entries = rows << table.bits, rows * table.width
        mask, n_lanes = (1 << table.bits) - 1, len(self._x)
        for start in range(0, len(rows), n_lanes):
            symbols = out[start : start + n_lanes]
            x = self._x[: len(symbols)]
            slot = x & mask
            symbols[:] = table.symbol_of_slot.take(slots[start : start + n_lanes] + slot)
            entry = entries[start : start + n_lanes] + symbols
            slot -= table.starts.take(entry)
            x >>= table.bits
            x *= table.frequencies.take(entry)
            x += slot
            low = (x < LOWEST_STATE).nonzero()[0]
            if low.size:
                more = words[n_used : n_used + low.size]
                if len(more) < low.size:
                    raise self._out_of_words()
                x[low] = (x[low] << 16) | more
                n_used += low.size
        self._n_used = n_used
        return out

    def _few(self, table: Table, rows: NDArray[np.intp]) -> NDArray[np.int64]:
        """The same, one symbol after the other: the loop where a small file spends its time, so all names are local."""
        import numpy as np

        states, n_lanes, bits, lowest = self._x.tolist(), len(self._x), table.bits, LOWEST_STATE
        mask, n_used, words = (1 << bits) - 1, self._n_used, self._words.data
        symbol_of_slot = table.symbol_of_slot.data
        frequencies, starts = table.frequencies.data, table.starts.data
        out: list[int] = []
        lane = 0
        add = out.append
        try:
            for slots, entries in zip((rows << bits).tolist(), (rows * table.width).tolist(), strict=True):
                x = states[lane]
                slot = x & mask
                symbol = symbol_of_slot[slots + slot]
                add(symbol)
                entry = entries + symbol
                x = frequencies[entry] * (x >> bits) + slot - starts[entry]
                if x < lowest:
                    x = x << 16 | words[n_used]
                    n_used += 1
                states[lane] = x
                lane += 1
                if lane == n_lanes:
                    lane = 0
        except IndexError:
            raise self._out_of_words() from None
        self._x[:], self._n_used = states, n_used
        return np.array(out, np.int64)

    def _out_of_words(self) -> BadCode:
        return BadCode("C6-11", f"the {len(self._words)} words do not last for all rows")

    def end(self) -> None:
        """C6-11 and C6-12, behind the last symbol."""
        n_left = len(self._words) - self._n_used
        if n_left:
            raise BadCode("C6-11", f"{n_left} words are left over")
        for lane, state in enumerate(self._x.tolist()):
            if state != LOWEST_STATE:
                raise BadCode("C6-12", f"lane {lane} ends with the state {state}, not {LOWEST_STATE}")


def encode_passes(
    flat: NDArray[Any], sizes: RowSizes, prior: PassesPrior, *, n_lanes: int | None = None, most_steps: int = RANS_STEPS
) -> bytes | None:
    """The payload of rows; None for so many that C6-8 would refuse them.

    flat: all values, row after row, integers in the prior's range.  n_lanes: a power of two up to 1,024 and to the number of
    values; by default what a writer takes.  Raises ValueError (a value outside the range).
    """

    if flat.min() < prior.lo or flat.max() > prior.hi:
        raise ValueError(f"there are latents outside the prior's range, {prior.lo} to {prior.hi}")
    most_lanes = n_lanes or min(_USUAL_LANES, 1 << (sizes.n_values.bit_length() - 1))
    try:
        if n_passes_steps(prior, sizes, most_lanes) > most_steps:
            return None
    except BadCode:
        return None
    sequences: list[_Sequence] = []
    bits = start = 0
    for run in sizes.runs():
        shape = sizes.form.dims_of(run.sizes)
        for _ in range(run.n_rows):
            row = flat[start : start + run.n_values].reshape(shape)
            bits += _encode_row(row, prior, sequences)
            start += run.n_values
    if n_lanes is None:
        n_lanes = usual_passes_lanes(bits >> COST_BITS, sizes.n_values, most_lanes)
        while n_passes_steps(prior, sizes, n_lanes) > most_steps:  # it was found that most_lanes will do
            n_lanes *= 2
    x, words = _push(sequences, prior.bits, n_lanes)
    return bytes((n_lanes.bit_length() - 1,)) + x + words


def usual_passes_lanes(n_bits: int, n_values: int, most_lanes: int) -> int:
    """The lanes that a writer takes for a code of so many bits: a power of two, so that they take half a percent of it.

    More where there are many values in few bits: they would take long in few lanes.
    """
    wanted = min(max(n_bits // 8 // _BYTES_A_LANE, n_values // _VALUES_A_LANE), most_lanes)
    return 1 << (max(wanted, 1).bit_length() - 1)


def _encode_row(row: NDArray[Any], prior: PassesPrior, sequences: list[_Sequence]) -> int:
    """Add what a row (h, w, channels) takes, in the order of decoding; its bits times 65,536."""
    import numpy as np

    passing, cost = prior.network.row(*row.shape[:2]), 0
    for place in prior.passes(*row.shape[:2]):
        means, picks = passing.expect()
        values = row[place]
        passing.put(values)
        tables = picks.reshape(-1).astype(np.int32)
        symbols = ((values.astype(np.int16) - means.astype(np.int16)) % prior.n_symbols).reshape(-1)
        cost += int(prior.costs[tables, symbols].sum(dtype=np.uint64))
        is_escaped = prior.tables[tables, symbols] == 0
        escapes = symbols[is_escaped].astype(np.int32)
        symbols[is_escaped] = prior.n_symbols
        tables *= prior.symbols.width
        tables += symbols
        sequences += [_Sequence(prior.symbols, tables), _Sequence(prior.escaped, escapes)]
    return cost


class _Sequence(NamedTuple):
    """Symbols that are coded one after the other.  entries: their places in the table."""

    table: Table
    entries: NDArray[np.int32]

    def pieces(self, n_lanes: int) -> Iterator[tuple[NDArray[np.uint32], NDArray[np.uint32]]]:
        """Frequencies and starts of the symbols of at most n_lanes, the last ones first; the number divides _AT_ONCE."""
        import numpy as np

        for first in reversed(range(0, len(self.entries), _AT_ONCE)):
            entries = self.entries[first : first + _AT_ONCE]
            frequencies, starts = (
                numbers.take(entries).astype(np.uint32) for numbers in (self.table.frequencies, self.table.starts)
            )
            for start in reversed(range(0, len(entries), n_lanes)):
                yield frequencies[start : start + n_lanes], starts[start : start + n_lanes]


def _push(sequences: list[_Sequence], bits: int, n_lanes: int) -> tuple[bytes, bytes]:
    """States and words, from the last symbol to the first."""
    import numpy as np

    if n_lanes <= _FEW_LANES:
        return _push_few(sequences, bits, n_lanes)

    x = np.full(n_lanes, LOWEST_STATE, np.uint32)
    words: list[NDArray[np.uint16]] = []  # those of the last step first; within a step in the order of decoding
    high_shift, whole = np.uint32(32 - bits), np.uint32(1 << bits)
    for sequence in reversed(sequences):
        for f, start in sequence.pieces(n_lanes):
            lanes = x[: len(f)]
            high = ((lanes >> high_shift) >= f).nonzero()[0]
            if high.size:
                words.append(lanes[high].astype(np.uint16))
                lanes[high] >>= np.uint32(16)
            lanes += (lanes // f) * (whole - f) + start
    tail = np.concatenate(words[::-1]).astype("<u2").tobytes() if words else b""
    return x.astype("<u4").tobytes(), tail


def _push_few(sequences: list[_Sequence], bits: int, n_lanes: int) -> tuple[bytes, bytes]:
    """The same, one symbol after the other."""
    import numpy as np

    states, words, high_shift = [LOWEST_STATE] * n_lanes, [], 32 - bits
    for sequence in reversed(sequences):
        lane = len(sequence.entries) % n_lanes
        for frequencies, starts in sequence.pieces(_AT_ONCE):
            for f, start in zip(frequencies[::-1].tolist(), starts[::-1].tolist(), strict=True):
                lane = (lane or n_lanes) - 1
                x = states[lane]
                if x >> high_shift >= f:
                    words.append(x & 0xFFFF)
                    x >>= 16
                states[lane] = (x // f << bits) + x % f + start
    return np.array(states, "<u4").tobytes(), np.array(words[::-1], "<u2").tobytes()
