"""An ordinary file, read at any place.

Owns the descriptor, the mapping and their end.  Knows nothing of what the bytes mean.

Bytes are copied out of the file, so that one that is cut meanwhile is an error; only `view` maps it, for whoever wants no copy.
"""

from __future__ import annotations

import errno
import mmap
import os
import stat
from typing import Protocol

from aeformat.errors import Truncated, UsageError
from aeformat.paths import checked_path

_CLOSED = "this reader is closed"
INSTEAD = "; aeformat.stream reads a file that is open already"

if hasattr(os, "pread"):
    _read_at = os.pread
else:  # Windows
    from threading import Lock

    _lock = Lock()

    def _read_at(handle: int, n_bytes: int, at: int, /) -> bytes:
        with _lock:  # of all files: the place is the descriptor's
            os.lseek(handle, at, os.SEEK_SET)
            return os.read(handle, n_bytes)


class RandomFile(Protocol):
    """What random access takes of a file, wherever it is.  Each method raises OSError too.  size: in bytes."""

    size: int

    def read(self, at: int, n_bytes: int, /) -> bytes:
        """A copy of n_bytes from byte `at` on, fewer where the file ends.  Raises UsageError, Truncated."""

    def view(self) -> memoryview:
        """The whole file without a copy.  Raises UsageError where it cannot be mapped."""

    def close(self) -> None:
        """Let go of the file."""


class OpenedFile:
    """The bytes of an ordinary file, for several threads.  size: in bytes, when it was opened.

    Raises UsageError if it is no ordinary file, OSError.
    """

    _handle: int | None = None

    def __init__(self, path: str | os.PathLike[str]) -> None:
        path = checked_path(path, instead=INSTEAD)
        nonblocking = getattr(os, "O_NONBLOCK", 0)  # a named pipe is not waited for
        self._handle = os.open(path, os.O_RDONLY | nonblocking | getattr(os, "O_BINARY", 0))
        self._map: mmap.mmap | None = None
        status = os.fstat(self._handle)
        self.size = status.st_size
        if stat.S_ISDIR(status.st_mode):
            self.close()
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise UsageError("it is not an ordinary file; read it forward")

    def read(self, at: int, n_bytes: int) -> bytes:
        """A copy of n_bytes from byte `at` on, fewer where the file ends.

        Raises UsageError once it is closed, Truncated where the file has been cut since it was opened.
        """
        if self._handle is None:
            raise UsageError(_CLOSED)
        n_bytes = max(0, min(n_bytes, self.size - at))
        data = _read_at(self._handle, n_bytes, at) if n_bytes else b""
        while len(data) < n_bytes:  # a system may give less than it has
            more = _read_at(self._handle, n_bytes - len(data), at + len(data))
            if not more:
                raise self._cut(at + len(data))
            data += more
        return data

    def stamp(self) -> tuple[int, int]:
        """When the file was last changed, in nanoseconds, and its size.  Raises UsageError once it is closed."""
        if self._handle is None:
            raise UsageError(_CLOSED)
        status = os.fstat(self._handle)
        return status.st_mtime_ns, status.st_size

    def view(self) -> memoryview:
        """The whole file, mapped into memory, without a copy.  It stays mapped as long as this is used.

        If the file is cut after that, the system ends a program that touches what is gone: a file that others may cut is to be
        read with `read`.  Raises as `read` does.
        """
        if self._handle is None:
            raise UsageError(_CLOSED)
        if self._map is None and self.size:
            try:
                self._map = mmap.mmap(self._handle, self.size, access=mmap.ACCESS_READ)
            except ValueError:  # it is shorter than that
                raise self._cut(os.fstat(self._handle).st_size) from None
        return memoryview(b"" if self._map is None else self._map)

    def close(self) -> None:
        """Let go of the file."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)
        self._map = None  # the system's mapping ends with the last view

    def __del__(self) -> None:
        self.close()

    def _cut(self, at: int) -> Truncated:
        return Truncated("C9-1", at, f"the file has been cut while it was read: it had {self.size:,} bytes")
