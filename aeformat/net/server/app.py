"""The resources of spec/transport.md, section 2, as an ASGI application.

Owns the table of routes and what runs beside them.  The handlers are in blob_routes.py and upload_routes.py, but those of what
never changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from aeformat.errors import UsageError
from aeformat.net.server.blob_routes import BlobRoutes
from aeformat.net.server.metrics import Metrics
from aeformat.net.server.responses import problem_response
from aeformat.net.server.route_context import RouteContext
from aeformat.net.server.storage import Storage
from aeformat.net.server.tokens import METRICS, SERVER_METRICS, Tokens
from aeformat.net.server.upload_routes import UploadRoutes
from aeformat.net.server.uploads import Uploads
from aeformat.net.view.page import PAGE_FIELDS, page
from aeformat.transport import draft
from aeformat.transport.problems import Problem
from aeformat.transport.transfer_limits import TransferLimits

HEADER_BYTES: Final = 65_536
_SWEEP_SECONDS: Final = 60.0
_THREADS: Final = 64
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class Server:
    """One server: all its routes."""

    def __init__(self, storage: Storage, tokens: Tokens, limits: TransferLimits) -> None:
        self.uploads = Uploads(storage, limits)
        gauges: dict[str, Callable[[], float]] = {
            "aeformat_uploads_open": lambda: self.uploads.n_open,
            "aeformat_uploads_not_removed": lambda: len(self.uploads.files.left),
            "aeformat_removal_failures": lambda: self.uploads.files.n_failures,
            "aeformat_verify_bytes": lambda: self.uploads.room.memory.held,
            "aeformat_files_set_aside": lambda: storage.n_set_aside,
            "aeformat_blobs_missing": lambda: storage.store.n_missing,
        }
        self.shared = RouteContext(storage, tokens, limits, self.uploads, Metrics(gauges))

    def app(self) -> ASGIApp:
        """Make the ASGI application."""
        handler = self.shared.handler
        blobs, uploads = BlobRoutes(self.shared), UploadRoutes(self.shared)
        routes = [
            Route("/v1/", handler(self.capabilities)),
            Route("/v1/openapi.json", handler(self.openapi)),
            Route("/v1/containers", handler(blobs.containers)),
            Route("/v1/containers/{name}", handler(blobs.container), methods=["GET", "DELETE"]),
            Route("/v1/models/{name}", handler(blobs.model), methods=["GET", "DELETE"]),
            Route("/v1/models:missing", handler(blobs.missing), methods=["POST"]),
            Route("/v1/uploads", handler(uploads.create), methods=["POST", "OPTIONS"]),
            Route("/v1/uploads", handler(uploads.list_uploads), methods=["GET"]),
            Route("/v1/uploads/{name}", handler(uploads.upload), methods=["GET", "PATCH", "DELETE", "OPTIONS"]),
            Route("/metrics", handler(self.counters)),
            Route("/view/{name}", handler(self.view)),
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

        if not self.shared.storage.store.is_local:  # then threads wait for answers, and do not work
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS))
        task = asyncio.create_task(sweep())
        try:
            yield
        finally:
            task.cancel()
            self.uploads.close()

    # Resources that never change.

    async def capabilities(self, request: Request) -> Response:
        """Answer GET v1/: versions, digests and limits of this server."""
        document = {"versions": ["v1"], "digests": ["sha-256"], "limits": self.shared.limits.advertised()}
        return JSONResponse(document, headers={draft.LIMIT: self.shared.limits.upload_limit})

    async def openapi(self, request: Request) -> Response:
        """Answer GET v1/openapi.json."""
        text = files("aeformat.net.server").joinpath("openapi.json").read_text(encoding="utf-8")
        return Response(text, media_type="application/json")

    async def view(self, request: Request) -> Response:
        """Answer GET view/{sha256}: the page that asks for this container, with the token that its reader types."""
        if not _DIGEST.fullmatch(request.path_params["name"]):
            raise Problem("not-found", "not found")
        try:
            return Response(page(), media_type="text/html", headers=PAGE_FIELDS)
        except UsageError as error:  # it was not built
            raise Problem("not-found", "this installation has no page") from error

    async def counters(self, request: Request) -> Response:
        """Answer GET metrics: of the caller's tenant, or of the whole server (T10-7)."""
        caller = self.shared.caller(request, METRICS)
        tenant = None if SERVER_METRICS in caller.scopes else caller.tenant
        return PlainTextResponse(self.shared.metrics.text(tenant), media_type="text/plain; version=0.0.4")


async def _not_routed(_request: Request, error: Exception) -> Response:
    """Answer a request whose path or method is not in the table of resources (T2-9)."""
    assert isinstance(error, HTTPException)
    slug = "method-not-allowed" if error.status_code == 405 else "not-found"
    return problem_response(Problem(slug, slug.replace("-", " "), fields=error.headers))


async def _failed(_request: Request, _error: Exception) -> Response:
    """Answer a request that failed by a fault of ours.  Starlette raises the error again, so that it is logged."""
    return problem_response(Problem("server-error", "the server failed; its log has more"))
