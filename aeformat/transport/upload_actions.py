"""The input and the actions of the server's side of an upload (spec/transport.md, section 4).

Owns these types.  The caller carries the actions out in order, and makes one call at a time for each upload.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aeformat.transport import draft, http_fields
from aeformat.transport.problems import RESUME, Problem


@dataclass(frozen=True, slots=True)
class Truncate:
    """Cut the staging file to this length."""

    at: int


@dataclass(frozen=True, slots=True)
class Sync:
    """Make the first `at` bytes of the staging file survive a crash, then call `staged.synced(at)`."""

    at: int


@dataclass(frozen=True, slots=True)
class Replay:
    """Read the staging file back, `replay` each piece until it returns False, then call `replayed`."""


@dataclass(frozen=True, slots=True)
class Digest:
    """Compute the digest of the staging file by this algorithm, one of http_fields.DIGESTS, then call `digested`."""

    algorithm: str


@dataclass(frozen=True, slots=True)
class Prove:
    """Read the package in the staging file and check the rules of its numbers, then call `proved`.

    model_bytes: of its tensors, raw; they are in memory only for this.
    """

    model_bytes: int


@dataclass(frozen=True, slots=True)
class Store:
    """Move the staging file to its final place under this digest.  Then call `stored`, or `not_stored` if that failed."""

    sha256: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Discard:
    """Delete the staging file; the upload is over."""


@dataclass(frozen=True, slots=True)
class Answer:
    """End the request with this answer.  fields: header fields.  problem: None for success."""

    status: int
    fields: dict[str, str]
    problem: Problem | None = None


Action = Truncate | Sync | Replay | Digest | Prove | Store | Discard | Answer


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """What an upload has become.  content_location: its path."""

    size: int = 0
    sha256: bytes = b""
    content_location: str = ""

    @property
    def fields(self) -> dict[str, str]:
        """The header fields that name it."""
        return {
            draft.OFFSET: str(self.size),
            draft.COMPLETE: "?1",
            "Content-Location": self.content_location,
            "Repr-Digest": http_fields.repr_digest(self.sha256),
        }


@dataclass(frozen=True, slots=True)
class Append:
    """The head of a request that appends to an upload.

    offset: its Upload-Offset.  is_last: whether it ends the upload (Upload-Complete).  length: its Upload-Length, if it has
    one.  body_bytes: its Content-Length, if it has one.  digests: what its body must have, by algorithm.
    """

    offset: int
    is_last: bool
    length: int | None = None
    body_bytes: int | None = None
    digests: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def end(self) -> int | None:
        """The offset at the end of its body; None if the request does not say it."""
        return None if self.body_bytes is None else self.offset + self.body_bytes

    def total(self, known: int | None = None) -> int | None:
        """The length of the upload by all that is known and said of it (T4-24); None if that is nothing.

        known: the length that was known before.  Raises Problem (400) if two of them differ.
        """
        if known is not None and self.length is not None and known != self.length:
            what = f"{draft.LENGTH} is {self.length}, it was {known}"
            raise Problem("inconsistent-upload-length", what)
        length = known if self.length is None else self.length
        if length is None:
            return self.end if self.is_last else None
        if self.end is None:
            return length
        if self.end > length or (self.is_last and self.end < length):
            what = f"the body ends at byte {self.end} of {length}" + (", and is the last" if self.is_last else "")
            problem = Problem("inconsistent-upload-length", what)
            problem.retry = RESUME  # nothing has moved, and a line that cuts bodies may not cut the next one
            raise problem
        return length
