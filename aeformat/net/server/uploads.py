"""The uploads of a running server: who may open one, whose id is told, and how long each lives (spec/transport.md, section 4).

Owns which uploads there are.  What a request does with one is upload_steps.py's, what there is room for upload_room.py's.
"""

from __future__ import annotations

import contextlib
import logging
import math
import secrets
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from aeformat.net.server.storage import Storage, UploadInfo
from aeformat.net.server.tokens import Caller
from aeformat.net.server.upload_files import UploadEntry, UploadFiles, location
from aeformat.net.server.upload_room import UploadRoom, no_room_yet
from aeformat.net.server.upload_steps import UploadSteps
from aeformat.net.server.workers import in_thread
from aeformat.transport.problems import NEVER, Problem
from aeformat.transport.transfer_limits import TransferLimits
from aeformat.transport.upload_actions import Answer, Append
from aeformat.transport.upload_server import UploadServer
from aeformat.transport.upload_states import State

log = logging.getLogger("aeformat.server")


class Uploads:
    """All uploads of one server."""

    def __init__(self, storage: Storage, limits: TransferLimits) -> None:
        self._storage, self._limits = storage, limits
        self.files = UploadFiles(storage, limits)
        self._entries: dict[str, UploadEntry] = {}
        self.room = UploadRoom(storage, limits, self._entries)
        self.steps = UploadSteps(storage, self._entries, self.files, self.room)
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
        room = self.room.size(caller)
        if request.length is not None and request.length > room:
            raise Problem("quota-exceeded", f"{request.length} bytes do not fit into the {room} that are left")
        machine.admit(request, quota_left=room)
        if self.room.is_promised(request.body_bytes or 0):
            raise no_room_yet()
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
            await in_thread(lambda: self._storage.tell(entry.name))
            entry.is_told = True

    async def drop_results(self, tenant: str, result: str) -> None:
        """Drop the tenant's uploads that have stored this blob, which is about to be deleted.  result: the blob's path."""
        for entry in list(self._entries.values()):
            if entry.tenant == tenant and entry.machine.result.content_location == result:
                await self._drop(entry)

    async def _drop(self, entry: UploadEntry) -> None:
        self._entries.pop(entry.name, None)
        with contextlib.suppress(OSError):  # of the disk, with the last pieces of what nobody needs any more
            async with self.steps.alone(entry):
                if entry.machine.is_open:
                    entry.machine.cancel()
        await in_thread(lambda: self.files.remove(entry.name))

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

    async def sweep(self) -> None:
        """Let the uploads expire that are too old.  A failure of the disk keeps none of the others (T7-8)."""
        for entry in list(self._entries.values()):
            await self._let_expire(entry)
            if entry.machine.state in (State.EXPIRED, State.CANCELLED):
                self._entries.pop(entry.name, None)
        await in_thread(self.files.sweep)

    async def _let_expire(self, entry: UploadEntry) -> None:
        """Let an upload expire if it is too old.  Where the disk fails, the next sweep tries again."""
        if not entry.machine.is_due(time.monotonic()):
            return
        try:
            async with self.steps.alone(entry):
                await in_thread(lambda: self.files.carry_out(entry, entry.machine.tick(time.monotonic())))
        except OSError as error:
            self.files.n_failures += 1
            log.error("the disk failed while upload %s expired: %s", entry.name, error)

    def close(self) -> None:
        """Close all staging files."""
        for entry in self._entries.values():
            self.files.close(entry)


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
