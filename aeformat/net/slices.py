"""Slices of a file that the kernel sends, at both ends: little at a time for a slow peer, whose patience it is counted in."""

from __future__ import annotations

import time
from typing import Final

LEAST_BYTES: Final = 1 << 18
MOST_BYTES: Final = 1 << 22
_FAST_SECONDS: Final = 0.1  # a slice that takes less is followed by a larger one


class Slices:
    """Sizes of slices, one after the other."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._size, self._began, self._most = LEAST_BYTES, 0.0, most

    def next(self, left: int) -> int:
        """Of the next one; it begins now.  left: bytes, in all."""
        self._began = time.monotonic()
        return min(self._size, left)

    def ended(self) -> None:
        """It was taken."""
        is_fast = time.monotonic() - self._began < _FAST_SECONDS
        self._size = min(2 * self._size, self._most) if is_fast else max(self._size // 2, LEAST_BYTES)


class Span:
    """Stands for bytes that the kernel sends from a file: h11 counts them, and does not touch them."""

    def __init__(self, n_bytes: int) -> None:
        self._n_bytes = n_bytes

    def __len__(self) -> int:
        return self._n_bytes
