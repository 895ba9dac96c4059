"""The client's side of fetching one blob: resumable, verified chunk by chunk (spec/transport.md, section 5).

Owns which bytes to request, whether a response may be appended to the partial file, and when the file is complete and
verified.  After a damaged chunk the verified bytes before it are kept, and the rest is requested again.
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
    """What the client is waiting for."""

    PROBE = "probe"  # the blob's size and digest
    ASK = "ask"  # the response to the request for the missing bytes
    BODY = "body"  # the end of that response's body
    CUT = "cut"  # the partial file to be truncated
    DONE = "done"
    FAILED = "failed"


class Event(Enum):
    """What has happened."""

    KNOWN = "known"  # size and digest are known
    BEGUN = "begun"  # a body comes that continues the partial file
    ANEW = "anew"  # the partial file cannot be continued: begin at the first byte
    STOPPED = "stopped"  # the body ended too early or was damaged; the verified chunks are kept
    READY = "ready"  # the partial file ends where its verified chunks end
    WHOLE = "whole"  # all bytes are there, and the digest is right
    LOST = "lost"  # no usable response came, or the server asks to wait
    REFUSED = "refused"  # retrying cannot help


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
    """The state machine of one download.

    Call `next` and carry out the action that it returns; report the result with `on`, `data`, `ended` or `go_on`.  Repeat
    this until `next` returns Done or Failed.
    """

    def __init__(self, path: str, retry: Retry, *, limits: TransferLimits, sha256: bytes | None = None) -> None:
        """Begin a download of the blob at `path`.

        sha256: the digest of the blob, if the caller knows it.  Otherwise the digest that the server names is believed.
        """
        self._path, self._retry, self._limits = path, retry, limits
        self._expected = sha256
        self.state = State.PROBE
        self.size = 0
        self._tag = ""
        self.verifier = self._new_verifier()
        self._written = 0  # bytes of the partial file
        self._best = 0  # the most verified bytes so far
        self._n_restarts = 0
        self._pending: Wait | None = None
        self._end: Done | Failed | None = None

    def _new_verifier(self) -> Verifier:
        return Verifier(self._limits, checks_content=False)

    def restore(self, data: bytes) -> bool:
        """Verify the next bytes of an earlier run's partial file; call this before the first `next`.

        False: the bytes are damaged, so that reading further is of no use.
        """
        try:
            self.verifier.feed(data)
        except FormatError:
            return False
        return True

    def restored(self) -> int:
        """End the reading of the partial file.  Return the length that it must be truncated to."""
        self._keep_verified()
        return self._written

    @property
    def verified_at(self) -> int:
        """The number of bytes that are in the partial file and verified."""
        return self.verifier.verified_at

    def next(self) -> Action:
        """The action to carry out now."""
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
        """Report that a Wait is over, or that a Cut is done."""
        if self.state is not State.CUT:
            self._pending = None
        elif self.verified_at < self.size:
            self._go(Event.READY)
        else:  # the file is complete: the damaged bytes came after its end
            self._go(self._complete())

    def on(self, found: Response | Lost) -> bool:
        """Report the result of the last Request.  True: the body continues the partial file, so pass it to `data`."""
        try:
            event = self._lost(found.reason) if isinstance(found, Lost) else self._meaning(found)
        except TransferFailed as error:
            event = self._fail(error)
        self._go(event)
        return self.state is State.BODY

    def _meaning(self, found: Response) -> Event:
        if found.get("Content-Encoding") not in (None, "identity"):  # T5-4
            return self._lost("the body is coded although identity was asked for")
        if self.state is State.PROBE:
            return self._probed(found) if found.status == 200 else self._refused(found)
        if found.status == 206:  # T5-5
            span = ContentRange.parse(found.get("Content-Range") or "")
            if span is None or span.start != self.verified_at or span.size != self.size:
                return self._lost(f"the server sent {found.get('Content-Range')!r} for bytes from {self.verified_at}")
            return Event.BEGUN
        if found.status == 200:
            return Event.BEGUN if not self.verified_at else self._restart()
        return self._restart() if found.status == 416 else self._refused(found)

    def _refused(self, found: Response) -> Event:
        """What a response without a body for the file means.  Raises TransferFailed if retrying cannot help."""
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
            return self._complete()
        if self.verified_at >= self.size:
            self._drop_all()
        return Event.KNOWN

    def data(self, data: bytes) -> bool:
        """Verify the next bytes of the body, which the caller appends to the partial file (T5-6).

        False: stop reading this response.  Later bytes of it may still be passed in; they are ignored.
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

    def ended(self, reason: str = "the response ended early") -> None:
        """Report the end of the body, complete or not.  reason: why it is over, if it is not complete."""
        if self.state is not State.BODY:
            return
        if self._written < self.size:
            self._stopped(reason)
        elif self._has_digest():
            self._go(self._complete())
        else:
            self._drop_all()
            self._stopped("the bytes do not have the digest that was promised")

    def _has_digest(self) -> bool:
        return self.verifier.is_complete and self.verifier.sha256 == self._expected

    def _complete(self) -> Event:
        """All bytes are there: end the download, or begin anew if they do not have the digest."""
        if not self._has_digest():
            self._drop_all()
            return Event.ANEW
        assert self._expected is not None
        self._end = Done(self._path, self._expected)
        return Event.WHOLE

    def _stopped(self, reason: str) -> None:
        """A body ended too early or was damaged: keep the verified bytes."""
        try:
            self._failed(reason)
        except TransferFailed as error:
            self._go(self._fail(error))
            return
        self._keep_verified()
        self._go(Event.STOPPED)

    def _keep_verified(self) -> None:
        self.verifier.rewind()
        self._written = self.verified_at

    def _restart(self) -> Event:
        self._n_restarts += 1
        if self._n_restarts > self._retry.tries:
            raise TransferFailed(
                "the server does not let downloads be resumed, and the connection does not last for one"
            )
        self._drop_all()
        return Event.ANEW

    def _drop_all(self) -> None:
        self.verifier = self._new_verifier()
        self._written = 0

    def _lost(self, reason: str, retry_after: float | None = None) -> Event:
        self._failed(reason, retry_after)
        return Event.LOST

    def _failed(self, reason: str, retry_after: float | None = None) -> None:
        """Count a failure and wait.  Raises TransferUnfinished if there were too many without progress."""
        seconds = self._retry.failed(retry_after)
        if seconds is None:
            kept = f"{self.verified_at} bytes are kept"
            raise TransferUnfinished(f"{reason}; gave up after {self._retry.spent}, {kept}")
        self._pending = Wait(seconds, reason)

    def _fail(self, error: TransferFailed) -> Event:
        self._end = Failed(error)
        return Event.REFUSED

    def _go(self, event: Event) -> None:
        self.state = NEXT[self.state][event]
