"""A file that is written under its own name, so that what was synced is there after any crash.

Owns the descriptor, the lock that keeps a second writer out, and the order "data on disk, then it is said".  Knows nothing of
what is written.  Where the system has no flock (Windows), nothing is locked.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import BinaryIO

from aeformat.atomic import sync_folder
from aeformat.destination import behind_links
from aeformat.errors import UsageError


class LiveFile:
    """A file for reading and writing, made if it is not there.  file: begins at byte 0.

    Raises UsageError where it is no ordinary file, cannot be opened, or another process is writing it.
    """

    file: BinaryIO

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        target = behind_links(self.path)
        try:
            handle = os.open(target, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        except OSError as error:
            raise UsageError(f"cannot write {self.path}: {error.strerror}") from error
        self.file = os.fdopen(handle, "r+b")
        if not target.is_file():
            self.file.close()
            raise UsageError(f"cannot append to {self.path}: it is not an ordinary file")
        if not lock_file(handle):
            self.file.close()
            raise UsageError(f"{self.path} is being written by another process; wait until that one closes it")
        self._folder = target.parent

    def begin_at(self, end: int) -> None:
        """Drop what stands from byte `end` on, and write there."""
        self.file.seek(end)
        self.file.truncate(end)

    def sync(self) -> None:
        """Return when all that was written is on disk, and the name too."""
        self.file.flush()
        os.fsync(self.file.fileno())
        sync_folder(self._folder)

    def commit(self) -> None:
        """Sync and close."""
        self.sync()
        self.file.close()

    def abort(self) -> None:
        """Close.  What was written stays, and is incomplete; a file without a byte is removed."""
        with contextlib.suppress(OSError):  # closing flushes, and on a full disk that fails once more
            self.file.close()
        if not self.path.stat().st_size:
            self.path.unlink()


def lock_file(handle: int, *, waits: bool = False) -> bool:
    """Lock an open file against other processes until it is closed; False if another process has it."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True
