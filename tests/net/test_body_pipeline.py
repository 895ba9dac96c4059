"""The three workers for the pieces of a body: writing, verifying and syncing at the same time."""

from __future__ import annotations

import asyncio
import os
import threading

from transport.containers import ends, latents

from aeformat.net.server.body_pipeline import BodyPipeline
from aeformat.net.server.disk import Disk
from aeformat.transport.transfer_limits import TransferLimits
from aeformat.transport.upload_actions import Append
from aeformat.transport.upload_server import UploadServer
from net.running import until

FILE = latents(2000, dims=64, chunk_rows=100)
ENDS = ends(FILE)


class Stuck(Disk):
    """A disk that accepts the first write; the other writes wait for the gate."""

    def __init__(self) -> None:
        self.gate, self.n_writes, self.written = threading.Event(), 0, 0

    def write(self, handle, at, data):
        self.n_writes += 1
        if self.n_writes > 1:
            assert self.gate.wait(30)
        super().write(handle, at, data)
        self.written = at + len(data)


def test_nothing_is_acknowledged_before_it_is_written(tmp_path):
    """T4-1: verifying may be ahead of writing.  A sync then acknowledges only the bytes that are in the file."""
    disk, path = Stuck(), tmp_path / "data"
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    machine = UploadServer(TransferLimits(sync_bytes=1), now=0.0)
    machine.append(Append(0, is_last=True, body_bytes=len(FILE)), now=0.0, quota_left=1 << 30)

    async def run() -> None:
        pipeline = BodyPipeline(machine, disk, handle, path)
        pieces = [(start, stop) for start, stop in zip((0, *ENDS[2:5]), ENDS[2:6], strict=True)]
        for start, stop in pieces[:2]:
            await pipeline.put(start, FILE[start:stop])
            await asyncio.to_thread(until, lambda end=stop: machine.verifier.verified_at == end)
        await asyncio.to_thread(until, lambda: disk.written == ENDS[2])
        third = asyncio.create_task(pipeline.put(pieces[2][0], FILE[slice(*pieces[2])]))
        await asyncio.to_thread(until, lambda: machine.verifier.verified_at == ENDS[4])
        await asyncio.to_thread(until, lambda: machine.staged.acknowledged >= ENDS[2])
        assert not third.done() and machine.staged.acknowledged == disk.written == ENDS[2]
        disk.gate.set()
        await third
        await pipeline.put(pieces[3][0], FILE[slice(*pieces[3])])
        await pipeline.finish()
        assert machine.staged.acknowledged >= ENDS[3]

    asyncio.run(run())
    os.close(handle)
    assert path.read_bytes() == FILE[: ENDS[5]]
