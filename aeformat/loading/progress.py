"""How far a loader has come in an epoch, as something that can be saved.

Owns the state.  Knows nothing of what is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aeformat.errors import UsageError

_KEYS: Final = ("order", "epoch", "start", "given", "workers")


class Progress:
    """Which batch of a rank comes next.

    start: batches of the rank that were given out before this iteration.  given: batches that this process has given
    out since; of n_workers processes, which take the rank's batches in turn, it is number `worker`.
    """

    def __init__(self, epoch: int, *, start: int = 0, given: int = 0, worker: int = 0, n_workers: int = 1) -> None:
        self.epoch, self.start, self.given, self.worker, self.n_workers = epoch, start, given, worker, n_workers

    @property
    def next(self) -> int:
        """The place of the next batch among those of the rank."""
        return self.start + self.worker + self.given * self.n_workers

    def state(self, order: str) -> dict[str, Any]:
        """What `from_state` takes.  order: names what the batches depend on."""
        start, given = (self.start, self.given) if self.n_workers > 1 else (self.next, 0)
        return {"order": order, "epoch": self.epoch, "start": start, "given": given, "workers": self.n_workers}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], order: str) -> Progress:
        """Raises UsageError where it is no such state, or was saved by a loader whose batches are others."""
        if not isinstance(state, Mapping) or set(state) != set(_KEYS):
            raise UsageError(f"the state of a loader has the keys {', '.join(_KEYS)}")
        if state["order"] != order:
            raise UsageError(
                "the state was saved by a loader with other batches: rows, batch_size, shuffle, window, lanes, drop_last, "
                "ranks and uneven must be the same"
            )
        return cls(state["epoch"], start=state["start"], given=state["given"], n_workers=state["workers"])

    def in_worker(self, worker: int, n_workers: int) -> Progress:
        """The same for one of several workers.  Raises UsageError where other workers have given out batches."""
        if self.given and self.n_workers != n_workers:
            raise UsageError(f"the state is that of a worker of {self.n_workers}, and there are {n_workers}")
        return Progress(self.epoch, start=self.start, given=self.given, worker=worker, n_workers=n_workers)
