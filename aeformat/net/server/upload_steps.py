"""The steps of requests that work on an upload (spec/transport.md, section 4).

Owns the order of steps, one at a time for each upload.  A step is bounded work on local files, in threads; no step waits for a
peer.  A piece is verified and written at the same time; verified bytes are synced while more pieces arrive.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from typing import Final

from aeformat.net.server.body_pipeline import BodyPipeline
from aeformat.net.server.storage import Storage
from aeformat.net.server.tokens import Caller
from aeformat.net.server.upload_files import UploadEntry, UploadFiles, disk_problem
from aeformat.net.server.upload_room import BUSY_SECONDS, UploadRoom, no_room_yet
from aeformat.net.server.workers import in_thread
from aeformat.transport.problems import Problem
from aeformat.transport.upload_actions import Answer, Append
from aeformat.transport.upload_states import State

_PROOF_COPIES: Final = 2  # of a package's tensors: as they are read, and as they are checked


class UploadSteps:
    """The steps of all uploads.  Each runs in a thread, under the upload's lock.

    entries: all uploads of the server, by id; one whose bytes are gone is taken out.
    """

    def __init__(
        self, storage: Storage, entries: dict[str, UploadEntry], files: UploadFiles, room: UploadRoom
    ) -> None:  # fmt: skip
        self._storage, self._entries, self._files, self._room = storage, entries, files, room

    @contextlib.asynccontextmanager
    async def alone(self, entry: UploadEntry) -> AsyncIterator[Answer | None]:
        """Wait until no other step and no worker works on the upload, and keep it so in the `with` block.

        Yields the Answer that ends the request being received if its pieces were not good, else None.  Between requests no
        file is open.  Raises OSError.
        """
        async with entry.lock:
            try:
                yield await self._finish_pieces(entry)
            finally:
                if entry.machine.state is not State.RECEIVING:
                    self._files.close(entry)
                    entry.expected = 0
                self._room.memory.note(entry.name, entry.machine.verifier.held_bytes if entry.machine.is_open else 0)

    async def _finish_pieces(self, entry: UploadEntry) -> Answer | None:
        pipeline, entry.pipeline = entry.pipeline, None
        if pipeline is None:
            return None
        try:
            await pipeline.finish()
        except OSError as caught:
            failure = caught
            await in_thread(lambda: self._files.failed(entry, failure))
            raise
        error = pipeline.error
        if error is None:
            return None
        return await in_thread(lambda: self._files.carry_out(entry, entry.machine.broken(error)))

    async def append(self, entry: UploadEntry, request: Append, caller: Caller) -> int:
        """End the request before, and begin a new one; returns its generation.  Raises Problem."""
        room = self._room.size(caller, entry)
        end = request.offset + (request.body_bytes or 0)
        must_wait = end <= room and self._room.is_promised(end - self._room.staged(entry), entry)

        def step() -> int:
            self._require_bytes(entry)
            if must_wait:
                raise no_room_yet()
            now = time.monotonic()
            self._files.carry_out(entry, entry.machine.settle(now=now))
            try:
                generation, actions = entry.machine.append(request, now=now, quota_left=room)
            except Problem as problem:
                if problem.type.slug == "quota-exceeded":
                    self._files.carry_out(entry, entry.machine.give_up(problem))
                raise
            self._files.carry_out(entry, actions)
            entry.expected = 0 if request.body_bytes is None else request.offset + request.body_bytes
            return generation

        async with self.alone(entry):
            return await in_thread(step)

    async def data(
        self, entry: UploadEntry, generation: int, data: bytes | memoryview, caller: Caller
    ) -> Answer | None:
        """Take the next bytes of a body.  If an Answer is returned, it ends the request.  Raises Problem, OSError."""
        machine = entry.machine
        refusal: Problem | None = None
        async with entry.lock:
            room = self._room.quota_left(caller, entry) if entry.expected else self._room.size(caller, entry)
            at = machine.data(generation, len(data), now=time.monotonic(), quota_left=room)
            if at is not None:
                if entry.pipeline is None:
                    path = self._storage.staging(entry.name)
                    entry.pipeline = BodyPipeline(machine, self._storage.disk, self._files.handle(entry), path)
                await entry.pipeline.put(at, data)
                if not self._room.can_hold(entry, machine.verifier.held_bytes):
                    refusal = _busy()
                elif not entry.expected and self._room.is_promised(self._room.unwritten(entry), entry):
                    refusal = no_room_yet()
                elif not entry.pipeline.is_over:
                    return None
        async with self.alone(entry) as answer:
            if answer is None:
                machine.require(generation)  # a newer request may have come in between
                actions = machine.postpone(refusal) if refusal else machine.excess(len(data), quota_left=room)
                answer = await in_thread(lambda: self._files.carry_out(entry, actions))
        return answer

    async def end(self, entry: UploadEntry, generation: int) -> Answer:
        """End a request whose body is complete.  Raises Problem, OSError."""
        machine = entry.machine

        def step() -> Answer | None:
            actions = machine.end(generation, now=time.monotonic())
            try:
                return self._files.carry_out(entry, actions)
            except OSError as error:
                self._files.failed(entry, error)
                if machine.state is not State.VERIFYING:
                    raise
                return self._files.carry_out(entry, machine.not_stored(disk_problem(error)))

        async with self.alone(entry) as answer:
            if answer is None:
                machine.require(generation)
                proof_bytes = _PROOF_COPIES * (machine.verifier.model_bytes or 0) if machine.verifier.is_complete else 0
                if self._room.can_hold(entry, machine.verifier.held_bytes + proof_bytes):
                    answer = await in_thread(step)
                else:
                    answer = await in_thread(lambda: self._files.carry_out(entry, machine.postpone(_busy())))
        assert answer is not None
        return answer

    async def lost(self, entry: UploadEntry, generation: int) -> None:
        """End a request whose connection broke."""
        async with self.alone(entry):
            await in_thread(lambda: self._files.carry_out(entry, entry.machine.lost(generation)))

    async def head(self, entry: UploadEntry) -> Answer:
        """Answer a HEAD request with the upload's offset, or its result.  Raises Problem."""

        def step() -> Answer:
            self._require_bytes(entry)
            self._files.carry_out(entry, entry.machine.settle(now=time.monotonic()))
            return entry.machine.head()

        async with self.alone(entry):
            return await in_thread(step)

    async def cancel(self, entry: UploadEntry) -> Answer:
        """Cancel an upload.  Raises Problem."""
        async with self.alone(entry):
            answer = await in_thread(lambda: self._files.carry_out(entry, entry.machine.cancel()))
        assert answer is not None
        return answer

    def _require_bytes(self, entry: UploadEntry) -> None:
        """Check that what the upload has acknowledged is there: its staged bytes, or its blob (T2-12).

        Somebody may have removed them under the running server; then there is no such upload any more.  Raises Problem.
        """
        machine, storage = entry.machine, self._storage
        if machine.state is State.COMMITTED:
            is_there = storage.has(entry.tenant, *machine.result.content_location.split("/")[-2:])
        else:
            has_bytes = storage.is_there(entry.name) and storage.staged_bytes(entry.name) >= machine.staged.acknowledged
            is_there = has_bytes or not machine.is_open
        if not is_there:
            self._files.close(entry)
            self._files.remove(entry.name)
            self._entries.pop(entry.name, None)
            raise Problem("upload-unknown", "its bytes are not there any more")


def _busy() -> Problem:
    what = "verifying what others send takes all the memory that it may take; go on after a while"
    return Problem("busy", what, fields={"Retry-After": BUSY_SECONDS})
