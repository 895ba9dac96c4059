"""The three workers for the pieces of one body: one writes them, one verifies them, one syncs the file now and then."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aeformat.errors import FormatError
from aeformat.net.server.blocks import BlockWriter
from aeformat.net.server.disk import Disk
from aeformat.net.server.workers import Worker
from aeformat.transport.upload_actions import Sync
from aeformat.transport.upload_server import UploadServer

_QUEUED: Final = 1  # the most pieces in the queue of a worker when the next piece is accepted


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
        self._machine.staged.synced(sync.at)
        return True

    async def put(self, at: int, data: bytes | memoryview) -> None:
        """Give a piece to the workers, then wait until their queues are short.  at: its offset in the staging file."""
        self._writer.put((at, data))
        self._verifier.put(data)
        due = self._machine.staged.sync_due(self._written)
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
