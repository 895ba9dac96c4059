"""What the server's side of an upload is asked, and what it asks for in return (spec/transport.md, section 4).

Owns these few types.  Whoever carries actions out does so in order, one call at a time for each upload.
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
class Store:
    """Put the staging file in its place under this digest, then call `stored`; `not_stored` if that fails."""

    sha256: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Discard:
    """The staged bytes are of no more use."""


@dataclass(frozen=True, slots=True)
class Answer:
    """End the request with this.  problem: None for success."""

    status: int
    fields: dict[str, str]
    problem: Problem | None = None


Action = Truncate | Sync | Replay | Store | Discard | Answer


@dataclass(frozen=True, slots=True)
class Append:
    """What a request that writes says of itself.  body_bytes: its Content-Length, if it has one."""

    offset: int
    is_last: bool
    length: int | None = None
    body_bytes: int | None = None
