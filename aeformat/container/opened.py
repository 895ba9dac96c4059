"""A file mapped into memory, for reading at any place.

Owns the mapping and its end.  Knows nothing of what the bytes mean.
"""

from __future__ import annotations

import mmap
import os
import stat

from aeformat.errors import UsageError


class MappedFile:
    """The bytes of an ordinary file.  size: in bytes.  Raises UsageError if it is no ordinary file, OSError."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib costs start-up time that embedders would pay
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UsageError(f"{path} is not an ordinary file; read it forward")
            self.size = status.st_size
            self._map: mmap.mmap | bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if self.size else b""
        self._is_closed = False

    def read(self, at: int, n_bytes: int) -> bytes:
        """A copy of n_bytes from byte `at` on, fewer where the file ends.  Raises ValueError once it is closed."""
        if self._is_closed:
            raise ValueError("this reader is closed")
        return self._map[at : at + n_bytes]

    def view(self) -> memoryview:
        """The whole file, without a copy.  It stays mapped as long as this is used."""
        return memoryview(self._map)

    def close(self) -> None:
        """Let go of the file."""
        self._is_closed = True
        if isinstance(self._map, mmap.mmap):
            try:
                self._map.close()
            except BufferError:  # a view is still in use
                self._map = b""
