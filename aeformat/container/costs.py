"""What one file may cost whoever reads it (spec/container.md, C6-8 and section 12).

Owns the one budget that all coded rows of a file share, whether they are read in order or not, and written too.
"""

from __future__ import annotations

from aeformat.container.limits import RANS_STEPS, RANS_STEPS_A_BYTE


class StepBudget:
    """The steps that the coded rows of one file may take together (C6-8).  A chunk is charged once, however often it is read.

    steps: what they may take beside those that the file's bytes allow.  file_bytes: of the whole file, where rows are not read
    in order; else those up to the end of a payload count.
    """

    def __init__(self, steps: int = RANS_STEPS, *, file_bytes: int | None = None) -> None:
        self._steps, self._file_bytes, self._n_used = steps, file_bytes, 0
        self._charged: set[int] = set()  # numbers of chunks

    def left(self, number: int, end: int) -> int:
        """The steps that chunk `number` may take, whose payload ends at byte `end`; negative where none are left."""
        if number in self._charged:
            return RANS_STEPS
        n_bytes = end if self._file_bytes is None else self._file_bytes
        return min(RANS_STEPS, self._steps + RANS_STEPS_A_BYTE * n_bytes - self._n_used)

    def charge(self, number: int, n_steps: int) -> None:
        """Chunk `number` takes n_steps, and was found to be allowed them."""
        if number not in self._charged:
            self._charged.add(number)
            self._n_used += n_steps
