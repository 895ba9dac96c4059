"""The server's side of one upload (spec/transport.md, sections 3 and 4).

Owns which request may write (T4-4, T4-9), what is acknowledged (T4-1), and when an upload is finished, refused or over.
Calls return actions; a Sync that was carried out is reported with `synced`.  What was received but not verified is never
acknowledged (T4-3): it is cut off, and the verifier goes back to the last good structure.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final

from aeformat.errors import FormatError, LimitExceeded
from aeformat.transport import draft, http_fields
from aeformat.transport.problems import Problem
from aeformat.transport.transfer_limits import TransferLimits
from aeformat.transport.upload_actions import (
    Action,
    Answer,
    Append,
    Discard,
    Replay,
    Store,
    Sync,
    Truncate,
)
from aeformat.transport.verify import Verifier


class State(Enum):
    """Where an upload is."""

    CREATED = "created"
    RECEIVING = "receiving"
    IDLE = "idle"
    VERIFYING = "verifying"
    COMMITTED = "committed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Event(Enum):
    """What can happen to it."""

    APPEND = "append"  # a request may write; it fences the one before
    PAUSE = "pause"  # the request ended, was cut, fenced by a HEAD, or brought a damaged chunk
    LAST = "last"  # the last request ended with a whole container
    STORED = "stored"  # the container is in its place
    REFUSE = "refuse"  # no request can make this container good
    EXPIRE = "expire"
    CANCEL = "cancel"


# T3-1.  What is absent is illegal.
NEXT: Final[dict[State, dict[Event, State]]] = {
    State.CREATED: {
        Event.APPEND: State.RECEIVING,
        Event.PAUSE: State.IDLE,
        Event.EXPIRE: State.EXPIRED,
        Event.CANCEL: State.CANCELLED,
    },
    State.RECEIVING: {
        Event.APPEND: State.RECEIVING,
        Event.PAUSE: State.IDLE,
        Event.LAST: State.VERIFYING,
        Event.REFUSE: State.FAILED,
        Event.EXPIRE: State.EXPIRED,
        Event.CANCEL: State.CANCELLED,
    },
    State.IDLE: {
        Event.APPEND: State.RECEIVING,
        Event.PAUSE: State.IDLE,
        Event.REFUSE: State.FAILED,
        Event.EXPIRE: State.EXPIRED,
        Event.CANCEL: State.CANCELLED,
    },
    State.VERIFYING: {Event.STORED: State.COMMITTED, Event.PAUSE: State.IDLE},
    State.COMMITTED: {Event.EXPIRE: State.EXPIRED},
    State.FAILED: {Event.EXPIRE: State.EXPIRED, Event.CANCEL: State.CANCELLED},
    State.EXPIRED: {},
    State.CANCELLED: {},
}

# T6-1: what a request is told that the table does not allow.
_REFUSED: Final = {
    State.VERIFYING: ("upload-verifying", "the container is being put in place"),
    State.COMMITTED: ("completed-upload", "the upload is complete"),
    State.EXPIRED: ("upload-gone", "the upload expired"),
    State.CANCELLED: ("upload-gone", "the upload was cancelled"),
}


class UploadServer:
    """One upload.  now: seconds on any steady clock, the same one in every call."""

    def __init__(
        self, limits: TransferLimits, *, now: float, length: int | None = None, is_restored: bool = False
    ) -> None:
        """is_restored: the staging file may hold bytes from before a crash; the first request replays them."""
        self._limits = limits
        self._make: Callable[[], Verifier] = lambda: Verifier(limits)
        self.verifier = self._make()
        self.state = State.IDLE if is_restored else State.CREATED
        self.length = length
        self.acknowledged = 0  # verified and synced: what a crash cannot take
        self.generation = 0
        self.content_location = ""
        self._needs_replay = is_restored
        self.n_received = 0  # end of what is stored or on its way there; the verifier follows
        self._is_last = False
        self._touched = now
        self._damage: tuple[int, int] = (-1, 0)  # where, how often
        self._failure: Problem | None = None
        self._stored: tuple[int, bytes] = (0, b"")  # size and digest of what was put in its place
        if length is not None:
            self._check_size(length)

    @classmethod
    def finished(
        cls, limits: TransferLimits, *, now: float, size: int, sha256: bytes, content_location: str
    ) -> UploadServer:
        """An upload that was complete before the server was restarted: it still answers HEAD (T4-11)."""
        upload = cls(limits, now=now)
        upload.state, upload.content_location, upload._stored = State.COMMITTED, content_location, (size, sha256)
        return upload

    # Requests.  Each raises Problem where the state or the request does not allow it.

    def append(self, request: Append, *, now: float, room: int) -> tuple[int, list[Action]]:
        """A request wants to write.  Its generation, which later calls for it must give (T4-9).

        room: bytes the tenant may still store, this upload's own not counted.  Call `settle` first.
        """
        self._require(Event.APPEND)
        self._check_length(request)
        if request.offset != self.verifier.verified_at:  # T4-4
            raise Problem(
                "mismatching-upload-offset",
                f"the upload is at byte {self.verifier.verified_at}, the request begins at {request.offset}",
                fields=self._progress(),
                **{"expected-offset": self.verifier.verified_at, "provided-offset": request.offset},
            )
        if request.body_bytes is not None:
            self._check_append(request)
            if request.offset + request.body_bytes > room:
                raise _over_quota(room)
        self._go(Event.APPEND)
        self.generation += 1
        self._is_last, self._touched, self.n_received = request.is_last, now, request.offset
        return self.generation, []

    def settle(self, *, now: float) -> list[Action]:
        """A newer request is here: the one before may not write any more, and what it left unverified is cut off.

        After these actions, and a replay if there is one, `verifier.verified_at` is the acknowledged offset.
        """
        self._touched = max(self._touched, now)
        if self.state is State.RECEIVING:
            self.generation += 1
            self._go(Event.PAUSE)
        if self.state not in (State.CREATED, State.IDLE):
            return []
        if self._needs_replay:
            self.verifier = self._make()
            return [Replay()]
        return self._drop_tail()

    def head(self) -> Answer:
        """What the upload has come to.  Call `settle` first."""
        if self.state is State.FAILED:
            assert self._failure is not None
            raise self._failure
        if self.state in (State.EXPIRED, State.CANCELLED):
            raise Problem(*_REFUSED[self.state])
        if self.state is State.COMMITTED:
            return Answer(200, self._result())
        return Answer(200, self._progress() | {draft.LIMIT: self._limits.upload_limit})

    def cancel(self) -> list[Action]:
        """DELETE."""
        self._require(Event.CANCEL)
        self._go(Event.CANCEL)
        self.generation += 1
        return [Discard(), Answer(204, {})]

    # The body of a request.

    def data(self, generation: int, n_bytes: int, *, now: float, room: int) -> int | None:
        """The next bytes of the body: where to write them.  `check` them too, in order; written or not, that is the same.

        None: they are too many; say `excess` once nothing is being checked.  room: as for `append`, by now.
        """
        self.require(generation)
        self._touched = now
        at = self.n_received
        end = at + n_bytes
        if end > min(room, self._limits.max_size):
            return None
        self.n_received = end
        return at

    def excess(self, n_bytes: int, *, room: int) -> list[Action]:
        """More came than may: the end of the request, for size of the upload too."""
        end = self.n_received + n_bytes
        return self._refuse(self._too_long(end)) if end > self._limits.max_size else self._pause(_over_quota(room))

    def check(self, data: bytes | memoryview) -> FormatError | None:
        """Verify bytes that `data` has let pass.  An error is for `broken`; nothing is checked after it."""
        try:
            self.verifier.feed(data)
        except FormatError as error:
            return error
        return None

    def sync_due(self, written: int) -> Sync | None:
        """What may be synced while more arrives.  written: so many bytes of the staging file are."""
        at = min(written, self.verifier.verified_at)
        return Sync(at) if at - self.acknowledged >= self._limits.sync_bytes else None

    def not_written(self) -> None:
        """The disk failed: what is staged is not known any more, and will be read back."""
        self._needs_replay = True

    def end(self, generation: int, *, now: float) -> list[Action]:
        """The body is complete.  With `Upload-Complete: ?1` it must have ended with the trailer (T4-7)."""
        self.require(generation)
        self._touched = now
        verifier = self.verifier
        if self.length is not None and verifier.verified_at > self.length:
            return self._refuse(self._other_length(verifier.verified_at))
        if not self._is_last:
            self._go(Event.PAUSE)
            return [*self._drop_tail(), Answer(204, self._progress())]
        if not verifier.is_complete:
            try:
                verifier.close()
            except FormatError as error:
                return self._damaged("upload-truncated", error)
            raise AssertionError("a verifier is complete, or says why not")
        if self.length not in (None, verifier.n_fed):
            return self._refuse(self._other_length(verifier.n_fed))
        self._go(Event.LAST)
        return [Sync(verifier.n_fed), Store(verifier.sha256, verifier.n_fed)]

    def lost(self, generation: int) -> list[Action]:
        """The connection broke, or the body came too slowly.  Does nothing for a request that was fenced."""
        if generation != self.generation or self.state is not State.RECEIVING:
            return []
        self._go(Event.PAUSE)
        return self._drop_tail()

    # Reports of actions.

    def synced(self, at: int) -> None:
        """The first `at` bytes are on disk: what is verified and synced is acknowledged (T4-1)."""
        self.acknowledged = max(self.acknowledged, at)

    def replay(self, data: bytes) -> bool:
        """The next stored bytes: after a restart, or where the disk failed, the offset follows from them (T4-15).

        False: they are no good from `verifier.verified_at` on, read no further.
        """
        try:
            self.verifier.feed(data)
        except FormatError as error:
            if not self.verifier.is_damage(error):  # the crash came before the refusal was recorded
                self._failure = Problem.of("invalid-container", error)
            return False
        return True

    def replayed(self) -> list[Action]:
        """All stored bytes were replayed."""
        self._needs_replay = False
        if self._failure is not None:
            self._go(Event.REFUSE)
            return [Discard()]
        return self._drop_tail()

    def stored(self, content_location: str) -> Answer:
        """The container is in its place.  content_location: its path."""
        self._go(Event.STORED)
        self._stored = self.verifier.n_fed, self.verifier.sha256
        self.verifier = self._make()  # the old one holds a chunk, or a whole model
        self.content_location = content_location
        return Answer(201, self._result())

    def not_stored(self, problem: Problem) -> list[Action]:
        """There is no room for it, or the disk failed.  The last request can be repeated, without a body."""
        return self._pause(problem)

    def tick(self, now: float) -> list[Action]:
        """Time has passed.  [Discard()] where the upload is over."""
        if now - self._touched <= self._limits.max_age or Event.EXPIRE not in NEXT[self.state]:
            return []
        self._go(Event.EXPIRE)
        self.generation += 1
        return [Discard()]

    # What follows from damage.

    def broken(self, error: FormatError) -> list[Action]:
        """What `check` found ends the request.  Damage can be sent again (T4-5), else the upload is over (T4-6)."""
        if self.verifier.is_damage(error):
            return self._damaged("chunk-damaged", error)
        slug = "too-large" if isinstance(error, LimitExceeded) else "invalid-container"
        return self._refuse(Problem.of(slug, error))

    def _damaged(self, slug: str, error: FormatError) -> list[Action]:
        at = self.verifier.verified_at
        n_times = self._damage[1] + 1 if self._damage[0] == at else 1
        self._damage = at, n_times
        if n_times >= self._limits.tries_at_offset:
            return self._refuse(Problem.of("damaged-again", error))
        return self._pause(Problem.of(slug, error))

    def _pause(self, problem: Problem) -> list[Action]:
        self._go(Event.PAUSE)
        return [*self._drop_tail(), self._no(problem)]

    def _refuse(self, problem: Problem) -> list[Action]:
        self._failure = problem
        self._go(Event.REFUSE)
        self.verifier = self._make()
        return [Discard(), Answer(problem.type.status, problem.fields, problem)]

    def _no(self, problem: Problem) -> Answer:
        return Answer(problem.type.status, self._progress() | problem.fields, problem)

    def _drop_tail(self) -> list[Action]:
        """Cut off what is not verified, sync what is."""
        if self._needs_replay:  # nothing is known before that
            return []
        at = self.n_received = self.verifier.verified_at
        actions: list[Action] = []
        if not self.verifier.is_aligned:
            self.verifier.rewind()
            actions.append(Truncate(at))
        if at > self.acknowledged:
            actions.append(Sync(at))
        return actions

    # Checks.

    def _check_length(self, request: Append) -> None:
        if request.length is None:
            return
        if self.length not in (None, request.length):
            what = f"{draft.LENGTH} is {request.length}, it was {self.length}"
            raise Problem("inconsistent-upload-length", what)
        self._check_size(request.length)
        self.length = request.length

    def _check_append(self, request: Append) -> None:
        assert request.body_bytes is not None
        if request.body_bytes > self._limits.max_append_size:
            raise self._too_long(request.body_bytes)
        self._check_size(request.offset + request.body_bytes)

    def _check_size(self, size: int) -> None:
        if size > self._limits.max_size:
            raise self._too_long(size)

    def _other_length(self, found: int) -> Problem:
        what = f"the container has {found} bytes or more, {draft.LENGTH} was {self.length}"
        return Problem("inconsistent-upload-length", what)

    def _too_long(self, size: int) -> Problem:
        limit = self._limits.upload_limit
        return Problem("too-large", f"{size} bytes are more than allowed: {limit}", fields={draft.LIMIT: limit})

    def _require(self, event: Event) -> None:
        if event in NEXT[self.state]:
            return
        if self.state is State.FAILED:
            assert self._failure is not None
            raise self._failure
        raise Problem(*_REFUSED[self.state], fields=self._result() if self.state is State.COMMITTED else None)

    def require(self, generation: int) -> None:
        """Whether this request may still write (T4-9).  Raises Problem."""
        if generation != self.generation or self.state is not State.RECEIVING:
            raise Problem("superseded", "a newer request took over this upload")

    def _go(self, event: Event) -> None:
        self.state = NEXT[self.state][event]

    def _progress(self) -> dict[str, str]:
        return {draft.OFFSET: str(self.verifier.verified_at), draft.COMPLETE: "?0"}

    def _result(self) -> dict[str, str]:
        return {
            draft.OFFSET: str(self._stored[0]),
            draft.COMPLETE: "?1",
            "Content-Location": self.content_location,
            "Repr-Digest": http_fields.repr_digest(self._stored[1]),
        }


def _over_quota(room: int) -> Problem:
    return Problem("quota-exceeded", f"there is room for {room} bytes")
