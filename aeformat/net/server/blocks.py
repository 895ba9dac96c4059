"""Writing to a file in whole blocks, without the system's cache (direct I/O).

Owns the conditions for that: memory addresses, offsets and lengths that are multiples of a block.  All other bytes go through
the cache; so do all bytes on file systems without direct I/O.  A server syncs the bytes that it stores at once and does not
read them again soon; the cache would cost a copy, and memory for everything that arrives.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aeformat.net.server.disk import Disk

BLOCK_BYTES: Final = 4096  # on a device with larger blocks all bytes go through the cache
DIRECT_BYTES: Final = 1 << 20  # fewer bytes than this go through the cache


class BlockWriter:
    """Writes to the file at `path`.  handle: a file descriptor of it, for the bytes that go through the cache."""

    def __init__(self, disk: Disk, handle: int, path: Path) -> None:
        self._disk, self._handle, self._path = disk, handle, path
        self._direct: int | None = None  # file descriptor for direct I/O, opened on first use
        self._is_direct = True  # False once direct I/O has turned out not to work here

    def write(self, at: int, data: bytes | memoryview) -> None:
        """Write all of `data` at byte `at`.

        Its whole blocks are written without the cache, if there are many and they are aligned in memory as in the file.
        """
        view = memoryview(data)
        n_before = -at % BLOCK_BYTES
        if self._is_direct and len(view) >= n_before + DIRECT_BYTES and _n_to_block(view) == n_before:
            n_whole = (len(view) - n_before) // BLOCK_BYTES * BLOCK_BYTES
            if self._write_blocks(at + n_before, view[n_before : n_before + n_whole]):
                self._write_cached(at, view[:n_before])
                at, view = at + n_before + n_whole, view[n_before + n_whole :]
        self._write_cached(at, view)

    def _write_cached(self, at: int, data: memoryview) -> None:
        if data:
            self._disk.write(self._handle, at, data)

    def _write_blocks(self, at: int, blocks: memoryview) -> bool:
        if self._direct is None:
            self._direct = self._disk.open_direct(self._path)
        self._is_direct = self._direct is not None and self._disk.write_direct(self._direct, at, blocks)
        return self._is_direct

    def close(self) -> None:
        """Close the file descriptor that this writer has opened; `handle` stays open."""
        self._is_direct = False
        if self._direct is not None:
            os.close(self._direct)
            self._direct = None


def aligned_array(n_bytes: int) -> NDArray[np.uint8]:
    """Memory whose address is a multiple of a block.  Its contents are not set."""
    memory = np.empty(n_bytes + BLOCK_BYTES, np.uint8)
    n_before = _n_to_block(memory)
    return memory[n_before : n_before + n_bytes]


def _n_to_block(data: memoryview | NDArray[np.uint8]) -> int:
    """The number of bytes from the address of `data` to the next multiple of a block."""
    return -int(np.frombuffer(data, np.uint8).__array_interface__["data"][0]) % BLOCK_BYTES
