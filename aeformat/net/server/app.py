"""The resources of spec/transport.md, section 2, as an ASGI application.

Owns the routes, the parsing of requests and the form of responses.  The state of an upload is in its state machine, the bytes
are in the storage.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from importlib.resources import files
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aeformat.net.server.blobs import blob_response
from aeformat.net.server.metrics import Metrics
from aeformat.net.server.render import RowRenderer
from aeformat.net.server.request_body import BodyLost, RequestBody
from aeformat.net.server.request_cycle import INTERIM
from aeformat.net.server.request_fields import append_of, is_not_modified, joined, relative, require_type, whole_digests
from aeformat.net.server.storage import CONTAINERS, MODELS, UPLOAD_ID, Record, Storage
from aeformat.net.server.tokens import Caller, Tokens
from aeformat.net.server.uploads import UploadEntry, Uploads, disk_problem, location
from aeformat.transport import draft, http_fields
from aeformat.transport.problems import AFTER, Problem
from aeformat.transport.structured import BadField
from aeformat.transport.transfer_limits import TransferLimits
from aeformat.transport.upload_actions import Answer, Append

log = logging.getLogger("aeformat.server")
HEADER_BYTES: Final = 65_536
_SWEEP_SECONDS: Final = 60.0
_MISSING_BYTES: Final = 128 << 10  # largest body of models:missing; one with 1,000 ids takes 67 kB
_RETRY_AFTER: Final = "1"

_OF_PICTURES: Final = {"Vary": "Accept", "Cache-Control": "private, no-transform"}

Handler = Callable[[Request], Awaitable[Response]]


class Server:
    """One server: the handlers of all routes."""

    def __init__(self, storage: Storage, tokens: Tokens, limits: TransferLimits) -> None:
        self.storage, self.tokens, self.limits = storage, tokens, limits
        self.uploads = Uploads(storage, limits)
        self.metrics = Metrics({"aeformat_uploads_open": lambda: self.uploads.n_open})
        self._renderer = RowRenderer(storage, limits)
        self._decoding = asyncio.Semaphore(limits.decoding_at_a_time)

    def app(self) -> ASGIApp:
        """Make the ASGI application."""
        routes = [
            Route("/v1/", self._handler(self.capabilities)),
            Route("/v1/openapi.json", self._handler(self.openapi)),
            Route("/v1/containers/{name}", self._handler(self.container), methods=["GET", "DELETE"]),
            Route("/v1/models/{name}", self._handler(self.model), methods=["GET", "DELETE"]),
            Route("/v1/models:missing", self._handler(self.missing), methods=["POST"]),
            Route("/v1/uploads", self._handler(self.create), methods=["POST", "OPTIONS"]),
            Route("/v1/uploads/{name}", self._handler(self.upload), methods=["GET", "PATCH", "DELETE", "OPTIONS"]),
            Route("/metrics", self._handler(self.counters)),
        ]
        app = Starlette(routes=routes, lifespan=self._lifespan, exception_handlers={HTTPException: _not_routed})
        app.router.redirect_slashes = False
        return RequestLog(app, self.metrics)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        async def sweep() -> None:
            while True:
                await asyncio.sleep(_SWEEP_SECONDS)
                await self.uploads.sweep()

        task = asyncio.create_task(sweep())
        try:
            yield
        finally:
            task.cancel()
            self.uploads.close()

    def _handler(self, handle: Handler) -> Handler:
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
        return _problem_response(request, problem)

    def _caller(self, request: Request, scope: str) -> Caller:
        caller = self.tokens.caller(request.headers.get("authorization"), scope, time.time())
        request.state.tenant = caller.tenant
        return caller

    # Resources that never change.

    async def capabilities(self, request: Request) -> Response:
        """Answer GET v1/: versions, digests and limits of this server."""
        document = {"versions": ["v1"], "digests": ["sha-256"], "limits": self.limits.advertised()}
        return JSONResponse(document, headers={draft.LIMIT: self.limits.upload_limit})

    async def openapi(self, request: Request) -> Response:
        """Answer GET v1/openapi.json."""
        text = files("aeformat.net.server").joinpath("openapi.json").read_text(encoding="utf-8")
        return Response(text, media_type="application/json")

    async def counters(self, request: Request) -> Response:
        """Answer GET metrics."""
        self._caller(request, "metrics:read")
        return PlainTextResponse(self.metrics.text(), media_type="text/plain; version=0.0.4")

    async def container(self, request: Request) -> Response:
        """Answer GET and DELETE of v1/containers/{sha256}; with ?rows= the answer to GET is an image of these rows."""
        if request.method == "DELETE":
            return await self._delete(request, CONTAINERS)
        caller = self._caller(request, "containers:read")
        record = self._record(request, caller, CONTAINERS)
        if "rows" in request.query_params:
            return await self._rows(request, caller, record)
        return self._blob(request, record)

    async def model(self, request: Request) -> Response:
        """Answer GET and DELETE of v1/models/{model}."""
        if request.method == "DELETE":
            return await self._delete(request, MODELS)
        caller = self._caller(request, "models:read")
        return self._blob(request, self._record(request, caller, MODELS))

    def _record(self, request: Request, caller: Caller, kind: str) -> Record:
        """The record of the blob in the path.  Raises Problem (404), the same one if another tenant has the blob (T10-2)."""
        name = request.path_params["name"]
        record = self.storage.find(caller.tenant, kind, name) if http_fields.DIGEST.fullmatch(name) else None
        if record is None:
            raise Problem("not-found", f"there is no such {kind[:-1]}")
        return record

    def _blob(self, request: Request, record: Record) -> Response:
        if http_fields.preferred(request.headers.get("accept"), (http_fields.MEDIA_TYPE,)) is None:
            raise Problem("not-acceptable", f"a blob is {http_fields.MEDIA_TYPE}; ask for rows to get pictures")
        return blob_response(
            request,
            self.storage.blob(record.sha256),
            record,
            is_public=self.tokens.path is None,
            sent=lambda n_bytes: self.metrics.count("aeformat_sent_bytes_total", n_bytes),
        )

    async def _delete(self, request: Request, kind: str) -> Response:
        """Answer DELETE of a blob (T2-10)."""
        caller = self._caller(request, "blobs:delete")
        record = self._record(request, caller, kind)
        is_not_modified(request, http_fields.entity_tag(bytes.fromhex(record.sha256)))  # which is 412 for DELETE
        name = request.path_params["name"]
        await self.uploads.drop_results(caller.tenant, location(kind, name))
        await asyncio.to_thread(self.storage.delete, caller.tenant, kind, name)
        self._renderer.drop_model(caller.tenant, name)
        self.metrics.count("aeformat_deleted_total")
        return Response(status_code=204, headers={"Cache-Control": "no-store"})

    async def _rows(self, request: Request, caller: Caller, record: Record) -> Response:
        rows = http_fields.parse_rows(request.query_params["rows"])
        if rows is None:
            raise Problem("bad-request", "rows is neither a number nor FIRST-LAST")
        media = http_fields.preferred(request.headers.get("accept"), (http_fields.PNG, http_fields.NPY))
        if media is None:
            raise Problem("not-acceptable", f"rows can be had as {http_fields.PNG} or {http_fields.NPY}")
        if is_not_modified(request, None):
            return Response(status_code=304, headers=_OF_PICTURES)
        path = self.storage.blob(record.sha256)
        async with self._decoding:
            data = await asyncio.to_thread(self._renderer.render, path, caller.tenant, rows, media)
        self.metrics.count("aeformat_rows_drawn_total", rows[1] - rows[0])
        return Response(data, media_type=media, headers=_OF_PICTURES)

    async def missing(self, request: Request) -> Response:
        """Answer POST v1/models:missing (T2-5)."""
        caller = self._caller(request, "models:read")
        data = await RequestBody(request.receive, self.limits).read_all(_MISSING_BYTES)
        names = _model_ids(data, self.limits.models_asked)
        return JSONResponse({"missing": [n for n in names if self.storage.find(caller.tenant, MODELS, n) is None]})

    # Uploads.

    async def create(self, request: Request) -> Response:
        """Answer POST and OPTIONS of v1/uploads."""
        if request.method == "OPTIONS":
            return self._options("OPTIONS, POST")
        caller = self._caller(request, "uploads:write")
        head = append_of(request, is_creation=True)
        if head.body_bytes != 0:
            require_type(request, http_fields.MEDIA_TYPE)
        head.total()  # before anything is created (T4-24)
        entry = await self.uploads.create(caller, head.length, whole_digests(request))
        where = {
            "Location": relative(request, f"/v1/uploads/{entry.name}"),
            draft.LIMIT: self.limits.upload_limit,
        }
        if head.body_bytes == 0 and not head.is_last and not head.digests:
            return _response(request, Answer(201, where | {draft.OFFSET: "0", draft.COMPLETE: "?0"}))
        if head.body_bytes != 0:
            await _announce(request, where)
        answer = await self._append(request, entry, caller, head)
        status = 201 if answer.problem is None else answer.status
        return self._counted_response(request, Answer(status, where | answer.fields, answer.problem))

    async def upload(self, request: Request) -> Response:
        """Answer GET, HEAD, PATCH, DELETE and OPTIONS of v1/uploads/{id}."""
        if request.method == "OPTIONS":
            return self._options("DELETE, GET, HEAD, OPTIONS, PATCH")
        caller = self._caller(request, "uploads:write")
        name = request.path_params["name"]
        if not UPLOAD_ID.fullmatch(name):
            raise Problem("upload-unknown", "there is no such upload")
        entry = self.uploads.find(name, caller)
        is_not_modified(request, None)
        if request.method in ("GET", "HEAD"):
            return _response(request, await self.uploads.head(entry))
        if request.method == "DELETE":
            return _response(request, await self.uploads.cancel(entry))
        require_type(request, draft.PARTIAL)
        head = append_of(request, is_creation=False)
        return self._counted_response(request, await self._append(request, entry, caller, head))

    def _options(self, methods: str) -> Response:
        """Answer OPTIONS of a resource of uploads (T4-25); no token is needed, as for v1/."""
        named = {"Allow": methods, "Accept-Patch": draft.PARTIAL, draft.LIMIT: self.limits.upload_limit}
        return Response(status_code=204, headers=named)

    def _counted_response(self, request: Request, answer: Answer) -> Response:
        if answer.problem is not None:
            self.metrics.count("aeformat_problems_total", type=answer.problem.type.slug)
        elif answer.fields.get(draft.COMPLETE) == "?1":
            self.metrics.count("aeformat_stored_total")
        return _response(request, answer)

    async def _append(self, request: Request, entry: UploadEntry, caller: Caller, head: Append) -> Answer:
        """Receive a body into an upload.  However this ends, the bytes that were not verified are dropped (T4-3)."""
        generation = await self.uploads.append(entry, head, caller)
        body = RequestBody(request.receive, self.limits)
        is_settled = False
        try:
            answer = await self._feed(entry, generation, body, caller)
            if answer is None:
                self._caller(request, "uploads:write")  # T10-4
                answer = await self.uploads.end(entry, generation)
            is_settled = True
            return answer
        finally:
            self.metrics.count("aeformat_received_bytes_total", body.n_bytes)
            if not is_settled:
                await asyncio.shield(self.uploads.lost(entry, generation))

    async def _feed(self, entry: UploadEntry, generation: int, body: RequestBody, caller: Caller) -> Answer | None:
        """Receive the pieces of a body.  If an Answer is returned, it ends the request before its end (T6-4)."""
        while not body.is_over:
            answer = await self.uploads.data(entry, generation, await body.piece(), caller)
            if answer is not None:
                return answer
        return None


class RequestLog:
    """Logs each request as a line of JSON, without tokens, their digests, queries and addresses (T10-5).

    It also counts requests, and refuses a header that is too large.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, begun = 0, time.monotonic()
        size = len(scope["raw_path"]) + sum(len(name) + len(text) for name, text in scope["headers"])

        async def send_noting_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            if size > HEADER_BYTES:
                problem = Problem("header-too-large", f"{size} bytes of header; allowed are {HEADER_BYTES}")
                await _problem_response(Request(scope), problem)(scope, receive, send_noting_status)
            else:
                await self._app(scope, receive, send_noting_status)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST", "PATCH", "DELETE") else "other"
            self._metrics.count("aeformat_requests_total", method=method, route=route, status=str(status))
            line = {
                "time": round(time.time(), 3),
                "method": method,
                "route": route,
                "status": status,
                "tenant": scope.get("state", {}).get("tenant"),
                "ms": round(1000 * (time.monotonic() - begun), 1),
            }
            log.info(json.dumps(line))


