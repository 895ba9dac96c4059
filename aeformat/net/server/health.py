"""GET /healthz and /readyz: for load balancers and supervisors, which have no token (spec/transport.md, T2-18).

They say nothing that is secret: one word for each reason, no path, no number.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from aeformat.net.server.json_log import fields
from aeformat.net.server.responses import problem_response
from aeformat.transport.problems import Problem

log = logging.getLogger("aeformat.server")
_KEPT_SECONDS: Final = 1.0  # a look at the disk is good for so long: whoever asks often costs nothing
_WAIT_SECONDS: Final = 5.0  # for the disk to answer


class Readiness:
    """Whether a server can take work.

    reserve_bytes: that must be free on the disk.  conditions: further reasons, by the word for each: a function that says
    whether all is well.
    """

    def __init__(self, root: Path, reserve_bytes: int, conditions: dict[str, Callable[[], bool]]) -> None:
        self._root, self._reserve_bytes, self._conditions = root, reserve_bytes, conditions
        self._disk_reasons: list[str] = []
        self._looked = float("-inf")
        self._looking: asyncio.Task[list[str]] | None = None
        self._said: list[str] = []

    async def reasons(self) -> list[str]:
        """Why the server is not ready, as words: empty if it is."""
        found = [word for word, is_well in self._conditions.items() if not is_well()] + await self._of_the_disk()
        if found != self._said:
            log.log(logging.WARNING if found else logging.INFO, "readiness changed", extra=fields(not_ready=found))
            self._said = found
        return found

    async def _of_the_disk(self) -> list[str]:
        if time.monotonic() - self._looked < _KEPT_SECONDS:
            return self._disk_reasons
        if self._looking is None:
            self._looking = asyncio.create_task(asyncio.to_thread(self._look))
        try:
            self._disk_reasons = await asyncio.wait_for(asyncio.shield(self._looking), _WAIT_SECONDS)
            self._looking = None
        except asyncio.TimeoutError:  # a disk that hangs: the look goes on, and nobody begins another
            self._disk_reasons = ["storage"]
        self._looked = time.monotonic()
        return self._disk_reasons

    def _look(self) -> list[str]:
        """Write a byte and remove it; count what is free."""
        probe = self._root / f".aeformat-ready-{os.getpid()}"
        try:
            with contextlib.ExitStack() as after:
                handle = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                after.callback(probe.unlink)
                after.callback(os.close, handle)
                os.write(handle, b"1")
            is_full = shutil.disk_usage(self._root).free < self._reserve_bytes
        except OSError:
            return ["storage"]
        return ["disk-full"] if is_full else []


class Health:
    """Wraps an ASGI application, and answers these two paths itself."""

    def __init__(self, app: ASGIApp, readiness: Readiness) -> None:
        self._app, self._readiness = app, readiness

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request (ASGI)."""
        if scope["type"] != "http" or scope["path"] not in ("/healthz", "/readyz"):
            await self._app(scope, receive, send)
            return
        if scope["method"] in ("GET", "HEAD"):
            response = await self._answer(scope["path"])
        else:
            response = problem_response(
                Problem("method-not-allowed", "method not allowed", fields={"Allow": "GET, HEAD"})
            )
        await response(scope, receive, send)

    async def _answer(self, path: str) -> Response:
        reasons = await self._readiness.reasons() if path == "/readyz" else []
        document = {"status": "not ready", "reasons": reasons} if reasons else {"status": "ok"}
        named = {"Cache-Control": "no-store"} | ({"Retry-After": "1"} if reasons else {})
        return JSONResponse(document, 503 if reasons else 200, named)
