"""Bytes to a file in whole blocks, past the system's cache.

Owns what that takes: memory, offsets and lengths that are multiples of a block, and a way round for what is not, and for file
systems that do not do it.  What a server stores it syncs at once and need not read again soon; the cache would cost it
a copy, and the memory of everything that arrives.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aeformat.net.disk import Disk

BLOCK_BYTES: Final = 4096  # what devices want is at most this, or they get nothing past the cache
DIRECT_BYTES: Final = 1 << 20  # what is less goes through the cache


class BlockWriter:
    """Writes to one file.  handle: of the same file, for what goes through the cache."""

    def __init__(self, disk: Disk, handle: int, path: Path) -> None:
        self._disk, self._handle, self._path = disk, handle, path
        self._direct: int | None = None  # opened when there is enough to write
        self._is_direct = True  # as far as is known
        self._copy: NDArray[np.uint8] | None = None  # of what is not where a block may be

    def write(self, at: int, data: bytes | memoryview) -> None:
        """All of `data`, at byte `at`.  Raises OSError."""
        view = memoryview(data)
        n_odd = -at % BLOCK_BYTES
        if self._is_direct and len(view) >= n_odd + DIRECT_BYTES:
            if n_odd:
                self._disk.write(self._handle, at, view[:n_odd])
                at, view = at + n_odd, view[n_odd:]
            n_whole = len(view) // BLOCK_BYTES * BLOCK_BYTES
            self._write_blocks(at, np.frombuffer(view[:n_whole], np.uint8))
            at, view = at + n_whole, view[n_whole:]
        if view:
            self._disk.write(self._handle, at, view)

    def _write_blocks(self, at: int, data: NDArray[np.uint8]) -> None:
        if self._is_direct and self._direct is None:
            self._direct = self._disk.open_direct(self._path)
        self._is_direct = self._direct is not None
        size = len(data) if not _n_to_block(data) else DIRECT_BYTES
        for start in range(0, len(data), size):
            part = data[start : start + size]
            if self._direct is not None and self._is_direct:
                self._is_direct = self._disk.write_direct(self._direct, at + start, self._aligned(part).data)
            if not self._is_direct:
                self._disk.write(self._handle, at + start, part.data)

    def _aligned(self, data: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The same bytes, in memory that begins at a block."""
        if not _n_to_block(data):
            return data
        if self._copy is None:
            self._copy = on_a_block(DIRECT_BYTES)
        self._copy[: len(data)] = data
        return self._copy[: len(data)]

    def close(self) -> None:
        """Let go of what it has opened."""
        if self._direct is not None:
            os.close(self._direct)
            self._direct, self._is_direct = None, False


def on_a_block(n_bytes: int) -> NDArray[np.uint8]:
    """Memory that begins at a block, not filled with zeros first."""
    room = np.empty(n_bytes + BLOCK_BYTES, np.uint8)
    n_odd = _n_to_block(room)
    return room[n_odd : n_odd + n_bytes]


def _n_to_block(data: NDArray[np.uint8]) -> int:
    return -int(data.__array_interface__["data"][0]) % BLOCK_BYTES
