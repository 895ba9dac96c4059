"""Sizes of the slices in which the kernel sends a file, at both ends.

A timeout counts for a whole slice.  So the slices for a slow peer are small, and those for a fast one large.
"""

from __future__ import annotations

import time
from typing import Final

LEAST_BYTES: Final = 1 << 18
MOST_BYTES: Final = 1 << 22
_FAST_SECONDS: Final = 0.1  # after a slice that takes less, the next one is larger


class SliceSizes:
    """Chooses the size of each slice by the time that the one before took."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._size, self._began, self._most = LEAST_BYTES, 0.0, most

    def next(self, left: int) -> int:
        """The size of the next slice, in bytes; its time begins now.  left: bytes that are still to be sent."""
        self._began = time.monotonic()
        return min(self._size, left)

    def finished(self) -> None:
        """Report that the slice is sent."""
        is_fast = time.monotonic() - self._began < _FAST_SECONDS
        self._size = min(2 * self._size, self._most) if is_fast else max(self._size // 2, LEAST_BYTES)


class SkippedBytes:
    """A stand-in for bytes that the kernel sends from a file: h11 counts them by their length and does not read them."""

    def __init__(self, n_bytes: int) -> None:
        self._n_bytes = n_bytes

    def __len__(self) -> int:
        return self._n_bytes
