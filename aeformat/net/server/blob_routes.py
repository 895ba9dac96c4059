"""The routes of stored blobs: containers and models (spec/transport.md, section 2).

Owns which blob a path names, and which form of it is asked for.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from aeformat.net.server.blobs import blob_response
from aeformat.net.server.listing import page, page_asked
from aeformat.net.server.render import RowRenderer
from aeformat.net.server.request_body import BodyLost, RequestBody
from aeformat.net.server.request_cycle import WATCH
from aeformat.net.server.request_fields import is_not_modified, joined
from aeformat.net.server.route_context import RouteContext
from aeformat.net.server.storage import CONTAINERS, MODELS, Record
from aeformat.net.server.tokens import Caller
from aeformat.net.server.upload_files import location
from aeformat.transport import http_fields
from aeformat.transport.problems import Problem

_MISSING_BYTES: Final = 128 << 10  # largest body of models:missing; one with 1,000 ids takes 67 kB
_OF_PICTURES: Final = {"Vary": "Accept", "Cache-Control": "private, no-transform"}


class BlobRoutes:
    """The handlers of the routes of blobs."""

    def __init__(self, shared: RouteContext) -> None:
        self._shared = shared
        self._renderer = RowRenderer(shared.storage, shared.limits, has_tenants=shared.tokens.path is not None)

    async def containers(self, request: Request) -> Response:
        """Answer GET v1/containers (T2-11)."""
        caller = self._shared.caller(request, "containers:read")
        asked = page_asked(request.query_params)
        find = partial(self._shared.storage.store.containers, caller.tenant)
        return JSONResponse(await asyncio.to_thread(page, find, *asked), headers={"Cache-Control": "no-store"})

    async def container(self, request: Request) -> Response:
        """Answer GET and DELETE of v1/containers/{sha256}; with ?rows= the answer to GET is an image of these rows."""
        if request.method == "DELETE":
            return await self._delete(request, CONTAINERS)
        caller = self._shared.caller(request, "containers:read")
        record = await self._record(request, caller, CONTAINERS)
        if "rows" in request.query_params:
            return await self._rows(request, caller, record)
        return await self._blob(request, caller, record)

    async def model(self, request: Request) -> Response:
        """Answer GET and DELETE of v1/models/{model}."""
        if request.method == "DELETE":
            return await self._delete(request, MODELS)
        caller = self._shared.caller(request, "models:read")
        return await self._blob(request, caller, await self._record(request, caller, MODELS))

    async def _record(self, request: Request, caller: Caller, kind: str) -> Record:
        """The record of the blob in the path.  Raises Problem (404), the same one if another tenant has the blob (T10-2)."""
        name = request.path_params["name"]
        record = None
        if http_fields.DIGEST.fullmatch(name):
            record = await self._shared.ask(partial(self._shared.storage.find, caller.tenant, kind, name))
        if record is None:
            raise _not_found(kind)
        return record

    async def _blob(self, request: Request, caller: Caller, record: Record) -> Response:
        if http_fields.preferred(request.headers.get("accept"), (http_fields.MEDIA_TYPE,)) is None:
            raise Problem("not-acceptable", f"a blob is {http_fields.MEDIA_TYPE}; ask for rows to get pictures")
        return await blob_response(
            request,
            record,
            lambda start, stop: self._shared.ask(
                partial(self._shared.storage.store.open, record, caller.tenant, start, stop)
            ),
            is_public=self._shared.tokens.path is None,
            sent=lambda n_bytes: self._shared.metrics.count("aeformat_sent_bytes_total", n_bytes),
        )

    async def _delete(self, request: Request, kind: str) -> Response:
        """Answer DELETE of a blob (T2-10)."""
        caller = self._shared.caller(request, "blobs:delete")
        if joined(request, "if-match") is not None or joined(request, "if-none-match") is not None:
            record = await self._record(request, caller, kind)
            is_not_modified(request, http_fields.entity_tag(bytes.fromhex(record.sha256)))  # which is 412 for DELETE
        name = request.path_params["name"]
        if not http_fields.DIGEST.fullmatch(name):
            raise _not_found(kind)
        await self._shared.uploads.drop_results(caller.tenant, location(kind, name))
        if not await asyncio.to_thread(self._shared.storage.delete, caller.tenant, kind, name):
            raise _not_found(kind)
        self._renderer.drop_model(caller.tenant, name)
        self._shared.metrics.count("aeformat_deleted_total")
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
        self._shared.metrics.count("aeformat_rows_drawn_total", rows[1] - rows[0])
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
        caller = self._shared.caller(request, "models:read")
        data = await RequestBody(request.receive, self._shared.limits).read_all(_MISSING_BYTES)
        names = _model_ids(data, self._shared.limits.models_asked)
        known = await self._shared.ask(partial(self._shared.storage.store.known, caller.tenant, MODELS, names))
        return JSONResponse({"missing": [name for name in names if name not in known]})


def _not_found(kind: str) -> Problem:
    return Problem("not-found", f"there is no such {kind[:-1]}")


async def _left(request: Request) -> None:
    """Wait until the client has left."""
    watch = request.scope.get("extensions", {}).get(WATCH)
    if watch is not None:
        watch()
    while (await request.receive())["type"] != "http.disconnect":
        pass


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
