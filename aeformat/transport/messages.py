"""The actions that a client's state machine returns, and the responses that it takes.

Owns these types, which sending and fetching share.  Paths are relative to the server's base URL.
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
    407: "the proxy wants a user and a password; put them into http_proxy (http://USER:PASSWORD@HOST:PORT)",
    421: "it does not go by the name in the URL, or a proxy in front of it does not pass the name on",
}


@dataclass(frozen=True, slots=True)
class Request:
    """Action: send this request.  body: the bytes of the file to send, as (start, stop); None for no body."""

    method: str
    path: str
    fields: Mapping[str, str] = field(default_factory=dict)
    body: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Action: wait for this time, then call `go_on`.  reason: the failure that is waited out, for people."""

    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class Cut:
    """Action: truncate the partial file to this length, then call `go_on`."""

    at: int


@dataclass(frozen=True, slots=True)
class Hash:
    """Action: compute the SHA-256 of the file, then call `hashed`."""


@dataclass(frozen=True, slots=True)
class Done:
    """End: the transfer is complete and its digest is right.  path: where the file is on the server."""

    path: str
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """End: the transfer has failed with this error."""

    error: problems.TransferFailed


@dataclass(frozen=True, slots=True)
class Response:
    """A final response.

    fields: header fields, by their names in lower case.  body: only that of a short answer.  location: the field Location as an
    absolute URL (T5-12), None if there is none or nobody has resolved it.
    """

    status: int
    fields: Mapping[str, str]
    body: bytes = b""
    location: str | None = None

    def get(self, name: str) -> str | None:
        """The value of a header field; None if the response does not have it."""
        return self.fields.get(name.lower())

    @property
    def retry_after(self) -> float | None:
        """The seconds in Retry-After; None if the field is missing or gives a date."""
        text = self.get("Retry-After") or ""
        return float(text) if text.isascii() and text.isdigit() and len(text) < 11 else None

    @property
    def problem(self) -> Mapping[str, object]:
        """The members of the problem document in the body; empty if the body is none."""
        if not (self.get("Content-Type") or "").startswith("application/problem+json"):
            return {}
        try:
            members = json.loads(self.body)
        except ValueError:
            return {}
        return members if isinstance(members, dict) else {}

    @property
    def retry(self) -> str:
        """What the client may do next: one of NEVER, RESUME, RESTART, AFTER of `problems`.

        It is the problem document's own hint; without one the status decides (T6-3).
        """
        hint = self.problem.get("retry")
        if hint in (problems.NEVER, problems.RESUME, problems.RESTART, problems.AFTER):
            return str(hint)
        if self.status in (408, 409):
            return problems.RESUME
        if self.status in (404, 410):
            return problems.RESTART
        return problems.AFTER if self.status in (425, 429) or self.status >= 500 else problems.NEVER

    def refusal(self, what: str) -> problems.TransferFailed:
        """The error for this refusal.  what: the step that was refused, as "sending"."""
        detail = self.problem.get("detail") or self.problem.get("title") or _WITHOUT_BODY.get(self.status, "")
        text = "".join(c if c.isprintable() else " " for c in str(detail))[:_MAX_DETAIL]
        return problems.TransferFailed(
            f"{what}: the server says {self.status}{': ' + text if text else ''}", self.status
        )


@dataclass(frozen=True, slots=True)
class Lost:
    """No response came, or it broke off.  reason: for people."""

    reason: str


def resolved(path: str, reference: str) -> str:
    """The reference in an answer, as a Location, as one from the base URL (RFC 3986, 5.2).  path: that of the request."""
    if reference[:1] == "/" or ":" in reference.split("/", 1)[0]:  # it is absolute
        return reference
    folders = path.split("/")[:-1]
    while reference.startswith("../") and folders:
        folders, reference = folders[:-1], reference[3:]
    return "/".join([*folders, reference])


Action = Request | Wait | Cut | Done | Failed
