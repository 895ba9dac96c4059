"""When a peer counts as gone: timeouts, the least speed, what the kernel still has to deliver.

Owns these measures; the HTTP clients wait with them.
"""

from __future__ import annotations

import socket
import struct
import time
from dataclasses import dataclass
from typing import Final

CONNECT_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Timeouts:
    """When a connection counts as broken.

    idle_seconds: longest wait for one piece to be sent or received, and for the whole head of an answer.  rate_bytes: least
    number of bytes a second, measured over rate_seconds.
    """

    idle_seconds: float = 30.0
    rate_bytes: int = 1024
    rate_seconds: float = 60.0


DEFAULT_TIMEOUTS: Final = Timeouts()


class RateCheck:
    """Measures how fast bytes arrive, and stops a peer that is too slow."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts, self._since, self._n_bytes = timeouts, time.monotonic(), 0

    def received(self, n_bytes: int) -> None:
        """Count bytes that have arrived.  Raises TimeoutError (an OSError) if they arrive too slowly."""
        self._n_bytes += n_bytes
        elapsed = time.monotonic() - self._since
        if elapsed >= self._timeouts.rate_seconds:
            if self._n_bytes < self._timeouts.rate_bytes * elapsed:
                raise TimeoutError(f"slower than {self._timeouts.rate_bytes} bytes a second")
            self._since, self._n_bytes = time.monotonic(), 0


def n_unacknowledged(sock: socket.socket) -> int:
    """The number of sent bytes that the peer's machine has not acknowledged yet; 0 where the system does not tell."""
    try:
        import fcntl
        import termios
    except ImportError:  # Windows does not tell
        return 0
    handle = sock.fileno()
    if handle < 0:  # it is closed
        return 0
    try:
        (found,) = struct.unpack("i", fcntl.ioctl(handle, termios.TIOCOUTQ, bytes(4)))
    except OSError:
        return 0
    return int(found)


class SendQueue:
    """The kernel's queue of bytes for a peer.  As long as it becomes shorter, the peer is alive."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock, self._n_bytes = sock, n_unacknowledged(sock)

    def has_shrunk(self) -> bool:
        """Whether the queue is shorter than at the last call; at the first call, than when this object was made."""
        n_before, self._n_bytes = self._n_bytes, n_unacknowledged(self._sock)
        return self._n_bytes < n_before


class HeadWait:
    """The wait for the head of an answer: as long as the peer takes what is on its way to it, whatever else it says (T5-15)."""

    def __init__(self, sock: socket.socket, timeouts: Timeouts) -> None:
        self._queue, self._seconds = SendQueue(sock), timeouts.idle_seconds
        self._until = time.monotonic() + self._seconds

    def left(self) -> float:
        """The seconds that are left to wait, more than 0.  Raises TimeoutError when there are none."""
        left = self._until - time.monotonic()
        if left > 0:
            return left
        if not self._queue.has_shrunk():
            raise TimeoutError(f"no answer within {self._seconds:g} s")
        self._until = time.monotonic() + self._seconds
        return self._seconds
