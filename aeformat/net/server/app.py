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
from collections.abc import AsyncIterator, Awaitable, Callable
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
from aeformat.net.server.responses import problem_response
from aeformat.net.server.storage import CONTAINERS, MODELS, UPLOAD_ID, Record, Storage
from aeformat.net.server.tokens import METRICS, SERVER_METRICS, Caller, Tokens
from aeformat.net.server.uploads import UploadEntry, Uploads, disk_problem, location
from aeformat.transport import draft, http_fields
from aeformat.transport.draft import BadField
from aeformat.transport.problems import Problem
from aeformat.transport.transfer_limits import TransferLimits
from aeformat.transport.upload_actions import Answer, Append

log = logging.getLogger("aeformat.server")
HEADER_BYTES: Final = 65_536
_SWEEP_SECONDS: Final = 60.0
_MISSING_BYTES: Final = 128 << 10  # largest body of models:missing; one with 1,000 ids takes 67 kB
_THREADS: Final = 64

_T = TypeVar("_T")
Handler = Callable[[Request], Awaitable[Response]]


class Server:
    """One server: the handlers of all routes."""

    def __init__(self, storage: Storage, tokens: Tokens, limits: TransferLimits) -> None:
        self.storage, self.tokens, self.limits = storage, tokens, limits
        self.uploads = Uploads(storage, limits)
        gauges: dict[str, Callable[[], float]] = {
            "aeformat_uploads_open": lambda: self.uploads.n_open,
            "aeformat_files_set_aside": lambda: storage.n_set_aside,
            "aeformat_blobs_missing": lambda: storage.store.n_missing,
        }
        self.metrics = Metrics(gauges)
        self._renderer = RowRenderer(storage, limits)
        self._decoding = asyncio.Semaphore(limits.decoding_at_a_time)

    def app(self) -> ASGIApp:
        """Make the ASGI application."""
        routes = [
            Route("/v1/", self._handler(self.capabilities)),
            Route("/v1/openapi.json", self._handler(self.openapi)),
            Route("/v1/containers", self._handler(self.containers)),
            Route("/v1/containers/{name}", self._handler(self.container), methods=["GET", "DELETE"]),
            Route("/v1/models/{name}", self._handler(self.model), methods=["GET", "DELETE"]),
            Route("/v1/models:missing", self._handler(self.missing), methods=["POST"]),
            Route("/v1/uploads", self._handler(self.create), methods=["POST"]),
            Route("/v1/uploads/{name}", self._handler(self.upload), methods=["HEAD", "PATCH", "DELETE"]),
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
        return problem_response(problem)

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
        async with self._decoding:
            data = await asyncio.to_thread(self._renderer.render, record, caller.tenant, rows, media)
        self.metrics.count("aeformat_rows_drawn_total", rows[1] - rows[0])
        return Response(data, media_type=media, headers={"Vary": "Accept", "Cache-Control": "private, no-transform"})

    async def missing(self, request: Request) -> Response:
        """Answer POST v1/models:missing (T2-5)."""
        caller = self._caller(request, "models:read")
        data = await RequestBody(request.receive, self.limits).read_all(_MISSING_BYTES)
        names = _model_ids(data, self.limits.models_asked)
        known = await self._ask(partial(self.storage.store.known, caller.tenant, MODELS, names))
        return JSONResponse({"missing": [name for name in names if name not in known]})

    # Uploads.

    async def create(self, request: Request) -> Response:
        """Answer POST v1/uploads.  No handler sends an interim response; only the HTTP layer sends 100 (T4-12)."""
        caller = self._caller(request, "uploads:write")
        _check_interop(request)
        is_last, length, body_bytes = _complete(request), _length(request), _content_length(request)
        if body_bytes != 0:
            _require_type(request, http_fields.MEDIA_TYPE)
        await self._ask(partial(self.storage.store.count, caller.tenant))
        entry = await self.uploads.create(caller, length)
        where = {
            "Location": f"{request.scope.get('root_path', '')}/v1/uploads/{entry.name}",
            draft.LIMIT: self.limits.upload_limit,
        }
        if body_bytes == 0 and not is_last:
            return _response(Answer(201, where | {draft.OFFSET: "0", draft.COMPLETE: "?0"}))
        answer = await self._append(request, entry, caller, Append(0, is_last, length, body_bytes))
        status = 201 if answer.problem is None else answer.status
        return self._counted_response(Answer(status, where | answer.fields, answer.problem))

    async def upload(self, request: Request) -> Response:
        """Answer HEAD, PATCH and DELETE of v1/uploads/{id}."""
        caller = self._caller(request, "uploads:write")
        _check_interop(request)
        name = request.path_params["name"]
        if not UPLOAD_ID.fullmatch(name):
            raise Problem("upload-unknown", "there is no such upload")
        entry = self.uploads.find(name, caller)
        if request.method == "HEAD":
            return _response(await self.uploads.head(entry))
        if request.method == "DELETE":
            return _response(await self.uploads.cancel(entry))
        _require_type(request, draft.PARTIAL)
        offset = draft.integer(draft.OFFSET, _required(request, draft.OFFSET))
        head = Append(offset, _complete(request), _length(request), _content_length(request))
        return self._counted_response(await self._append(request, entry, caller, head))

    def _counted_response(self, answer: Answer) -> Response:
        if answer.problem is not None:
            self.metrics.count("aeformat_problems_total", type=answer.problem.type.slug)
        elif answer.fields.get(draft.COMPLETE) == "?1":
            self.metrics.count("aeformat_stored_total")
        return _response(answer)

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


def _response(answer: Answer) -> Response:
    if answer.problem is not None:
        return problem_response(answer.problem, answer.fields)
    return Response(status_code=answer.status, headers={**answer.fields, "Cache-Control": "no-store"})


async def _not_routed(_request: Request, error: Exception) -> Response:
    """Answer a request whose path or method is not in the table of resources (T2-9)."""
    assert isinstance(error, HTTPException)
    slug = "method-not-allowed" if error.status_code == 405 else "not-found"
    return problem_response(Problem(slug, slug.replace("-", " "), fields=error.headers))


async def _failed(_request: Request, _error: Exception) -> Response:
    """Answer a request that failed by a fault of ours.  Starlette raises the error again, so that it is logged."""
    return problem_response(Problem("server-error", "the server failed; its log has more"))


def _required(request: Request, name: str) -> str:
    text = request.headers.get(name)
    if text is None:
        raise Problem("bad-request", f"the field {name} is missing")
    return text


def _complete(request: Request) -> bool:
    return draft.boolean(draft.COMPLETE, _required(request, draft.COMPLETE))


def _length(request: Request) -> int | None:
    text = request.headers.get(draft.LENGTH)
    return None if text is None else draft.integer(draft.LENGTH, text)


def _content_length(request: Request) -> int | None:
    """The request's Content-Length, 0 if it has none; None for a chunked body."""
    if "transfer-encoding" in request.headers:
        return None
    return draft.integer("Content-Length", request.headers.get("content-length", "0"))


def _require_type(request: Request, media: str) -> None:
    found = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if found != media:
        raise Problem("unsupported-media-type", f"the body's type must be {media}, not {found[:60] or 'unstated'}")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Problem("unsupported-media-type", "bodies are not coded here")


def _check_interop(request: Request) -> None:
    """Check the version of the draft that the client names (T4-14).  Raises Problem (400)."""
    text = request.headers.get(draft.INTEROP, draft.INTEROP_VERSION)
    if text.strip() != draft.INTEROP_VERSION:
        raise Problem(
            "bad-request", f"interop version {text[:20]!r} of the draft; this server speaks {draft.INTEROP_VERSION}"
        )


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
