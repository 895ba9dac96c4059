"""Pages of other origins that may use this server from a browser: CORS (the Fetch standard; spec/transport.md, T2-17).

Cookies are never involved: a page sends its token, or there are no tokens and the operator has named the origin.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aeformat.errors import UsageError
from aeformat.net.server.request_context import FIELD
from aeformat.transport import draft

ANY: Final = "*"
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_DRAFT: Final = (draft.OFFSET, draft.COMPLETE, draft.LENGTH, draft.INTEROP)
_METHODS: Final = "GET, HEAD, POST, PATCH, DELETE, OPTIONS"
_REQUEST_FIELDS: Final = ", ".join(
    (
        "Authorization", "Accept", "Content-Type", "Range", "If-Range", "If-Match", "If-None-Match",
        "Content-Digest", "Repr-Digest", FIELD, *_DRAFT,
    )
)  # fmt: skip
_ANSWER_FIELDS: Final = ", ".join(
    (
        "Location", "Content-Location", "Content-Range", "Content-Digest", "Repr-Digest", "ETag", "Accept-Ranges",
        "Allow", "Accept-Patch", "Date", "Retry-After", "WWW-Authenticate", FIELD, draft.LIMIT, *_DRAFT,
    )
)  # fmt: skip
_MAX_AGE: Final = "7200"  # seconds that a browser keeps the answer to a preflight; Chromium's own limit


class Cors:
    """Wraps an ASGI application.  origins: who may use it; * for all pages."""

    def __init__(self, app: ASGIApp, origins: Iterable[str]) -> None:
        self._app, self._origins = app, frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request (ASGI): answer preflights of these origins, add the fields that let their pages read an answer."""
        if scope["type"] != "http" or not self._origins:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        allowed = ANY if ANY in self._origins else origin if origin in self._origins else None
        if allowed and scope["method"] == "OPTIONS" and origin and "access-control-request-method" in headers:
            await _preflight(allowed)(scope, receive, send)
            return

        async def send_with_fields(message: Message) -> None:
            if message["type"] == "http.response.start":
                named = MutableHeaders(scope=message)
                if ANY not in self._origins:
                    named.append("Vary", "Origin")
                if allowed and origin:
                    named["Access-Control-Allow-Origin"] = allowed
                    named["Access-Control-Expose-Headers"] = _ANSWER_FIELDS
            await send(message)

        await self._app(scope, receive, send_with_fields)


def _preflight(allowed: str) -> Response:
    named = {
        "Access-Control-Allow-Origin": allowed,
        "Access-Control-Allow-Methods": _METHODS,
        "Access-Control-Allow-Headers": _REQUEST_FIELDS,
        "Access-Control-Max-Age": _MAX_AGE,
        "Cache-Control": "no-store",
        "Vary": "Origin",
    }
    return Response(status_code=204, headers=named)


def checked_origins(origins: Iterable[str], *, has_tokens: bool) -> tuple[str, ...]:
    """The origins as browsers write them.  Raises UsageError; "*" needs tokens, or any page could read and delete."""
    found = tuple(_without_default_port(origin.lower()) for origin in origins)
    for origin in found:
        if origin == ANY and not has_tokens:
            raise UsageError("every page of the web could read and delete here: name the origins, or use tokens")
        if origin != ANY and not _ORIGIN.fullmatch(origin):
            raise UsageError(f"{origin!r} is not an origin such as https://app.example: scheme, host, port, no path")
    return found


def _without_default_port(origin: str) -> str:
    """Browsers leave the port out where it is the scheme's own."""
    scheme, _, rest = origin.partition("://")
    return f"{scheme}://{rest.removesuffix({'http': ':80', 'https': ':443'}.get(scheme, ''))}" if rest else origin
