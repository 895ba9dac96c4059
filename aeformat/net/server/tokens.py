"""Tokens: which tenant a request comes from, and what it may do (spec/transport.md, section 10).

Owns the token file.  It holds only digests of tokens, and is read again when it changes.  While it cannot be read, nobody gets
in by a token: one that was taken out of the file must not work because of a slip of the pen elsewhere in it (T10-8).
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from aeformat.errors import UsageError
from aeformat.net.server.json_log import fields
from aeformat.net.server.storage import TENANT
from aeformat.transport.problems import Problem

log = logging.getLogger("aeformat.server")

METRICS: Final = "metrics:read"
SERVER_METRICS: Final = "metrics:server"
SCOPES: Final = ("containers:read", "models:read", "uploads:write", "blobs:delete", METRICS, SERVER_METRICS)
_UNLIMITED: Final = 1 << 62
_YOUNG_NS: Final = 2_000_000_000  # a file that changed so recently may change again without a new time


@dataclass(frozen=True, slots=True)
class Caller:
    """The tenant that a request comes from, and what its token allows.  expires: seconds since 1970."""

    tenant: str
    scopes: frozenset[str]
    quota_bytes: int
    expires: float = float("inf")


class Tokens:
    """The tokens that a server knows.  Without a token file every request is from one caller, who may do everything.

    unreadable: why the token file cannot be used at the moment; None if it can.
    """

    def __init__(self, path: Path | None) -> None:
        """Read the token file.  path: None for a server without tokens.  Raises UsageError if the file is not valid."""
        self.path = path
        self.unreadable: str | None = None
        self._is_missing = False
        self._stamp: tuple[int, ...] = ()
        self._callers: dict[str, Caller] = {}
        self._read_file(path)
        if self.unreadable is not None:
            raise UsageError(f"cannot use the token file {path}: {self.unreadable}")

    def caller(self, authorization: str | None, scope: str, now: float) -> Caller:
        """The caller that an Authorization field stands for, if it has the scope.  Raises Problem (401, 403, 503; T10-1).

        now: seconds since 1970.
        """
        if self.path is None:
            return Caller("local", frozenset(SCOPES), _UNLIMITED)
        self.look()
        kind, _, token = (authorization or "").partition(" ")
        caller = self._callers.get(hashlib.sha256(token.strip().encode()).hexdigest())
        if token and self.unreadable is not None and not (caller and self._may_still_watch(caller, scope)):
            raise Problem("tokens-unreadable", "no token can be checked until the operator has repaired the token file")
        if kind.lower() != "bearer" or caller is None or caller.expires <= now:
            named = {"WWW-Authenticate": 'Bearer realm="aeformat"'}
            raise Problem("unauthorized", "a valid token is needed", fields=named)
        if scope not in caller.scopes and not (scope == METRICS and SERVER_METRICS in caller.scopes):
            raise Problem("forbidden", f"the token does not have the scope {scope}")
        return caller

    def _may_still_watch(self, caller: Caller, scope: str) -> bool:
        """Whether this is who watches the server: the counters say that the file is broken.  Not once it is removed."""
        return scope == METRICS and SERVER_METRICS in caller.scopes and not self._is_missing

    def look(self) -> None:
        """Read the token file again if it has changed."""
        before = self.unreadable
        self._read_file(self.path)
        if self.unreadable not in (None, before):
            log.error(
                "the token file cannot be read: nobody gets in by a token until it can",
                extra=fields(file=str(self.path), reason=self.unreadable),
            )

    def reload(self) -> None:
        """Read the token file again, whether or not it seems changed."""
        self._stamp = ()
        self.look()

    def _read_file(self, path: Path | None) -> None:
        if path is None:
            return
        try:
            stat = path.stat()
            stamp = stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_size
            if stamp == self._stamp:
                return
            is_young = time.time_ns() - max(stat.st_mtime_ns, stat.st_ctime_ns) < _YOUNG_NS
            self._stamp = () if is_young else stamp
            callers = _read(json.loads(path.read_bytes()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            if isinstance(error, OSError):
                self._stamp = ()  # it may come back as it was
            self.unreadable = _reason(error)
            self._is_missing = isinstance(error, FileNotFoundError)
            return
        if self.unreadable is not None or (self._callers and callers != self._callers):
            tenants = len({caller.tenant for caller in callers.values()})
            log.info("the token file was read again", extra=fields(n_tokens=len(callers), n_tenants=tenants))
        self._callers, self.unreadable, self._is_missing = callers, None, False


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return f"the member {error} is missing" if isinstance(error, KeyError) else str(error)


def _read(found: Any) -> dict[str, Caller]:
    """Callers by the digest of their token, from a parsed token file.

    Raises ValueError, KeyError, TypeError, AttributeError.
    """
    callers = {}
    tenants = found["tenants"]
    _only(found, "tenants", "tokens")
    for settings in tenants.values():
        _only(settings, "quota_bytes")
    for token in found["tokens"]:
        _only(token, "sha256", "tenant", "scopes", "expires")
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


def _only(found: dict[str, Any], *known: str) -> None:
    """Check that there is no other member: of a misspelt `expires` nobody would learn.  Raises ValueError."""
    for name in found:
        if name not in known:
            raise ValueError(f"unknown member {name!r}; known are {', '.join(known)}")
