"""A uvicorn server that is stopped and reloaded by signals (spec/transport.md, T7-2 and T7-9).

The first SIGTERM or SIGINT begins the drain: readiness fails at once, after a delay no connection is accepted any more, and
requests may end for a time.  The second one ends the process as kill would, which the storage withstands.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Final

import uvicorn

from aeformat.net.server.accepting import AcceptingServer
from aeformat.net.server.connection_table import ConnectionTable
from aeformat.net.server.json_log import fields

log = logging.getLogger("aeformat.server")
_LOOK_TICKS: Final = 10  # of 0.1 s, between two looks at the files that may have changed


class DrainingServer(AcceptingServer):
    """A server with these ways to stop and reload.

    table, handshake_seconds: see AcceptingServer.  delay_seconds: from the first signal until no connection is accepted.
    look: is called every second.  reload: is called after SIGHUP; None leaves that signal as it is.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        table: ConnectionTable,
        handshake_seconds: float,
        delay_seconds: float,
        look: Callable[[], None],
        reload: Callable[[], None] | None,
    ) -> None:
        super().__init__(config, table, handshake_seconds)
        self._delay_seconds, self._look, self._reload = delay_seconds, look, reload
        self._is_reload_wanted = False
        self._stop_at: float | None = None
        self._is_told = False

    @property
    def is_draining(self) -> bool:
        """Whether the server has been told to stop."""
        return self._stop_at is not None

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """Take the signals in this block, if this is the main thread: uvicorn takes two of them only once it has begun."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handlers: dict[int, Callable[[int, FrameType | None], None]]
        handlers = {signal.SIGTERM: self.handle_exit, signal.SIGINT: self.handle_exit}
        if self._reload is not None and hasattr(signal, "SIGHUP"):
            handlers[signal.SIGHUP] = self._hang_up
        before = {number: signal.signal(number, handle) for number, handle in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _hang_up(self, _number: int, _frame: FrameType | None) -> None:
        self._is_reload_wanted = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain; the second time, end (uvicorn calls this for SIGTERM and SIGINT)."""
        if self._stop_at is not None:
            signal.signal(sig, signal.SIG_DFL)
            os.kill(os.getpid(), sig)
            os._exit(128 + sig)  # the kernel has spared us: process 1 of a container
        self._stop_at = time.monotonic() + self._delay_seconds
        self.should_exit = not self._delay_seconds

    async def on_tick(self, counter: int) -> bool:
        """Do what is due: uvicorn calls this ten times a second."""
        if self._stop_at is not None:
            if not self._is_told:  # not in handle_exit: a signal may come in the middle of another line
                log.info("told to stop", extra=fields(connections=len(self.server_state.connections)))
                self._is_told = True
            self.should_exit = time.monotonic() >= self._stop_at
        if self._is_reload_wanted and self._reload is not None:
            self._is_reload_wanted = False
            self._reload()
        if counter % _LOOK_TICKS == 0:
            self._look()
        return await super().on_tick(counter)
