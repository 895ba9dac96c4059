"""HTTP/1.1 by uvicorn and h11, with a limit on how long a request's header may take.

uvicorn has a limit for idle connections after a request, but none for a header that comes a byte at a time (slowloris), nor for
the rest of a body whose request was answered early (T6-4).
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


def timed_protocol(header_seconds: float) -> type[asyncio.Protocol]:
    """The protocol class to give to uvicorn."""

    class TimedProtocol(H11Protocol):
        """Closes a connection on which no request is in progress and bytes have been coming for too long."""

        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._arm()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                self._disarm()
            elif self._deadline is None:
                self._arm()

        def connection_lost(self, exc: Exception | None) -> None:
            self._disarm()
            super().connection_lost(exc)

        def _arm(self) -> None:
            self._deadline = asyncio.get_running_loop().call_later(header_seconds, self._too_slow)

        def _disarm(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        def _too_slow(self) -> None:
            self._deadline = None
            if self.cycle is None or self.cycle.response_complete:
                self.transport.abort()

    return TimedProtocol
