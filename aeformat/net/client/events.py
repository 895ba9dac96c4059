"""What a transfer tells its caller while it runs, beside its progress: `Options.tell` is called with one of these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waiting:
    """The transfer waits before it tries again (T8-4).  reason: the failure, for people."""

    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A request is sent.  target: path and query, without the server.  body_bytes: of its body."""

    method: str
    target: str
    body_bytes: int


@dataclass(frozen=True, slots=True)
class Answered:
    """The head of the answer has come.  seconds: since the request was begun."""

    status: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No answer came.  reason: the error of the connection, for people."""

    reason: str


Event = Waiting | Asked | Answered | Unanswered
Tell = Callable[[Event], object]
