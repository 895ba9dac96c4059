"""A bound on the bytes a second of all transfers that share it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

LEAST_RATE: Final = 4096  # bytes a second; servers cut off what is slower than 1 KiB a second
_BURST_SECONDS: Final = 0.1  # what was not used may be used for so long
_SLICES: Final = 8  # a second, at least
_MOST_SLICE: Final = 1 << 16


class RateLimit:
    """A token bucket, for several threads.  clock: gives seconds."""

    def __init__(self, bytes_per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        if bytes_per_second < LEAST_RATE:
            raise ValueError(f"a rate of less than {LEAST_RATE} bytes a second")
        self._rate, self._clock, self._lock = bytes_per_second, clock, threading.Lock()
        self._free_at = clock()
        self.slice_bytes = min(_MOST_SLICE, int(bytes_per_second) // _SLICES)

    def count(self, n_bytes: int) -> float:
        """Count bytes that are sent next, or have arrived.  Returns the seconds to wait before anything else is done."""
        with self._lock:
            now = self._clock()
            self._free_at = max(self._free_at, now - _BURST_SECONDS) + n_bytes / self._rate
            return max(0.0, self._free_at - now)
