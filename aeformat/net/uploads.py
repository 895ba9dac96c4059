"""The uploads of a running server: their machines, their staging files, and who may write (spec/transport.md, section 4).

Owns carrying out what UploadServer asks for, one step at a time for each upload.  A step is bounded work on local files;
nothing in here waits for a peer.
"""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import time
from dataclasses import dataclass, field
from typing import Final

from aeformat.header import ModelHeader
from aeformat.net.storage import CONTAINERS, MODELS, About, Result, Storage
from aeformat.net.tokens import Caller
from aeformat.transport.limits import TransferLimits
from aeformat.transport.problems import Problem
from aeformat.transport.upload_server import (
    Action,
    Answer,
    Append,
    Discard,
    Replay,
    State,
    Store,
    Sync,
    Truncate,
    UploadServer,
    Write,
)

_READ_BYTES: Final = 1 << 20
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(slots=True)
class Live:
    """One upload.  lock: held for a step, never while a peer is waited for."""

    name: str
    tenant: str
    machine: UploadServer
    handle: int = -1
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Uploads:
    """All uploads of one server."""

    def __init__(self, storage: Storage, limits: TransferLimits) -> None:
        self._storage, self._limits = storage, limits
        self._live: dict[str, Live] = {}
        now = time.monotonic()
        for name in storage.uploads():
            about, result = storage.about(name), storage.result(name)
            if result is not None:
                machine = UploadServer.finished(
                    limits,
                    now=now,
                    size=result.size,
                    sha256=bytes.fromhex(result.sha256),
                    content_location=location(result),
                )
            else:
                assert about is not None  # storage has dropped the others
                machine = UploadServer(limits, now=now, length=about.length, is_restored=True)
            tenant = result.tenant if result is not None else about.tenant if about is not None else ""
            self._live[name] = Live(name, tenant, machine)

    def create(self, caller: Caller, length: int | None) -> Live:
        """A new upload.  Raises Problem."""
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

    def find(self, name: str, caller: Caller) -> Live:
        """An upload of this caller's tenant; another's is as unknown as none (T10-2).  Raises Problem."""
        live = self._live.get(name)
        if live is None or live.tenant != caller.tenant:
            raise Problem("upload-unknown", "there is no such upload")
        return live

    def room(self, caller: Caller, besides: Live | None = None) -> int:
        """Bytes the caller's tenant may still store, those of one upload not counted."""
        staged = sum(
            live.machine.verifier.n_fed or self._storage.staged_bytes(live.name)
            for live in self._live.values()
            if live.tenant == caller.tenant and live is not besides and _is_open(live)
        )
        return max(0, caller.quota_bytes - self._storage.used(caller.tenant) - staged)

    @property
    def n_open(self) -> int:
        """Uploads that are not complete."""
        return sum(_is_open(live) for live in self._live.values())

    # Steps.  Each runs in a thread, under the upload's lock.

    async def append(self, live: Live, request: Append, caller: Caller) -> int:
        """Fence the request before; the generation of this one.  Raises Problem."""
        room = self.room(caller, live)

        def step() -> int:
            now = time.monotonic()
            self._carry(live, live.machine.settle(now=now))
            generation, actions = live.machine.append(request, now=now, room=room)
            self._carry(live, actions)
            return generation

        async with live.lock:
            return await asyncio.to_thread(step)

    async def data(self, live: Live, generation: int, data: bytes) -> Answer | None:
        """The next bytes of a body.  An Answer ends it.  Raises Problem."""
        async with live.lock:
            return await asyncio.to_thread(
                lambda: self._carry(live, live.machine.data(generation, data, now=time.monotonic()))
            )

    async def end(self, live: Live, generation: int) -> Answer:
        """The body is complete.  Raises Problem."""
        async with live.lock:
            answer = await asyncio.to_thread(
                lambda: self._carry(live, live.machine.end(generation, now=time.monotonic()))
            )
        assert answer is not None
        return answer

    async def lost(self, live: Live, generation: int) -> None:
        """The connection broke."""
        async with live.lock:
            await asyncio.to_thread(lambda: self._carry(live, live.machine.lost(generation)))

    async def head(self, live: Live) -> Answer:
        """Its offset, or its result.  Raises Problem."""

        def step() -> Answer:
            self._carry(live, live.machine.settle(now=time.monotonic()))
            return live.machine.head()

        async with live.lock:
            return await asyncio.to_thread(step)

    async def cancel(self, live: Live) -> Answer:
        """Give it up.  Raises Problem."""
        async with live.lock:
            answer = self._carry(live, live.machine.cancel())
        assert answer is not None
        return answer

    async def sweep(self) -> None:
        """Let what is too old expire."""
        for live in list(self._live.values()):
            async with live.lock:
                self._carry(live, live.machine.tick(time.monotonic()))
                if live.machine.state in (State.EXPIRED, State.CANCELLED):
                    del self._live[live.name]

    def close(self) -> None:
        """Let go of all files."""
        for live in self._live.values():
            self._close(live)

    def _carry(self, live: Live, actions: list[Action]) -> Answer | None:
        answer: Answer | None = None
        disk = self._storage.disk
        for action in actions:
            if isinstance(action, Write):
                disk.write(self._handle(live), action.at, action.data)
            elif isinstance(action, Truncate):
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
        return live.machine.stored(location(result))

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


def location(result: Result) -> str:
    """The path of a stored blob."""
    return f"/v1/{result.kind}/{result.name}"


def disk_problem(error: OSError) -> Problem:
    """What a failure of the disk is to a client."""
    if error.errno in _FULL:
        return Problem("quota-exceeded", "the server's disk is full")
    return Problem("server-error", "the server's disk failed")


def _is_open(live: Live) -> bool:
    return live.machine.state in (State.CREATED, State.RECEIVING, State.IDLE, State.VERIFYING)
