"""Receipts held against what the decoder makes, with a limit of work (spec/container.md, section 7 and C13-1).

Owns which receipts are proved, and what is said of those that are not.  Runs no network: it is handed what does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from aeformat.container import payloads
from aeformat.container.limits import Limits
from aeformat.container.receipts import DIGEST_BYTES, Receipts
from aeformat.errors import FormatError, ReceiptMismatch

_RECEIPTS_A_BYTE: Final = 65_536  # work for each byte of a file that proving its receipts may take, beside Limits.work


class ReceiptCheck(NamedTuple):
    """What proves receipts.  digest: a run of rows -> the digest of its pixels; raises FormatError (M3-12, M4-7).

    row_work, run_work: the units of C13-1 that one row takes, and each run beside that.  sized_work: those of the rows of a
    run together, where they have sizes of their own.
    """

    digest: Callable[[payloads.Block], bytes]
    row_work: int
    run_work: int = 0
    sized_work: Callable[[payloads.Block], int] | None = None


class ReceiptProofs:
    """The receipts of one file, held against what its decoder makes.  by: None where it is not at hand."""

    def __init__(self, by: ReceiptCheck | None, limits: Limits) -> None:
        self.by = by
        self.n_proved = self.n_unproved = 0
        self.is_wrong = False  # one that was wrong ends the proof (C13-1)
        self.why = "their decoder is not here"
        self._limits, self._n_work = limits, 0
        self._last: tuple[object, bytes] = None, b""  # the values and sizes of a run, and the digest of its pixels

    def check(self, block: payloads.Block, receipts: Receipts, *, n_bytes: int) -> list[FormatError]:
        """Run by run.  n_bytes: of the file so far.  What is wrong: a wrong digest, or a value that ends it (M4-7)."""
        wrong: list[FormatError] = []
        start = 0
        for number, end in enumerate(receipts.ends):
            run = block._replace(names=None, receipts=None).slice(start, min(end, len(block.values)))
            at, start = number * DIGEST_BYTES, end
            try:
                made = self._digest(run, n_bytes)
            except FormatError as error:
                return [*wrong, error]
            if made is None:
                continue
            self.n_proved += 1
            if made != receipts.digests[at : at + DIGEST_BYTES]:
                self.is_wrong, self.why = True, "a digest before them is wrong"
                last = run.first_row + len(run.values) - 1
                what = f"the pixels of rows {run.first_row} to {last} are not those that their receipt names"
                wrong.append(ReceiptMismatch("C7-6", receipts.at + at, what))
        return wrong

    def _digest(self, run: payloads.Block, n_bytes: int) -> bytes | None:
        """None where the decoder is not here, or it would take too long."""
        if self.by is None or self.is_wrong:
            self.n_unproved += 1
            return None
        values = run.values.tobytes(), getattr(run.values, "sizes", None)
        if values != self._last[0]:
            rows_work = self.by.sized_work(run) if self.by.sized_work else self.by.row_work * len(run.values)
            work = rows_work + self.by.run_work
            if self._n_work + work > self._limits.work + _RECEIPTS_A_BYTE * n_bytes:
                self.n_unproved += 1
                self.why = "to prove them takes more work than a file this small may ask for"
                return None
            self._n_work += work
            self._last = values, self.by.digest(run)
        return self._last[1]
