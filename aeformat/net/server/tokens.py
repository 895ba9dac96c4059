"""Tokens: which tenant a request comes from, and what it may do (spec/transport.md, section 10).

Owns the token file.  It holds only digests of tokens, and is read again when it changes.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from aeformat.errors import UsageError
from aeformat.net.server.storage import TENANT
from aeformat.transport.problems import Problem

SCOPES: Final = ("containers:read", "models:read", "uploads:write", "blobs:delete", "metrics:read")
_UNLIMITED: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Caller:
    """The tenant that a request comes from, and what its token allows.  expires: seconds since 1970."""

    tenant: str
    scopes: frozenset[str]
    quota_bytes: int
    expires: float = float("inf")


class Tokens:
    """The tokens that a server knows.  Without a token file every request is from one caller, who may do everything."""

    def __init__(self, path: Path | None) -> None:
        """Read the token file.  path: None for a server without tokens.  Raises UsageError if the file is not valid."""
        self.path = path
        self._stamp: tuple[int, int] = (0, 0)
        self._callers: dict[str, Caller] = {}
        self._reload()

    def caller(self, authorization: str | None, scope: str, now: float) -> Caller:
        """The caller that an Authorization field stands for, if it has the scope.  Raises Problem (401, 403; T10-1).

        now: seconds since 1970.
        """
        if self.path is None:
            return Caller("local", frozenset(SCOPES), _UNLIMITED)
        self._reload()
        kind, _, token = (authorization or "").partition(" ")
        caller = self._callers.get(hashlib.sha256(token.strip().encode()).hexdigest())
        if kind.lower() != "bearer" or caller is None or caller.expires <= now:
            fields = {"WWW-Authenticate": 'Bearer realm="aeformat"'}
            raise Problem("unauthorized", "a valid token is needed", fields=fields)
        if scope not in caller.scopes:
            raise Problem("forbidden", f"the token does not have the scope {scope}")
        return caller

    def _reload(self) -> None:
        if self.path is None:
            return
        try:
            stat = self.path.stat()
            stamp = stat.st_mtime_ns, stat.st_ino
            if stamp != self._stamp:
                self._callers = _read(json.loads(self.path.read_bytes()))
                self._stamp = stamp
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            if not self._stamp[1]:
                raise UsageError(f"cannot use the token file {self.path}: {error}") from error
            # It is being edited: the tokens that were read before stay valid.


def _read(found: Any) -> dict[str, Caller]:
    """Callers by the digest of their token, from a parsed token file.

    Raises ValueError, KeyError, TypeError, AttributeError.
    """
    callers = {}
    tenants = found["tenants"]
    for token in found["tokens"]:
        tenant = token["tenant"]
        if not TENANT.fullmatch(tenant) or tenant not in tenants:
            raise ValueError(f"tenant {tenant!r} is not one of {', '.join(tenants)}, or no good name")
        unknown = set(token["scopes"]) - set(SCOPES)
        if unknown:
            raise ValueError(f"unknown scope {sorted(unknown)[0]!r}")
        expires = float("inf")
        if "expires" in token:
            when = datetime.fromisoformat(token["expires"].replace("Z", "+00:00"))
            expires = when.replace(tzinfo=when.tzinfo or timezone.utc).timestamp()
        quota = int(tenants[tenant].get("quota_bytes", _UNLIMITED))
        callers[token["sha256"].lower()] = Caller(tenant, frozenset(token["scopes"]), quota, expires)
    return callers
