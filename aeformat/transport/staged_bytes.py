"""The bytes in the staging file of one upload: which were received, which are verified, which survive a crash.

Owns these three counts, and what is to be done so that the file holds verified bytes only (spec/transport.md, T4-1, T4-3,
T4-15): the others are truncated, and the verifier goes back to the end of the last good structure.
"""

from __future__ import annotations

from aeformat.transport.transfer_limits import TransferLimits
from aeformat.transport.upload_actions import Action, Sync, Truncate
from aeformat.transport.verify import Verifier


class StagedBytes:
    """What is known of the staging file.

    verifier: has been fed with its bytes, and may be behind.  n_received: bytes that are in the file or about to be written.
    acknowledged: bytes that are verified and synced.  needs_replay: the file may hold bytes that the verifier does not know.
    """

    def __init__(self, limits: TransferLimits, *, needs_replay: bool) -> None:
        self._limits = limits
        self.verifier = Verifier(limits)
        self.n_received = 0
        self.acknowledged = 0
        self.needs_replay = needs_replay

    def forget(self) -> None:
        """Drop what the verifier holds, for good or until the file is replayed."""
        self.verifier = Verifier(self._limits)

    def forget_until_replay(self) -> None:
        """Drop what the verifier holds; before the next request the file is read back."""
        self.forget()
        self.needs_replay = True

    def not_written(self) -> None:
        """Report that the disk failed: what is in the file is not known, and it is read back before the next request."""
        self.needs_replay = True

    def take_back(self, at: int) -> Truncate:
        """Drop all bytes from `at` on, also verified ones.  What is left is read back before the next request."""
        self.forget_until_replay()
        self.n_received, self.acknowledged = at, min(self.acknowledged, at)
        return Truncate(at)

    def drop_tail(self) -> list[Action]:
        """Truncate the unverified bytes, sync the verified ones."""
        if self.needs_replay:  # before that it is not known which bytes are verified
            return []
        at = self.n_received = self.verifier.verified_at
        actions: list[Action] = []
        if not self.verifier.is_aligned:
            self.verifier.rewind()
            actions.append(Truncate(at))
        if at > self.acknowledged:
            actions.append(Sync(at))
        return actions

    def sync_due(self, written: int) -> Sync | None:
        """The Sync that is worthwhile while more bytes arrive, None if there is none yet.

        written: the number of bytes that are in the staging file.
        """
        at = min(written, self.verifier.verified_at)
        return Sync(at) if at - self.acknowledged >= self._limits.sync_bytes else None

    def synced(self, at: int) -> None:
        """Report that the first `at` bytes are synced."""
        self.acknowledged = max(self.acknowledged, at)
