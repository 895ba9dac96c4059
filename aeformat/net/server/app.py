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
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.resources import files
from typing import Any, Final, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from aeformat.net.server import request_context
from aeformat.net.server.blobs import blob_response
from aeformat.net.server.listing import page, page_asked
from aeformat.net.server.metrics import Metrics
from aeformat.net.server.render import RowRenderer
from aeformat.net.server.request_body import BodyLost, RequestBody
from aeformat.net.server.request_cycle import INTERIM, WATCH
from aeformat.net.server.request_fields import append_of, is_not_modified, joined, relative, require_type, whole_digests
from aeformat.net.server.responses import problem_response
from aeformat.net.server.storage import CONTAINERS, MODELS, UPLOAD_ID, Record, Storage
from aeformat.net.server.tokens import METRICS, SERVER_METRICS, Caller, Tokens
from aeformat.net.server.upload_files import UploadEntry, disk_problem, location
from aeformat.net.server.uploads import Uploads
from aeformat.transport import draft, http_fields
from aeformat.transport.problems import Problem
from aeformat.transport.structured import BadField
from aeformat.transport.transfer_limits import TransferLimits
from aeformat.transport.upload_actions import Answer, Append

log = logging.getLogger("aeformat.server")
HEADER_BYTES: Final = 65_536
_SWEEP_SECONDS: Final = 60.0
_MISSING_BYTES: Final = 128 << 10  # largest body of models:missing; one with 1,000 ids takes 67 kB
_THREADS: Final = 64

_OF_PICTURES: Final = {"Vary": "Accept", "Cache-Control": "private, no-transform"}

_T = TypeVar("_T")
Handler = Callable[[Request], Awaitable[Response]]


