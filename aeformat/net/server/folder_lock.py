"""The two locks of a server's folder (spec/transport.md, T4-17).

`lock` is held by the server for as long as it runs: a second one is refused.  `changes` is held, by whoever changes what
the folder promises, for one change: the server that puts or deletes a blob, and a check or a clean-up beside it.  Where the
system has no flock (Windows), nothing is locked.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from aeformat.errors import UsageError
from aeformat.live_file import lock_file

SERVER: Final = "lock"
CHANGES: Final = "changes"
LOCK_FILES: Final = (SERVER, CHANGES)


class FolderLock:
    """The locks of one folder, of this process.  is_held: whether this process is the one that may serve it."""

    def __init__(self, root: Path) -> None:
        """Open the lock files, or make them.  Raises UsageError where they cannot be written, as on a read-only disk."""
        self._root, self.is_held = root, False
        self._thread = threading.RLock()
        self._depth = 0
        self._server = self._changes = -1
        try:
            self._server, self._changes = (_open(root / name) for name in LOCK_FILES)
        except OSError as error:
            self.close()
            raise UsageError(f"{root}: cannot be written to: {error.strerror}") from error
        self._seen = self._stamp()

    def take(self) -> None:
        """Take the server's lock until `close`.  Raises UsageError if another process has it."""
        self.is_held = lock_file(self._server)
        if not self.is_held:
            raise UsageError(
                f"{self._root}: another server is using this folder; stop it first, or give another folder"
            )

    def try_take(self) -> bool:
        """Take the server's lock, if no other process has it."""
        self.is_held = lock_file(self._server)
        return self.is_held

    def release(self) -> None:
        """Give the server's lock back."""
        _unlock(self._server)
        self.is_held = False

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Nobody else changes records or blobs in the `with` block: no other thread, and no other process."""
        with self._thread:
            if not self._depth:
                lock_file(self._changes, waits=True)
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if not self._depth:
                    _unlock(self._changes)

    def tell_others(self) -> None:
        """Let the server know that another process has changed what is stored.  Call it while changing."""
        os.utime(self._changes if os.utime in os.supports_fd else self._root / CHANGES)

    def was_told(self) -> bool:
        """Whether another process has called `tell_others` since this was last asked."""
        stamp, seen = self._stamp(), self._seen
        self._seen = stamp
        return stamp != seen

    def _stamp(self) -> int:
        return os.fstat(self._changes).st_mtime_ns

    def close(self) -> None:
        """Release both."""
        for handle in (self._server, self._changes):
            if handle >= 0:
                os.close(handle)
        self._server = self._changes = -1
        self.is_held = False


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _unlock(handle: int) -> None:
    try:
        import fcntl
    except ImportError:
        return
    fcntl.flock(handle, fcntl.LOCK_UN)
