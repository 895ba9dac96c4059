"""The uploads of a running server: their state machines and their staging files (spec/transport.md, section 4).

Owns carrying out the actions of UploadServer, one step at a time for each upload.  A step is bounded work on local files, in
threads; no step waits for a peer.  A piece is verified and written at the same time; verified bytes are synced while more
pieces arrive.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from aeformat.atomic import NO_ROOM
from aeformat.container.header import ModelHeader
from aeformat.errors import FormatError
from aeformat.net.server.blocks import BlockWriter
from aeformat.net.server.disk import Disk
from aeformat.net.server.storage import CONTAINERS, MODELS, Storage, UploadInfo, UploadResult
from aeformat.net.server.tokens import Caller
from aeformat.net.server.workers import Worker, thread_result
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
from aeformat.transport.upload_server import UploadServer
from aeformat.transport.upload_states import State

_READ_BYTES: Final = 1 << 20
_QUEUED: Final = 1  # the most pieces in the queue of a worker when the next piece is accepted
_T = TypeVar("_T")


@dataclass(slots=True)
class UploadEntry:
    """One upload of a running server.

    name: its id.  machine: its state machine.  handle: file descriptor of its staging file, -1 while that is not open.
    lock: held during a step, never while waiting for a peer.  pipeline: works on the pieces of the body that is being received.
    """

    name: str
    tenant: str
    machine: UploadServer
    handle: int = -1
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    pipeline: BodyPipeline | None = None


class BodyPipeline:
    """Three workers for the pieces of one body: one writes them, one verifies them, one syncs the file now and then.

    error: the error that the verifier found, None as long as all pieces are good.
    """

    def __init__(self, machine: UploadServer, disk: Disk, handle: int, path: Path) -> None:
        """Make the workers.  handle: a file descriptor of the staging file at `path`."""
        self._machine, self._disk, self._handle = machine, disk, handle
        self._written = 0
        self._file = BlockWriter(disk, handle, path)
        self._writer, self._verifier, self._syncer = Worker(self._write), Worker(self._check), Worker(self._sync)
        self.error: FormatError | None = None

    def _write(self, piece: tuple[int, bytes | memoryview]) -> bool:
        at, data = piece
        self._file.write(at, data)
        self._written = at + len(data)
        return True

    def _check(self, data: bytes | memoryview) -> bool:
        self.error = self._machine.check(data)
        return self.error is None

    def _sync(self, sync: Sync) -> bool:
        self._disk.sync(self._handle)
        self._machine.synced(sync.at)
        return True

    async def put(self, at: int, data: bytes | memoryview) -> None:
        """Give a piece to the workers, then wait until their queues are short.  at: its offset in the staging file."""
        self._writer.put((at, data))
        self._verifier.put(data)
        due = self._machine.sync_due(self._written)
        if due is not None and self._syncer.is_idle:
            self._syncer.put(due)
        await self._writer.wait_for_queue(_QUEUED)
        await self._verifier.wait_for_queue(_QUEUED)

    @property
    def is_over(self) -> bool:
        """Whether a worker has stopped, because of an error of the disk or in the data; then give it no more pieces."""
        return self._writer.is_over or self._verifier.is_over or self._syncer.is_over

    async def finish(self) -> None:
        """Wait until all workers have ended.  Raises OSError if the disk failed."""
        try:
            await self._verifier.finish()
        finally:
            try:
                await self._writer.finish()
            finally:
                self._file.close()
                await self._syncer.finish()


class Uploads:
    """All uploads of one server."""

    def __init__(self, storage: Storage, limits: TransferLimits) -> None:
        self._storage, self._limits = storage, limits
        self._entries: dict[str, UploadEntry] = {}
        for name in storage.uploads():
            now = time.monotonic() - storage.age(name)
            result = storage.result(name)
            if result is not None:
                tenant = result.tenant
                machine = UploadServer.finished(
                    limits,
                    now=now,
                    size=result.size,
                    sha256=bytes.fromhex(result.sha256),
                    content_location=location(result.kind, result.name),
                )
            else:
                info = storage.info(name)
                assert info is not None  # storage has dropped the others
                tenant = info.tenant
                machine = UploadServer(limits, now=now, length=info.length, is_restored=True)
            self._entries[name] = UploadEntry(name, tenant, machine)

    async def create(self, caller: Caller, length: int | None) -> UploadEntry:
        """Create an upload.  length: its Upload-Length, if the client states it.  Raises Problem."""
        theirs = [entry for entry in self._entries.values() if entry.tenant == caller.tenant]
        ended = [entry for entry in theirs if not _is_open(entry)]
        for entry in ended[
            : max(0, len(ended) - self._limits.uploads_told + 1)
        ]:  # the oldest first: the order of the dict
            await self._drop(entry)
        n_open = sum(entry.tenant == caller.tenant and _is_open(entry) for entry in self._entries.values())
        if n_open >= self._limits.uploads:
            raise Problem("too-many-uploads", f"{n_open} uploads are open, allowed are {self._limits.uploads}")
        machine = UploadServer(self._limits, now=time.monotonic(), length=length)
        if length is not None and length > self.quota_left(caller):
            left = self.quota_left(caller)
            raise Problem("quota-exceeded", f"{length} bytes do not fit into the {left} that are left")
        name = secrets.token_hex(16)  # 128 random bits (T10-2)
        self._storage.create(name, UploadInfo(caller.tenant, length))
        self._entries[name] = entry = UploadEntry(name, caller.tenant, machine)
        return entry

    async def drop_results(self, tenant: str, result: str) -> None:
        """Drop the tenant's uploads that have stored this blob, which is about to be deleted.  result: the blob's path."""
        for entry in list(self._entries.values()):
            if entry.tenant == tenant and entry.machine.content_location == result:
                await self._drop(entry)

    async def _drop(self, entry: UploadEntry) -> None:
        async with self._step(entry):
            self._close(entry)
            self._storage.drop(entry.name)
            self._entries.pop(entry.name, None)

    def find(self, name: str, caller: Caller) -> UploadEntry:
        """The upload with this id.  Raises Problem if there is none, or it is another tenant's (T10-2)."""
        entry = self._entries.get(name)
        if entry is None or entry.tenant != caller.tenant:
            raise Problem("upload-unknown", "there is no such upload")
        return entry

    def quota_left(self, caller: Caller, excluded: UploadEntry | None = None) -> int:
        """The bytes that the caller's tenant may still store.  The bytes of the upload `excluded` do not count as stored."""
        staged = sum(
            entry.machine.n_received or self._storage.staged_bytes(entry.name)
            for entry in self._entries.values()
            if entry.tenant == caller.tenant and entry is not excluded and _is_open(entry)
        )
        return max(0, caller.quota_bytes - self._storage.used(caller.tenant) - staged)

    @property
    def n_open(self) -> int:
        """The number of uploads that have not ended."""
        return sum(_is_open(entry) for entry in self._entries.values())

    # Steps.  Each runs in a thread, under the upload's lock.

    @contextlib.asynccontextmanager
    async def _step(self, entry: UploadEntry) -> AsyncIterator[Answer | None]:
        """Wait until no other step and no worker works on the upload, and keep it so in the `with` block.

        Yields the Answer that ends the request being received if its pieces were not good, else None.  Raises OSError.
        """
        async with entry.lock:
            pipeline, entry.pipeline = entry.pipeline, None
            error = None
            if pipeline is not None:
                try:
                    await pipeline.finish()
                except OSError:
                    entry.machine.not_written()
                    raise
                error = pipeline.error
            yield (
                None if error is None else await _in_thread(lambda: self._carry_out(entry, entry.machine.broken(error)))
            )

    async def append(self, entry: UploadEntry, request: Append, caller: Caller) -> int:
        """End the request before, and begin a new one; returns its generation.  Raises Problem."""
        quota_left = self.quota_left(caller, entry)

        def step() -> int:
            self._require_bytes(entry)
            now = time.monotonic()
            self._carry_out(entry, entry.machine.settle(now=now))
            generation, actions = entry.machine.append(request, now=now, quota_left=quota_left)
            self._carry_out(entry, actions)
            return generation

        async with self._step(entry):
            return await _in_thread(step)

    async def data(
        self, entry: UploadEntry, generation: int, data: bytes | memoryview, caller: Caller
    ) -> Answer | None:
        """Take the next bytes of a body.  If an Answer is returned, it ends the request.  Raises Problem, OSError."""
        async with entry.lock:
            quota_left = self.quota_left(caller, entry)
            at = entry.machine.data(generation, len(data), now=time.monotonic(), quota_left=quota_left)
            if at is not None:
                if entry.pipeline is None:
                    path = self._storage.staging(entry.name)
                    entry.pipeline = BodyPipeline(entry.machine, self._storage.disk, self._handle(entry), path)
                await entry.pipeline.put(at, data)
                if not entry.pipeline.is_over:
                    return None
        async with self._step(entry) as answer:
            if answer is None:
                entry.machine.require(generation)  # a newer request may have come in between
                actions = entry.machine.excess(len(data), quota_left=quota_left)
                answer = await _in_thread(lambda: self._carry_out(entry, actions))
        return answer

    async def end(self, entry: UploadEntry, generation: int) -> Answer:
        """End a request whose body is complete.  Raises Problem, OSError."""

        def step() -> Answer | None:
            actions = entry.machine.end(generation, now=time.monotonic())
            try:
                return self._carry_out(entry, actions)
            except OSError as error:
                entry.machine.not_written()
                if entry.machine.state is not State.VERIFYING:
                    raise
                return self._carry_out(entry, entry.machine.not_stored(disk_problem(error)))

        async with self._step(entry) as answer:
            if answer is None:
                answer = await _in_thread(step)
        assert answer is not None
        return answer

    async def lost(self, entry: UploadEntry, generation: int) -> None:
        """End a request whose connection broke."""
        async with self._step(entry):
            await _in_thread(lambda: self._carry_out(entry, entry.machine.lost(generation)))

    async def head(self, entry: UploadEntry) -> Answer:
        """Answer a HEAD request with the upload's offset, or its result.  Raises Problem."""

        def step() -> Answer:
            self._require_bytes(entry)
            self._carry_out(entry, entry.machine.settle(now=time.monotonic()))
            return entry.machine.head()

        async with self._step(entry):
            return await _in_thread(step)

    async def cancel(self, entry: UploadEntry) -> Answer:
        """Cancel an upload.  Raises Problem."""
        async with self._step(entry):
            answer = await _in_thread(lambda: self._carry_out(entry, entry.machine.cancel()))
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
            is_there = has_bytes or not _is_open(entry)
        if not is_there:
            self._close(entry)
            storage.drop(entry.name)
            self._entries.pop(entry.name, None)
            raise Problem("upload-unknown", "its bytes are not there any more")

    async def sweep(self) -> None:
        """Let the uploads expire that are too old."""
        for entry in list(self._entries.values()):
            async with self._step(entry):
                self._carry_out(entry, entry.machine.tick(time.monotonic()))
                if entry.machine.state in (State.EXPIRED, State.CANCELLED):
                    self._entries.pop(entry.name, None)

    def close(self) -> None:
        """Close all staging files."""
        for entry in self._entries.values():
            self._close(entry)

    def _carry_out(self, entry: UploadEntry, actions: list[Action]) -> Answer | None:
        answer: Answer | None = None
        disk = self._storage.disk
        for action in actions:
            if isinstance(action, Truncate):
                disk.truncate(self._handle(entry), action.at)
            elif isinstance(action, Sync):
                disk.sync(self._handle(entry))
                entry.machine.synced(action.at)
            elif isinstance(action, Replay):
                self._replay(entry)
                self._carry_out(entry, entry.machine.replayed())
            elif isinstance(action, Store):
                answer = self._store(entry, action)
            elif isinstance(action, Discard):
                self._close(entry)
                self._storage.drop(entry.name)
            else:
                answer = action
        return answer

    def _replay(self, entry: UploadEntry) -> None:
        at = 0
        while data := os.pread(self._handle(entry), _READ_BYTES, at):
            if not entry.machine.replay(data):
                return
            at += len(data)

    def _store(self, entry: UploadEntry, action: Store) -> Answer | None:
        try:
            result = self._result(entry, action)
            self._close(entry)
            self._storage.commit(entry.name, result)
        except OSError as error:
            return self._carry_out(entry, entry.machine.not_stored(disk_problem(error)))
        return entry.machine.stored(location(result.kind, result.name))

    def _result(self, entry: UploadEntry, action: Store) -> UploadResult:
        header, sha256 = entry.machine.verifier.header, action.sha256.hex()
        if not isinstance(header, ModelHeader):
            return UploadResult(entry.tenant, CONTAINERS, sha256, sha256, action.size)
        return UploadResult(entry.tenant, MODELS, header.model.hex(), sha256, action.size)

    def _handle(self, entry: UploadEntry) -> int:
        if entry.handle < 0:
            entry.handle = self._storage.open(entry.name)
        return entry.handle

    def _close(self, entry: UploadEntry) -> None:
        if entry.handle >= 0:
            os.close(entry.handle)
            entry.handle = -1


async def _in_thread(work: Callable[[], _T]) -> _T:
    """Run `work` in a thread and wait for its result, even if this is cancelled."""
    return await thread_result(asyncio.get_running_loop().run_in_executor(None, work))


def location(kind: str, name: str) -> str:
    """The URL path of a stored blob."""
    return f"/v1/{kind}/{name}"


def disk_problem(error: OSError) -> Problem:
    """The problem that answers a request for which the disk failed."""
    if error.errno in NO_ROOM:
        return Problem("quota-exceeded", "the server's disk is full")
    return Problem("server-error", "the server's storage failed")


def _is_open(entry: UploadEntry) -> bool:
    return entry.machine.state in (State.CREATED, State.RECEIVING, State.IDLE, State.VERIFYING)
