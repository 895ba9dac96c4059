"""Names and fields of the IETF draft "Resumable Uploads for HTTP" (draft-ietf-httpbis-resumable-upload).

Owns everything that may change until the draft is an RFC: header names, the media type, problem types, and the forms of
RFC 9651 that they use.  Nothing else in this package spells them out, but upload_limit.py the members of one field.  Version 11
of the draft, and the editors' copy of July 2026 where that goes further: GET on an upload, Upload-Limit for OPTIONS, no
completed-upload.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aeformat.transport import structured
from aeformat.transport.structured import BadField

OFFSET: Final = "Upload-Offset"
COMPLETE: Final = "Upload-Complete"
LENGTH: Final = "Upload-Length"
LIMIT: Final = "Upload-Limit"
INTEROP: Final = "Upload-Draft-Interop-Version"
INTEROP_VERSION: Final = "8"
_FIRST_WITH_TYPE: Final = 6  # that of draft 04, which made PARTIAL the type of a PATCH
PARTIAL: Final = "application/partial-upload"
PROBLEM_BASE: Final = "https://iana.org/assignments/http-problem-types#"
PROBLEMS: Final = ("mismatching-upload-offset", "inconsistent-upload-length")


def integer(name: str, text: str) -> int:
    """Parse a byte count, an Item, from the header field `name`.  Raises BadField."""
    value = _item(text)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BadField(f"{name} is {text[:40]!r}, not a byte count")
    return value


def boolean(name: str, text: str) -> bool:
    """Parse a boolean, ?0 or ?1, an Item, from the header field `name`.  Raises BadField."""
    value = _item(text)
    if not isinstance(value, bool):
        raise BadField(f"{name} is {text[:40]!r}, not ?0 or ?1")
    return value


def _item(text: str) -> structured.Value:
    try:
        return structured.item(text)
    except BadField:
        return structured.OTHER


def boolean_text(value: bool) -> str:
    """Write a boolean as RFC 9651 does: ?0 or ?1."""
    return "?1" if value else "?0"


def understands_interim(interop: str | None) -> bool:
    """Whether a client that sends this Upload-Draft-Interop-Version, or none, understands 104 (T4-28)."""
    return _interop(interop) == int(INTEROP_VERSION)


def is_without_type(interop: str | None) -> bool:
    """Whether a client with this Upload-Draft-Interop-Version knows no media type for PATCH (T4-14)."""
    version = _interop(interop)
    return version is not None and version < _FIRST_WITH_TYPE


def _interop(text: str | None) -> int | None:
    try:
        return None if text is None else integer(INTEROP, text)
    except BadField:
        return None


def limit_text(limits: Mapping[str, int]) -> str:
    """Write the value of the field Upload-Limit."""
    return ", ".join(f"{name}={value}" for name, value in limits.items())
