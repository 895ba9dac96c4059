"""The server's side of one upload (spec/transport.md, sections 3 and 4).

Owns which request may write (T4-4, T4-9), and when an upload is finished, refused or over.  Which bytes are acknowledged is
staged_bytes.py's, which sizes are allowed upload_sizes.py's.  Its methods return actions, which the caller carries out; a Sync
is then reported with `staged.synced`.
"""

from __future__ import annotations

from collections.abc import Mapping

from aeformat.errors import FormatError, LimitExceeded
from aeformat.transport import draft
from aeformat.transport.problems import NEVER, Problem
from aeformat.transport.staged_bytes import StagedBytes
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
    StoredBlob,
    Sync,
)
from aeformat.transport.upload_promises import Promises
from aeformat.transport.upload_sizes import UploadSizes
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
        self.staged = StagedBytes(limits, needs_replay=is_restored)
        self.state = State.IDLE if is_restored else State.CREATED
        self._promises = Promises(length, digests or {})
        self._sizes = UploadSizes(limits, self._promises)
        self._began_at = 0  # the offset of the request that may write
        self.generation = 0  # number of the request that may write
        self._is_last = False
        self._touched = now  # time of the last request
        self._damage: tuple[int, int] = (-1, 0)  # offset of the last damaged chunk, how often it arrived damaged
        self._failure: Problem | None = None
        self.result = StoredBlob()  # what it has become, once it is stored
        self._is_unclaimed = False  # the request that created it was refused, and no other has come

    @classmethod
    def finished(
        cls, limits: TransferLimits, *, now: float, size: int, sha256: bytes, content_location: str
    ) -> UploadServer:
        """Restore an upload that was complete before the server was restarted; it still answers HEAD (T4-11)."""
        upload = cls(limits, now=now)
        upload.state, upload.result = State.COMMITTED, StoredBlob(size, sha256, content_location)
        return upload

    @property
    def verifier(self) -> Verifier:
        """What verifies the bytes of the staging file."""
        return self.staged.verifier

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
            what = f"the upload is complete, with {self.result.size} bytes"
            raise Problem("inconsistent-upload-length", what, fields=self.result.fields)
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
        self._is_last, self._touched = request.is_last, now
        self._began_at = self.staged.n_received = request.offset
        self._promises.begin(request)
        return self.generation, []

    def admit(self, request: Append, *, quota_left: int) -> None:
        """Check the sizes that the head of a request states.  Raises Problem (400, 413, 507)."""
        self._sizes.admit(request, quota_left=quota_left)

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
        if self.staged.needs_replay:
            self.staged.forget()
            return [Replay()]
        return self.staged.drop_tail()

    def head(self) -> Answer:
        """Answer a HEAD request: the upload's offset, or its result.  Call `settle` first."""
        if self.state is State.FAILED:
            assert self._failure is not None
            raise self._failure
        if self.state in (State.EXPIRED, State.CANCELLED):
            raise Problem(*REFUSED[self.state])
        is_stored = self.state is State.COMMITTED
        fields = self.result.fields if is_stored else self._progress()
        length = self.result.size if is_stored else self._promises.length
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
        at = self.staged.n_received
        end = at + n_bytes
        if not self._sizes.allow(end, quota_left=quota_left):
            return None
        self.staged.n_received = end
        return at

    def excess(self, n_bytes: int, *, quota_left: int) -> list[Action]:
        """End an upload whose next n_bytes are above a limit or its length, or do not fit (T4-20)."""
        return self._refuse(self._sizes.excess(self.staged.n_received + n_bytes, quota_left=quota_left))

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

    def end(self, generation: int, *, now: float) -> list[Action]:
        """End a request whose body is complete.  With `Upload-Complete: ?1` the container must be complete too (T4-7)."""
        self.require(generation)
        self._touched = now
        verifier, promises = self.verifier, self._promises
        if (wrong := promises.other_body()) is not None:
            return self._take_back(f"the body's {wrong} is not the one that the request names")
        if not self._is_last:
            self._go(Event.PAUSE)
            return [*self.staged.drop_tail(), Answer(204, self._progress())]
        if not verifier.is_complete:
            try:
                verifier.close()
            except FormatError as error:
                promises.forget_implied()
                return self._damaged(Problem.of("upload-truncated", error), verifier.verified_at)
            raise AssertionError("close() raises unless the verifier is complete")
        if promises.length not in (None, verifier.n_fed):
            return self._refuse(self._sizes.other_length(verifier.n_fed))
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
        return self.staged.drop_tail()

    # Reports of actions; that of a Sync is `staged.synced`.

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
        self.staged.needs_replay = False
        if self._failure is not None:
            self._go(Event.REFUSE)
            return [Discard()]
        return self.staged.drop_tail()

    def proved(self, error: FormatError | None) -> list[Action]:
        """Report what the rules of a package's numbers found (section 4 and M6-1 of model.md)."""
        return [self._store()] if error is None else self._refuse(Problem.of(_slug(error), error))

    def _store(self) -> Store:
        return Store(self.verifier.sha256, self.verifier.n_fed)

    def stored(self, content_location: str) -> Answer:
        """Report that the container is in its final place.  content_location: its path."""
        self._go(Event.STORED)
        self.result = StoredBlob(self.verifier.n_fed, self.verifier.sha256, content_location)
        self.staged.forget()  # the verifier holds a chunk
        return Answer(201, self.result.fields)

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
        is_empty = not self.verifier.verified_at and not self.staged.needs_replay
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
        return None if self.staged.needs_replay else self.verifier.verified_at

    def forget(self) -> bool:
        """Drop what the verifier of an idle upload holds; the next request reads the staged bytes back (T7-5)."""
        is_idle = self.state is State.IDLE and not self.staged.needs_replay
        if is_idle:
            self.staged.forget_until_replay()
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
        at = self._began_at
        problem = Problem("mismatching-content-digest", what, fields={draft.OFFSET: str(at)})
        return [self.staged.take_back(at), *self._damaged(problem, at)]

    def _pause(self, problem: Problem) -> list[Action]:
        self._go(Event.PAUSE)
        return [*self.staged.drop_tail(), self._refusal(problem)]

    def _refuse(self, problem: Problem) -> list[Action]:
        self._failure = problem
        self._go(Event.REFUSE)
        self.staged.forget()
        return [Discard(), Answer(problem.type.status, problem.fields, problem)]

    def _refusal(self, problem: Problem) -> Answer:
        return Answer(problem.type.status, self._progress() | problem.fields, problem)

    # Checks.

    def _require(self, event: Event) -> None:
        if event in NEXT[self.state]:
            return
        if self.state is State.FAILED:
            assert self._failure is not None
            raise self._failure
        raise Problem(*REFUSED[self.state], fields=self.result.fields if self.state is State.COMMITTED else None)

    def require(self, generation: int) -> None:
        """Check that this request may still write (T4-9).  Raises Problem."""
        if generation != self.generation or self.state is not State.RECEIVING:
            raise Problem("superseded", "a newer request took over this upload")

    def _go(self, event: Event) -> None:
        self.state = NEXT[self.state][event]

    def _progress(self) -> dict[str, str]:
        return {draft.OFFSET: str(self.verifier.verified_at), draft.COMPLETE: "?0"}


def _slug(error: FormatError) -> str:
    return "too-large" if isinstance(error, LimitExceeded) else "invalid-container"
