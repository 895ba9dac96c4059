"""The client's side of one upload (spec/transport.md, section 3).

Owns which request comes next: after each response, each broken connection, each restart of the program.  Trusts the
server's offset, never its own count of the bytes that it sent (T5-1).  Believes in success only when the server names the
file's own digest (T5-3).  The digest of a large file may become known while the file is being sent; then the client probes
once whether the server has the file already (T5-10).  A small file is sent with the request that creates its upload (T5-11).
How large requests are is request_sizes.py's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from aeformat.errors import Hint
from aeformat.transport import draft, http_fields, problems
from aeformat.transport.messages import Done, Failed, Hash, Lost, Request, Response, Wait, resolved
from aeformat.transport.problems import TransferFailed, TransferUnfinished
from aeformat.transport.request_sizes import RequestSizes
from aeformat.transport.retry import Retry, duration
from aeformat.transport.structured import BadField

_UPLOADS: Final = "v1/uploads"

ONE_REQUEST_BYTES: Final = 1 << 18  # a file up to this size is sent in one request (T5-11)


class State(Enum):
    """What the client is doing."""

    PROBE = "probe"  # asks whether the server has the container already
    CREATE = "create"  # creates an upload
    SEND = "send"  # sends the file's bytes
    QUERY = "query"  # asks how far the upload is
    LOOK = "look"  # as PROBE, while the file is sent and its digest has become known
    DROP = "drop"  # cancels the upload: the server had the container already
    CONFIRM = "confirm"  # compares the digest that the server names with the file's, once that is known
    DONE = "done"
    FAILED = "failed"


class Event(Enum):
    """What a response means."""

    FOUND = "found"  # the server has the container
    NAMED = "named"  # the server has stored a container and named its digest; the file's own is not known yet
    HASHED = "hashed"  # the file's own digest has become known
    ABSENT = "absent"  # the server does not have the container
    AT = "at"  # the upload exists; its offset is known
    GONE = "gone"  # the upload does not exist any more
    LOST = "lost"  # no usable response came, or the server asks to wait
    REFUSED = "refused"  # retrying cannot help


# T3-2.  What is absent cannot happen.
NEXT: Final[dict[State, dict[Event, State]]] = {
    State.PROBE: {
        Event.FOUND: State.DONE,
        Event.ABSENT: State.CREATE,
        Event.LOST: State.PROBE,
        Event.REFUSED: State.FAILED,
    },
    State.CREATE: {
        Event.AT: State.SEND,
        Event.FOUND: State.DONE,
        Event.LOST: State.CREATE,
        Event.REFUSED: State.FAILED,
    },
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
class UploadSource:
    """The file to send.

    size: its bytes.  sha256: its digest, None while that is not known.  ends: the offsets where its chunks end, ascending;
    requests are split there.  model: the model id of a model package, under which a server stores it.  A package that the
    server has already under that id may have another digest, because it may be compressed in another way.
    """

    size: int
    sha256: bytes | None
    ends: Sequence[int] = ()
    model: bytes | None = None


class UploadClient:
    """The state machine of one upload.

    Call `next` and carry out the action that it returns; report the result with `on`, `hashed` or `go_on`.  Repeat this
    until `next` returns Done or Failed.
    """

    def __init__(
        self, source: UploadSource, retry: Retry, *, upload: str | None = None, most: int | None = None,
        is_new: bool = False,
    ) -> None:  # fmt: skip
        """Begin an upload, or resume one.

        upload: the path of an upload that an earlier run of the program began.  most: what a proxy takes in a request, if that
        is known.  is_new: do not ask first whether the server has the file, because it most likely has not.
        """
        self._source, self._retry = source, retry
        self._sha256 = source.sha256
        self._named = b""  # the digest that the server named for what it has stored
        self._has_probed = upload is not None or is_new
        self.upload = upload
        self.state = State.QUERY if upload is not None else State.CREATE if is_new else State.PROBE
        self._fits_one_request = source.size <= ONE_REQUEST_BYTES
        self.was_there = False  # the server had the file before it was sent
        self.offset = 0
        self._best = 0  # the largest offset so far
        self.sizes = RequestSizes(source.size, source.ends, most)
        self._wait: Wait | None = None
        self._end: Done | Failed | None = None

    def next(self) -> Request | Wait | Hash | Done | Failed:
        """The action to carry out now."""
        if self._end is not None:
            return self._end
        if self._wait is not None:
            return self._wait
        if self.state is State.CONFIRM:
            return Hash()
        if self.state is State.PROBE and self._path is None:  # there is nothing to ask for yet
            self._go(Event.ABSENT)
        if (probe := self.probe_while_sending()) is not None:
            return probe
        if self.state in (State.PROBE, State.LOOK):
            assert self._path is not None
            return Request("HEAD", self._path)
        if self.state is State.CREATE:
            return self._creation()
        assert self.upload is not None
        if self.state is State.DROP:
            return Request("DELETE", self.upload)
        if self.state is State.QUERY:
            return Request("HEAD", self.upload, {draft.INTEROP: draft.INTEROP_VERSION})
        stop = self.sizes.stop(self.offset)
        return Request(
            "PATCH",
            self.upload,
            {
                draft.OFFSET: str(self.offset),
                draft.COMPLETE: draft.boolean_text(stop == self._source.size),
                draft.INTEROP: draft.INTEROP_VERSION,
                "Content-Type": draft.PARTIAL,
            },
            (self.offset, stop),
        )

    def _creation(self) -> Request:
        """The request that creates an upload; it carries the whole of a small file whose digest is known (T5-11)."""
        named = {draft.INTEROP: draft.INTEROP_VERSION, "Content-Type": http_fields.MEDIA_TYPE}
        if self._is_one_request:
            return Request("POST", "v1/uploads", {draft.COMPLETE: "?1", **named}, (0, self._source.size))
        named = {draft.COMPLETE: "?0", draft.LENGTH: str(self._source.size), **named}
        return Request("POST", "v1/uploads", named, (0, 0))

    @property
    def _is_one_request(self) -> bool:
        return self._fits_one_request and self._sha256 is not None and self.sizes.stop(0) == self._source.size

    def probe_while_sending(self) -> Request | None:
        """The request that asks, while a PATCH is being sent, whether the server has the file already (T5-10).

        None if there is nothing to ask.  Report its response with `on` before that of the PATCH.  If `is_sending` is then
        False, abort the PATCH and do not report its response.
        """
        if not self.is_sending or self._has_probed or self._path is None:
            return None
        self._go(Event.HASHED)
        return Request("HEAD", self._path)

    @property
    def is_sending(self) -> bool:
        """Whether the client is sending the file's bytes."""
        return self.state is State.SEND

    @property
    def _path(self) -> str | None:
        """The path of the file on the server; None while it depends on a digest that is not known."""
        if self._source.model is not None:
            return f"v1/models/{self._source.model.hex()}"
        return None if self._sha256 is None else f"v1/containers/{self._sha256.hex()}"

    def hashed(self, sha256: bytes) -> None:
        """Report the file's digest: as the answer to Hash, or as soon as it is known."""
        self._sha256 = sha256
        if self.state is State.CONFIRM:
            try:
                self._check_digest(self._named)
                self._go(Event.FOUND)
            except TransferFailed as error:
                self._end = Failed(error)
                self._go(Event.REFUSED)

    def go_on(self) -> None:
        """Report that a Wait is over."""
        self._wait = None

    def on(self, found: Response | Lost) -> None:
        """Report the result of the last Request."""
        try:
            event = self._lost(found) if isinstance(found, Lost) else self._meaning(found)
        except TransferFailed as error:
            event = Event.REFUSED
            self._end = Failed(error)
        self._go(event)

    def _go(self, event: Event) -> None:
        self.was_there = self.was_there or (event is Event.FOUND and self.state in (State.PROBE, State.LOOK))
        self.state = NEXT[self.state][event]
        if self.state is State.DONE and self._end is None:
            assert self._sha256 is not None and self._path is not None
            self.offset = self._source.size
            self._end = Done(self._path, self._sha256)
        if event is Event.GONE:
            self.upload = None

    def _lost(self, found: Lost) -> Event:
        if self.state is State.DROP:  # it does not matter: the upload expires in any case
            return Event.GONE
        if self.state is State.LOOK:
            self._has_probed = True
        else:
            self._fits_one_request = self._fits_one_request and self.state is not State.CREATE
            self._failed(found.reason)
        return Event.LOST

    def _meaning(self, found: Response) -> Event:
        """Translate a response into an event.  Raises TransferFailed."""
        if self.state is State.DROP:
            return Event.GONE
        if 300 <= found.status < 400:
            raise TransferFailed(f"the server redirects ({found.status}); redirects are not followed", found.status)
        if self.state in (State.PROBE, State.LOOK):
            return self._probed(found)
        if found.status in (200, 201, 204):
            return self._success(found)
        hint = found.retry
        if hint == problems.AFTER:
            if found.status == 429 and not self._retry.can_wait(found.retry_after or 0.0):
                raise _no_room(found)
            self._failed(str(found.refusal("sending")), found.retry_after)
            return Event.LOST
        if found.status == 413 and self._can_be_smaller(found):
            return Event.LOST
        if self.state is State.CREATE and self._is_one_request and hint == problems.RESUME:
            self._fits_one_request = False  # what is sent next can be resumed
            self._failed(str(found.refusal("sending")))
            return Event.LOST
        if self.state in (State.SEND, State.QUERY):
            if hint == problems.RESTART:
                self._failed("the upload is gone")
                return Event.GONE
            if hint == problems.RESUME:
                return self._resumed(found)
        raise found.refusal("sending")

    def _probed(self, found: Response) -> Event:
        """Translate the response to a probe.  403 counts as absent: a token that may write need not allow reading."""
        if found.status == 200:
            if self._source.model is None:
                self._check_digest(self._digest(found))
            return Event.FOUND
        if self.state is State.LOOK or found.status in (403, 404):
            self._has_probed = True
            return Event.ABSENT
        if found.retry != problems.AFTER:
            raise found.refusal("sending")
        self._failed(str(found.refusal("sending")), found.retry_after)
        return Event.LOST

    def _can_be_smaller(self, found: Response) -> bool:
        """After a 413 to bytes of the file: whether smaller requests are to be tried (T6-5).

        That is no failure to be counted: the size is halved each time.  Raises TransferFailed if a proxy takes too little.
        """
        if self.state is not State.SEND and not (self.state is State.CREATE and self._is_one_request):
            return False
        if found.problem:
            return self.sizes.refused_by_server(self.offset, found.get(draft.LIMIT))
        self.sizes.refused_by_proxy(self.offset)
        return True

    def _resumed(self, found: Response) -> Event:
        """Translate a refusal that allows to go on: from the offset in it, or else after a query."""
        at = self._offset(found)
        if at is None:
            self._failed(f"the server says {found.status}")
            return Event.LOST
        if at <= self._best:
            self._failed(str(found.refusal("sending")))
        self._set_offset(at)
        return Event.AT

    def _success(self, found: Response) -> Event:
        """Translate a successful response to CREATE, SEND or QUERY.  Raises TransferFailed."""
        if self.state is State.CREATE and found.get(draft.COMPLETE) != "?1":
            location = found.location or found.get("Location")
            if location is None:
                raise TransferFailed("the server created an upload and does not say where")
            self.upload = resolved(_UPLOADS, location)
            self.sizes.learn(found.get(draft.LIMIT))
            self._set_offset(self._offset(found) or 0)
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
        self.sizes.learn(found.get(draft.LIMIT))
        self._set_offset(at)
        return Event.AT

    def _offset(self, found: Response) -> int | None:
        text = found.get(draft.OFFSET)
        if text is None:
            return None
        try:
            at = draft.integer(draft.OFFSET, text)
        except BadField as error:
            raise TransferFailed(f"the server's {error}") from None
        if at > self._source.size:
            raise TransferFailed(f"the server claims to have {at} bytes of {self._source.size}")
        return at

    def _set_offset(self, at: int) -> None:
        if at > self._best:
            self._best = at
            self._retry.progress()
        self.offset = at

    def _digest(self, found: Response) -> bytes:
        named = http_fields.parse_repr_digest(found.get("Repr-Digest") or "")
        if named is None:
            raise TransferFailed("the server does not say which digest it has stored")
        return named

    def _check_digest(self, named: bytes) -> None:
        """Compare the digest that the server names with the file's (T5-3).  Raises TransferFailed."""
        if named != self._sha256:
            raise TransferFailed(f"the server has stored other bytes: its digest is {named.hex()}")

    def _failed(self, reason: str, retry_after: float | None = None) -> None:
        """Count a failure and wait.  Raises TransferUnfinished if there were too many without progress."""
        seconds = self._retry.failed(retry_after)
        if seconds is None:
            raise TransferUnfinished(f"{reason}; gave up after {self._retry.spent}, {self._best} bytes are kept")
        self._wait = Wait(seconds, reason)


def _no_room(found: Response) -> TransferUnfinished:
    """The error for a 429 whose Retry-After is longer than any wait (T8-3)."""
    when = duration(found.retry_after or 0.0)
    what = f"{found.refusal('sending')}; there is room in {when}, or once an open upload ends: that is too long to wait"
    return TransferUnfinished(what, found.status, hint=Hint.DROP_UPLOADS)
