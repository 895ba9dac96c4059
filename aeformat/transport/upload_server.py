"""The server's side of one upload (spec/transport.md, sections 3 and 4).

Owns which request may write (T4-4, T4-9), which bytes are acknowledged (T4-1), and when an upload is finished, refused or
over.  Its methods return actions, which the caller carries out; a Sync is then reported with `synced`.  Bytes that were
received but not verified are never acknowledged (T4-3): they are truncated, and the verifier goes back to the end of the last
good structure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aeformat.errors import FormatError, LimitExceeded
from aeformat.transport import draft, http_fields
from aeformat.transport.problems import NEVER, Problem
from aeformat.transport.transfer_limits import TransferLimits
from aeformat.transport.upload_actions import (
    Action,
    Answer,
    Append,
    Digest,
    Discard,
    Prove,
    Replay,
    Store,
    Sync,
    Truncate,
)
from aeformat.transport.upload_promises import Promises
from aeformat.transport.upload_states import NEXT, REFUSED, Event, State
from aeformat.transport.verify import Verifier


class UploadServer:
    """The state machine of one upload.  now: seconds of a monotonic clock, the same clock in every call."""

    def __init__(
        self,
        limits: TransferLimits,
        *,
        now: float,
        length: int | None = None,
        digests: Mapping[str, bytes] | None = None,
        is_restored: bool = False,
    ) -> None:
        """Begin an upload, or go on with one after a restart.  Raises Problem if `length` is above the limit.

        length: its Upload-Length, if that is known.  digests: those that the whole must have, by algorithm (T4-27).
        is_restored: the staging file may hold bytes from before a restart; the first request has them replayed.
        """
        self._limits = limits
        self._new_verifier: Callable[[], Verifier] = lambda: Verifier(limits)
        self.verifier = self._new_verifier()
        self.state = State.IDLE if is_restored else State.CREATED
        self._promises = Promises(length, digests or {})
        self._began_at = 0  # the offset of the request that may write
        self.acknowledged = 0  # bytes that are verified and synced: they survive a crash
        self.generation = 0  # number of the request that may write
        self.content_location = ""
        self._needs_replay = is_restored
        self.n_received = 0  # bytes that are in the staging file or about to be written; the verifier may be behind
        self._is_last = False
        self._touched = now  # time of the last request
        self._damage: tuple[int, int] = (-1, 0)  # offset of the last damaged chunk, how often it arrived damaged
        self._failure: Problem | None = None
        self._stored: tuple[int, bytes] = (0, b"")  # size and digest of the stored container
        self._is_unclaimed = False  # the request that created it was refused, and no other has come
        if length is not None:
            self._check_size(length)

    @classmethod
    def finished(
        cls, limits: TransferLimits, *, now: float, size: int, sha256: bytes, content_location: str
    ) -> UploadServer:
        """Restore an upload that was complete before the server was restarted; it still answers HEAD (T4-11)."""
        upload = cls(limits, now=now)
        upload.state, upload.content_location, upload._stored = State.COMMITTED, content_location, (size, sha256)
        return upload

    @property
    def length(self) -> int | None:
        """The length of the whole, as far as it was said (T4-24)."""
        return self._promises.length

    # Requests.  Each raises Problem where the state or the request does not allow it.

    def append(self, request: Append, *, now: float, quota_left: int) -> tuple[int, list[Action]]:
        """Begin a request that writes.  Return its generation and the actions; later calls for it pass the generation (T4-9).

        quota_left: the bytes that the tenant may still store; the bytes of this upload do not count as stored.  Call `settle`
        first.
        """
        if self.state is State.COMMITTED and request.body_bytes != 0:  # as the draft has it
            what = f"the upload is complete, with {self._stored[0]} bytes"
            raise Problem("inconsistent-upload-length", what, fields=self._result())
        self._require(Event.APPEND)
        if request.offset != self.verifier.verified_at:  # T4-4
            raise Problem(
                "mismatching-upload-offset",
                f"the upload is at byte {self.verifier.verified_at}, the request begins at {request.offset}",
                fields=self._progress(),
                **{"expected-offset": self.verifier.verified_at, "provided-offset": request.offset},
            )
        self.admit(request, quota_left=quota_left)
        self._go(Event.APPEND)
        self.generation += 1
        self._is_last, self._touched, self.n_received = request.is_last, now, request.offset
        self._began_at = request.offset
        self._promises.begin(request)
        return self.generation, []

    def admit(self, request: Append, *, quota_left: int) -> None:
        """Check the sizes that the head of a request states.  Raises Problem (400, 413, 507)."""
        self._check_length(request)
        if request.body_bytes is not None:
            self._check_append(request)
            if request.offset + request.body_bytes > quota_left:
                raise _over_quota(quota_left)

    def settle(self, *, now: float) -> list[Action]:
        """End the request before, because a newer one has come: it may not write any more, its unverified bytes are dropped.

        Once these actions are carried out, Replay included, `verifier.verified_at` is the offset to answer with.
        """
        self._touched = max(self._touched, now)
        self._is_unclaimed = False
        if self.state is State.RECEIVING:
            self.generation += 1
            self._go(Event.PAUSE)
        if self.state not in (State.CREATED, State.IDLE):
            return []
        if self._needs_replay:
            self.verifier = self._new_verifier()
            return [Replay()]
        return self._drop_tail()

    def head(self) -> Answer:
        """Answer a HEAD request: the upload's offset, or its result.  Call `settle` first."""
        if self.state is State.FAILED:
            assert self._failure is not None
            raise self._failure
        if self.state in (State.EXPIRED, State.CANCELLED):
            raise Problem(*REFUSED[self.state])
        is_stored = self.state is State.COMMITTED
        fields = self._result() if is_stored else self._progress()
        length = self._stored[0] if is_stored else self._promises.length
        known = {} if length is None else {draft.LENGTH: str(length)}
        return Answer(200, fields | known | {draft.LIMIT: self.upload_limit})  # T4-25

    def cancel(self) -> list[Action]:
        """Carry out a DELETE request: the upload is cancelled."""
        self._require(Event.CANCEL)
        self._go(Event.CANCEL)
        self.generation += 1
        return [Discard(), Answer(204, {})]

    # The body of a request.

    def data(self, generation: int, n_bytes: int, *, now: float, quota_left: int) -> int | None:
        """Take the next n_bytes of the body.  Return the offset in the staging file to write them to.

        Pass them to `check` too, in order; before or after they are written makes no difference.  None: there are too many
        bytes; call `excess` once no check is running.  quota_left: as for `append`, at this moment.
        """
        self.require(generation)
        self._touched = now
        at = self.n_received
        end = at + n_bytes
        if end > min(quota_left, self._limits.max_size) or self._promises.is_exceeded(end):
            return None
        self.n_received = end
        return at

    def excess(self, n_bytes: int, *, quota_left: int) -> list[Action]:
        """End an upload whose next n_bytes are above a limit or its length, or do not fit (T4-20)."""
        end = self.n_received + n_bytes
        if end > self._limits.max_size:
            return self._refuse(self._too_long(end))
        is_longer = self._promises.is_exceeded(end)
        return self._refuse(self._other_length(end) if is_longer else _over_quota(quota_left))

    def postpone(self, problem: Problem) -> list[Action]:
        """End the request being received, because it cannot go on now.  What was verified is kept."""
        return self._pause(problem)

    def give_up(self, problem: Problem) -> list[Action]:
        """End the upload, because no request can make it good (T4-20).  Does nothing if it has ended."""
        if Event.REFUSE not in NEXT[self.state]:
            return []
        return self._refuse(problem)[:1]

    def check(self, data: bytes | memoryview) -> FormatError | None:
        """Verify the next bytes that `data` accepted.  Pass an error to `broken`; after an error check no more bytes."""
        try:
            self.verifier.feed(data)
        except FormatError as error:
            return error
        self._promises.update(data)
        return None

    def sync_due(self, written: int) -> Sync | None:
        """The Sync that is worthwhile while more bytes arrive, None if there is none yet.

        written: the number of bytes that are in the staging file.
        """
        at = min(written, self.verifier.verified_at)
        return Sync(at) if at - self.acknowledged >= self._limits.sync_bytes else None

    def not_written(self) -> None:
        """Report that the disk failed: the contents of the staging file are not known, and the next request replays them."""
        self._needs_replay = True

    def end(self, generation: int, *, now: float) -> list[Action]:
        """End a request whose body is complete.  With `Upload-Complete: ?1` the container must be complete too (T4-7)."""
        self.require(generation)
        self._touched = now
        verifier, promises = self.verifier, self._promises
        if (wrong := promises.other_body()) is not None:
            return self._take_back(f"the body's {wrong} is not the one that the request names")
        if not self._is_last:
            self._go(Event.PAUSE)
            return [*self._drop_tail(), Answer(204, self._progress())]
        if not verifier.is_complete:
            try:
                verifier.close()
            except FormatError as error:
                promises.forget_implied()
                return self._damaged(Problem.of("upload-truncated", error), verifier.verified_at)
            raise AssertionError("close() raises unless the verifier is complete")
        if promises.length not in (None, verifier.n_fed):
            return self._refuse(self._other_length(verifier.n_fed))
        more: list[Action] = [Digest("sha-512")] if "sha-512" in promises.needed else self.digested({})
        return [Sync(verifier.n_fed), *more]

    def digested(self, found: Mapping[str, bytes]) -> list[Action]:
        """Report digests of the staging file, beside its SHA-256, and go on with the end of the request (T3-5, T4-27)."""
        wrong = self._promises.other_whole({"sha-256": self.verifier.sha256, **found})
        if wrong is not None:
            what = f"the container's {wrong} is not the one that was named when the upload was created"
            return self._refuse(Problem("mismatching-repr-digest", what))
        self._go(Event.LAST)
        model_bytes = self.verifier.model_bytes
        return [self._store() if model_bytes is None else Prove(model_bytes)]

    def lost(self, generation: int) -> list[Action]:
        """End a request whose connection broke or whose body came too slowly.

        Does nothing if a newer request has come.
        """
        if generation != self.generation or self.state is not State.RECEIVING:
            return []
        self._go(Event.PAUSE)
        return self._drop_tail()

    # Reports of actions.

    def synced(self, at: int) -> None:
        """Report that the first `at` bytes of the staging file are synced: they are acknowledged (T4-1)."""
        self.acknowledged = max(self.acknowledged, at)

    def replay(self, data: bytes) -> bool:
        """Verify the next bytes of the staging file, after a restart or a failure of the disk (T4-15).

        False: the bytes from `verifier.verified_at` on are damaged, so that reading further is of no use.
        """
        try:
            self.verifier.feed(data)
        except FormatError as error:
            if not self.verifier.is_damage(error):  # the crash came before the refusal was recorded
                self._failure = Problem.of("invalid-container", error)
            return False
        return True

    def replayed(self) -> list[Action]:
        """End a replay."""
        self._needs_replay = False
        if self._failure is not None:
            self._go(Event.REFUSE)
            return [Discard()]
        return self._drop_tail()

    def proved(self, error: FormatError | None) -> list[Action]:
        """Report what the rules of a package's numbers found (section 4 and M6-1 of model.md)."""
        return [self._store()] if error is None else self._refuse(Problem.of(_slug(error), error))

    def _store(self) -> Store:
        return Store(self.verifier.sha256, self.verifier.n_fed)

    def stored(self, content_location: str) -> Answer:
        """Report that the container is in its final place.  content_location: its path."""
        self._go(Event.STORED)
        self._stored = self.verifier.n_fed, self.verifier.sha256
        self.verifier = self._new_verifier()  # the old one holds a chunk
        self.content_location = content_location
        return Answer(201, self._result())

    def not_stored(self, problem: Problem) -> list[Action]:
        """Report that the container could not be stored.

        The client can repeat the last request, without a body, unless the problem says `never`: then the upload is over.
        """
        return self._refuse(problem) if problem.type.retry == NEVER else self._pause(problem)

    def refused_first(self) -> None:
        """Report that the request which created the upload was refused: unless another comes, it lives shortly (T4-21)."""
        self._is_unclaimed = True

    @property
    def _age(self) -> int:
        """The seconds that the upload lives after its last request (T4-21)."""
        is_empty = not self.verifier.verified_at and not self._needs_replay
        is_short = self.is_open and (is_empty or self._is_unclaimed)
        return min(self._limits.empty_age, self._limits.max_age) if is_short else self._limits.max_age

    @property
    def expires(self) -> float:
        """The time at which it expires, unless a request comes before."""
        return self._touched + self._age

    @property
    def upload_limit(self) -> str:
        """The value of Upload-Limit for this upload."""
        return self._limits.upload_limit_of(self._age)

    @property
    def is_open(self) -> bool:
        """Whether the upload has not ended."""
        return self.state in (State.CREATED, State.RECEIVING, State.IDLE, State.VERIFYING)

    @property
    def offset(self) -> int | None:
        """The acknowledged offset; None while it is not known, before a replay."""
        return None if self._needs_replay else self.verifier.verified_at

    def forget(self) -> bool:
        """Drop what the verifier of an idle upload holds; the next request reads the staged bytes back (T7-5)."""
        is_idle = self.state is State.IDLE and not self._needs_replay
        if is_idle:
            self.verifier, self._needs_replay = self._new_verifier(), True
        return is_idle

    def is_due(self, now: float) -> bool:
        """Whether the upload is too old."""
        return now > self.expires and Event.EXPIRE in NEXT[self.state]

    def tick(self, now: float) -> list[Action]:
        """Let the upload expire if it is too old; then [Discard()] is returned."""
        if not self.is_due(now):
            return []
        self._go(Event.EXPIRE)
        self.generation += 1
        return [Discard()]

    # Damaged and invalid containers.

    def broken(self, error: FormatError) -> list[Action]:
        """End the request whose bytes failed `check`.

        A damaged chunk can be sent again (T4-5).  After any other error the upload is over (T4-6).
        """
        if self.verifier.is_damage(error):
            return self._damaged(Problem.of("chunk-damaged", error), self.verifier.verified_at)
        return self._refuse(Problem.of(_slug(error), error))

    def _damaged(self, problem: Problem, at: int) -> list[Action]:
        n_times = self._damage[1] + 1 if self._damage[0] == at else 1
        self._damage = at, n_times
        if n_times >= self._limits.tries_at_offset:
            return self._refuse(problem.renamed("damaged-again"))
        return self._pause(problem)

    def _take_back(self, what: str) -> list[Action]:
        """Drop all bytes of this request, also verified ones, because its body is not what its digest says (T3-4, T4-26).

        The next request has the bytes before it replayed.
        """
        at = self.n_received = self._began_at
        self.verifier, self._needs_replay = self._new_verifier(), True
        self.acknowledged = min(self.acknowledged, at)
        problem = Problem("mismatching-content-digest", what, fields={draft.OFFSET: str(at)})
        return [Truncate(at), *self._damaged(problem, at)]

    def _pause(self, problem: Problem) -> list[Action]:
        self._go(Event.PAUSE)
        return [*self._drop_tail(), self._refusal(problem)]

    def _refuse(self, problem: Problem) -> list[Action]:
        self._failure = problem
        self._go(Event.REFUSE)
        self.verifier = self._new_verifier()
        return [Discard(), Answer(problem.type.status, problem.fields, problem)]

    def _refusal(self, problem: Problem) -> Answer:
        return Answer(problem.type.status, self._progress() | problem.fields, problem)

    def _drop_tail(self) -> list[Action]:
        """Truncate the unverified bytes, sync the verified ones."""
        if self._needs_replay:  # before that it is not known which bytes are verified
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
        """Check what is said of lengths (T4-24)."""
        length = request.total(self._promises.length)
        if length is not None:
            self._check_size(length)

    def _check_append(self, request: Append) -> None:
        assert request.body_bytes is not None
        if request.body_bytes > self._limits.max_append_size:
            raise self._too_long(request.body_bytes)
        self._check_size(request.offset + request.body_bytes)

    def _check_size(self, size: int) -> None:
        if size > self._limits.max_size:
            raise self._too_long(size)

    def _other_length(self, found: int) -> Problem:
        what = f"the container has {found} bytes or more, its length was {self._promises.length}"
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
        raise Problem(*REFUSED[self.state], fields=self._result() if self.state is State.COMMITTED else None)

    def require(self, generation: int) -> None:
        """Check that this request may still write (T4-9).  Raises Problem."""
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


def _slug(error: FormatError) -> str:
    return "too-large" if isinstance(error, LimitExceeded) else "invalid-container"


def _over_quota(quota_left: int) -> Problem:
    return Problem("quota-exceeded", f"there is room for {quota_left} bytes")
