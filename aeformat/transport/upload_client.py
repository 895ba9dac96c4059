"""The client's side of one upload (spec/transport.md, section 3).

Owns what to ask next after each response, each broken connection, each restart of the program.  Trusts the server's
offset, never its own idea of what arrived (T5-1); believes in success only when the server names the file's own digest (T5-3),
which the sender of a large file may learn while it sends: it then asks once, beside the sending (T5-10).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from aeformat.transport import draft, http_fields, problems
from aeformat.transport.messages import Done, Failed, Hash, Lost, Request, Response, Wait
from aeformat.transport.problems import TransferFailed, TransferUnfinished
from aeformat.transport.retry import Retry


class State(Enum):
    """What the client is about to find out."""

    PROBE = "probe"  # whether the server has the container already
    CREATE = "create"
    SEND = "send"
    QUERY = "query"  # how far the upload is
    LOOK = "look"  # as PROBE, once the file's digest is known
    DROP = "drop"  # the server had the container: the upload is given up
    CONFIRM = "confirm"  # whether the digest that the server names is the file's
    DONE = "done"
    FAILED = "failed"


class Event(Enum):
    """What a response means."""

    FOUND = "found"  # the server has the container
    NAMED = "named"  # the server has stored something; the file's own digest is not known yet
    HASHED = "hashed"  # it has become known
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
        Event.HASHED: State.LOOK,
        Event.FOUND: State.DONE,
        Event.NAMED: State.CONFIRM,
        Event.GONE: State.PROBE,
        Event.LOST: State.QUERY,
        Event.REFUSED: State.FAILED,
    },
    State.LOOK: {
        Event.FOUND: State.DROP,
        Event.ABSENT: State.SEND,
        Event.LOST: State.SEND,
        Event.REFUSED: State.FAILED,
    },
    State.DROP: {Event.GONE: State.DONE},
    State.CONFIRM: {Event.FOUND: State.DONE, Event.REFUSED: State.FAILED},
    State.QUERY: {
        Event.AT: State.SEND,
        Event.FOUND: State.DONE,
        Event.NAMED: State.CONFIRM,
        Event.GONE: State.PROBE,
        Event.LOST: State.QUERY,
        Event.REFUSED: State.FAILED,
    },
    State.DONE: {},
    State.FAILED: {},
}


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is to be sent.  sha256: None while it is not known.  ends: where chunks end, ascending; requests are cut there.

    model: the model id of a package, which lies under that name; what is there already may be compressed otherwise.
    """

    size: int
    sha256: bytes | None
    ends: Sequence[int] = ()
    model: bytes | None = None


