"""The memory that verification takes: T7-5 of spec/transport.md."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path

import numpy as np
import pytest
from transport.containers import ends, latents

from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.model.builder import PackageBuilder
from aeformat.model.file_io import package_bytes
from aeformat.model.manifest import Endpoint
from aeformat.net.server.memory_budget import MemoryBudget
from aeformat.net.server.storage import Storage
from aeformat.net.server.tokens import SCOPES, Caller
from aeformat.net.server.uploads import Uploads
from aeformat.transport.transfer_limits import TransferLimits
from aeformat.transport.upload_actions import Append
from net.running import running, upload
from net.test_uploads import create, patch, slug

FILE = latents(400, dims=32)
ENDS = ends(FILE)
PIXELS = 1024  # of the images; a tensor of 4 MiB
N_TENSORS = 6
MODEL_BYTES = N_TENSORS * 4 * PIXELS * PIXELS


@pytest.fixture(scope="module")
def package() -> bytes:
    """A package of MODEL_BYTES and a bit that takes a few kB compressed."""
    builder = PackageBuilder(
        role="decoder", profile="float32", input=Endpoint((PIXELS,), "f32"), output=Endpoint((32, 32, 1), "u8")
    )
    for number in range(N_TENSORS):
        weights = np.zeros((PIXELS, PIXELS), np.float32)
        weights[0, 0] = number + 1
        builder.layer("dense", weights=builder.tensor(weights), bias=builder.tensor(np.zeros(PIXELS, np.float32)))
    builder.layer("sigmoid")
    builder.layer("to_u8")
    builder.layer("reshape", shape=(32, 32, 1))
    golden = np.zeros((1, PIXELS), np.float32)
    made = builder.build(golden_input=golden, golden_output=lambda draft: NumpyBackend().load(draft).run(golden))
    return package_bytes(made, level=3)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="resident memory is read from /proc")
def test_packages_that_never_end_hold_digests_not_tensors(tmp_path, package):
    """T7-5: eight of them, without their trailers: as much memory as one tensor takes while it is checked."""
    assert len(package) < 40_000
    with running(tmp_path / "root") as server:
        named = {"Upload-Complete": "?0", "Content-Type": "application/vnd.aeformat"}
        server.request("POST", "v1/uploads", named, package[:-64])
        after_one = server.rss()
        for _ in range(7):
            assert server.request("POST", "v1/uploads", named, package[:-64]).status == 201
        assert server.rss() - after_one < 3 * MODEL_BYTES  # what threads keep for the next tensor; not 7 times that


def test_a_package_is_proved_when_there_is_memory_for_it(tmp_path, package):
    """T7-5: 503 before that.  What was verified is kept, and the request is repeated without a body."""
    with running(tmp_path / "root", verify_bytes=2 * MODEL_BYTES) as server:
        found = upload(server, package)
        assert (found.status, slug(found), found.problem["retry"]) == (503, "busy", "after")
        assert (found.get("Upload-Offset"), found.get("Retry-After")) == (str(len(package)), "2")
        where = found.get("Location")
        assert patch(server, where, len(package), b"", last=True).status == 503
    with running(tmp_path / "root", verify_bytes=2 * MODEL_BYTES + 100_000) as server:
        assert patch(server, where, len(package), b"", last=True).status == 201
        assert upload(server, package[:-32] + bytes(32)).status in (409, 422)


def test_a_chunk_above_the_budget_is_put_off(tmp_path):
    """T7-5: 503 as soon as its bytes exceed it; the chunks before it are kept."""
    data = latents(3000, dims=64, chunk_rows=1000)
    end = ends(data)[1]  # of the first chunk, 512 kB
    with running(tmp_path / "root", verify_bytes=100_000) as server:
        where = create(server)
        with socket.create_connection(("127.0.0.1", server.port), 120) as sock:
            head = f"PATCH {where} HTTP/1.1\r\nHost: localhost\r\nUpload-Offset: 0\r\nUpload-Complete: ?1\r\n"
            head += f"Content-Type: application/partial-upload\r\nContent-Length: {len(data)}\r\n\r\n"
            sock.sendall(head.encode())
            with contextlib.suppress(OSError):
                for at in range(0, end - 1000, 1000):
                    sock.sendall(data[at : at + 1000])
            found = sock.recv(65536)
        assert found.startswith(b"HTTP/1.1 503 "), found
        assert server.request("HEAD", where).get("Upload-Offset") == str(ends(data)[0])
        assert upload(server, FILE).status == 201


def test_what_idle_uploads_hold_makes_room_and_is_read_back(tmp_path):
    """T7-5, T4-15: the one that is idle longest first; its offset is the same afterwards."""
    caller = Caller("local", frozenset(SCOPES), 1 << 62)

    async def run() -> None:
        uploads = Uploads(Storage(tmp_path / "root"), TransferLimits())
        entries = []
        for _ in range(3):
            request = Append(0, is_last=False, body_bytes=ENDS[-3])
            entry = await uploads.create(caller, request)
            generation = await uploads.steps.append(entry, request, caller)
            assert await uploads.steps.data(entry, generation, FILE[: ENDS[-3]], caller) is None
            await uploads.steps.end(entry, generation)
            entries.append(entry)
        held = [uploads.room.memory.share(entry.name) for entry in entries]
        assert len(set(held)) == 1 and held[0] > 100  # the index of each
        uploads.room.memory = MemoryBudget(3 * held[0])
        for entry in entries:
            assert uploads.room.memory.hold(entry.name, held[0])
        assert uploads.room.can_hold(entries[2], 2 * held[0])
        assert [entry.machine.offset for entry in entries] == [None, ENDS[-3], ENDS[-3]]
        assert not uploads.room.can_hold(entries[2], 3 * held[0] + 1)
        assert [entry.machine.offset for entry in entries] == [None, None, ENDS[-3]]
        for entry in entries:
            assert (await uploads.steps.head(entry)).fields["Upload-Offset"] == str(ENDS[-3])
        uploads.close()

    asyncio.run(run())


def test_a_budget_is_the_sum_of_its_shares():
    """A share can always become smaller, and never larger than what is left."""
    budget = MemoryBudget(100)
    assert budget.hold("a", 60) and budget.hold("b", 40) and not budget.hold("b", 41)
    assert budget.hold("a", 10) and budget.hold("b", 90) and not budget.hold("c", 1)
    budget.note("b", 500)  # found after a step
    assert not budget.hold("a", 11) and budget.hold("a", 9) and budget.hold("b", 0)
    assert (budget.held, budget.share("a"), budget.share("b")) == (9, 9, 0)
