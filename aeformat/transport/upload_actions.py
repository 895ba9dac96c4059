"""The input and the actions of the server's side of an upload (spec/transport.md, section 4).

Owns these types.  The caller carries the actions out in order, and makes one call at a time for each upload.
"""

from __future__ import annotations

from dataclasses import dataclass

from aeformat.transport.problems import Problem


@dataclass(frozen=True, slots=True)
class Truncate:
    """Cut the staging file to this length."""

    at: int


@dataclass(frozen=True, slots=True)
class Sync:
    """Make the first `at` bytes of the staging file survive a crash, then call `synced(at)`."""

    at: int


@dataclass(frozen=True, slots=True)
class Replay:
    """Read the staging file back, `replay` each piece until it returns False, then call `replayed`."""


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


Action = Truncate | Sync | Replay | Prove | Store | Discard | Answer


@dataclass(frozen=True, slots=True)
class Append:
    """The head of a request that appends to an upload.

    offset: its Upload-Offset.  is_last: whether it ends the upload (Upload-Complete).  length: its Upload-Length, if it has
    one.  body_bytes: its Content-Length, if it has one.
    """

    offset: int
    is_last: bool
    length: int | None = None
    body_bytes: int | None = None
