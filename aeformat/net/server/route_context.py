"""What the handlers of all routes share: who calls, how a refusal is answered, how the store is asked.

Owns the form of every problem that a handler raises.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response

from aeformat.net.server import request_context
from aeformat.net.server.metrics import Metrics
from aeformat.net.server.request_body import BodyLost
from aeformat.net.server.request_fields import relative
from aeformat.net.server.responses import problem_response
from aeformat.net.server.storage import Storage
from aeformat.net.server.tokens import Caller, Tokens
from aeformat.net.server.upload_files import disk_problem
from aeformat.net.server.uploads import Uploads
from aeformat.transport.problems import Problem
from aeformat.transport.structured import BadField
from aeformat.transport.transfer_limits import TransferLimits

log = logging.getLogger("aeformat.server")

_T = TypeVar("_T")
Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class RouteContext:
    """The parts of one server that its handlers use."""

    storage: Storage
    tokens: Tokens
    limits: TransferLimits
    uploads: Uploads
    metrics: Metrics

    def handler(self, handle: Handler) -> Handler:
        """The handler that answers with a problem document what `handle` raises."""

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except Problem as problem:
                return self._refusal(request, problem)
            except BadField as error:
                return self._refusal(request, Problem("bad-request", str(error)))
            except BodyLost:
                return Response(status_code=400)  # there is nobody to read it
            except OSError as error:
                log.exception("the disk failed")
                return self._refusal(request, disk_problem(error))

        return handled

    def _refusal(self, request: Request, problem: Problem) -> Response:
        self.metrics.count("aeformat_problems_total", type=problem.type.slug)
        return problem_response(problem, named(request, problem.fields))

    def caller(self, request: Request, scope: str) -> Caller:
        """Who sends a request.  Raises Problem (401, 403) unless that caller may do what `scope` names."""
        caller = self.tokens.caller(request.headers.get("authorization"), scope, time.time())
        context = request_context.current()
        if context is not None:
            context.tenant = caller.tenant
        return caller

    async def ask(self, ask: Callable[[], _T]) -> _T:
        """Ask the store: at once if it is on this machine, else in a thread."""
        return ask() if self.storage.store.is_local else await asyncio.to_thread(ask)


def named(request: Request, fields: Mapping[str, str]) -> dict[str, str]:
    """Header fields with the reference to a blob as it is seen from the request (T4-29)."""
    place = fields.get("Content-Location")
    return {**fields, "Content-Location": relative(request, place)} if place else dict(fields)
