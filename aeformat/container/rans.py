"""Interleaved rANS: rows of latents <-> the payload of codec rans (spec/container.md, section 6.1).

Owns the code's bytes.  All lanes take a step at once, as one NumPy operation each; a few lanes go faster one after the other
(rans_few.py).  Integers only.  Knows nothing of chunks or of where the prior came from.  What a payload can make it do is
bounded by the steps that its caller allows (C6-8, costs.py).
NumPy is imported on first use.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from aeformat.container.limits import RANS_STEPS
from aeformat.container.prior import Prior
from aeformat.container.rans_few import FEW_LANES, LOWEST_STATE, OutOfWords, decode_few

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_LANES_LOG2: Final = 10  # C6-7
_USUAL_STEPS: Final = 4_096  # what a writer aims at: fewer lanes take fewer bytes, more go faster
_USUAL_LANES: Final = 256
_PIECE_SYMBOLS: Final = 1 << 18  # positions of a block that are looked up at a time: bounds the memory of long rows


class BadCode(ValueError):
    """A stored payload that breaks section 6.1.  rule: "C6-7"."""

    def __init__(self, rule: str, what: str) -> None:
        super().__init__(rule, what)
        self.rule, self.what = rule, what


def check_code(stored: bytes | memoryview, *, n_rows: int, n_values: int, most_steps: int = RANS_STEPS) -> int:
    """All that a payload shows without a prior, C6-7 to C6-10; its lanes.  n_values: in a row.  Raises BadCode."""
    n_lanes = check_lanes(stored, n_rows, "rows")
    steps = n_steps(n_rows, n_lanes, n_values)
    if steps > most_steps:
        per = "in one chunk" if most_steps == RANS_STEPS else "more after what came before"
        raise BadCode("C6-8", f"{steps} steps in {n_lanes} lanes, allowed are {max(most_steps, 0)} {per}")
    check_states(stored, n_lanes)
    return n_lanes


def check_lanes(stored: bytes | memoryview, n_most: int, of: str) -> int:
    """C6-7: the lanes, of which there may be as many as there are `of`.  Raises BadCode."""
    log2 = stored[0]
    n_lanes = 1 << min(log2, MAX_LANES_LOG2)
    if log2 > MAX_LANES_LOG2 or n_lanes > n_most:
        raise BadCode("C6-7", f"2^{log2} lanes for {n_most} {of}; allowed are 2^{MAX_LANES_LOG2}, and one a {of[:-1]}")
    return n_lanes


def check_states(stored: bytes | memoryview, n_lanes: int) -> None:
    """C6-9 and C6-10.  Raises BadCode."""
    if len(stored) < 1 + 4 * n_lanes or not len(stored) % 2:
        raise BadCode("C6-9", f"{len(stored)} bytes are not one, {n_lanes} states and whole words")
    for lane in range(n_lanes):
        state = int.from_bytes(stored[1 + 4 * lane : 5 + 4 * lane], "little")
        if state < LOWEST_STATE:
            raise BadCode("C6-10", f"the state of lane {lane} is {state}, less than {LOWEST_STATE}")


def n_steps(n_rows: int, n_lanes: int, n_values: int) -> int:
    """The steps that it takes to decode so many rows (C6-8)."""
    return -(-n_rows // n_lanes) * (n_values + 1)


def decode_rows(stored: bytes | memoryview, prior: Prior, *, n_rows: int, most_steps: int = RANS_STEPS) -> memoryview:
    """The raw payload of n_rows rows: one byte a value, i8 as its two's complement.  Raises BadCode (C6-7 to C6-12)."""
    import numpy as np

    n_lanes = check_code(stored, n_rows=n_rows, n_values=prior.n_values, most_steps=most_steps)
    x = np.frombuffer(stored, "<u4", n_lanes, 1).astype(np.int64)
    step = _Decoding(prior, np.frombuffer(stored, "<u2", -1, 1 + 4 * n_lanes).astype(np.uint16))
    out = np.empty((n_rows, prior.n_values), np.uint8)
    if n_lanes <= FEW_LANES:
        _decode_few(step, x.tolist(), out)
        return out.reshape(-1).data
    piece = max(1, _PIECE_SYMBOLS // n_lanes)
    for first in range(0, n_rows, n_lanes):
        lanes = x[: n_rows - first]
        classes = step.classes(lanes)
        for start in range(0, prior.n_values, piece):
            positions = slice(start, start + piece)
            out[first : first + n_lanes, positions] = step.values(lanes, classes, positions)
    step.end(x)
    return out.reshape(-1).data


def _decode_few(step: _Decoding, states: list[int], out: NDArray[np.uint8]) -> None:
    """The same for a few lanes.  Raises BadCode."""
    try:
        states, n_used = decode_few(states, step.words, step.prior, out)
    except OutOfWords:
        raise step.out_of_words() from None
    step.end(states, n_used)


class _Decoding:
    """The steps of one payload.

    x, wherever it is handed over, holds the states of the lanes and is changed in place; it is int64, though states have 32
    bits, because that is what NumPy looks things up by without a copy.
    """

    def __init__(self, prior: Prior, words: NDArray[np.uint16]) -> None:
        self.prior, self._lookup, self.words = prior, prior.lookup, words
        self._mask = (1 << prior.bits) - 1
        self._n_used = 0  # of the words

    def classes(self, x: NDArray[np.int64]) -> NDArray[np.intp]:
        """The class of each lane's row."""
        import numpy as np

        lookup = self._lookup
        slot = x & self._mask
        classes = lookup.class_of_slot.take(slot).astype(np.intp)
        self._advance(x, lookup.class_frequencies.take(classes), slot - lookup.class_starts.take(classes))
        return classes

    def values(self, x: NDArray[np.int64], classes: NDArray[np.intp], positions: slice) -> NDArray[np.uint8]:
        """The values of each lane's row at the next positions: (lanes, positions) bytes."""
        import numpy as np

        prior, lookup = self.prior, self._lookup
        picks = prior.flat_picks[classes, positions].T.astype(np.int64)
        entries = np.empty(picks.shape, np.int64)
        for slots, entry in zip(picks << prior.bits, entries, strict=True):
            slot = x & self._mask
            slots |= slot
            entry[:] = lookup.entry_of_slot.take(slots)
            slot -= lookup.starts.take(entry)
            self._advance(x, lookup.frequencies.take(entry), slot)
        symbols = entries - picks * prior.n_symbols
        values = (symbols.T + prior.flat_means[classes, positions]) % prior.n_symbols
        return (values + prior.lo).astype(np.uint8)

    def _advance(self, x: NDArray[np.int64], f: NDArray[np.int64], rest: NDArray[np.int64]) -> None:
        """Behind a symbol of frequency f.  rest: slot - cum."""
        x >>= self.prior.bits
        x *= f
        x += rest
        low = (x < LOWEST_STATE).nonzero()[0]
        if low.size:
            words = self.words[self._n_used : self._n_used + low.size]
            if len(words) < low.size:
                raise self.out_of_words()
            x[low] = (x[low] << 16) | words
            self._n_used += low.size

    def out_of_words(self) -> BadCode:
        """C6-11, before the last symbol."""
        return BadCode("C6-11", f"the {len(self.words)} words do not last for all rows")

    def end(self, x: Iterable[int], n_used: int | None = None) -> None:
        """C6-11 and C6-12, behind the last symbol.  n_used: of the words, if they were taken elsewhere."""
        n_left = len(self.words) - (self._n_used if n_used is None else n_used)
        if n_left:
            raise BadCode("C6-11", f"{n_left} words are left over")
        for lane, state in enumerate(x):
            if state != LOWEST_STATE:
                raise BadCode("C6-12", f"lane {lane} ends with the state {state}, not {LOWEST_STATE}")


def encode_rows(
    rows: NDArray[Any], prior: Prior, *, n_lanes: int | None = None, most_steps: int = RANS_STEPS
) -> bytes | None:
    """The payload of rows, each in its cheapest class; None for so many in so few lanes that C6-8 would refuse them.

    rows: (n, *dims) integers in the prior's range.  n_lanes: a power of two up to 1,024 and to n; by default what a writer
    takes.  most_steps: what decoding may take.  Raises ValueError (a value outside the range).
    """
    import numpy as np

    if rows.min() < prior.lo or rows.max() > prior.hi:
        raise ValueError(f"there are latents outside the prior's range, {prior.lo} to {prior.hi}")
    n_lanes = usual_lanes(len(rows), prior.n_values, most_steps) if n_lanes is None else n_lanes
    if n_steps(len(rows), n_lanes, prior.n_values) > most_steps:
        return None
    classes, _ = prior.choose(rows)
    values = rows.reshape(len(rows), prior.n_values).astype(np.int16) - np.int16(prior.lo)
    x = np.full(n_lanes, LOWEST_STATE, np.uint32)
    words: list[NDArray[np.uint16]] = []  # those of the last step first; within a step in the order of decoding
    for first in reversed(range(0, len(rows), n_lanes)):
        block = slice(first, first + n_lanes)
        frequencies, starts = _symbols(prior, values[block], classes[block])
        lanes = x[: frequencies.shape[1]]
        for f, start in zip(frequencies[::-1], starts[::-1], strict=True):
            high = ((lanes >> np.uint32(32 - prior.bits)) >= f).nonzero()[0]
            if high.size:
                words.append(lanes[high].astype(np.uint16))
                lanes[high] >>= np.uint32(16)
            lanes += (lanes // f) * (np.uint32(1 << prior.bits) - f) + start
    tail = np.concatenate(words[::-1]).astype("<u2").tobytes() if words else b""
    return bytes((n_lanes.bit_length() - 1,)) + x.astype("<u4").tobytes() + tail


def _symbols(
    prior: Prior, values: NDArray[np.int16], classes: NDArray[np.intp]
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """(n_values + 1, lanes) frequencies and starts: of the class, then of the symbol at each position."""
    import numpy as np

    lookup = prior.lookup
    symbols = (values - prior.flat_means[classes]) % np.int16(prior.n_symbols)
    entries = symbols.T + prior.flat_picks[classes].T.astype(np.intp) * prior.n_symbols
    frequencies = np.concatenate([lookup.class_frequencies[classes][None], lookup.frequencies[entries]])
    starts = np.concatenate([lookup.class_starts[classes][None], lookup.starts[entries]])
    return frequencies.astype(np.uint32), starts.astype(np.uint32)


def usual_lanes(n_rows: int, n_values: int, most_steps: int = RANS_STEPS) -> int:
    """The lanes that a writer takes: a power of two near one for each 4,096 symbols, 1 to 256; more where C6-8 wants them."""
    wanted = min(_USUAL_LANES, n_rows * (n_values + 1) // _USUAL_STEPS, n_rows)
    n_lanes = 1 << (max(wanted, 1).bit_length() - 1)
    while n_steps(n_rows, n_lanes, n_values) > most_steps and 2 * n_lanes <= n_rows and n_lanes < 1 << MAX_LANES_LOG2:
        n_lanes *= 2
    return n_lanes
