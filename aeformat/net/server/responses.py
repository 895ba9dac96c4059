"""Responses that are made in more than one place: problem documents (spec/transport.md, section 6)."""

from __future__ import annotations

from typing import Final

from starlette.responses import JSONResponse, Response

from aeformat.net.server import request_context
from aeformat.transport import http_fields
from aeformat.transport.problems import AFTER, Problem

_RETRY_AFTER: Final = "1"


def problem_response(problem: Problem, more: dict[str, str] | None = None) -> Response:
    """The answer to a refused request.  more: further header fields.  The document names the request (T2-19)."""
    named = {**problem.fields, **(more or {}), "Cache-Control": "no-store"}
    if problem.retry == AFTER:
        named.setdefault("Retry-After", _RETRY_AFTER)
    request = request_context.current()
    document = problem.document() | ({} if request is None else {"request_id": request.id})
    return JSONResponse(document, problem.type.status, named, http_fields.PROBLEM_TYPE)
