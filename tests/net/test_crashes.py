"""kill -9 of the server, or a power cut, at each of its steps on the disk; then a new server, and the client goes on."""

from __future__ import annotations

import hashlib
import time
from random import Random
from urllib.parse import urlsplit

import pytest
from transport.containers import ends, latents

from aeformat.net.client.http_client import HttpClient
from aeformat.net.client.http_messages import ServerAddress
from aeformat.net.client.pace import Timeouts
from aeformat.net.server.blocks import BLOCK_BYTES, DIRECT_BYTES
from aeformat.transport import draft
from aeformat.transport.messages import Done, Lost, Request, Response, Wait
from aeformat.transport.retry import Retry
from aeformat.transport.upload_client import UploadClient, UploadSource
from net.running import Dying, Unplugged, running

FILE = latents(200, dims=32)
SHA = hashlib.sha256(FILE).digest()
LIMITS = {"sync_bytes": 5000, "max_append_size": 12_000, "chunk_bytes": 2000}
PATH = f"v1/containers/{SHA.hex()}"
PARCEL = UploadSource(len(FILE), SHA, ends(FILE))


@pytest.fixture(autouse=True)
def small_requests(monkeypatch):
    """So that a small file takes many requests."""
    monkeypatch.setattr("aeformat.transport.request_sizes.LEAST_BYTES", 1000)


class Sender:
    """A client that records every offset that the server acknowledges."""

    def __init__(self, url: str) -> None:
        self.client = UploadClient(PARCEL, Retry(Random(1), tries=1000))
        self.offsets: dict[str, int] = {}
        self.turn_to(url)

    def turn_to(self, url: str) -> None:
        """Use the URL of the restarted server, which is on another port."""
        self.http = HttpClient(ServerAddress.parse(url), Timeouts(idle_seconds=30))
        if self.client.upload:
            self.client.upload = url.rstrip("/") + urlsplit(self.client.upload).path

    def step(self) -> bool:
        """Carry out one action.  False when the upload is done, or the server does not answer."""
        action = self.client.next()
        if isinstance(action, Done):
            return False
        if isinstance(action, Wait):
            self.client.go_on()
            return True
        assert isinstance(action, Request), action
        found = self.http.request(action, lambda at, n_bytes: FILE[at : at + n_bytes])
        if isinstance(found, Response) and found.get(draft.OFFSET) and self.client.upload:
            upload = urlsplit(self.client.upload).path
            at, best = int(found.get(draft.OFFSET)), self.offsets.get(upload, 0)
            assert at >= best, f"acknowledged {best}, after the crash {at}"
            self.offsets[upload] = at
        self.client.on(found)
        return not isinstance(found, Lost)


def run_until_kill(root, n_steps, kind=Dying) -> tuple[Sender | None, bool]:
    """Run until the upload is done or the server has died.  Returns the client, and whether the server died."""
    with running(root, disk=kind(n_steps), **LIMITS) as server:
        if not server.is_up:
            return None, True
        sender = Sender(server.url)
        while sender.step():
            pass
        if isinstance(sender.client.next(), Done):
            return sender, False
        server.process.join(30)
        return sender, not server.process.is_alive()


@pytest.mark.parametrize("kind", [Dying, Unplugged])
@pytest.mark.parametrize("direct_bytes", [BLOCK_BYTES, DIRECT_BYTES], ids=["past the cache", "through it"])
def test_whatever_step_it_dies_at_the_file_arrives_whole(tmp_path, monkeypatch, kind, direct_bytes):
    """T4-1, T4-10, T4-15: no acknowledged byte is lost, the blob is complete or absent, and the same upload goes on."""
    monkeypatch.setattr("aeformat.net.server.blocks.DIRECT_BYTES", direct_bytes)
    n_deaths = 0
    for n_steps in range(1, 1000):
        root = tmp_path / str(n_steps)
        sender, died = run_until_kill(root, n_steps, kind)
        if not died:
            break
        n_deaths += 1
        blobs = list(root.glob("objects/*/*"))
        assert all(path.read_bytes() == FILE for path in blobs)
        with running(root, **LIMITS) as server:
            sender = sender or Sender(server.url)
            sender.turn_to(server.url)
            began = sender.client.upload
            deadline = time.monotonic() + 300
            while not isinstance(sender.client.next(), Done):
                assert time.monotonic() < deadline
                sender.step()
            assert sender.client.upload in (began, None) or began is None
            found = server.request("HEAD", PATH)
            assert (found.status, found.get("Content-Length")) == (200, str(len(FILE)))
        assert [path.read_bytes() == FILE for path in root.glob("objects/*/*")] == [True]
        assert not list(root.glob("**/.aeformat-tmp-*"))
    assert n_deaths >= 20


@pytest.mark.parametrize("n_steps", [3, 9])
def test_recovery_can_be_interrupted(tmp_path, n_steps):
    """A server that dies while it recovers from a crash loses nothing."""
    root = tmp_path / "root"
    run_until_kill(root, 40)
    run_until_kill(root, n_steps)
    with running(root) as server:
        sender = Sender(server.url)
        while not isinstance(sender.client.next(), Done):
            sender.step()
        assert server.request("HEAD", PATH).status == 200
