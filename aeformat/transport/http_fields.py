"""Fields of standard HTTP that both ends must parse alike: digests, entity tags, ranges, preferences.

Owns their text forms (RFC 9110, RFC 9530), and whether preconditions hold.  A malformed field is never guessed at.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Final

from aeformat.transport import structured
from aeformat.transport.structured import BadField

MEDIA_TYPE: Final = "application/vnd.aeformat"
PROBLEM_TYPE: Final = "application/problem+json"
PNG: Final = "image/png"
NPY: Final = "application/x-npy"
DIGEST: Final = re.compile(r"[0-9a-f]{64}")  # in paths: 64 small hex digits, nothing else

DIGESTS: Final = {
    "sha-256": 32,
    "sha-512": 64,
}  # algorithms of RFC 9530 that are checked, and the sizes of their digests

_TAG: Final = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})")
_RANGE: Final = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")
_ROWS: Final = re.compile(r"(\d{1,15})(?:-(\d{1,15}))?")


def repr_digest(sha256: bytes) -> str:
    """Write the value of the field Repr-Digest (RFC 9530)."""
    return f"sha-256=:{base64.b64encode(sha256).decode('ascii')}:"


def parse_repr_digest(text: str) -> bytes | None:
    """Parse the SHA-256 from the value of a Repr-Digest; None if it has none."""
    try:
        return parse_digests("Repr-Digest", text).get("sha-256")
    except BadField:
        return None


def parse_digests(name: str, text: str) -> dict[str, bytes]:
    """Parse the digests from the header field `name`, Content-Digest or Repr-Digest: {"sha-256": 32 bytes, ...}.

    Those by other algorithms than DIGESTS are ignored (RFC 9530, section 2).  Raises BadField.
    """
    members = structured.dictionary(text)
    found = {key: value for key, value in members.items() if key in DIGESTS and isinstance(value, bytes)}
    for key, size in DIGESTS.items():
        if key in members and len(found.get(key, b"")) != size:
            raise BadField(f"{name} has a {key} that is no digest of {size} bytes")
    return found


def entity_tag(sha256: bytes) -> str:
    """Write the strong ETag of a blob.  It is the blob's digest, so that all replicas agree."""
    return f'"sha256:{sha256.hex()}"'


def precondition(method: str, if_match: str | None, if_none_match: str | None, tag: str | None) -> int | None:
    """The status that answers a request whose preconditions do not hold (RFC 9110, 13.2.2): 412 or 304; None if they hold.

    The fields' values are those of all their lines, joined by commas.  tag: the strong entity tag of what the request is for;
    None if that has none.
    """
    if if_match is not None and if_match.strip() != "*" and tag not in _TAG.findall(if_match):
        return 412
    if if_none_match is None:
        return None
    names_it = if_none_match.strip() == "*" or tag in [each.removeprefix("W/") for each in _TAG.findall(if_none_match)]
    if not names_it:
        return None
    return 304 if method in ("GET", "HEAD") else 412


@dataclass(frozen=True, slots=True)
class ContentRange:
    """The byte range of a 206 response: bytes start to stop - 1 of a blob of `size` bytes."""

    start: int
    stop: int
    size: int

    @classmethod
    def parse(cls, text: str) -> ContentRange | None:
        """Parse the value of a Content-Range.  None if it is malformed or the numbers do not fit together."""
        match = _CONTENT_RANGE.fullmatch(text.strip())
        if match is None:
            return None
        first, last, size = (int(group) for group in match.groups())
        return cls(first, last + 1, size) if first <= last < size else None

    def __str__(self) -> str:
        return f"bytes {self.start}-{self.stop - 1}/{self.size}"


class Unsatisfiable(ValueError):
    """No byte of the blob lies in the requested Range; the answer is 416."""


def parse_range(text: str, size: int) -> ContentRange | None:
    """Parse the value of a Range that asks for one range of a blob of `size` bytes.

    None where the field must be ignored: another unit, several ranges, or malformed.  Raises Unsatisfiable.
    """
    match = _RANGE.fullmatch(text.strip())
    if match is None or match[1] == match[2] == "":
        return None
    if match[1] == "":
        n_last = int(match[2])
        if not n_last or not size:
            raise Unsatisfiable(text)
        return ContentRange(max(0, size - n_last), size, size)
    start = int(match[1])
    stop = min(int(match[2]) + 1, size) if match[2] else size
    if match[2] and int(match[2]) < start:
        return None
    if start >= size:
        raise Unsatisfiable(text)
    return ContentRange(start, stop, size)


def parse_rows(text: str) -> tuple[int, int] | None:
    """Parse the query value of `rows`: "7" -> (7, 8), "0-9" -> (0, 10).  None if it is malformed."""
    match = _ROWS.fullmatch(text)
    if match is None:
        return None
    start = int(match[1])
    stop = int(match[2] or match[1]) + 1
    return (start, stop) if start < stop else None


def preferred(accept: str | None, offered: tuple[str, ...]) -> str | None:
    """Choose the offered media type that the Accept field prefers (RFC 9110, 12.5.1); among equals the first offered.

    None if the field accepts none of them.
    """
    if accept is None or not accept.strip():
        return offered[0]
    best: tuple[float, str] | None = None
    for media in offered:
        quality = _quality(accept, media)
        if quality > 0 and (best is None or quality > best[0]):
            best = quality, media
    return best[1] if best else None


def _quality(accept: str, media: str) -> float:
    """The q value that an Accept field gives a media type: that of the most specific item that matches."""
    found = (-1, 0.0)
    for item in accept.split(","):
        name, *params = (part.strip().lower() for part in item.split(";"))
        rank = (
            2 if name == media else 1 if name == f"{media.split('/')[0]}/*" else 0 if name == "*/*" else -1
        )  # fmt: skip
        if rank > found[0]:
            found = rank, next((_number(p[2:]) for p in params if p.startswith("q=")), 1.0)
    return found[1]


def _number(text: str) -> float:
    return float(text) if re.fullmatch(r"[01](\.\d{0,3})?", text) else 0.0
