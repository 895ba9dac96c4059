"""Connections that have nothing to do and can be used again (spec/transport.md, T5-16).

Owns how old they may be.  Whether one is still alive the HTTP clients find out.
"""

from __future__ import annotations

import time
from typing import Final, Generic, TypeVar

ONCE_SECONDS: Final = (
    2.0  # for requests that must not be sent twice: servers close what is idle for longer, some after 5 s
)
REPEATED_SECONDS: Final = 60.0

T = TypeVar("T")


class KeptConnections(Generic[T]):
    """Kept connections, the last one first."""

    def __init__(self) -> None:
        self._kept: list[tuple[float, T]] = []

    def put(self, connection: T) -> None:
        """Keep a connection."""
        self._kept.append((time.monotonic(), connection))

    def take(self, *, may_be_sent_twice: bool) -> T | None:
        """The connection that was used last, None if there is none that is young enough for such a request."""
        longest = REPEATED_SECONDS if may_be_sent_twice else ONCE_SECONDS
        if not self._kept or time.monotonic() - self._kept[-1][0] > longest:
            return None
        return self._kept.pop()[1]

    def take_all(self) -> list[T]:
        """All of them, to be closed."""
        found, self._kept = [connection for _, connection in self._kept], []
        return found
