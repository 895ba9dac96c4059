"""The routes of uploads (spec/transport.md, sections 2 and 4).

Owns which requests create, continue and end an upload, and what their answers name.  The order of steps is in uploads.py.
"""

from __future__ import annotations

import asyncio
import logging

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from aeformat.net.server.request_body import RequestBody
from aeformat.net.server.request_cycle import INTERIM
from aeformat.net.server.request_fields import append_of, is_not_modified, joined, relative, require_type, whole_digests
from aeformat.net.server.responses import problem_response
from aeformat.net.server.route_context import RouteContext, named
from aeformat.net.server.storage import UPLOAD_ID
from aeformat.net.server.tokens import Caller
from aeformat.net.server.upload_files import UploadEntry, disk_problem
from aeformat.transport import draft, http_fields
from aeformat.transport.problems import Problem
from aeformat.transport.upload_actions import Answer, Append

log = logging.getLogger("aeformat.server")


class UploadRoutes:
    """The handlers of the routes of uploads."""

    def __init__(self, shared: RouteContext) -> None:
        self._shared = shared

    async def create(self, request: Request) -> Response:
        """Answer POST and OPTIONS of v1/uploads."""
        if request.method == "OPTIONS":
            return self._options("GET, HEAD, OPTIONS, POST")
        caller = self._shared.caller(request, "uploads:write")
        head = append_of(request, is_creation=True)
        if head.body_bytes != 0:
            require_type(request, http_fields.MEDIA_TYPE)
        head.total()  # before anything is created (T4-24)
        await self._shared.ask(lambda: self._shared.storage.store.count(caller.tenant))
        entry = await self._shared.uploads.create(caller, head, whole_digests(request))
        where = {"Location": relative(request, f"/v1/uploads/{entry.name}")}
        if head.body_bytes == 0 and not head.is_last and not head.digests:
            more = {draft.LIMIT: entry.machine.upload_limit, draft.OFFSET: "0", draft.COMPLETE: "?0"}
            return _response(request, Answer(201, where | more))
        answer: Answer | None = None
        is_told = False
        try:
            if head.body_bytes != 0:
                await self._announce(request, entry, where)
            answer = await self._first_append(request, entry, caller, head)
        finally:
            is_told = await asyncio.shield(self._shared.uploads.told(entry, answer))
        limit = {draft.LIMIT: entry.machine.upload_limit}
        status = 201 if answer.problem is None else answer.status
        fields = where | limit | answer.fields if is_told else limit | answer.fields
        return self._counted_response(request, Answer(status, fields, answer.problem))

    async def _announce(self, request: Request, entry: UploadEntry, where: dict[str, str]) -> None:
        """Tell the client where its upload is before its body is read, if it understands that (T4-12, T4-28)."""
        interim = request.scope["extensions"].get(INTERIM)
        if interim is not None and draft.understands_interim(joined(request, draft.INTEROP)):
            await self._shared.uploads.tell(entry)
            limit = {draft.LIMIT: entry.machine.upload_limit}
            await interim(104, where | limit | {draft.INTEROP: draft.INTEROP_VERSION})

    async def _first_append(self, request: Request, entry: UploadEntry, caller: Caller, head: Append) -> Answer:
        """Receive the body of the request that created an upload.  A problem is an answer too: it may name the upload."""
        try:
            return await self._append(request, entry, caller, head)
        except OSError as error:
            log.exception("the disk failed")
            problem = disk_problem(error)
        except Problem as error:
            problem = error
        return Answer(problem.type.status, problem.fields, problem)

    async def list_uploads(self, request: Request) -> Response:
        """Answer GET v1/uploads (T4-22)."""
        caller = self._shared.caller(request, "uploads:write")
        return JSONResponse({"uploads": self._shared.uploads.listed(caller)}, headers={"Cache-Control": "no-store"})

    async def upload(self, request: Request) -> Response:
        """Answer GET, HEAD, PATCH, DELETE and OPTIONS of v1/uploads/{id}."""
        if request.method == "OPTIONS":
            return self._options("DELETE, GET, HEAD, OPTIONS, PATCH")
        caller = self._shared.caller(request, "uploads:write")
        name = request.path_params["name"]
        if not UPLOAD_ID.fullmatch(name):
            raise Problem("upload-unknown", "there is no such upload")
        entry = self._shared.uploads.find(name, caller)
        is_not_modified(request, None)
        if request.method in ("GET", "HEAD"):
            return _response(request, await self._shared.uploads.steps.head(entry))
        if request.method == "DELETE":
            return _response(request, await self._shared.uploads.steps.cancel(entry))
        require_type(request, draft.PARTIAL)
        head = append_of(request, is_creation=False)
        return self._counted_response(request, await self._append(request, entry, caller, head))

    def _options(self, methods: str) -> Response:
        """Answer OPTIONS of a resource of uploads (T4-25); no token is needed, as for v1/."""
        named = {"Allow": methods, "Accept-Patch": draft.PARTIAL, draft.LIMIT: self._shared.limits.upload_limit}
        return Response(status_code=204, headers=named)

    def _counted_response(self, request: Request, answer: Answer) -> Response:
        if answer.problem is not None:
            self._shared.metrics.count("aeformat_problems_total", type=answer.problem.type.slug)
        elif answer.fields.get(draft.COMPLETE) == "?1":
            self._shared.metrics.count("aeformat_stored_total")
        return _response(request, answer)

    async def _append(self, request: Request, entry: UploadEntry, caller: Caller, head: Append) -> Answer:
        """Receive a body into an upload.  However this ends, the bytes that were not verified are dropped (T4-3)."""
        generation = await self._shared.uploads.steps.append(entry, head, caller)
        body = RequestBody(request.receive, self._shared.limits)
        is_settled = False
        try:
            answer = await self._feed(entry, generation, body, caller)
            if answer is None:
                self._shared.caller(request, "uploads:write")  # T10-4
                answer = await self._shared.uploads.steps.end(entry, generation)
            is_settled = True
            return answer
        finally:
            self._shared.metrics.count("aeformat_received_bytes_total", body.n_bytes)
            if not is_settled:
                await asyncio.shield(self._shared.uploads.steps.lost(entry, generation))

    async def _feed(self, entry: UploadEntry, generation: int, body: RequestBody, caller: Caller) -> Answer | None:
        """Receive the pieces of a body.  If an Answer is returned, it ends the request before its end (T6-4)."""
        while not body.is_over:
            answer = await self._shared.uploads.steps.data(entry, generation, await body.piece(), caller)
            if answer is not None:
                return answer
        return None


def _response(request: Request, answer: Answer) -> Response:
    if answer.problem is not None:
        return problem_response(answer.problem, named(request, {**answer.problem.fields, **answer.fields}))
    return Response(status_code=answer.status, headers={**named(request, answer.fields), "Cache-Control": "no-store"})
