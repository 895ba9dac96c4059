"""Accepting connections (spec/transport.md, T7-3 and T7-4).

Owns the loop that accepts, and TLS handshakes.  asyncio's own loop counts no handshakes, and writes a line to the log for each
connection that it has no file handle for, without end.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import logging
import socket
import ssl
import time
from collections.abc import Callable
from typing import Final

import uvicorn

from aeformat.net.server.connection_table import ConnectionTable
from aeformat.net.server.protocol import Connection

log = logging.getLogger("aeformat.server")
_SHORT: Final = (
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOBUFS,
    errno.ENOMEM,
)  # what the system says when it has no more to give
_AT_ONCE: Final = 16  # connections that are accepted before those that are open are served again
_PAUSE_SECONDS: Final = 0.2  # after such an error
_LOG_SECONDS: Final = 10.0  # between two lines about them


class Acceptor:
    """Accepts the connections of one listener, until it is closed.

    connect: makes the protocol of a connection.  context: for TLS.  n_errors: of `accept`.  n_handshakes_failed: of TLS.
    """

    def __init__(
        self,
        listener: socket.socket,
        connect: Callable[[], Connection],
        table: ConnectionTable,
        context: ssl.SSLContext | None,
        handshake_seconds: float,
    ) -> None:
        self._listener, self._connect, self._table, self._context = listener, connect, table, context
        self._handshake_seconds = None if context is None else handshake_seconds
        self._loop = asyncio.get_running_loop()
        self._opening: dict[asyncio.Task[None], Connection] = {}
        self._logged_at = -_LOG_SECONDS
        self.n_errors = self.n_handshakes_failed = 0
        listener.setblocking(False)
        self._accepting = self._loop.create_task(self._accept())

    async def _accept(self) -> None:
        for number in itertools.count():
            try:
                sock, _ = await self._loop.sock_accept(self._listener)
            except OSError as error:
                await self._failed(error)
            else:
                self._open(sock)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _failed(self, error: OSError) -> None:
        """Count an error.  If handles are short, close the connection that has waited longest, and pause."""
        self.n_errors += 1
        now = time.monotonic()
        if now - self._logged_at >= _LOG_SECONDS:
            self._logged_at = now
            log.error("cannot accept connections: %s (%d times so far)", error.strerror, self.n_errors)
        if error.errno in _SHORT:
            self._table.displace()
            await asyncio.sleep(_PAUSE_SECONDS)

    def _open(self, sock: socket.socket) -> None:
        connection = self._connect()
        connection.sock = sock
        if not self._table.admit(connection):
            sock.close()
            return
        task = self._loop.create_task(self._handshake(sock, connection))
        self._opening[task] = connection
        task.add_done_callback(self._opening.pop)

    async def _handshake(self, sock: socket.socket, connection: Connection) -> None:
        try:
            await self._loop.connect_accepted_socket(
                lambda: connection, sock, ssl=self._context, ssl_handshake_timeout=self._handshake_seconds
            )
        except OSError:  # of TLS, or the client has left
            self.n_handshakes_failed += 1
            self._table.remove(connection)

    def close(self) -> None:
        """Accept no more, and break handshakes off (uvicorn calls this)."""
        self._accepting.cancel()
        for connection in list(self._opening.values()):
            connection.drop()

    async def wait_closed(self) -> None:
        """Wait until all handshakes have ended (uvicorn calls this)."""
        await asyncio.gather(self._accepting, *self._opening, return_exceptions=True)


class AcceptingServer(uvicorn.Server):
    """A uvicorn server that accepts its connections itself.

    table: of its connections.  handshake_seconds: the time for a TLS handshake.
    """

    def __init__(self, config: uvicorn.Config, table: ConnectionTable, handshake_seconds: float) -> None:
        super().__init__(config)
        self.table, self._handshake_seconds = table, handshake_seconds
        self.acceptors: list[Acceptor] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, then accept from each of these sockets, which listen already."""
        await super().startup(sockets=[])
        for listener in sockets or []:
            context = self.config.ssl
            self.acceptors.append(Acceptor(listener, self._connect, self.table, context, self._handshake_seconds))
        self.servers += self.acceptors  # type: ignore[arg-type]  # `shutdown` closes them

    def _connect(self) -> Connection:
        made = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        assert isinstance(made, Connection)
        return made

    @property
    def gauges(self) -> dict[str, Callable[[], float]]:
        """What is counted of connections, by the name of its metric."""
        return {
            "aeformat_connections": lambda: len(self.table),
            "aeformat_connections_displaced": lambda: self.table.n_displaced,
            "aeformat_connections_refused": lambda: self.table.n_refused,
            "aeformat_accept_errors": lambda: sum(acceptor.n_errors for acceptor in self.acceptors),
            "aeformat_handshakes_failed": lambda: sum(acceptor.n_handshakes_failed for acceptor in self.acceptors),
        }
