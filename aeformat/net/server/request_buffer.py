"""The buffer of one request's body, between the socket and the application.

Owns the memory.  A body of stated length is received into pieces that are handed over without a copy.  The pieces are small at
first and become larger for a peer that fills them, so that an idle connection costs little memory and a fast one is not slowed
down.  The number of the largest pieces is bounded, for all connections together.
"""

from __future__ import annotations

import weakref
from collections import deque
from typing import Final

from aeformat.net.server.blocks import BLOCK_BYTES, aligned_array

_FIRST_BYTES: Final = 1 << 16
_LARGE_BYTES: Final = 1 << 20
_PIECE_BYTES: Final = 1 << 22
_PERMITS: Final = deque(range(48))  # for pieces above _LARGE_BYTES, of 4 MiB at most; a fast upload uses four


class RequestBuffer:
    """The buffer of one request's body.

    left: bytes that have still to come from the socket, None for a chunked body.  is_over: whether all of the body has come.
    """

    def __init__(self, length: int | None, ahead: bytes, *, offset: int = 0) -> None:
        """Make a buffer.

        length: of the body; None for a chunked one, which h11 parses.  ahead: bytes of the body that came with the head.
        offset: where the body goes in a file; the blocks of the file are then aligned in memory.
        """
        self._end = offset + (length or 0)
        self.left = length
        self.is_over = length == 0
        self._chunked = bytearray()
        self._piece = memoryview(b"")
        self._n_filled = 0
        self._size = _FIRST_BYTES
        if length:
            self._new_piece()
            self.fill(len(ahead), ahead)

    def _new_piece(self) -> None:
        assert self.left is not None
        n_before = (self._end - self.left) % BLOCK_BYTES
        size = min(self._size, self.left)
        permit = None
        if size > _LARGE_BYTES:
            try:
                permit = _PERMITS.pop()
            except IndexError:
                size = _LARGE_BYTES
        memory = aligned_array(n_before + size)
        if permit is not None:  # it is given back when there is no view of the memory any more
            weakref.finalize(memory, _PERMITS.append, permit).atexit = False
        self._piece, self._n_filled = memory.data[n_before:], 0

    @property
    def is_empty(self) -> bool:
        """Whether the buffer holds no bytes."""
        return not self._n_filled

    @property
    def is_full(self) -> bool:
        """Whether the buffer has no space, so that reading from the socket must pause."""
        return self._n_filled >= (_PIECE_BYTES if self.left is None else len(self._piece))

    def space(self) -> memoryview:
        """The free part of the buffer, for the socket to write into."""
        return self._piece[self._n_filled :]

    def fill(self, n_bytes: int, data: bytes | None = None) -> None:
        """Count n_bytes that were written into `space`; or, with `data`, copy these n_bytes into it."""
        assert self.left is not None
        if data is not None:
            self._piece[self._n_filled : self._n_filled + n_bytes] = data
        self._n_filled += n_bytes
        self.left -= n_bytes
        self.is_over = not self.left

    def append(self, data: bytes | bytearray) -> None:
        """Add the next bytes of a chunked body."""
        self._chunked += data
        self._n_filled = len(self._chunked)

    def take(self) -> memoryview:
        """Hand over all bytes in the buffer, which is empty then.  The caller owns their memory, at most twice their size."""
        if self.left is None:
            data = memoryview(self._chunked)
            self._chunked, self._n_filled = bytearray(), 0
            return data
        data = self._piece[: self._n_filled]
        if self.is_full:
            self._size = min(4 * self._size, _PIECE_BYTES)
        elif 2 * self._n_filled < len(self._piece):
            data = memoryview(bytes(data))
            self._size = max(self._size // 2, _FIRST_BYTES)
        self._new_piece()
        return data
