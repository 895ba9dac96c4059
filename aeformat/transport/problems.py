"""Problems: a server's answers to requests that it refuses (spec/transport.md, section 6).

Owns the table of problem types, with their status and what a client may do next.  Knows nothing of how they are sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aeformat.errors import AeformatError, FormatError, Hint
from aeformat.transport import draft

# T6-2: what a client may do next.
NEVER: Final = "never"  # the same request can only fail again
RESUME: Final = "resume"  # ask for the offset (it may be in the answer), go on from there
RESTART: Final = "restart"  # the upload is gone: create a new one
AFTER: Final = "after"  # wait, then ask again (Retry-After says how long)


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One row of table T6-1."""

    slug: str
    status: int
    retry: str
    title: str

    @property
    def uri(self) -> str:
        """The URI that names this type in a problem document."""
        return (draft.PROBLEM_BASE if self.slug in draft.PROBLEMS else "urn:aeformat:problem:") + self.slug


PROBLEMS: Final = {
    p.slug: p
    for p in (
        ProblemType(
            "bad-request", 400, NEVER, "A field, the path or the body does not have the form the spec gives it"
        ),
        ProblemType("inconsistent-upload-length", 400, NEVER, "The length of the upload is not what was said before"),
        ProblemType("completed-upload", 400, NEVER, "The upload is complete; ask for its result with HEAD"),
        ProblemType("unauthorized", 401, NEVER, "No token, or one that is unknown or expired"),
        ProblemType("forbidden", 403, NEVER, "The token does not have the scope for this"),
        ProblemType("not-found", 404, NEVER, "There is nothing here that this token may see"),
        ProblemType("upload-unknown", 404, RESTART, "There is no such upload for this token"),
        ProblemType("method-not-allowed", 405, NEVER, "The resource does not have this method"),
        ProblemType("not-acceptable", 406, NEVER, "None of the media types asked for can be made"),
        ProblemType("request-timeout", 408, RESUME, "The body came too slowly"),
        ProblemType("mismatching-upload-offset", 409, RESUME, "The request does not begin at the upload's offset"),
        ProblemType("chunk-damaged", 409, RESUME, "A chunk arrived damaged; the good ones before it are kept"),
        ProblemType("upload-truncated", 409, RESUME, "The last request ended before the container did"),
        ProblemType(
            "mismatching-content-digest", 409, RESUME, "The body is not what its digest says; none of it is kept"
        ),
        ProblemType("superseded", 409, RESUME, "A newer request took over this upload"),
        ProblemType("upload-verifying", 409, AFTER, "The upload is being put in place"),
        ProblemType("model-missing", 409, NEVER, "The decoder that this needs is not on the server"),
        ProblemType("upload-gone", 410, RESTART, "The upload expired or was cancelled"),
        ProblemType("length-required", 411, NEVER, "The request needs a Content-Length"),
        ProblemType("precondition-failed", 412, NEVER, "What the request is for has another entity tag"),
        ProblemType("too-large", 413, NEVER, "The upload, a chunk or a request is above the limits"),
        ProblemType("unsupported-media-type", 415, NEVER, "The body's media type is not the one for this request"),
        ProblemType("range-not-satisfiable", 416, NEVER, "No byte or row lies in the range asked for"),
        ProblemType("misdirected-request", 421, NEVER, "The server does not answer to the name in Host"),
        ProblemType("invalid-container", 422, NEVER, "The container breaks its spec; the rule and the byte are named"),
        ProblemType(
            "mismatching-repr-digest", 422, NEVER, "The container is not what the digest says that was announced"
        ),
        ProblemType(
            "damaged-again", 422, NEVER, "The same chunk arrived damaged too often; the path or the file is bad"
        ),
        ProblemType("too-many-uploads", 429, AFTER, "This tenant has as many open uploads as it may have"),
        ProblemType("header-too-large", 431, NEVER, "The header fields are above the limit"),
        ProblemType("server-error", 500, AFTER, "The server failed; what it acknowledged is kept"),
        ProblemType("busy", 503, AFTER, "The server is stopping or has too much to do"),
        ProblemType("tokens-unreadable", 503, AFTER, "The server cannot read its token file; its operator has to act"),
        ProblemType("quota-exceeded", 507, NEVER, "The tenant's storage quota, or the disk, is full"),
    )
}


class Problem(AeformatError):
    """A refused request; its answer is a problem document.

    slug: key of PROBLEMS.  detail: the sentence for people.  fields: further header fields of the answer.  members: further
    members of the document.  retry: what the client may do next; what T6-1 says unless it is set to something else.
    """

    code = "transport"

    def __init__(self, slug: str, detail: str, *, fields: Mapping[str, str] | None = None, **members: object) -> None:
        super().__init__(slug, detail)
        self.type = PROBLEMS[slug]
        self.retry = self.type.retry
        self.detail, self.fields, self.members = detail, dict(fields or {}), members

    @property
    def sentence(self) -> str:
        """What is wrong."""
        return f"{self.detail} ({self.type.status} {self.type.slug})"

    @classmethod
    def of(cls, slug: str, error: FormatError) -> Problem:
        """Make a problem from a reader's error.  Its code, rule and byte become members of the document."""
        return cls(slug, error.sentence, code=error.code, rule=error.rule, byte=error.at)

    def renamed(self, slug: str) -> Problem:
        """The same problem as another type: with its sentence and its members."""
        found = Problem(slug, self.detail)
        found.members.update(self.members)
        return found

    def document(self) -> dict[str, Any]:
        """The problem document (RFC 9457): the body of the answer."""
        return {
            "type": self.type.uri,
            "title": self.type.title,
            "status": self.type.status,
            "detail": self.detail,
            "retry": self.retry,
            **self.members,
        }


class TransferFailed(AeformatError):
    """The peer refused a transfer or broke the protocol.  status: the HTTP status, 0 if there was no response."""

    code = "transfer"

    def __init__(self, what: str, status: int = 0, *, hint: Hint | None = None) -> None:
        super().__init__(what, status, hint=hint)
        self.what, self.status = what, status

    @property
    def sentence(self) -> str:
        """What is wrong."""
        return self.what


class TransferUnfinished(TransferFailed):
    """All tries failed.  The bytes that were acknowledged or verified are kept: the same transfer can be started again."""

    code = "transfer-unfinished"
