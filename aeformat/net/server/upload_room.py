"""What the uploads of a running server have room for: quota, disk and memory (spec/transport.md, T7-5 and T7-6).

Owns which bytes count as taken, and who gives up memory for whom.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aeformat.net.server.memory_budget import MemoryBudget
from aeformat.net.server.storage import Storage
from aeformat.net.server.tokens import Caller
from aeformat.net.server.upload_files import UploadEntry
from aeformat.transport.problems import Problem
from aeformat.transport.transfer_limits import TransferLimits

BUSY_SECONDS: Final = "2"  # Retry-After, where memory or the disk is short


class UploadRoom:
    """The room for uploads.  entries: all uploads of the server, by id; the owner changes them."""

    def __init__(self, storage: Storage, limits: TransferLimits, entries: Mapping[str, UploadEntry]) -> None:
        self._storage, self._limits, self._entries = storage, limits, entries
        self.memory = MemoryBudget(limits.verify_bytes)

    def quota_left(self, caller: Caller, excluded: UploadEntry | None = None) -> int:
        """The bytes that the caller's tenant may still store.  The bytes of the upload `excluded` do not count as stored."""
        staged = sum(
            entry.machine.staged.n_received or self._storage.staged_bytes(entry.name)
            for entry in self._entries.values()
            if entry.tenant == caller.tenant and entry is not excluded and entry.machine.is_open
        )
        return max(0, caller.quota_bytes - self._storage.used(caller.tenant) - staged)

    def size(self, caller: Caller, mine: UploadEntry | None = None) -> int:
        """The size that a tenant's upload may have: by its quota, and by what the disk has left (T7-6)."""
        return min(self.quota_left(caller, mine), self.staged(mine) + max(0, self._free()))

    def staged(self, entry: UploadEntry | None) -> int:
        """The bytes of an upload that lie on the disk."""
        return 0 if entry is None else entry.machine.staged.n_received or self._storage.staged_bytes(entry.name)

    def unwritten(self, entry: UploadEntry) -> int:
        """The bytes of an upload that were received, and are still to be written."""
        return max(0, entry.machine.staged.n_received - self._storage.staged_bytes(entry.name))

    def _free(self) -> int:
        return self._storage.free_bytes() - self._limits.reserve_bytes

    def is_promised(self, n_bytes: int, mine: UploadEntry | None = None) -> bool:
        """Whether n_bytes more do not fit beside what other requests have announced and not sent yet (T7-6)."""
        awaited = sum(
            max(0, entry.expected - entry.machine.staged.n_received)
            for entry in self._entries.values()
            if entry is not mine
        )
        return n_bytes > self._free() - awaited

    def can_hold(self, entry: UploadEntry, n_bytes: int) -> bool:
        """Whether an upload may hold n_bytes of memory; idle ones are forgotten for it, the oldest first (T7-5)."""
        if self.memory.hold(entry.name, n_bytes):
            return True
        for other in sorted(self._entries.values(), key=lambda other: other.machine.expires):
            if other is entry or not self.memory.share(other.name) or other.lock.locked():
                continue
            if other.machine.forget():
                self.memory.note(other.name, 0)
                if self.memory.hold(entry.name, n_bytes):
                    return True
        return False


def no_room_yet() -> Problem:
    """The refusal of bytes that may fit once what others have announced has come, or has not."""
    what = "other requests have announced all the room that the disk has; go on after a while"
    return Problem("busy", what, fields={"Retry-After": BUSY_SECONDS})
