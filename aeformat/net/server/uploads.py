"""The uploads of a running server: their machines, their staging files, and who may write (spec/transport.md, section 4).

Owns carrying out what UploadServer asks for, one step at a time for each upload.  A step is bounded work on local files, in
threads; nothing in here waits for a peer.  While a piece is verified it is also written; while more arrives, what is verified
is synced.
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
from aeformat.net.server.storage import CONTAINERS, MODELS, About, Result, Storage
from aeformat.net.server.tokens import Caller
from aeformat.net.server.workers import Lane, settled
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
_IN_FLIGHT: Final = 1  # pieces in each thread, at most, when the next one is taken
_T = TypeVar("_T")


@dataclass(slots=True)
class Live:
    """One upload.  lock: held for a step, never while a peer is waited for."""

    name: str
    tenant: str
    machine: UploadServer
    handle: int = -1
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    flow: Flow | None = None


class Flow:
    """The pieces of one body on their way: written and verified beside each other, and synced now and then.

    error: what the verifier stopped at.
    """

    def __init__(self, machine: UploadServer, disk: Disk, handle: int, path: Path) -> None:
        """handle: of the staging file at `path`."""
        self._machine, self._disk, self._handle = machine, disk, handle
        self._written = 0
        self._file = BlockWriter(disk, handle, path)
        self._writing, self._checking, self._syncing = Lane(self._write), Lane(self._check), Lane(self._sync)
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
        """Take a piece; wait while too many are in flight."""
        self._writing.put((at, data))
        self._checking.put(data)
        due = self._machine.sync_due(self._written)
        if due is not None and self._syncing.is_idle:
            self._syncing.put(due)
        await self._writing.shrink(_IN_FLIGHT)
        await self._checking.shrink(_IN_FLIGHT)

    @property
    def is_over(self) -> bool:
        """Whether no more pieces are wanted."""
        return self._writing.is_over or self._checking.is_over or self._syncing.is_over

    async def finish(self) -> None:
        """Nothing is in flight.  Raises OSError where the disk failed."""
        try:
            await self._checking.finish()
        finally:
            try:
                await self._writing.finish()
            finally:
                self._file.close()
                await self._syncing.finish()


class Uploads:
    """All uploads of one server."""

    def __init__(self, storage: Storage, limits: TransferLimits) -> None:
        self._storage, self._limits = storage, limits
        self._live: dict[str, Live] = {}
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
                about = storage.about(name)
                assert about is not None  # storage has dropped the others
                tenant = about.tenant
                machine = UploadServer(limits, now=now, length=about.length, is_restored=True)
            self._live[name] = Live(name, tenant, machine)

    async def create(self, caller: Caller, length: int | None) -> Live:
        """A new upload.  Raises Problem."""
        theirs = [live for live in self._live.values() if live.tenant == caller.tenant]
        over = [live for live in theirs if not _is_open(live)]
        for live in over[: max(0, len(over) - self._limits.uploads_told + 1)]:  # the oldest first, as dicts go
            await self._drop(live)
        n_open = sum(live.tenant == caller.tenant and _is_open(live) for live in self._live.values())
        if n_open >= self._limits.uploads:
            raise Problem("too-many-uploads", f"{n_open} uploads are open, allowed are {self._limits.uploads}")
        machine = UploadServer(self._limits, now=time.monotonic(), length=length)
        if length is not None and length > self.room(caller):
            raise Problem("quota-exceeded", f"{length} bytes do not fit into the {self.room(caller)} that are left")
        name = secrets.token_hex(16)  # 128 random bits (T10-2)
        self._storage.create(name, About(caller.tenant, length))
        self._live[name] = live = Live(name, caller.tenant, machine)
        return live

    async def forget(self, tenant: str, result: str) -> None:
        """Tell no more of the uploads that ended in this blob: it is to be deleted.  result: its path."""
        for live in list(self._live.values()):
            if live.tenant == tenant and live.machine.content_location == result:
                await self._drop(live)

    async def _drop(self, live: Live) -> None:
        async with self._step(live):
            self._close(live)
            self._storage.drop(live.name)
            self._live.pop(live.name, None)

    def find(self, name: str, caller: Caller) -> Live:
        """An upload of this caller's tenant; another's is as unknown as none (T10-2).  Raises Problem."""
        live = self._live.get(name)
        if live is None or live.tenant != caller.tenant:
            raise Problem("upload-unknown", "there is no such upload")
        return live

    def room(self, caller: Caller, besides: Live | None = None) -> int:
        """Bytes the caller's tenant may still store, those of one upload not counted."""
        staged = sum(
            live.machine.n_received or self._storage.staged_bytes(live.name)
            for live in self._live.values()
            if live.tenant == caller.tenant and live is not besides and _is_open(live)
        )
        return max(0, caller.quota_bytes - self._storage.used(caller.tenant) - staged)

    @property
    def n_open(self) -> int:
        """Uploads that are not complete."""
        return sum(_is_open(live) for live in self._live.values())

    # Steps.  Each runs in a thread, under the upload's lock.

    @contextlib.asynccontextmanager
    async def _step(self, live: Live) -> AsyncIterator[Answer | None]:
        """Nobody else works on the upload, and nothing is in flight; how that ended, if it ended a request."""
        async with live.lock:
            flow, live.flow = live.flow, None
            error = None
            if flow is not None:
                try:
                    await flow.finish()
                except OSError:
                    live.machine.not_written()
                    raise
                error = flow.error
            yield None if error is None else await _in_thread(lambda: self._carry(live, live.machine.broken(error)))

    async def append(self, live: Live, request: Append, caller: Caller) -> int:
        """Fence the request before; the generation of this one.  Raises Problem."""
        room = self.room(caller, live)

        def step() -> int:
            now = time.monotonic()
            self._carry(live, live.machine.settle(now=now))
            generation, actions = live.machine.append(request, now=now, room=room)
            self._carry(live, actions)
            return generation

        async with self._step(live):
            return await _in_thread(step)

    async def data(self, live: Live, generation: int, data: bytes | memoryview, caller: Caller) -> Answer | None:
        """The next bytes of a body.  An Answer ends it.  Raises Problem, OSError."""
        async with live.lock:
            room = self.room(caller, live)
            at = live.machine.data(generation, len(data), now=time.monotonic(), room=room)
            if at is not None:
                if live.flow is None:
                    path = self._storage.staging(live.name)
                    live.flow = Flow(live.machine, self._storage.disk, self._handle(live), path)
                await live.flow.put(at, data)
                if not live.flow.is_over:
                    return None
        async with self._step(live) as answer:
            if answer is None:  # or a newer request took over in between
                live.machine.require(generation)
                actions = live.machine.excess(len(data), room=room)
                answer = await _in_thread(lambda: self._carry(live, actions))
        return answer

    async def end(self, live: Live, generation: int) -> Answer:
        """The body is complete.  Raises Problem, OSError."""

        def step() -> Answer | None:
            actions = live.machine.end(generation, now=time.monotonic())
            try:
                return self._carry(live, actions)
            except OSError as error:
                live.machine.not_written()
                if live.machine.state is not State.VERIFYING:
                    raise
                return self._carry(live, live.machine.not_stored(disk_problem(error)))

        async with self._step(live) as answer:
            if answer is None:
                answer = await _in_thread(step)
        assert answer is not None
        return answer

    async def lost(self, live: Live, generation: int) -> None:
        """The connection broke."""
        async with self._step(live):
            await _in_thread(lambda: self._carry(live, live.machine.lost(generation)))

    async def head(self, live: Live) -> Answer:
        """Its offset, or its result.  Raises Problem."""

        def step() -> Answer:
            self._carry(live, live.machine.settle(now=time.monotonic()))
            return live.machine.head()

        async with self._step(live):
            return await _in_thread(step)

    async def cancel(self, live: Live) -> Answer:
        """Give it up.  Raises Problem."""
        async with self._step(live):
            answer = await _in_thread(lambda: self._carry(live, live.machine.cancel()))
        assert answer is not None
        return answer

    async def sweep(self) -> None:
        """Let what is too old expire."""
        for live in list(self._live.values()):
            async with self._step(live):
                self._carry(live, live.machine.tick(time.monotonic()))
                if live.machine.state in (State.EXPIRED, State.CANCELLED):
                    self._live.pop(live.name, None)

    def close(self) -> None:
        """Let go of all files."""
        for live in self._live.values():
            self._close(live)

    def _carry(self, live: Live, actions: list[Action]) -> Answer | None:
        answer: Answer | None = None
        disk = self._storage.disk
        for action in actions:
            if isinstance(action, Truncate):
                disk.truncate(self._handle(live), action.at)
            elif isinstance(action, Sync):
                disk.sync(self._handle(live))
                live.machine.synced(action.at)
            elif isinstance(action, Replay):
                self._replay(live)
                self._carry(live, live.machine.replayed())
            elif isinstance(action, Store):
                answer = self._store(live, action)
            elif isinstance(action, Discard):
                self._close(live)
                self._storage.drop(live.name)
            else:
                answer = action
        return answer

    def _replay(self, live: Live) -> None:
        at = 0
        while data := os.pread(self._handle(live), _READ_BYTES, at):
            if not live.machine.replay(data):
                return
            at += len(data)

    def _store(self, live: Live, action: Store) -> Answer | None:
        try:
            result = self._result(live, action)
            self._close(live)
            self._storage.commit(live.name, result)
        except OSError as error:
            return self._carry(live, live.machine.not_stored(disk_problem(error)))
        return live.machine.stored(location(result.kind, result.name))

    def _result(self, live: Live, action: Store) -> Result:
        header, sha256 = live.machine.verifier.header, action.sha256.hex()
        if not isinstance(header, ModelHeader):
            return Result(live.tenant, CONTAINERS, sha256, sha256, action.size)
        return Result(live.tenant, MODELS, header.model.hex(), sha256, action.size)

    def _handle(self, live: Live) -> int:
        if live.handle < 0:
            live.handle = self._storage.open(live.name)
        return live.handle

    def _close(self, live: Live) -> None:
        if live.handle >= 0:
            os.close(live.handle)
            live.handle = -1


async def _in_thread(work: Callable[[], _T]) -> _T:
    """Carry it out in a thread, to its end."""
    return await settled(asyncio.get_running_loop().run_in_executor(None, work))


def location(kind: str, name: str) -> str:
    """The path of a stored blob."""
    return f"/v1/{kind}/{name}"


def disk_problem(error: OSError) -> Problem:
    """What a failure of the disk is to a client."""
    if error.errno in NO_ROOM:
        return Problem("quota-exceeded", "the server's disk is full")
    return Problem("server-error", "the server's disk failed")


def _is_open(live: Live) -> bool:
    return live.machine.state in (State.CREATED, State.RECEIVING, State.IDLE, State.VERIFYING)
