"""The outermost layer of the application: each request gets its id and address, its line in the log, its place in the counters.

Neither tokens, their digests nor queries are logged (T10-5).  It also refuses a header that is too large.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, BinaryIO, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aeformat.net.server import request_context
from aeformat.net.server.client_address import TrustedProxies
from aeformat.net.server.json_log import fields
from aeformat.net.server.metrics import Metrics
from aeformat.net.server.request_context import FIELD, RequestContext, request_id
from aeformat.net.server.request_cycle import SEND_FILE
from aeformat.net.server.responses import problem_response
from aeformat.transport.problems import Problem

log = logging.getLogger("aeformat.server")
_METHODS: Final = ("GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS")
_PATH_CHARACTERS: Final = 256  # of a path that are logged
_PROBES: Final = ("/healthz", "/readyz")  # asked every few seconds by machines: logged at level debug


class AccessLog:
    """Wraps an ASGI application.  header_bytes: the largest size of a request line and its header."""

    def __init__(self, app: ASGIApp, metrics: Metrics, proxies: TrustedProxies, header_bytes: int) -> None:
        self._app, self._metrics, self._proxies, self._header_bytes = app, metrics, proxies, header_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        context = RequestContext(request_id(headers.get(FIELD)), self._client(scope, headers))
        request_context.begin(context)
        scope[request_context.KEY] = context.id
        traffic = _Traffic(scope, receive, send, context.id)
        size = len(scope["raw_path"]) + sum(len(name) + len(text) for name, text in scope["headers"])
        begun = time.monotonic()
        try:
            if size > self._header_bytes:
                problem = Problem("header-too-large", f"{size} bytes of header; allowed are {self._header_bytes}")
                await problem_response(problem)(scope, traffic.receive, traffic.send)
            else:
                await self._app(scope, traffic.receive, traffic.send)
        finally:
            self._write_down(scope, context, traffic, time.monotonic() - begun)

    def _client(self, scope: Scope, headers: Headers) -> str | None:
        peer = scope.get("client")
        return self._proxies.client(
            peer[0] if peer else None, headers.getlist("x-forwarded-for"), headers.getlist("forwarded")
        )

    def _write_down(self, scope: Scope, context: RequestContext, traffic: _Traffic, seconds: float) -> None:
        path: str = scope["path"]
        route: str = getattr(scope.get("route"), "path", path if path in _PROBES else "none")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.count("aeformat_requests_total", method=method, route=route, status=str(traffic.status))
        for name, value in (
            ("aeformat_request_duration_seconds", seconds),
            ("aeformat_request_body_bytes", traffic.n_in),
            ("aeformat_response_body_bytes", traffic.n_out),
        ):
            self._metrics.observe(name, value, method=method, route=route)
        line = {
            "client": context.client,
            "tenant": context.tenant,
            "method": method,
            "route": route,
            "path": scope["raw_path"][:_PATH_CHARACTERS].decode("latin-1"),
            "status": traffic.status,
            "bytes_in": traffic.n_in,
            "bytes_out": traffic.n_out,
            "ms": round(1000 * seconds, 1),
        }
        log.log(logging.DEBUG if route in _PROBES else logging.INFO, "", extra=fields(**line))


class _Traffic:
    """Notes what passes between one request and the application.  status: 0 where the client left without an answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, request: str) -> None:
        self._receive, self._send, self._request, self._method = receive, send, request, scope["method"]
        self.status = self.n_in = self.n_out = 0
        extensions = scope.get("extensions", {})
        if SEND_FILE in extensions:
            self._send_file = extensions[SEND_FILE]
            scope["extensions"] = {**extensions, SEND_FILE: self.send_file}

    async def receive(self) -> Message:
        message = await self._receive()
        self.n_in += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message)[FIELD] = self._request
        await self._send(message)
        if self._method != "HEAD":
            self.n_out += len(message.get("body", b""))

    async def send_file(self, file: BinaryIO, at: int, stop: int, sent: Callable[[int], None]) -> Any:
        def noted(n_bytes: int) -> None:
            self.n_out += n_bytes
            sent(n_bytes)

        return await self._send_file(file, at, stop, noted)
