"""Fetching one blob, resumable and verified chunk by chunk (spec/transport.md, section 5).

Owns which bytes to ask for, whether a response may be appended to what is there, and when the file is proven.  A damaged
chunk costs that chunk: what came before it is kept, and the rest is asked for again.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from aeformat.errors import FormatError
from aeformat.transport import http_fields
from aeformat.transport.http_fields import ContentRange
from aeformat.transport.messages import Action, Cut, Done, Failed, Lost, Request, Response, Wait
from aeformat.transport.problems import AFTER, RESUME, TransferFailed, TransferUnfinished
from aeformat.transport.retry import Retry
from aeformat.transport.transfer_limits import TransferLimits
from aeformat.transport.verify import Verifier


class State(Enum):
    """What the client is about to find out."""

    PROBE = "probe"  # size and digest
    ASK = "ask"  # for the bytes that are missing
    BODY = "body"  # they are coming
    CUT = "cut"  # the partial file is being cut back
    DONE = "done"
    FAILED = "failed"


class Event(Enum):
    """What happened."""

    KNOWN = "known"  # size and digest are known
    BEGUN = "begun"  # a body that continues what is there
    ANEW = "anew"  # what is there is no good, or the body begins at the first byte
    STOPPED = "stopped"  # the body ended or broke; whole chunks are kept
    READY = "ready"  # the partial file ends where its verified chunks do
    WHOLE = "whole"  # all bytes are there, and the digest is right
    LOST = "lost"
    REFUSED = "refused"


# T3-3.  What is absent cannot happen.
NEXT: Final[dict[State, dict[Event, State]]] = {
    State.PROBE: {
        Event.KNOWN: State.ASK,
        Event.WHOLE: State.DONE,
        Event.LOST: State.PROBE,
        Event.REFUSED: State.FAILED,
    },
    State.ASK: {
        Event.BEGUN: State.BODY,
        Event.ANEW: State.CUT,
        Event.LOST: State.ASK,
        Event.REFUSED: State.FAILED,
    },
    State.BODY: {Event.STOPPED: State.CUT, Event.WHOLE: State.DONE, Event.REFUSED: State.FAILED},
    State.CUT: {Event.READY: State.ASK, Event.WHOLE: State.DONE, Event.ANEW: State.CUT},
    State.DONE: {},
    State.FAILED: {},
}


class FetchClient:
    """One download.  Ask `next`, carry it out, report with `on`, `data` and `ended`; until Done or Failed."""

    def __init__(self, path: str, retry: Retry, *, limits: TransferLimits, sha256: bytes | None = None) -> None:
        """sha256: what the bytes must be, where the caller knows; else the server's word, for what it is worth."""
        self._path, self._retry, self._limits = path, retry, limits
        self._expected = sha256
        self.state = State.PROBE
        self.size = 0
        self._tag = ""
        self.verifier = self._fresh()
        self._written = 0  # bytes of the partial file
        self._best = 0
        self._n_anew = 0
        self._pending: Wait | None = None
        self._end: Done | Failed | None = None

    def _fresh(self) -> Verifier:
        return Verifier(self._limits, checks_content=False)

    def restore(self, data: bytes) -> bool:
        """The next bytes of a partial file, before the first `next`.  False: no good from here on, read no further."""
        try:
            self.verifier.feed(data)
        except FormatError:
            return False
        return True

    def restored(self) -> int:
        """The partial file was read.  Cut it to this length."""
        self._keep_verified()
        return self._written

    @property
    def verified_at(self) -> int:
        """Bytes that are there and good."""
        return self.verifier.verified_at

    def next(self) -> Action:
        """What to do now."""
        if self._end is not None:
            return self._end
        if self.state is State.CUT:
            return Cut(self._written)
        if self._pending is not None:
            return self._pending
        identity = {"Accept-Encoding": "identity", "Accept": http_fields.MEDIA_TYPE}
        if self.state is State.PROBE:
            return Request("HEAD", self._path, identity)
        if self.verified_at:
            identity |= {"Range": f"bytes={self.verified_at}-", "If-Range": self._tag}
        return Request("GET", self._path, identity)

    def go_on(self) -> None:
        """A Wait is over, or a Cut is done."""
        if self.state is not State.CUT:
            self._pending = None
        elif self.verified_at < self.size:
            self._go(Event.READY)
        else:  # all is there: what was damaged came behind it
            self._go(self._whole())

    def on(self, found: Response | Lost) -> bool:
        """What came of the last Request.  True: the body continues the partial file, give it to `data`."""
        try:
            event = self._lost(found.why) if isinstance(found, Lost) else self._meaning(found)
        except TransferFailed as error:
            event = self._fail(error)
        self._go(event)
        return self.state is State.BODY

    def _meaning(self, found: Response) -> Event:
        if found.get("Content-Encoding") not in (None, "identity"):  # T5-4
            return self._lost("the body is coded although identity was asked for")
        if self.state is State.PROBE:
            return self._probed(found) if found.status == 200 else self._no(found)
        if found.status == 206:  # T5-5
            span = ContentRange.parse(found.get("Content-Range") or "")
            if span is None or span.start != self.verified_at or span.size != self.size:
                return self._lost(f"the server sent {found.get('Content-Range')!r} for bytes from {self.verified_at}")
            return Event.BEGUN
        if found.status == 200:
            return Event.BEGUN if not self.verified_at else self._anew()
        return self._anew() if found.status == 416 else self._no(found)

    def _no(self, found: Response) -> Event:
        if found.retry in (AFTER, RESUME):
            return self._lost(str(found.refusal("fetching")), found.retry_after)
        if 300 <= found.status < 400:
            raise TransferFailed(f"the server redirects ({found.status}); redirects are not followed", found.status)
        raise found.refusal("fetching")

    def _probed(self, found: Response) -> Event:
        named = http_fields.parse_repr_digest(found.get("Repr-Digest") or "")
        length = found.get("Content-Length") or ""
        if named is None or not length.isdigit():
            raise TransferFailed("the server does not say the digest and the length of what it has")
        if self._expected is not None and named != self._expected:
            raise TransferFailed(f"the server has other bytes there: their digest is {named.hex()}")
        if int(length) > self._limits.max_size:
            raise TransferFailed(f"{length} bytes are more than the {self._limits.max_size} that are allowed here")
        self._expected, self.size, self._tag = named, int(length), http_fields.entity_tag(named)
        if self.verified_at == self.size and self._has_digest():
            return self._whole()
        if self.verified_at >= self.size:
            self._start_over()
        return Event.KNOWN

    def data(self, data: bytes) -> bool:
        """The next bytes of the body: append them to the partial file.  False: stop reading this response (T5-6).

        Bytes that were received before the False was seen may still be given; they are not taken.
        """
        if self.state is not State.BODY:
            return False
        self._written += len(data)
        try:
            self.verifier.feed(data)
        except FormatError as error:
            if self.verifier.is_damage(error):
                self._stopped(f"a chunk arrived damaged: {error}")
            else:  # it was sent like that
                self._go(self._fail(TransferFailed(f"the server has a file that cannot be taken: {error}")))
            return False
        if self._written > self.size:
            self._stopped("the server sent more than there is")
            return False
        if self.verified_at > self._best:
            self._best = self.verified_at
            self._retry.progress()
        return True

    def ended(self, why: str = "the response ended early") -> None:
        """The body is over: complete, or broken off."""
        if self.state is not State.BODY:
            return
        if self._written < self.size:
            self._stopped(why)
        elif self._has_digest():
            self._go(self._whole())
        else:
            self._start_over()
            self._stopped("the bytes do not have the digest that was promised")

    def _has_digest(self) -> bool:
        return self.verifier.is_complete and self.verifier.sha256 == self._expected

    def _whole(self) -> Event:
        if not self._has_digest():
            self._start_over()
            return Event.ANEW
        assert self._expected is not None
        self._end = Done(self._path, self._expected)
        return Event.WHOLE

    def _stopped(self, why: str) -> None:
        """A body is over before its time.  Keep what is verified."""
        try:
            self._failed(why)
        except TransferFailed as error:
            self._go(self._fail(error))
            return
        self._keep_verified()
        self._go(Event.STOPPED)

    def _keep_verified(self) -> None:
        self.verifier.rewind()
        self._written = self.verified_at

    def _anew(self) -> Event:
        self._n_anew += 1
        if self._n_anew > self._retry.tries:
            raise TransferFailed(
                "the server does not let downloads be resumed, and the connection does not last for one"
            )
        self._start_over()
        return Event.ANEW

    def _start_over(self) -> None:
        self.verifier = self._fresh()
        self._written = 0

    def _lost(self, why: str, retry_after: float | None = None) -> Event:
        self._failed(why, retry_after)
        return Event.LOST

    def _failed(self, why: str, retry_after: float | None = None) -> None:
        seconds = self._retry.failed(retry_after)
        if seconds is None:
            what = f"{why}; gave up after {self._retry.tries} tries without progress, {self.verified_at} bytes are kept"
            raise TransferUnfinished(what)
        self._pending = Wait(seconds, why)

    def _fail(self, error: TransferFailed) -> Event:
        self._end = Failed(error)
        return Event.REFUSED

    def _go(self, event: Event) -> None:
        self.state = NEXT[self.state][event]