class Server:
    """One server: the handlers of all routes."""

    def __init__(self, storage: Storage, tokens: Tokens, limits: TransferLimits) -> None:
        self.storage, self.tokens, self.limits = storage, tokens, limits
        self.uploads = Uploads(storage, limits)
        gauges: dict[str, Callable[[], float]] = {
            "aeformat_uploads_open": lambda: self.uploads.n_open,
            "aeformat_uploads_not_removed": lambda: len(self.uploads.files.left),
            "aeformat_removal_failures": lambda: self.uploads.files.n_failures,
            "aeformat_verify_bytes": lambda: self.uploads.memory.held,
            "aeformat_files_set_aside": lambda: storage.n_set_aside,
            "aeformat_blobs_missing": lambda: storage.store.n_missing,
        }
        self.metrics = Metrics(gauges)
        self._renderer = RowRenderer(storage, limits, has_tenants=tokens.path is not None)

    def app(self) -> ASGIApp:
        """Make the ASGI application."""
        routes = [
            Route("/v1/", self._handler(self.capabilities)),
            Route("/v1/openapi.json", self._handler(self.openapi)),
            Route("/v1/containers", self._handler(self.containers)),
            Route("/v1/containers/{name}", self._handler(self.container), methods=["GET", "DELETE"]),
            Route("/v1/models/{name}", self._handler(self.model), methods=["GET", "DELETE"]),
            Route("/v1/models:missing", self._handler(self.missing), methods=["POST"]),
            Route("/v1/uploads", self._handler(self.create), methods=["POST", "OPTIONS"]),
            Route("/v1/uploads", self._handler(self.list_uploads), methods=["GET"]),
            Route("/v1/uploads/{name}", self._handler(self.upload), methods=["GET", "PATCH", "DELETE", "OPTIONS"]),
            Route("/metrics", self._handler(self.counters)),
        ]
        app = Starlette(
            routes=routes, lifespan=self._lifespan, exception_handlers={HTTPException: _not_routed, Exception: _failed}
        )
        app.router.redirect_slashes = False
        return app

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        async def sweep() -> None:
            while True:
                await asyncio.sleep(_SWEEP_SECONDS)
                await self.uploads.sweep()

        if not self.storage.store.is_local:  # then threads wait for answers, and do not work
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS))
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
        return problem_response(problem, _named(request, problem.fields))

    def _caller(self, request: Request, scope: str) -> Caller:
        caller = self.tokens.caller(request.headers.get("authorization"), scope, time.time())
        context = request_context.current()
        if context is not None:
            context.tenant = caller.tenant
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
        """Answer GET metrics: of the caller's tenant, or of the whole server (T10-7)."""
        caller = self._caller(request, METRICS)
        tenant = None if SERVER_METRICS in caller.scopes else caller.tenant
        return PlainTextResponse(self.metrics.text(tenant), media_type="text/plain; version=0.0.4")

    async def containers(self, request: Request) -> Response:
        """Answer GET v1/containers (T2-11)."""
        caller = self._caller(request, "containers:read")
        asked = page_asked(request.query_params)
        find = partial(self.storage.store.containers, caller.tenant)
        return JSONResponse(await asyncio.to_thread(page, find, *asked), headers={"Cache-Control": "no-store"})

    async def container(self, request: Request) -> Response:
        """Answer GET and DELETE of v1/containers/{sha256}; with ?rows= the answer to GET is an image of these rows."""
        if request.method == "DELETE":
            return await self._delete(request, CONTAINERS)
        caller = self._caller(request, "containers:read")
        record = await self._record(request, caller, CONTAINERS)
        if "rows" in request.query_params:
            return await self._rows(request, caller, record)
        return await self._blob(request, caller, record)

    async def model(self, request: Request) -> Response:
        """Answer GET and DELETE of v1/models/{model}."""
        if request.method == "DELETE":
            return await self._delete(request, MODELS)
        caller = self._caller(request, "models:read")
        return await self._blob(request, caller, await self._record(request, caller, MODELS))

    async def _ask(self, ask: Callable[[], _T]) -> _T:
        """Ask the store: at once if it is on this machine, else in a thread."""
        return ask() if self.storage.store.is_local else await asyncio.to_thread(ask)

    async def _record(self, request: Request, caller: Caller, kind: str) -> Record:
        """The record of the blob in the path.  Raises Problem (404), the same one if another tenant has the blob (T10-2)."""
        name = request.path_params["name"]
        record = None
        if http_fields.DIGEST.fullmatch(name):
            record = await self._ask(partial(self.storage.find, caller.tenant, kind, name))
        if record is None:
            raise _not_found(kind)
        return record

    async def _blob(self, request: Request, caller: Caller, record: Record) -> Response:
        if http_fields.preferred(request.headers.get("accept"), (http_fields.MEDIA_TYPE,)) is None:
            raise Problem("not-acceptable", f"a blob is {http_fields.MEDIA_TYPE}; ask for rows to get pictures")
        return await blob_response(
            request,
            record,
            lambda start, stop: self._ask(partial(self.storage.store.open, record, caller.tenant, start, stop)),
            is_public=self.tokens.path is None,
            sent=lambda n_bytes: self.metrics.count("aeformat_sent_bytes_total", n_bytes),
        )

    async def _delete(self, request: Request, kind: str) -> Response:
        """Answer DELETE of a blob (T2-10)."""
        caller = self._caller(request, "blobs:delete")
        if joined(request, "if-match") is not None or joined(request, "if-none-match") is not None:
            record = await self._record(request, caller, kind)
            is_not_modified(request, http_fields.entity_tag(bytes.fromhex(record.sha256)))  # which is 412 for DELETE
        name = request.path_params["name"]
        if not http_fields.DIGEST.fullmatch(name):
            raise _not_found(kind)
        await self.uploads.drop_results(caller.tenant, location(kind, name))
        if not await asyncio.to_thread(self.storage.delete, caller.tenant, kind, name):
            raise _not_found(kind)
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
        data = await self._while_there(request, self._renderer.render(record, caller.tenant, rows, media))
        self.metrics.count("aeformat_rows_drawn_total", rows[1] - rows[0])
        return Response(data, media_type=media, headers=_OF_PICTURES)

    async def _while_there(self, request: Request, working: Coroutine[Any, Any, bytes]) -> bytes:
        """The result of work that is cancelled if the client leaves (T7-7).  Raises BodyLost then."""
        work = asyncio.ensure_future(working)
        leaving = asyncio.ensure_future(_left(request))
        try:
            await asyncio.wait({work, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise BodyLost
            return work.result()
        finally:
            work.cancel()
            leaving.cancel()

    async def missing(self, request: Request) -> Response:
        """Answer POST v1/models:missing (T2-5)."""
        caller = self._caller(request, "models:read")
        data = await RequestBody(request.receive, self.limits).read_all(_MISSING_BYTES)
        names = _model_ids(data, self.limits.models_asked)
        known = await self._ask(partial(self.storage.store.known, caller.tenant, MODELS, names))
        return JSONResponse({"missing": [name for name in names if name not in known]})

    # Uploads.

    async def create(self, request: Request) -> Response:
        """Answer POST and OPTIONS of v1/uploads."""
        if request.method == "OPTIONS":
            return self._options("GET, HEAD, OPTIONS, POST")
        caller = self._caller(request, "uploads:write")
        head = append_of(request, is_creation=True)
        if head.body_bytes != 0:
            require_type(request, http_fields.MEDIA_TYPE)
        head.total()  # before anything is created (T4-24)
        await self._ask(partial(self.storage.store.count, caller.tenant))
        entry = await self.uploads.create(caller, head, whole_digests(request))
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
            is_told = await asyncio.shield(self.uploads.told(entry, answer))
        limit = {draft.LIMIT: entry.machine.upload_limit}
        status = 201 if answer.problem is None else answer.status
        fields = where | limit | answer.fields if is_told else limit | answer.fields
        return self._counted_response(request, Answer(status, fields, answer.problem))

    async def _announce(self, request: Request, entry: UploadEntry, where: dict[str, str]) -> None:
        """Tell the client where its upload is before its body is read, if it understands that (T4-12, T4-28)."""
        interim = request.scope["extensions"].get(INTERIM)
        if interim is not None and draft.understands_interim(joined(request, draft.INTEROP)):
            await self.uploads.tell(entry)
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
        caller = self._caller(request, "uploads:write")
        return JSONResponse({"uploads": self.uploads.listed(caller)}, headers={"Cache-Control": "no-store"})

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


def _not_found(kind: str) -> Problem:
    return Problem("not-found", f"there is no such {kind[:-1]}")


def _response(request: Request, answer: Answer) -> Response:
    if answer.problem is not None:
        return problem_response(answer.problem, _named(request, {**answer.problem.fields, **answer.fields}))
    return Response(status_code=answer.status, headers={**_named(request, answer.fields), "Cache-Control": "no-store"})


async def _left(request: Request) -> None:
    """Wait until the client has left."""
    watch = request.scope.get("extensions", {}).get(WATCH)
    if watch is not None:
        watch()
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _named(request: Request, fields: Mapping[str, str]) -> dict[str, str]:
    """Header fields with the reference to a blob as it is seen from the request (T4-29)."""
    place = fields.get("Content-Location")
    return {**fields, "Content-Location": relative(request, place)} if place else dict(fields)


async def _not_routed(_request: Request, error: Exception) -> Response:
    """Answer a request whose path or method is not in the table of resources (T2-9)."""
    assert isinstance(error, HTTPException)
    slug = "method-not-allowed" if error.status_code == 405 else "not-found"
    return problem_response(Problem(slug, slug.replace("-", " "), fields=error.headers))


async def _failed(_request: Request, _error: Exception) -> Response:
    """Answer a request that failed by a fault of ours.  Starlette raises the error again, so that it is logged."""
    return problem_response(Problem("server-error", "the server failed; its log has more"))


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
