"""The client's side of one upload (spec/transport.md, section 3).

Owns what to ask next after each response, each broken connection, each restart of the program.  Trusts the server's
offset, never its own idea of what arrived (T5-1); believes in success only when the server names the file's own digest (T5-3).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from aeformat.transport import draft, fields, problems
from aeformat.transport.messages import Action, Done, Failed, Lost, Request, Response, Wait
from aeformat.transport.problems import TransferFailed, TransferUnfinished
from aeformat.transport.retry import Retry


class State(Enum):
    """What the client is about to find out."""

    PROBE = "probe"  # whether the server has the container already
    CREATE = "create"
    SEND = "send"
    QUERY = "query"  # how far the upload is
    DONE = "done"
    FAILED = "failed"


class Event(Enum):
    """What a response means."""

    FOUND = "found"  # the server has the container
    ABSENT = "absent"
    AT = "at"  # the upload is there; its offset is known
    GONE = "gone"  # the upload is not there any more
    LOST = "lost"  # nothing is known; or the server asks to wait
    REFUSED = "refused"


# T3-2.  What is absent cannot happen.
NEXT: Final[dict[State, dict[Event, State]]] = {
    State.PROBE: {
        Event.FOUND: State.DONE,
        Event.ABSENT: State.CREATE,
        Event.LOST: State.PROBE,
        Event.REFUSED: State.FAILED,
    },
    State.CREATE: {Event.AT: State.SEND, Event.LOST: State.CREATE, Event.REFUSED: State.FAILED},
    State.SEND: {
        Event.AT: State.SEND,
        Event.FOUND: State.DONE,
        Event.GONE: State.PROBE,
        Event.LOST: State.QUERY,
        Event.REFUSED: State.FAILED,
    },
    State.QUERY: {
        Event.AT: State.SEND,
        Event.FOUND: State.DONE,
        Event.GONE: State.PROBE,
        Event.LOST: State.QUERY,
        Event.REFUSED: State.FAILED,
    },
    State.DONE: {},
    State.FAILED: {},
}


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is to be sent.  ends: where its chunks end, ascending; requests are cut there.  path: where it will lie.

    is_by_digest: the path names these very bytes.  A model's does not: what is there already may be compressed otherwise.
    """

    size: int
    sha256: bytes
    path: str
    ends: Sequence[int] = ()
    is_by_digest: bool = True