class UploadClient:
    """One upload.  Ask `next`, carry the action out, say what came of it with `on`; until Done or Failed."""

    def __init__(self, parcel: Parcel, retry: Retry, *, upload: str | None = None) -> None:
        """upload: path of an upload that an earlier run of the program began."""
        self._parcel, self._retry = parcel, retry
        self._sha256 = parcel.sha256
        self._named = b""  # the digest of what the server has stored
        self._has_looked = upload is not None
        self.upload = upload
        self.state = State.PROBE if upload is None else State.QUERY
        self.offset = 0
        self.n_sent = 0  # bytes that requests were asked to send, all tries together
        self._best = 0
        self._max_append: int | None = None
        self._wait: Wait | None = None
        self._end: Done | Failed | None = None

    def next(self) -> Request | Wait | Hash | Done | Failed:
        """What to do now."""
        if self._end is not None:
            return self._end
        if self._wait is not None:
            return self._wait
        if self.state is State.CONFIRM:
            return Hash()
        if self.state is State.PROBE and self._path is None:  # there is nothing to ask for yet
            self._go(Event.ABSENT)
        if (look := self.aside()) is not None:
            return look
        if self.state in (State.PROBE, State.LOOK):
            assert self._path is not None
            return Request("HEAD", self._path)
        if self.state is State.CREATE:
            return Request(
                "POST",
                "v1/uploads",
                {
                    draft.COMPLETE: "?0",
                    draft.LENGTH: str(self._parcel.size),
                    draft.INTEROP: draft.INTEROP_VERSION,
                    "Content-Type": http_fields.MEDIA_TYPE,
                },
                (0, 0),
            )
        assert self.upload is not None
        if self.state is State.DROP:
            return Request("DELETE", self.upload)
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

    def aside(self) -> Request | None:
        """What to ask now, also while a PATCH is being sent (T5-10); its answer is for `on`, before that of the PATCH.

        Break the PATCH off unless `is_sending` then: what comes of it is of no interest any more.
        """
        if not self.is_sending or self._has_looked or self._path is None:
            return None
        self._go(Event.HASHED)
        return Request("HEAD", self._path)

    @property
    def is_sending(self) -> bool:
        """Whether the file's bytes are wanted now."""
        return self.state is State.SEND

    @property
    def _path(self) -> str | None:
        """Where the file will lie, or lies."""
        if self._parcel.model is not None:
            return f"v1/models/{self._parcel.model.hex()}"
        return None if self._sha256 is None else f"v1/containers/{self._sha256.hex()}"

    def hashed(self, sha256: bytes) -> None:
        """The file's digest: the answer to Hash, or before that is asked."""
        self._sha256 = sha256
        if self.state is State.CONFIRM:
            try:
                self._check_digest(self._named)
                self._go(Event.FOUND)
            except TransferFailed as error:
                self._end = Failed(error)
                self._go(Event.REFUSED)

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
        self._go(event)

    def _go(self, event: Event) -> None:
        self.state = NEXT[self.state][event]
        if self.state is State.DONE and self._end is None:
            assert self._sha256 is not None and self._path is not None
            self.offset = self._parcel.size
            self._end = Done(self._path, self._sha256)
        if event is Event.GONE:
            self.upload = None

    def _lost(self, found: Lost) -> Event:
        if self.state is State.DROP:  # a courtesy: the upload expires in any case
            return Event.GONE
        if self.state is State.LOOK:
            self._has_looked = True
        else:
            self._failed(found.why)
        return Event.LOST

    def _meaning(self, found: Response) -> Event:
        """Which event a response is.  Raises TransferFailed."""
        if self.state is State.DROP:
            return Event.GONE
        if 300 <= found.status < 400:
            raise TransferFailed(f"the server redirects ({found.status}); redirects are not followed", found.status)
        if self.state in (State.PROBE, State.LOOK):
            return self._looked(found)
        if found.status in (200, 201, 204):
            return self._success(found)
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

    def _looked(self, found: Response) -> Event:
        """Whether the server has the file.  Nobody needs to be allowed to read what he may send (403)."""
        if found.status == 200:
            if self._parcel.model is None:
                self._check_digest(self._digest(found))
            return Event.FOUND
        if self.state is State.LOOK or found.status in (403, 404):
            self._has_looked = True
            return Event.ABSENT
        if found.retry != problems.AFTER:
            raise found.refusal("sending")
        self._failed(str(found.refusal("sending")), found.retry_after)
        return Event.LOST

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
        if self.state is State.CREATE:
            location = found.get("Location")
            if location is None:
                raise TransferFailed("the server created an upload and does not say where")
            self.upload = location
            self._learn_limits(found)
            self._moved(0)
            return Event.AT
        if found.get(draft.COMPLETE) == "?1" or (self.state is State.SEND and found.status == 201):
            self._named = self._digest(found)
            if self._sha256 is None:
                return Event.NAMED
            self._check_digest(self._named)
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

    def _digest(self, found: Response) -> bytes:
        named = http_fields.parse_repr_digest(found.get("Repr-Digest") or "")
        if named is None:
            raise TransferFailed("the server does not say which digest it has stored")
        return named

    def _check_digest(self, named: bytes) -> None:
        """T5-3.  Raises TransferFailed."""
        if named != self._sha256:
            raise TransferFailed(f"the server has stored other bytes: its digest is {named.hex()}")

    def _failed(self, why: str, retry_after: float | None = None) -> None:
        seconds = self._retry.failed(retry_after)
        if seconds is None:
            what = f"{why}; gave up after {self._retry.tries} tries without progress, {self._best} bytes are kept"
            raise TransferUnfinished(what)
        self._wait = Wait(seconds, why)
