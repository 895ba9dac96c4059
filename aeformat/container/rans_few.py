"""rANS codes of few lanes: the spec's loop, one symbol after the other (spec/container.md, section 6.1).

Owns the decoding of payloads for which NumPy's operations on a handful of numbers cost more than Python's own arithmetic.
Many lanes are rans.py's business, which also checks what a payload shows before and after.
"""

from __future__ import annotations

from array import array
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from aeformat.container.prior import Prior

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FEW_LANES: Final = 16
LOWEST_STATE: Final = 1 << 16
_BATCH_SYMBOLS: Final = 1 << 18  # decoded before they are turned into values, in whole blocks of rows
_KEPT_SYMBOLS: Final = 1 << 20  # of all classes whose tables are kept at hand


class OutOfWords(ValueError):
    """The words do not last for all rows (C6-11)."""


def decode_few(
    states: list[int], words: NDArray[np.uint16], prior: Prior, out: NDArray[np.uint8]
) -> tuple[list[int], int]:
    """All rows into `out`, (n, n_values); the states at the end, and how many words were used.  Raises OutOfWords.

    states: one a lane.
    """
    lanes, batch = _Lanes(states, words.data, prior), max(1, _BATCH_SYMBOLS // prior.n_values // len(states))
    for first in range(0, len(out), batch * len(states)):
        rows = out[first : first + batch * len(states)]
        entries, classes = lanes.take(len(rows))
        rows[:] = _values(entries, classes, len(states), prior)
    return lanes.states, lanes.n_used


class _Lanes:
    """The states on their way.  n_used: words taken."""

    def __init__(self, states: list[int], words: memoryview, prior: Prior) -> None:
        self.states, self.n_used = states, 0
        self._words, self._prior = words, prior
        lookup = prior.lookup
        self._entry_of_slot, self._class_of_slot = lookup.entry_of_slot.data, lookup.class_of_slot.data
        self._frequencies, self._starts, self._class_frequencies, self._class_starts = prior.listed
        self._slots_of = lru_cache(max(1, _KEPT_SYMBOLS // prior.n_values))(self._first_slots)

    def _first_slots(self, number: int) -> memoryview:
        """For each position, where the slots of its table begin in class `number`."""
        import numpy as np

        return memoryview(self._prior.flat_picks[number].astype(np.int64) << self._prior.bits)

    def take(self, n_rows: int) -> tuple[array[int], list[int]]:
        """The next rows: their entries, block by block in the order of decoding, and their classes."""
        entries = array("H")
        classes: list[int] = []
        try:
            for first in range(0, n_rows, len(self.states)):
                of_block = [self._class(lane) for lane in range(min(len(self.states), n_rows - first))]
                classes += of_block
                if len(of_block) == 1:
                    self._one(self._slots_of(of_block[0]), entries)
                else:
                    self._several([self._slots_of(number) for number in of_block], entries)
        except IndexError:
            raise OutOfWords from None
        return entries, classes

    def _class(self, lane: int) -> int:
        bits = self._prior.bits
        x = self.states[lane]
        slot = x & (1 << bits) - 1
        number: int = self._class_of_slot[slot]
        x = self._class_frequencies[number] * (x >> bits) + slot - self._class_starts[number]
        if x < LOWEST_STATE:
            x = x << 16 | self._words[self.n_used]
            self.n_used += 1
        self.states[lane] = x
        return number

    def _one(self, first_slots: memoryview, entries: array[int]) -> None:
        """The values of a row alone in its block: the loop where a hostile file spends its time, so all names are local."""
        bits, mask, words = self._prior.bits, (1 << self._prior.bits) - 1, self._words
        entry_of_slot, frequencies, starts = self._entry_of_slot, self._frequencies, self._starts
        add, x, n_used, lowest = entries.append, self.states[0], self.n_used, LOWEST_STATE
        for first_slot in first_slots:
            slot = x & mask
            entry = entry_of_slot[first_slot + slot]
            add(entry)
            x = frequencies[entry] * (x >> bits) + slot - starts[entry]
            if x < lowest:
                x = x << 16 | words[n_used]
                n_used += 1
        self.states[0], self.n_used = x, n_used

    def _several(self, first_slots: list[memoryview], entries: array[int]) -> None:
        """The values of the rows of a block: position by position, in the order of the lanes."""
        bits, mask, words = self._prior.bits, (1 << self._prior.bits) - 1, self._words
        entry_of_slot, frequencies, starts = self._entry_of_slot, self._frequencies, self._starts
        add, states, n_used, lowest = entries.append, self.states, self.n_used, LOWEST_STATE
        for of_lanes in zip(*first_slots, strict=True):
            for lane, first_slot in enumerate(of_lanes):
                x = states[lane]
                slot = x & mask
                entry = entry_of_slot[first_slot + slot]
                add(entry)
                x = frequencies[entry] * (x >> bits) + slot - starts[entry]
                if x < lowest:
                    x = x << 16 | words[n_used]
                    n_used += 1
                states[lane] = x
        self.n_used = n_used


def _values(entries: array[int], classes: list[int], n_lanes: int, prior: Prior) -> NDArray[np.uint8]:
    """(n, n_values): the values of rows whose entries came block by block, position by position."""
    import numpy as np

    of_steps, n_values = np.frombuffer(entries, np.uint16).astype(np.int32), prior.n_values
    n_whole = len(classes) // n_lanes * n_lanes
    whole, rest = of_steps[: n_whole * n_values], of_steps[n_whole * n_values :]
    by_row = np.concatenate([
        whole.reshape(-1, n_values, n_lanes).transpose(0, 2, 1).reshape(n_whole, n_values),
        rest.reshape(n_values, len(classes) - n_whole).T,
    ])  # fmt: skip
    symbols = by_row - prior.flat_picks[classes].astype(np.int32) * prior.n_symbols
    values: NDArray[np.uint8] = ((symbols + prior.flat_means[classes]) % prior.n_symbols + prior.lo).astype(np.uint8)
    return values
