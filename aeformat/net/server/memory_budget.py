"""The memory that verification holds, of all uploads together (spec/transport.md, T7-5).

Owns the sum and each owner's share.  Knows nothing of what the memory is for.
"""

from __future__ import annotations

import threading


class MemoryBudget:
    """A number of bytes that owners share.  Several threads may use it at once."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._shares: dict[str, int] = {}
        self._lock = threading.Lock()  # protects the shares

    @property
    def held(self) -> int:
        """The bytes that all owners hold."""
        with self._lock:
            return sum(self._shares.values())

    def share(self, owner: str) -> int:
        """The bytes that one owner holds."""
        return self._shares.get(owner, 0)

    def hold(self, owner: str, n_bytes: int) -> bool:
        """Let an owner hold n_bytes in all.  False, and nothing is changed, if that is more than before and does not fit."""
        with self._lock:
            before = self._shares.get(owner, 0)
            if n_bytes > before and sum(self._shares.values()) - before + n_bytes > self._total:
                return False
            self._set(owner, n_bytes)
            return True

    def note(self, owner: str, n_bytes: int) -> None:
        """Note what an owner holds after a step, whether or not it fits."""
        with self._lock:
            self._set(owner, n_bytes)

    def _set(self, owner: str, n_bytes: int) -> None:
        if n_bytes:
            self._shares[owner] = n_bytes
        else:
            self._shares.pop(owner, None)
