"""The body of one request on its way from a socket to the application.

Owns the buffers: a body of a stated length is received into pieces that are handed on as they are, small at first and larger
for a peer that fills them, so that an idle connection costs little and a fast one is not slowed down.  The largest are
counted, in all connections together.
"""

from __future__ import annotations

import weakref
from collections import deque
from typing import Final

from aeformat.net.server.blocks import BLOCK_BYTES, on_a_block

_FIRST_BYTES: Final = 1 << 16
_LARGE_BYTES: Final = 1 << 20
_PIECE_BYTES: Final = 1 << 22
_PERMITS: Final = deque(range(48))  # to be larger than _LARGE_BYTES: each of them 4 MiB at most, four to a fast upload


class Inbox:
    """The body of one request, between the socket and the application.

    length: None for a chunked one, which h11 reads.  offset: where the body goes in a file: blocks of the file are then
    blocks of memory.
    """

    def __init__(self, length: int | None, ahead: bytes, *, offset: int = 0) -> None:
        self._end = offset + (length or 0)
        self.left = length  # bytes still to come from the socket
        self.is_over = length == 0
        self._chunked = bytearray()
        self._piece = memoryview(b"")
        self._n_filled = 0
        self._size = _FIRST_BYTES
        if length:
            self._next()
            self.take(len(ahead), ahead)

    def _next(self) -> None:
        assert self.left is not None
        n_before = (self._end - self.left) % BLOCK_BYTES
        size = min(self._size, self.left)
        permit = None
        if size > _LARGE_BYTES:
            try:
                permit = _PERMITS.pop()
            except IndexError:
                size = _LARGE_BYTES
        room = on_a_block(n_before + size)
        if permit is not None:
            weakref.finalize(room, _PERMITS.append, permit).atexit = False  # when nobody has a view of it any more
        self._piece, self._n_filled = room.data[n_before:], 0

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to hand on."""
        return not self._n_filled

    @property
    def is_full(self) -> bool:
        """Whether the socket must wait."""
        return self._n_filled >= (_PIECE_BYTES if self.left is None else len(self._piece))

    def room(self) -> memoryview:
        """Where the socket may write."""
        return self._piece[self._n_filled :]

    def take(self, n_bytes: int, data: bytes | None = None) -> None:
        """So many bytes were written into `room`; data: they are these, and were not."""
        assert self.left is not None
        if data is not None:
            self._piece[self._n_filled : self._n_filled + n_bytes] = data
        self._n_filled += n_bytes
        self.left -= n_bytes
        self.is_over = not self.left

    def append(self, data: bytes | bytearray) -> None:
        """The next bytes of a chunked body."""
        self._chunked += data
        self._n_filled = len(self._chunked)

    def hand_over(self) -> memoryview:
        """What is there; it is the caller's from now on, and takes at most twice its room."""
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
        self._next()
        return data
