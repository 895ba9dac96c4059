"""When to retry: exponential backoff with full jitter, reset by progress (spec/transport.md, T8-1 and T8-2)."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

FIRST_SECONDS: Final = 0.5
LONGEST_SECONDS: Final = 30.0
TRIES: Final = 8  # without progress
LONGEST_RETRY_AFTER: Final = 3600.0


@dataclass(slots=True)
class Retry:
    """Counts the failures since the last progress.  rng: the caller's random numbers, so that a seed repeats a schedule."""

    rng: Random
    tries: int = TRIES
    n_failed: int = 0

    def progress(self) -> None:
        """Reset the count: more bytes than ever before were acknowledged or verified."""
        self.n_failed = 0

    def failed(self, retry_after: float | None = None) -> float | None:
        """Count a failure.  Return the seconds to wait before the next try, or None to give up.

        retry_after: the seconds that the server asked for, of which at most an hour counts; the wait is at least that long.
        """
        self.n_failed += 1
        if self.n_failed >= self.tries:
            return None
        longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** (self.n_failed - 1))
        least = 0.0 if retry_after is None else min(retry_after, LONGEST_RETRY_AFTER)
        return least + self.rng.uniform(0.0, longest)
