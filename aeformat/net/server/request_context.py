"""What is known of the request that is being answered: for the access log, the counters and problem documents.

A context variable of each request's task: what a request calls, in threads too, need not hand it down.
"""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

FIELD: Final = "X-Request-ID"
KEY: Final = "aeformat.request_id"  # in an ASGI scope, for who stands outside the request's task
_SANE: Final = re.compile(r"[A-Za-z0-9._~:/+=@-]{1,128}")


@dataclass(slots=True)
class RequestContext:
    """One request.  id: T2-19.  client: the address it came from.  tenant: known once its token has been checked."""

    id: str
    client: str | None
    tenant: str | None = None


_current: ContextVar[RequestContext | None] = ContextVar("aeformat_request", default=None)


def current() -> RequestContext | None:
    """The request that this code runs for; None outside of requests."""
    return _current.get()


def begin(context: RequestContext) -> None:
    """Make a context that of the task which runs now."""
    _current.set(context)


def request_id(sent: str | None) -> str:
    """The id of a request: the one that was sent with it, where it has a sane form, else a new one (T2-19)."""
    return sent if sent is not None and _SANE.fullmatch(sent) else secrets.token_hex(16)