async def _announce(request: Request, where: dict[str, str]) -> None:
    """Tell the client where its upload is before its body is read, if it understands that (T4-12, T4-28)."""
    interim = request.scope["extensions"].get(INTERIM)
    if interim is not None and draft.understands_interim(joined(request, draft.INTEROP)):
        await interim(104, where | {draft.INTEROP: draft.INTEROP_VERSION})


def _response(request: Request, answer: Answer) -> Response:
    if answer.problem is not None:
        return _problem_response(request, answer.problem, answer.fields)
    return Response(status_code=answer.status, headers={**_named(request, answer.fields), "Cache-Control": "no-store"})


def _problem_response(request: Request, problem: Problem, more: dict[str, str] | None = None) -> Response:
    named = {**_named(request, {**problem.fields, **(more or {})}), "Cache-Control": "no-store"}
    if problem.retry == AFTER:
        named["Retry-After"] = _RETRY_AFTER
    return JSONResponse(problem.document(), problem.type.status, named, http_fields.PROBLEM_TYPE)


def _named(request: Request, fields: Mapping[str, str]) -> dict[str, str]:
    """Header fields with the reference to a blob as it is seen from the request (T4-29)."""
    place = fields.get("Content-Location")
    return {**fields, "Content-Location": relative(request, place)} if place else dict(fields)


async def _not_routed(request: Request, error: Exception) -> Response:
    """Answer a request whose path or method is not in the table of resources (T2-9)."""
    assert isinstance(error, HTTPException)
    slug = "method-not-allowed" if error.status_code == 405 else "not-found"
    return _problem_response(request, Problem(slug, slug.replace("-", " "), fields=error.headers))


def _model_ids(data: bytes, most: int) -> list[str]:
    try:
        found: Any = json.loads(data)
    except (ValueError, RecursionError):
        raise Problem("bad-request", "the body is not JSON") from None
    names = found.get("models") if isinstance(found, dict) else None
    if not isinstance(names, list) or not all(isinstance(n, str) and http_fields.DIGEST.fullmatch(n) for n in names):
        raise Problem("bad-request", 'the body is not {"models": [model ids]}')
    if len(names) > most:
        raise Problem("bad-request", f"{len(names)} models; at most {most} at a time")
    return names