class UploadClient:
    """One upload.  Ask `next`, carry the action out, say what came of it with `on`; until Done or Failed."""

    def __init__(self, parcel: Parcel, retry: Retry, *, upload: str | None = None) -> None:
        """upload: path of an upload that an earlier run of the program began."""
        self._parcel, self._retry = parcel, retry
        self.upload = upload
        self.state = State.PROBE if upload is None else State.QUERY
        self.offset = 0
        self.n_sent = 0  # bytes that requests were asked to send, all tries together
        self._best = 0
        self._max_append: int | None = None
        self._wait: Wait | None = None
        self._end: Done | Failed | None = None

    def next(self) -> Action:
        """What to do now."""
        if self._end is not None:
            return self._end
        if self._wait is not None:
            return self._wait
        if self.state is State.PROBE:
            return Request("HEAD", self._parcel.path)
        if self.state is State.CREATE:
            return Request(
                "POST",
                "v1/uploads",
                {
                    draft.COMPLETE: "?0",
                    draft.LENGTH: str(self._parcel.size),
                    draft.INTEROP: draft.INTEROP_VERSION,
                    "Content-Type": fields.MEDIA_TYPE,
                },
                (0, 0),
            )
        assert self.upload is not None
        if self.state is State.QUERY:
            return Request("HEAD", self.upload, {draft.INTEROP: draft.INTEROP_VERSION})
        stop = self._stop()
        return Request(
            "PATCH",
            self.upload,
            {
                draft.OFFSET: str(self.offset),
                draft.COMPLETE: draft.boolean_text(stop == self._parcel.size),
                draft.INTEROP: draft.INTEROP_VERSION,
                "Content-Type": draft.PARTIAL,
            },
            (self.offset, stop),
        )

    def _stop(self) -> int:
        """Where the next request ends: at the end of a chunk, within what the server takes in one request (T5-2)."""
        size, most = self._parcel.size, self._max_append
        if most is None or size - self.offset <= most:
            return size
        ends = self._parcel.ends
        fitting = bisect_right(ends, self.offset + most)
        best = ends[fitting - 1] if fitting else 0
        return best if best > self.offset else self.offset + most

    def go_on(self) -> None:
        """A Wait is over."""
        self._wait = None

    def on(self, found: Response | Lost) -> None:
        """What came of the last Request."""
        try:
            event = self._lost(found) if isinstance(found, Lost) else self._meaning(found)
        except TransferFailed as error:
            event = Event.REFUSED
            self._end = Failed(error)
        self.state = NEXT[self.state][event]
        if self.state is State.DONE and self._end is None:
            self.offset = self._parcel.size
            self._end = Done(self._parcel.path, self._parcel.sha256)
        if event is Event.GONE:
            self.upload = None

    def _lost(self, found: Lost) -> Event:
        self._failed(found.why)
        return Event.LOST

    def _meaning(self, found: Response) -> Event:
        """Which event a response is.  Raises TransferFailed."""
        if found.status in (200, 201, 204):
            return self._success(found)
        if 300 <= found.status < 400:
            raise TransferFailed(f"the server redirects ({found.status}); redirects are not followed", found.status)
        if self.state is State.PROBE and found.status == 404:
            return Event.ABSENT
        hint = found.retry
        if hint == problems.AFTER:
            self._failed(str(found.refusal("sending")), found.retry_after)
            return Event.LOST
        if self.state in (State.SEND, State.QUERY):
            if hint == problems.RESTART:
                self._failed("the upload is gone")
                return Event.GONE
            if hint == problems.RESUME:
                return self._behind(found)
            if found.status == 413 and self._can_be_smaller(found):
                self._failed(str(found.refusal("sending")))
                return Event.LOST
        raise found.refusal("sending")

    def _can_be_smaller(self, found: Response) -> bool:
        """413: the server, or a proxy that says no more than that, may take the file in smaller pieces."""
        asked = self._stop() - self.offset
        self._learn_limits(found)
        if self._max_append is None or self._max_append >= asked:
            self._max_append = asked // 2
        return self._max_append > 0

    def _behind(self, found: Response) -> Event:
        """409: the offset may be in the answer; without it, ask."""
        at = self._offset(found)
        if at is None:
            self._failed(f"the server says {found.status}")
            return Event.LOST
        if at <= self._best:
            self._failed(str(found.refusal("sending")))
        self._moved(at)
        return Event.AT

    def _success(self, found: Response) -> Event:
        if self.state is State.PROBE:
            if self._parcel.is_by_digest:
                self._check_digest(found)
            return Event.FOUND
        if self.state is State.CREATE:
            location = found.get("Location")
            if location is None:
                raise TransferFailed("the server created an upload and does not say where")
            self.upload = location
            self._learn_limits(found)
            self._moved(0)
            return Event.AT
        if found.get(draft.COMPLETE) == "?1" or (self.state is State.SEND and found.status == 201):
            self._check_digest(found)
            return Event.FOUND
        at = self._offset(found)
        if at is None:
            raise TransferFailed(f"the server's answer has no {draft.OFFSET}: no resumable upload is there")
        if self.state is State.SEND and at <= self.offset:
            self._failed(f"the server kept nothing of what came after byte {at}: a proxy may be holding requests back")
        self._learn_limits(found)
        self._moved(at)
        return Event.AT

    def _offset(self, found: Response) -> int | None:
        text = found.get(draft.OFFSET)
        if text is None:
            return None
        try:
            at = draft.integer(draft.OFFSET, text)
        except draft.BadField as error:
            raise TransferFailed(f"the server's {error}") from None
        if at > self._parcel.size:
            raise TransferFailed(f"the server claims to have {at} bytes of {self._parcel.size}")
        return at

    def _moved(self, at: int) -> None:
        if at > self._best:
            self._best = at
            self._retry.progress()
        self.offset = at

    def _learn_limits(self, found: Response) -> None:
        limits = draft.parse_limit(found.get(draft.LIMIT) or "")
        if limits.get("max-append-size"):
            self._max_append = limits["max-append-size"]

    def _check_digest(self, found: Response) -> None:
        """T5-3.  Raises TransferFailed."""
        named = fields.parse_repr_digest(found.get("Repr-Digest") or "")
        if named is not None and named != self._parcel.sha256:
            raise TransferFailed(f"the server has stored other bytes: its digest is {named.hex()}")
        if named is None:
            raise TransferFailed("the server does not say which digest it has stored")

    def _failed(self, why: str, retry_after: float | None = None) -> None:
        seconds = self._retry.failed(retry_after)
        if seconds is None:
            what = f"{why}; gave up after {self._retry.tries} tries without progress, {self._best} bytes are kept"
            raise TransferUnfinished(what)
        self._wait = Wait(seconds, why)
