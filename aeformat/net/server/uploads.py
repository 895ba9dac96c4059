"""The uploads of a running server: who may open one, how long each lives, and the steps of their requests (spec/transport.md,
section 4).

Owns the order of steps, one at a time for each upload.  A step is bounded work on local files, in threads; no step waits for a
peer.  A piece is verified and written at the same time; verified bytes are synced while more pieces arrive.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime, timezone
from typing import Any, Final, TypeVar

from aeformat.net.server.body_pipeline import BodyPipeline
from aeformat.net.server.memory_budget import MemoryBudget
from aeformat.net.server.storage import Storage, UploadInfo
from aeformat.net.server.tokens import Caller
from aeformat.net.server.upload_files import UploadEntry, UploadFiles, disk_problem, location
from aeformat.net.server.workers import thread_result
from aeformat.transport.problems import NEVER, Problem
from aeformat.transport.transfer_limits import TransferLimits
from aeformat.transport.upload_actions import Answer, Append
from aeformat.transport.upload_server import UploadServer
from aeformat.transport.upload_states import State

log = logging.getLogger("aeformat.server")
_BUSY_SECONDS: Final = "2"  # Retry-After, where memory is short
_PROOF_COPIES: Final = 2  # of a package's tensors: as they are read, and as they are checked
_T = TypeVar("_T")


class Uploads:
    """All uploads of one server."""

    def __init__(self, storage: Storage, limits: TransferLimits) -> None:
        self._storage, self._limits = storage, limits
        self.files = UploadFiles(storage, limits)
        self.memory = MemoryBudget(limits.verify_bytes)
        self._entries: dict[str, UploadEntry] = {}
        for name in storage.uploads():
            self._restore(name)

    def _restore(self, name: str) -> None:
        """Go on with an upload after a restart, unless nobody was told its id (T4-20)."""
        age, result, info = self._storage.age(name), self._storage.result(name), self._storage.info(name)
        now = time.monotonic() - age
        if result is not None:
            tenant = result.tenant
            machine = UploadServer.finished(
                self._limits,
                now=now,
                size=result.size,
                sha256=bytes.fromhex(result.sha256),
                content_location=location(result.kind, result.name),
            )
        else:
            assert info is not None  # storage has dropped the others
            if not info.is_told:
                self.files.remove(name)
                return
            tenant = info.tenant
            has_bytes = self._storage.staged_bytes(name) > 0
            digests = {algorithm: bytes.fromhex(text) for algorithm, text in info.digests.items()}
            machine = UploadServer(self._limits, now=now, length=info.length, digests=digests, is_restored=has_bytes)
        created = time.time() - age if info is None or not info.created else info.created
        self._entries[name] = UploadEntry(name, tenant, machine, created)

    # Which uploads there are.

    async def create(self, caller: Caller, request: Append, digests: Mapping[str, bytes] | None = None) -> UploadEntry:
        """Create an upload, unless what its request states can only be refused (T10-6).  Raises Problem, OSError.

        digests: those that the whole must have, by algorithm (T4-27).
        """
        theirs = [entry for entry in self._entries.values() if entry.tenant == caller.tenant]
        for entry in theirs:
            await self._let_expire(entry)
        await self._forget_oldest([entry for entry in theirs if not entry.machine.is_open])
        n_open = sum(entry.tenant == caller.tenant and entry.machine.is_open for entry in self._entries.values())
        if n_open >= self._limits.uploads:
            raise self._too_many(caller)
        machine = UploadServer(self._limits, now=time.monotonic(), length=request.length, digests=digests)
        room = self._room(caller)
        if request.length is not None and request.length > room:
            raise Problem("quota-exceeded", f"{request.length} bytes do not fit into the {room} that are left")
        machine.admit(request, quota_left=room)
        name = secrets.token_hex(16)  # 128 random bits (T10-2)
        is_told = request.body_bytes == 0 and not request.is_last  # the answer comes at once
        now = time.time()
        named = {algorithm: digest.hex() for algorithm, digest in (digests or {}).items()}
        info = UploadInfo(caller.tenant, request.length, is_told=is_told, created=now, digests=named)
        self._storage.create(name, info)
        self._entries[name] = entry = UploadEntry(name, caller.tenant, machine, now, is_told=is_told)
        return entry

    async def _forget_oldest(self, ended: list[UploadEntry]) -> None:
        """Of the uploads that have ended, drop the oldest: the order is that of the dict."""
        for entry in ended[: max(0, len(ended) - self._limits.uploads_told + 1)]:
            await self._drop(entry)

    def _too_many(self, caller: Caller) -> Problem:
        """The refusal of one more upload, which says what helps (T4-23)."""
        theirs = [entry for entry in self._entries.values() if entry.tenant == caller.tenant and entry.machine.is_open]
        seconds = max(1, math.ceil(min(entry.machine.expires for entry in theirs) - time.monotonic()))
        return Problem(
            "too-many-uploads",
            f"{len(theirs)} uploads are open, allowed are {self._limits.uploads}; GET v1/uploads lists them, "
            f"DELETE of one makes room; the first one expires in {seconds} s",
            fields={"Retry-After": str(seconds)},
        )

    async def told(self, entry: UploadEntry, answer: Answer | None) -> bool:
        """End the request that created an upload.  Whether its answer may name the upload; else that is dropped (T4-20).

        answer: None if none can be sent; then a client knows the id only if it was told before.  Raises OSError.
        """
        if answer is None and entry.is_told:
            return True
        problem = None if answer is None else answer.problem
        machine = entry.machine
        is_good = answer is not None and problem is None
        is_kept = problem is not None and problem.type.retry != NEVER and machine.is_open and bool(machine.offset)
        if not (is_good or is_kept):
            await self._drop(entry)
            return False
        if problem is not None:
            machine.refused_first()
        try:
            await self.tell(entry)
        except OSError:
            await self._drop(entry)
            raise
        return True

    async def tell(self, entry: UploadEntry) -> None:
        """Write down that a client is about to be told the id of an upload.  Raises OSError."""
        if entry.machine.is_open and not entry.is_told:
            await _in_thread(lambda: self._storage.tell(entry.name))
            entry.is_told = True

    async def drop_results(self, tenant: str, result: str) -> None:
        """Drop the tenant's uploads that have stored this blob, which is about to be deleted.  result: the blob's path."""
        for entry in list(self._entries.values()):
            if entry.tenant == tenant and entry.machine.content_location == result:
                await self._drop(entry)

    async def _drop(self, entry: UploadEntry) -> None:
        self._entries.pop(entry.name, None)
        with contextlib.suppress(OSError):  # of the disk, with the last pieces of what nobody needs any more
            async with self._step(entry):
                if entry.machine.is_open:
                    entry.machine.cancel()
        await _in_thread(lambda: self.files.remove(entry.name))

    def find(self, name: str, caller: Caller) -> UploadEntry:
        """The upload with this id.  Raises Problem if there is none, or it is another tenant's (T10-2)."""
        entry = self._entries.get(name)
        if entry is None or entry.tenant != caller.tenant:
            raise Problem("upload-unknown", "there is no such upload")
        return entry

    def listed(self, caller: Caller) -> list[dict[str, Any]]:
        """The open uploads of the caller's tenant, as GET v1/uploads shows them (T4-22)."""
        wall = time.time() - time.monotonic()
        theirs = [entry for entry in self._entries.values() if entry.tenant == caller.tenant and entry.machine.is_open]
        return [
            {
                "id": entry.name,
                "offset": entry.machine.offset,
                "length": entry.machine.length,
                "created": _timestamp(entry.created),
                "expires": _timestamp(wall + entry.machine.expires),
            }
            for entry in sorted(theirs, key=lambda entry: entry.created)
        ]

    @property
    def n_open(self) -> int:
        """The number of uploads that have not ended."""
        return sum(entry.machine.is_open for entry in self._entries.values())

    # What there is room for.

    def quota_left(self, caller: Caller, excluded: UploadEntry | None = None) -> int:
        """The bytes that the caller's tenant may still store.  The bytes of the upload `excluded` do not count as stored."""
        staged = sum(
            entry.machine.n_received or self._storage.staged_bytes(entry.name)
            for entry in self._entries.values()
            if entry.tenant == caller.tenant and entry is not excluded and entry.machine.is_open
        )
        return max(0, caller.quota_bytes - self._storage.used(caller.tenant) - staged)

    def _room(self, caller: Caller, mine: UploadEntry | None = None) -> int:
        """The size that a tenant's upload may have: by its quota, and by what the disk has left (T7-6).

        Bytes that other requests have announced and not sent yet are not free.
        """
        staged = 0 if mine is None else mine.machine.n_received or self._storage.staged_bytes(mine.name)
        awaited = sum(
            max(0, entry.expected - entry.machine.n_received) for entry in self._entries.values() if entry is not mine
        )
        free = self._storage.free_bytes() - self._limits.reserve_bytes - awaited
        return min(self.quota_left(caller, mine), staged + max(0, free))

    def _can_hold(self, entry: UploadEntry, n_bytes: int) -> bool:
        """Whether an upload may hold n_bytes of memory; idle ones are forgotten for it, the oldest first (T7-5)."""
        if self.memory.hold(entry.name, n_bytes):
            return True
        for other in sorted(self._entries.values(), key=lambda other: other.machine.expires):
            if other is entry or not self.memory.share(other.name) or other.lock.locked():
                continue
            if other.machine.forget():
                self.memory.note(other.name, 0)
                if self.memory.hold(entry.name, n_bytes):
                    return True
        return False

    # Steps.  Each runs in a thread, under the upload's lock.

    @contextlib.asynccontextmanager
    async def _step(self, entry: UploadEntry) -> AsyncIterator[Answer | None]:
        """Wait until no other step and no worker works on the upload, and keep it so in the `with` block.

        Yields the Answer that ends the request being received if its pieces were not good, else None.  Between requests no
        file is open.  Raises OSError.
        """
        async with entry.lock:
            try:
                yield await self._finish_pieces(entry)
            finally:
                if entry.machine.state is not State.RECEIVING:
                    self.files.close(entry)
                    entry.expected = 0
                self.memory.note(entry.name, entry.machine.verifier.held_bytes if entry.machine.is_open else 0)

    async def _finish_pieces(self, entry: UploadEntry) -> Answer | None:
        pipeline, entry.pipeline = entry.pipeline, None
        if pipeline is None:
            return None
        try:
            await pipeline.finish()
        except OSError as caught:
            failure = caught
            await _in_thread(lambda: self.files.failed(entry, failure))
            raise
        error = pipeline.error
        if error is None:
            return None
        return await _in_thread(lambda: self.files.carry_out(entry, entry.machine.broken(error)))

    async def append(self, entry: UploadEntry, request: Append, caller: Caller) -> int:
        """End the request before, and begin a new one; returns its generation.  Raises Problem."""
        room = self._room(caller, entry)

        def step() -> int:
            self._require_bytes(entry)
            now = time.monotonic()
            self.files.carry_out(entry, entry.machine.settle(now=now))
            try:
                generation, actions = entry.machine.append(request, now=now, quota_left=room)
            except Problem as problem:
                if problem.type.slug == "quota-exceeded":
                    self.files.carry_out(entry, entry.machine.give_up(problem))
                raise
            self.files.carry_out(entry, actions)
            entry.expected = 0 if request.body_bytes is None else request.offset + request.body_bytes
            return generation

        async with self._step(entry):
            return await _in_thread(step)

    async def data(
        self, entry: UploadEntry, generation: int, data: bytes | memoryview, caller: Caller
    ) -> Answer | None:
        """Take the next bytes of a body.  If an Answer is returned, it ends the request.  Raises Problem, OSError."""
        machine, is_held = entry.machine, True
        async with entry.lock:
            room = self.quota_left(caller, entry) if entry.expected else self._room(caller, entry)
            at = machine.data(generation, len(data), now=time.monotonic(), quota_left=room)
            if at is not None:
                if entry.pipeline is None:
                    path = self._storage.staging(entry.name)
                    entry.pipeline = BodyPipeline(machine, self._storage.disk, self.files.handle(entry), path)
                await entry.pipeline.put(at, data)
                is_held = self._can_hold(entry, machine.verifier.held_bytes)
                if is_held and not entry.pipeline.is_over:
                    return None
        async with self._step(entry) as answer:
            if answer is None:
                machine.require(generation)  # a newer request may have come in between
                actions = machine.excess(len(data), quota_left=room) if is_held else machine.postpone(_busy())
                answer = await _in_thread(lambda: self.files.carry_out(entry, actions))
        return answer

    async def end(self, entry: UploadEntry, generation: int) -> Answer:
        """End a request whose body is complete.  Raises Problem, OSError."""
        machine = entry.machine

        def step() -> Answer | None:
            actions = machine.end(generation, now=time.monotonic())
            try:
                return self.files.carry_out(entry, actions)
            except OSError as error:
                self.files.failed(entry, error)
                if machine.state is not State.VERIFYING:
                    raise
                return self.files.carry_out(entry, machine.not_stored(disk_problem(error)))

        async with self._step(entry) as answer:
            if answer is None:
                machine.require(generation)
                proof_bytes = _PROOF_COPIES * (machine.verifier.model_bytes or 0) if machine.verifier.is_complete else 0
                if self._can_hold(entry, machine.verifier.held_bytes + proof_bytes):
                    answer = await _in_thread(step)
                else:
                    answer = await _in_thread(lambda: self.files.carry_out(entry, machine.postpone(_busy())))
        assert answer is not None
        return answer

    async def lost(self, entry: UploadEntry, generation: int) -> None:
        """End a request whose connection broke."""
        async with self._step(entry):
            await _in_thread(lambda: self.files.carry_out(entry, entry.machine.lost(generation)))

    async def head(self, entry: UploadEntry) -> Answer:
        """Answer a HEAD request with the upload's offset, or its result.  Raises Problem."""

        def step() -> Answer:
            self._require_bytes(entry)
            self.files.carry_out(entry, entry.machine.settle(now=time.monotonic()))
            return entry.machine.head()

        async with self._step(entry):
            return await _in_thread(step)

    async def cancel(self, entry: UploadEntry) -> Answer:
        """Cancel an upload.  Raises Problem."""
        async with self._step(entry):
            answer = await _in_thread(lambda: self.files.carry_out(entry, entry.machine.cancel()))
        assert answer is not None
        return answer

    def _require_bytes(self, entry: UploadEntry) -> None:
        """Check that what the upload has acknowledged is there: its staged bytes, or its blob (T2-12).

        Somebody may have removed them under the running server; then there is no such upload any more.  Raises Problem.
        """
        machine, storage = entry.machine, self._storage
        if machine.state is State.COMMITTED:
            is_there = storage.has(entry.tenant, *machine.content_location.split("/")[-2:])
        else:
            has_bytes = storage.is_there(entry.name) and storage.staged_bytes(entry.name) >= machine.acknowledged
            is_there = has_bytes or not machine.is_open
        if not is_there:
            self.files.close(entry)
            self.files.remove(entry.name)
            self._entries.pop(entry.name, None)
            raise Problem("upload-unknown", "its bytes are not there any more")

    async def sweep(self) -> None:
        """Let the uploads expire that are too old.  A failure of the disk keeps none of the others (T7-8)."""
        for entry in list(self._entries.values()):
            await self._let_expire(entry)
            if entry.machine.state in (State.EXPIRED, State.CANCELLED):
                self._entries.pop(entry.name, None)
        await _in_thread(self.files.sweep)

    async def _let_expire(self, entry: UploadEntry) -> None:
        """Let an upload expire if it is too old.  Where the disk fails, the next sweep tries again."""
        if not entry.machine.is_due(time.monotonic()):
            return
        try:
            async with self._step(entry):
                await _in_thread(lambda: self.files.carry_out(entry, entry.machine.tick(time.monotonic())))
        except OSError as error:
            self.files.n_failures += 1
            log.error("the disk failed while upload %s expired: %s", entry.name, error)

    def close(self) -> None:
        """Close all staging files."""
        for entry in self._entries.values():
            self.files.close(entry)


async def _in_thread(work: Callable[[], _T]) -> _T:
    """Run `work` in a thread and wait for its result, even if this is cancelled."""
    return await thread_result(asyncio.get_running_loop().run_in_executor(None, work))


def _busy() -> Problem:
    what = "verifying what others send takes all the memory that it may take; go on after a while"
    return Problem("busy", what, fields={"Retry-After": _BUSY_SECONDS})


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
