"""Names and fields of the IETF draft "Resumable Uploads for HTTP" (draft-ietf-httpbis-resumable-upload).

Owns everything that may change until the draft is an RFC: header names, the media type, problem types, and the forms of
RFC 8941 that they use.  Nothing else in this package spells them out, but upload_limit.py the members of one field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

OFFSET: Final = "Upload-Offset"
COMPLETE: Final = "Upload-Complete"
LENGTH: Final = "Upload-Length"
LIMIT: Final = "Upload-Limit"
INTEROP: Final = "Upload-Draft-Interop-Version"
INTEROP_VERSION: Final = "8"
PARTIAL: Final = "application/partial-upload"
PROBLEM_BASE: Final = "https://iana.org/assignments/http-problem-types#"
PROBLEMS: Final = ("mismatching-upload-offset", "completed-upload", "inconsistent-upload-length")

_INTEGER: Final = re.compile(r"0|[1-9][0-9]{0,14}")  # RFC 8941 allows 15 digits; no sign occurs here
_BOOLEANS: Final = {"?0": False, "?1": True}


class BadField(ValueError):
    """A header field does not have the form that RFC 8941 or the draft gives it."""


def integer(name: str, text: str) -> int:
    """Parse a byte count from the header field `name`.  Raises BadField."""
    if not _INTEGER.fullmatch(text.strip()):
        raise BadField(f"{name} is {text[:40]!r}, not a byte count")
    return int(text)


def boolean(name: str, text: str) -> bool:
    """Parse a boolean, ?0 or ?1, from the header field `name`.  Raises BadField."""
    value = _BOOLEANS.get(text.strip())
    if value is None:
        raise BadField(f"{name} is {text[:40]!r}, not ?0 or ?1")
    return value


def boolean_text(value: bool) -> str:
    """Write a boolean as RFC 8941 does: ?0 or ?1."""
    return "?1" if value else "?0"


def limit_text(limits: Mapping[str, int]) -> str:
    """Write the value of the field Upload-Limit."""
    return ", ".join(f"{name}={value}" for name, value in limits.items())
