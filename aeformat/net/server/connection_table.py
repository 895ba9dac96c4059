"""The open connections of a server, and which one makes place for a new one (spec/transport.md, T7-3).

Owns the count, from the moment a connection is accepted.  Knows nothing of sockets, TLS or HTTP.
"""

from __future__ import annotations

from typing import Final, Protocol

REFUSED: Final = 32  # connections that are told that there are too many; more are closed without a word


class OpenConnection(Protocol):
    """A connection that was accepted.  is_refused: set when it shall only be told that there are too many."""

    is_refused: bool

    def drop(self) -> None:
        """Close it now, whatever it is doing."""


class ConnectionTable:
    """All open connections.

    most: how many there may be.  n_displaced: those that were closed for a new one.  n_refused: those that found no place.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: dict[OpenConnection, None] = {}  # without a request, in TLS handshakes too; the longest first
        self._busy: set[OpenConnection] = set()
        self._refused: set[OpenConnection] = set()
        self.n_displaced = self.n_refused = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._busy) + len(self._refused)

    def admit(self, connection: OpenConnection) -> bool:
        """Count a connection that was accepted.  False: close it, there are too many; see `is_refused` too."""
        if len(self._waiting) + len(self._busy) < self._most or self.displace():
            self._waiting[connection] = None
            return True
        self.n_refused += 1
        if len(self._refused) >= REFUSED:
            return False
        connection.is_refused = True
        self._refused.add(connection)
        return True

    def displace(self) -> bool:
        """Close the connection that has waited longest without a request; False if there is none."""
        if not self._waiting:
            return False
        oldest = next(iter(self._waiting))
        del self._waiting[oldest]
        self.n_displaced += 1
        oldest.drop()
        return True

    def begun(self, connection: OpenConnection) -> None:
        """Note that a connection has a request."""
        if connection in self._waiting:
            del self._waiting[connection]
            self._busy.add(connection)

    def ended(self, connection: OpenConnection) -> None:
        """Note that it has none any more: it waits, behind all others."""
        if connection in self._busy:
            self._busy.remove(connection)
            self._waiting[connection] = None

    def remove(self, connection: OpenConnection) -> None:
        """Note that a connection is closed."""
        self._waiting.pop(connection, None)
        self._busy.discard(connection)
        self._refused.discard(connection)
