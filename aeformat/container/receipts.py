"""Receipts: digests of decoded pixels (spec/container.md, section 7).

Owns the payload of a rCPT chunk, and what it proves.  Knows nothing of how pixels are made.  NumPy is not imported: arrays
are asked for their bytes.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aeformat.container.limits import RECEIPT_ROWS
from aeformat.errors import ReceiptMismatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIGEST_BYTES: Final = 32


class Receipts(NamedTuple):
    """Receipts of consecutive rows.  first_row: of the first run.  at: byte of the first digest in the file."""

    first_row: int
    at: int
    digests: bytes

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
        return Receipts(self.first_row + start, self.at + size_of(start), cut_digests(self.digests, start, stop))

    def pick(self, rows: NDArray[Any]) -> Receipts:
        """The receipts of some whole runs, whose rows are counted from the first here."""
        runs = sorted(set((rows // RECEIPT_ROWS).tolist()))
        digests = b"".join(self.digests[run * DIGEST_BYTES : (run + 1) * DIGEST_BYTES] for run in runs)
        return Receipts(self.first_row + runs[0] * RECEIPT_ROWS, self.at + runs[0] * DIGEST_BYTES, digests)


def digests_of(images: NDArray[Any]) -> bytes:
    """The digests of all runs of these rows.  images: (n, h, w, c) uint8."""
    starts = range(0, len(images), RECEIPT_ROWS)
    return b"".join(sha256(images[i : i + RECEIPT_ROWS].tobytes()).digest() for i in starts)


def size_of(n_rows: int) -> int:
    """Size of the digests of n_rows rows."""
    return -(-n_rows // RECEIPT_ROWS) * DIGEST_BYTES


def cut_digests(digests: bytes, start: int, stop: int) -> bytes:
    """The digests of rows start to stop - 1; both ends are ends of runs."""
    return digests[size_of(start) : size_of(stop)]
