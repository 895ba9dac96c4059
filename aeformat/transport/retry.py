"""When to retry: exponential backoff with full jitter, reset by progress (spec/transport.md, T8-1 to T8-3)."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

FIRST_SECONDS: Final = 0.5
LONGEST_SECONDS: Final = 30.0
TRIES: Final = 8  # without progress
LONGEST_RETRY_AFTER: Final = 3600.0
LONGEST_WAITING: Final = 3600.0  # in all, without progress


@dataclass(slots=True)
class Retry:
    """Counts the failures since the last progress, and the seconds that were waited.

    rng: the caller's random numbers, so that a seed repeats a schedule.
    """

    rng: Random
    tries: int = TRIES
    n_failed: int = 0
    waited: float = 0.0

    def progress(self) -> None:
        """Reset the count: more bytes than ever before were acknowledged or verified."""
        self.n_failed, self.waited = 0, 0.0

    def failed(self, retry_after: float | None = None) -> float | None:
        """Count a failure.  Return the seconds to wait before the next try, or None to give up.

        retry_after: the seconds that the server asked for, of which at most an hour counts; the wait is at least that long,
        unless all waits since the last progress would exceed LONGEST_WAITING (T8-3).
        """
        self.n_failed += 1
        if self.n_failed >= self.tries or self.waited >= LONGEST_WAITING:
            return None
        longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** (self.n_failed - 1))
        least = 0.0 if retry_after is None else min(retry_after, LONGEST_RETRY_AFTER)
        seconds = min(least + self.rng.uniform(0.0, longest), LONGEST_WAITING - self.waited)
        self.waited += seconds
        return seconds

    def can_wait(self, seconds: float) -> bool:
        """Whether a wait of so many seconds lies within the hour that may be waited in all (T8-3)."""
        return self.waited + seconds <= LONGEST_WAITING

    @property
    def spent(self) -> str:
        """What was spent without progress, for people."""
        return f"{self.n_failed} tries and {self.waited:.0f} s of waiting without progress"


def duration(seconds: float) -> str:
    """A time of an hour or more, for people: hours and minutes, rounded up."""
    hours, minutes = divmod(-(-int(seconds) // 60), 60)
    return f"{hours:,} h {minutes} min"
