"""Carrying out the actions of uploads on their staging files.

Owns the file descriptors, and the folders that could not be removed yet.  Everything here is work on local files, for threads.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from dataclasses import dataclass, field
from typing import Final

from aeformat.atomic import NO_ROOM
from aeformat.container import limits as container
from aeformat.container.header import ModelHeader
from aeformat.errors import FormatError
from aeformat.net.server.body_pipeline import BodyPipeline
from aeformat.net.server.storage import CONTAINERS, MODELS, Storage, UploadResult
from aeformat.transport.problems import Problem
from aeformat.transport.transfer_limits import TransferLimits
from aeformat.transport.upload_actions import (
    Action,
    Answer,
    Digest,
    Discard,
    Prove,
    Replay,
    Store,
    Sync,
    Truncate,
)
from aeformat.transport.upload_server import UploadServer

log = logging.getLogger("aeformat.server")
_READ_BYTES: Final = 1 << 20


@dataclass(slots=True)
class UploadEntry:
    """One upload of a running server.

    name: its id.  machine: its state machine.  created: seconds since 1970.  handle: file descriptor of its staging file, -1
    while that is not open: no request is writing.  expected: where the body that is being received will end, 0 where its length
    is not stated.  is_told: whether a client knows its id (T4-20).  lock: held during a step, never while waiting for a
    peer.  pipeline: works on the pieces of that body.
    """

    name: str
    tenant: str
    machine: UploadServer
    created: float
    handle: int = -1
    expected: int = 0
    is_told: bool = True
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    pipeline: BodyPipeline | None = None


class UploadFiles:
    """The staging files of all uploads.

    left: ids of uploads that are over and whose folder could not be removed (T7-8).  n_failures: how often that has failed.
    """

    def __init__(self, storage: Storage, limits: TransferLimits) -> None:
        self._storage = storage
        self._limits = container.Limits(chunk_bytes=limits.chunk_bytes, package_bytes=limits.model_bytes)
        self.left: set[str] = set()
        self.n_failures = 0

    def carry_out(self, entry: UploadEntry, actions: list[Action]) -> Answer | None:
        """Carry out actions in order.  Returns the Answer among them, None if there is none.  Raises OSError."""
        answer: Answer | None = None
        disk = self._storage.disk
        for action in actions:
            if isinstance(action, Truncate):
                disk.truncate(self.handle(entry), action.at)
            elif isinstance(action, Sync):
                disk.sync(self.handle(entry))
                entry.machine.staged.synced(action.at)
            elif isinstance(action, Replay):
                self._replay(entry)
                self.carry_out(entry, entry.machine.replayed())
            elif isinstance(action, Digest):
                answer = self.carry_out(entry, entry.machine.digested(self._digests(entry, action)))
            elif isinstance(action, Prove):
                answer = self.carry_out(entry, entry.machine.proved(self._prove(entry)))
            elif isinstance(action, Store):
                answer = self._store(entry, action)
            elif isinstance(action, Discard):
                self.close(entry)
                self.remove(entry.name)
            else:
                answer = action
        return answer

    def _replay(self, entry: UploadEntry) -> None:
        at = 0
        while data := os.pread(self.handle(entry), _READ_BYTES, at):
            if not entry.machine.replay(data):
                return
            at += len(data)

    def _digests(self, entry: UploadEntry, action: Digest) -> dict[str, bytes]:
        found, at = hashlib.new(action.algorithm.replace("-", "")), 0
        while data := os.pread(self.handle(entry), _READ_BYTES, at):
            found.update(data)
            at += len(data)
        return {action.algorithm: found.digest()}

    def _prove(self, entry: UploadEntry) -> FormatError | None:
        """Read the whole package, and drop it again (T4-2)."""
        from aeformat.model.file_io import read_package  # brings NumPy, which latents do not take

        try:
            read_package(self._storage.staging(entry.name), limits=self._limits)
        except FormatError as error:
            return error
        return None

    def _store(self, entry: UploadEntry, action: Store) -> Answer | None:
        try:
            result = self._result(entry, action)
            self.close(entry)
            self._storage.commit(entry.name, result)
        except OSError as error:
            return self.carry_out(entry, entry.machine.not_stored(disk_problem(error)))
        return entry.machine.stored(location(result.kind, result.name))

    def _result(self, entry: UploadEntry, action: Store) -> UploadResult:
        header, sha256 = entry.machine.verifier.header, action.sha256.hex()
        if not isinstance(header, ModelHeader):
            return UploadResult(entry.tenant, CONTAINERS, sha256, sha256, action.size)
        return UploadResult(entry.tenant, MODELS, header.model.hex(), sha256, action.size)

    def failed(self, entry: UploadEntry, error: OSError) -> None:
        """Note that the disk failed during a step: if it is full, the upload is over (T4-20), else it is read back."""
        entry.machine.staged.not_written()
        if error.errno in NO_ROOM:
            self.carry_out(entry, entry.machine.give_up(disk_problem(error)))

    def handle(self, entry: UploadEntry) -> int:
        """The file descriptor of the staging file, which is opened if it is not open.  Raises OSError."""
        if entry.handle < 0:
            entry.handle = self._storage.open(entry.name)
        return entry.handle

    def close(self, entry: UploadEntry) -> None:
        """Close the staging file, if it is open."""
        if entry.handle >= 0:
            os.close(entry.handle)
            entry.handle = -1

    def remove(self, name: str) -> None:
        """Remove the folder of an upload that is over.  If the disk does not let it, `sweep` tries again."""
        try:
            self._storage.drop(name)
        except OSError as error:
            self.n_failures += 1
            if name not in self.left:
                log.error("cannot remove the folder of upload %s, which is over: %s; trying again", name, error)
            self.left.add(name)
        else:
            self.left.discard(name)

    def sweep(self) -> None:
        """Try again to remove what could not be removed."""
        for name in list(self.left):
            self.remove(name)


def location(kind: str, name: str) -> str:
    """The URL path of a stored blob."""
    return f"/v1/{kind}/{name}"


def disk_problem(error: OSError) -> Problem:
    """The problem that answers a request for which the disk failed."""
    if error.errno in NO_ROOM:
        return Problem("quota-exceeded", "the server's disk is full")
    return Problem("server-error", "the server's storage failed")
