"""The operations of a server on its disk.  A crash may come before or after each of them.

Owns the order of the steps inside them: bytes, then fsync, then name.  Tests replace this class, to kill the
server at each step.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path
from typing import Final

from aeformat.atomic import sync_folder, temporary_in

_DIRECT: Final[int | None] = getattr(os, "O_DIRECT", None)  # Linux and FreeBSD
_NOT_DIRECT: Final = (errno.EINVAL, errno.EOPNOTSUPP)  # a file system without it, or with larger blocks


class Disk:
    """Operations on real files.  handle: a file descriptor."""

    def write(self, handle: int, at: int, data: bytes | memoryview) -> None:
        """Write all of `data` at byte `at`."""
        view = memoryview(data)
        while view:
            n_bytes = os.pwrite(handle, view, at)
            at += n_bytes
            view = view[n_bytes:]

    def open_direct(self, path: Path) -> int | None:
        """Open a file for `write_direct`, which does not use the system's cache.  None if that is not possible.

        An error of the disk is not raised here, because writing through the cache raises it again.
        """
        if _DIRECT is None:
            return None
        try:
            return os.open(path, os.O_WRONLY | _DIRECT)
        except OSError:
            return None

    def write_direct(self, handle: int, at: int, blocks: memoryview) -> bool:
        """Write all of `blocks` at byte `at`, without the cache.  False if the file system cannot do that.

        The memory address, the length and `at` must be multiples of a block.
        """
        try:
            self.write(handle, at, blocks)
        except OSError as error:
            if error.errno in _NOT_DIRECT:
                return False
            raise
        return True

    def free_bytes(self, folder: Path) -> int:
        """The bytes that this process may still write to the file system of a folder."""
        return shutil.disk_usage(folder).free

    def truncate(self, handle: int, at: int) -> None:
        """Truncate a file to `at` bytes."""
        os.ftruncate(handle, at)

    def sync(self, handle: int) -> None:
        """Sync a file: the bytes that were written to it survive a power cut."""
        os.fsync(handle)

    def rename(self, source: Path, target: Path) -> None:
        """Rename a file, replacing `target`.  The new name survives a power cut."""
        source.replace(target)
        sync_folder(target.parent)
        if source.parent != target.parent:
            sync_folder(source.parent)

    def make_folder(self, path: Path) -> None:
        """Make a folder, and those above it that are missing.  Their names survive a power cut (T4-19)."""
        if path.is_dir():
            return
        self.make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)

    def write_small_file(self, path: Path, data: bytes) -> None:
        """Write a small file.  After a crash it is complete or does not exist."""
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
        """Delete a file, if it exists."""
        path.unlink(missing_ok=True)

    def remove_durably(self, path: Path) -> None:
        """Delete a file, if it exists.  When this returns it stays deleted, also after a power cut."""
        self.remove(path)
        sync_folder(path.parent)

    def remove_folder(self, path: Path) -> None:
        """Delete a folder and the files in it, if it exists."""
        with contextlib.suppress(FileNotFoundError):
            for inside in path.iterdir():
                self.remove(inside)
            path.rmdir()
