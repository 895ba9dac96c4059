"""Which names of this server are answered to (spec/transport.md, T2-16).

A page of the web can have its own name point to 127.0.0.1, and is then of the same origin as a server there: it may read and
delete.  Its requests carry that name in Host, so a server that asks for no token answers only to names that are its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from aeformat.errors import UsageError
from aeformat.net.server.responses import problem_response
from aeformat.transport.problems import Problem

LOCAL: Final = ("localhost", "127.0.0.1", "[::1]")
_NAME: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\]")


class HostCheck:
    """Wraps an ASGI application.  Requests for other names than these are answered 421."""

    def __init__(self, app: ASGIApp, names: Iterable[str]) -> None:
        """names: without ports; IPv6 addresses in brackets."""
        self._app, self._names = app, frozenset(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request (ASGI)."""
        if scope["type"] == "http":
            host = Headers(scope=scope).get("host", "")
            if host_name(host) not in self._names:
                problem = Problem(
                    "misdirected-request",
                    f"this server does not answer to the name {host[:80]!r}; its operator sets names",
                )
                await problem_response(problem)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def host_name(host: str) -> str:
    """The name in a Host field, without its port, in small letters."""
    name = host.strip().lower()
    bracket = name.find("]")
    name = name[: bracket + 1] if name.startswith("[") and bracket > 0 else name.partition(":")[0]
    return name.removesuffix(".")


def served_names(given: Iterable[str], listening: str) -> frozenset[str]:
    """The names that a server answers to: those of the loopback interface, the address it listens on, and those given.

    Raises UsageError if one that is given is no name without a port.
    """
    names = [name.lower() for name in given]
    for name in names:
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} is not a host name; write it without scheme and port, IPv6 as [::1]")
    return frozenset((*LOCAL, f"[{listening}]" if ":" in listening else listening.lower(), *names))
