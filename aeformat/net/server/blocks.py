"""Bytes to a file in whole blocks, past the system's cache.

Owns what that takes: memory, offsets and lengths that are multiples of a block; all else goes through the cache, as it does on
file systems that know no other way.  What a server stores it syncs at once and need not read again soon; the cache would
cost it a copy, and the memory of everything that arrives.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aeformat.net.server.disk import Disk

BLOCK_BYTES: Final = 4096  # what devices want is at most this, or they get nothing past the cache
DIRECT_BYTES: Final = 1 << 20  # what is less goes through the cache


class BlockWriter:
    """Writes to one file.  handle: of the same file, for what goes through the cache."""

    def __init__(self, disk: Disk, handle: int, path: Path) -> None:
        self._disk, self._handle, self._path = disk, handle, path
        self._direct: int | None = None  # opened when there is enough to write
        self._is_direct = True  # as far as is known

    def write(self, at: int, data: bytes | memoryview) -> None:
        """All of `data`, at byte `at`.  Past the cache goes what is large and lies in memory as it will in the file."""
        view = memoryview(data)
        n_odd = -at % BLOCK_BYTES
        if self._is_direct and len(view) >= n_odd + DIRECT_BYTES and _n_to_block(view) == n_odd:
            n_whole = (len(view) - n_odd) // BLOCK_BYTES * BLOCK_BYTES
            if self._write_blocks(at + n_odd, view[n_odd : n_odd + n_whole]):
                self._write_through(at, view[:n_odd])
                at, view = at + n_odd + n_whole, view[n_odd + n_whole :]
        self._write_through(at, view)

    def _write_through(self, at: int, data: memoryview) -> None:
        if data:
            self._disk.write(self._handle, at, data)

    def _write_blocks(self, at: int, blocks: memoryview) -> bool:
        if self._direct is None:
            self._direct = self._disk.open_direct(self._path)
        self._is_direct = self._direct is not None and self._disk.write_direct(self._direct, at, blocks)
        return self._is_direct

    def close(self) -> None:
        """Let go of what it has opened."""
        self._is_direct = False
        if self._direct is not None:
            os.close(self._direct)
            self._direct = None


def on_a_block(n_bytes: int) -> NDArray[np.uint8]:
    """Memory that begins at a block, not filled with zeros first."""
    room = np.empty(n_bytes + BLOCK_BYTES, np.uint8)
    n_odd = _n_to_block(room)
    return room[n_odd : n_odd + n_bytes]


def _n_to_block(data: memoryview | NDArray[np.uint8]) -> int:
    """Bytes from its first one to where a block of memory begins."""
    return -int(np.frombuffer(data, np.uint8).__array_interface__["data"][0]) % BLOCK_BYTES
