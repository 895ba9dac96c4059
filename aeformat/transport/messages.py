"""What a client machine asks for, and what it is told (both clients, both shells).

Owns these few types.  Paths are relative to the server's base URL.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from aeformat.transport import problems

_MAX_DETAIL: Final = 300
_WITHOUT_BODY: Final = {  # answers to HEAD
    401: "a valid token is needed",
    403: "the token does not allow this",
    404: "it is not there, or not for this token",
}


@dataclass(frozen=True, slots=True)
class Request:
    """Send this.  body: which bytes of the file, (start, stop); None for no body."""

    method: str
    path: str
    fields: Mapping[str, str] = field(default_factory=dict)
    body: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Let this much time pass, then call `go_on`."""

    seconds: float
    why: str


@dataclass(frozen=True, slots=True)
class Cut:
    """Cut the partial file to this length, then call `go_on`."""

    at: int


@dataclass(frozen=True, slots=True)
class Hash:
    """Compute the SHA-256 of the file, then call `hashed`."""


@dataclass(frozen=True, slots=True)
class Done:
    """The transfer is complete and its digest is right.  path: of the object on the server."""

    path: str
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """The transfer has failed."""

    error: problems.TransferFailed


@dataclass(frozen=True, slots=True)
class Response:
    """The head of a final response, and for a problem its document.  fields: names in small letters."""

    status: int
    fields: Mapping[str, str]
    body: bytes = b""

    def get(self, name: str) -> str | None:
        """A header field."""
        return self.fields.get(name.lower())

    @property
    def retry_after(self) -> float | None:
        """Seconds; None if it does not say, or gives a date."""
        text = self.get("Retry-After") or ""
        return float(text) if text.isascii() and text.isdigit() and len(text) < 7 else None

    @property
    def problem(self) -> Mapping[str, object]:
        """The members of a problem document, none if it is not one."""
        if not (self.get("Content-Type") or "").startswith("application/problem+json"):
            return {}
        try:
            members = json.loads(self.body)
        except ValueError:
            return {}
        return members if isinstance(members, dict) else {}

    @property
    def retry(self) -> str:
        """never, resume, restart or after: the problem's own hint, else what the status suggests (T6-3)."""
        hint = self.problem.get("retry")
        if hint in (problems.NEVER, problems.RESUME, problems.RESTART, problems.AFTER):
            return str(hint)
        if self.status in (408, 409):
            return problems.RESUME
        if self.status in (404, 410):
            return problems.RESTART
        return problems.AFTER if self.status in (425, 429) or self.status >= 500 else problems.NEVER

    def refusal(self, what: str) -> problems.TransferFailed:
        """For people: what the server did not want, and why."""
        detail = self.problem.get("detail") or self.problem.get("title") or _WITHOUT_BODY.get(self.status, "")
        text = "".join(c if c.isprintable() else " " for c in str(detail))[:_MAX_DETAIL]
        return problems.TransferFailed(
            f"{what}: the server says {self.status}{': ' + text if text else ''}", self.status
        )


@dataclass(frozen=True, slots=True)
class Lost:
    """No response came, or it broke off."""

    why: str


Action = Request | Wait | Cut | Done | Failed
