"""The few things a server does to its disk, each of which a crash may come before or after.

Owns the order inside them: bytes, then fsync, then name.  Tests replace this class to kill the server at each step.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import Final

from aeformat.atomic import sync_folder, temporary_in

_DIRECT: Final[int | None] = getattr(os, "O_DIRECT", None)  # Linux and FreeBSD
_NOT_DIRECT: Final = (errno.EINVAL, errno.EOPNOTSUPP)  # a file system without it, or with larger blocks


class Disk:
    """Real files."""

    def write(self, handle: int, at: int, data: bytes | memoryview) -> None:
        """All of `data`, at byte `at`."""
        view = memoryview(data)
        while view:
            n_bytes = os.pwrite(handle, view, at)
            at += n_bytes
            view = view[n_bytes:]

    def open_direct(self, path: Path) -> int | None:
        """A handle that writes past the system's cache, for `write_direct`; None where there is none to be had.

        A disk that failed says so again where it is written to the other way.
        """
        if _DIRECT is None:
            return None
        try:
            return os.open(path, os.O_WRONLY | _DIRECT)
        except OSError:
            return None

    def write_direct(self, handle: int, at: int, blocks: memoryview) -> bool:
        """All of `blocks`, at byte `at`; memory, length and `at` are multiples of a block.  False: written they were not."""
        try:
            self.write(handle, at, blocks)
        except OSError as error:
            if error.errno in _NOT_DIRECT:
                return False
            raise
        return True

    def truncate(self, handle: int, at: int) -> None:
        """Cut a file to this length."""
        os.ftruncate(handle, at)

    def sync(self, handle: int) -> None:
        """Make what was written survive a power cut."""
        os.fsync(handle)

    def rename(self, source: Path, target: Path) -> None:
        """Replace `target`, and make the name survive too."""
        source.replace(target)
        sync_folder(target.parent)
        if source.parent != target.parent:
            sync_folder(source.parent)

    def record(self, path: Path, data: bytes) -> None:
        """A small file that is there whole or not at all."""
        temp = temporary_in(path.parent)
        try:
            handle = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                self.write(handle, 0, data)
                self.sync(handle)
            finally:
                os.close(handle)
            self.rename(temp, path)
        finally:
            temp.unlink(missing_ok=True)

    def remove(self, path: Path) -> None:
        """A file that may be gone already."""
        path.unlink(missing_ok=True)

    def forget(self, path: Path) -> None:
        """A file that is gone for good, also after a power cut, when this returns."""
        self.remove(path)
        sync_folder(path.parent)

    def remove_folder(self, path: Path) -> None:
        """A folder of files, and the files."""
        with contextlib.suppress(FileNotFoundError):
            for inside in path.iterdir():
                self.remove(inside)
            path.rmdir()
