"""The header fields of requests, and the references in answers (spec/transport.md, sections 2 and 4).

Owns which fields are read, how several lines of one are joined, and what is refused because of them.
"""

from __future__ import annotations

from starlette.requests import Request

from aeformat.transport import draft, http_fields
from aeformat.transport.problems import Problem
from aeformat.transport.structured import BadField
from aeformat.transport.upload_actions import Append


def joined(request: Request, name: str) -> str | None:
    """The value of a header field, its lines joined by commas (RFC 9110, 5.3); None if the request does not have it."""
    lines = request.headers.getlist(name)
    return ", ".join(lines) if lines else None


def required(request: Request, name: str) -> str:
    """The value of a header field.  Raises Problem (400) if the request does not have it."""
    text = joined(request, name)
    if text is None:
        raise Problem("bad-request", f"the field {name} is missing")
    return text


def append_of(request: Request, *, is_creation: bool) -> Append:
    """What the head of a POST or PATCH of an upload says.  Raises Problem (400), BadField.

    In a PATCH both digests are of its body (RFC 9530, section 2).
    """
    offset = 0 if is_creation else draft.integer(draft.OFFSET, required(request, draft.OFFSET))
    digests = _digests(request, "Content-Digest")
    if not is_creation:
        for name, digest in _digests(request, "Repr-Digest").items():
            if digests.setdefault(name, digest) != digest:
                raise BadField(f"Content-Digest and Repr-Digest name two {name} of one body")
    is_last = draft.boolean(draft.COMPLETE, required(request, draft.COMPLETE))
    return Append(offset, is_last, _length(request), content_length(request), digests)


def whole_digests(request: Request) -> dict[str, bytes]:
    """The digests that the whole upload must have, by algorithm: Repr-Digest of a request that creates one (T4-27)."""
    return _digests(request, "Repr-Digest")


def _digests(request: Request, name: str) -> dict[str, bytes]:
    return http_fields.parse_digests(name, joined(request, name) or "")


def _length(request: Request) -> int | None:
    """The Upload-Length; None also for one that is malformed, as the draft demands."""
    try:
        return draft.integer(draft.LENGTH, joined(request, draft.LENGTH) or "")
    except BadField:
        return None


def content_length(request: Request) -> int | None:
    """The request's Content-Length, 0 if it has none; None for a chunked body."""
    if "transfer-encoding" in request.headers:
        return None
    return int(request.headers.get("content-length", "0"))


def require_type(request: Request, media: str) -> None:
    """Check the media type of the body, and that it is not coded.  Raises Problem (415)."""
    found = request.headers.get("content-type", "").split(";")[0].strip().lower()
    is_older = media == draft.PARTIAL and not found and draft.is_without_type(joined(request, draft.INTEROP))
    if found != media and not is_older:
        raise Problem("unsupported-media-type", f"the body's type must be {media}, not {found[:60] or 'unstated'}")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Problem("unsupported-media-type", "bodies are not coded here")


def is_not_modified(request: Request, tag: str | None) -> bool:
    """Whether the answer is 304, by the preconditions of the request (T2-15).  Raises Problem (412).

    tag: the entity tag of what the request is for; None if that has none.
    """
    matches = joined(request, "if-match"), joined(request, "if-none-match")
    status = http_fields.precondition(request.method, *matches, tag)
    if status == 412:
        raise Problem("precondition-failed", f"the entity tag is {tag}" if tag else "this has no entity tag")
    return status is not None


def relative(request: Request, path: str) -> str:
    """The reference to `path`, which begins with "/v1/", from the URL of the request (T4-29).

    It goes up to the base URL first.  So it is right wherever a proxy puts that, and also for clients of 1.0, which resolve it
    against the base URL, if that has no path of its own.
    """
    request_path: str = request.scope["path"]
    return "../" * (request_path.count("/") - 1) + path.removeprefix("/")
