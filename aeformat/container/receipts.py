"""Receipts: digests of decoded pixels (spec/container.md, section 7).

Owns the payload of a rCPT chunk, and what it proves.  Knows nothing of how pixels are made.  NumPy is imported on first use.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aeformat.container.limits import RECEIPT_ROWS
from aeformat.errors import ReceiptMismatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIGEST_BYTES: Final = 32


class Receipts(NamedTuple):
    """Receipts of consecutive rows.  first_row: of the first run.  at: byte of the first digest in the file.

    run_ends: where each run ends, counted from first_row; None where a run has 64 rows, and the last one what is left.
    """

    first_row: int
    at: int
    digests: bytes
    run_ends: Sequence[int] | None = None

    @property
    def ends(self) -> Sequence[int]:
        """Where each run ends, counted from first_row; the last one may end beyond the rows."""
        n_runs = len(self.digests) // DIGEST_BYTES
        return (
            range(RECEIPT_ROWS, (n_runs + 1) * RECEIPT_ROWS, RECEIPT_ROWS) if self.run_ends is None else self.run_ends
        )

    def widened(self, start: int, stop: int) -> tuple[int, int]:
        """Rows start to stop - 1 and those beside them that the same digests are for; the end may lie beyond the rows."""
        ends = self.ends
        first, last = bisect_right(ends, start), bisect_left(ends, stop)
        return (ends[first - 1] if first else 0), ends[last]

    def check(self, images: NDArray[Any]) -> None:
        """C7-6 for all the rows, as decoded: (n, h, w, c) uint8.  Raises ReceiptMismatch."""
        made = digests_of(images)
        if made == self.digests:
            return
        for start in range(0, len(self.digests), DIGEST_BYTES):
            if made[start : start + DIGEST_BYTES] != self.digests[start : start + DIGEST_BYTES]:
                row = self.first_row + start // DIGEST_BYTES * RECEIPT_ROWS
                last = min(row + RECEIPT_ROWS, self.first_row + len(images)) - 1
                what = f"the pixels of rows {row} to {last} are not those that their receipt names"
                raise ReceiptMismatch("C7-6", self.at + start, what)
        raise ValueError(f"{len(made)} bytes of receipts for {len(images)} images, not {len(self.digests)}")

    def slice(self, start: int, stop: int) -> Receipts:
        """The receipts of rows start to stop - 1, counted from the first here; both ends are ends of runs."""
        first, last = bisect_right(self.ends, start), bisect_left(self.ends, stop) + 1
        ends = None if self.run_ends is None else [end - start for end in self.run_ends[first:last]]
        digests = self.digests[first * DIGEST_BYTES : last * DIGEST_BYTES]
        return Receipts(self.first_row + start, self.at + first * DIGEST_BYTES, digests, ends)

    def pick(self, rows: NDArray[Any]) -> Receipts:
        """The receipts of some whole runs, whose rows are counted from the first here."""
        runs = sorted(set((rows // RECEIPT_ROWS).tolist()))
        digests = b"".join(self.digests[run * DIGEST_BYTES : (run + 1) * DIGEST_BYTES] for run in runs)
        return Receipts(self.first_row + runs[0] * RECEIPT_ROWS, self.at + runs[0] * DIGEST_BYTES, digests)


def rows_of_runs(rows: NDArray[Any], ends: Sequence[int]) -> NDArray[Any]:
    """Ascending numbers of rows, and beside them all rows of the runs that they lie in.  ends: where runs end."""
    import numpy as np

    borders = np.asarray([0, *ends], np.int64)
    runs = np.unique(np.searchsorted(borders, rows, "right"))
    return np.concatenate([np.arange(borders[run - 1], borders[run]) for run in runs])


def digests_of(images: NDArray[Any]) -> bytes:
    """The digests of all runs of these rows.  images: (n, h, w, c) uint8."""
    starts = range(0, len(images), RECEIPT_ROWS)
    return b"".join(sha256(images[i : i + RECEIPT_ROWS].tobytes()).digest() for i in starts)


def size_of(n_rows: int, ends: Sequence[int] | None = None) -> int:
    """Size of the digests of n_rows rows.  ends: where the runs of rows of their own size end."""
    return DIGEST_BYTES * (-(-n_rows // RECEIPT_ROWS) if ends is None else len(ends))
