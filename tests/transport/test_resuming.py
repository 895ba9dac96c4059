"""Resuming costs the server the bytes that were dropped, not those that it has (T4-3, T4-15)."""

from __future__ import annotations

import hashlib
from random import Random

import pytest

from aeformat.transport.messages import Done, Lost, Request, Wait
from aeformat.transport.retry import Retry
from aeformat.transport.upload_actions import Append, Replay, Store, Truncate
from aeformat.transport.upload_client import UploadClient, UploadSource
from aeformat.transport.upload_server import UploadServer
from transport.containers import ends, latents
from transport.world import LIMITS, PLENTY, World

pytestmark = pytest.mark.usefixtures("small_requests")

FILE = latents(400, chunk_rows=20)
ENDS = ends(FILE)


class Staged:
    """An upload and its staging file."""

    def __init__(self) -> None:
        self.upload = UploadServer(LIMITS, now=0)
        self.data = bytearray()

    def carry_out(self, actions):
        for action in actions:
            assert not isinstance(action, Replay), "stored bytes are read back"
            if isinstance(action, Truncate):
                del self.data[action.at :]
        return actions

    def send(self, stop, *, is_last=False):
        """Send from the offset on; the connection is cut at `stop`."""
        upload, at = self.upload, self.upload.verifier.verified_at
        self.carry_out(upload.settle(now=0))
        generation, actions = upload.append(Append(at, is_last), now=0, quota_left=PLENTY)
        self.carry_out(actions)
        assert upload.data(generation, stop - at, now=0, quota_left=PLENTY) == at == len(self.data)
        self.data += FILE[at:stop]
        assert upload.check(FILE[at:stop]) is None
        return self.carry_out(upload.end(generation, now=0) if is_last else upload.lost(generation))


def test_nothing_is_read_back_however_often_the_connection_breaks():
    """Cut at a hundred places: each time the staging file is truncated to its last chunk, and the digest is right at the end."""
    staged, rng = Staged(), Random(1)
    for cut in sorted(rng.sample(range(len(FILE)), 100)):
        if cut < staged.upload.verifier.verified_at:
            continue
        staged.send(cut)
        good = max((end for end in ENDS if end <= cut), default=0)
        assert (staged.upload.verifier.verified_at, len(staged.data)) == (good, good)
    store = staged.send(len(FILE), is_last=True)[-1]
    assert store == Store(hashlib.sha256(FILE).digest(), len(FILE))
    assert bytes(staged.data) == FILE


@pytest.mark.parametrize("written", [0, 100, ENDS[3] - 1, ENDS[3], len(FILE)])
def test_bytes_that_were_not_written_are_not_acknowledged(written):
    """T4-1: after a write that failed in the middle, the staging file is read back to find the offset."""
    upload = UploadServer(LIMITS, now=0)
    generation, _ = upload.append(Append(0, True), now=0, quota_left=PLENTY)
    upload.data(generation, len(FILE), now=0, quota_left=PLENTY)
    upload.check(FILE)
    upload.staged.not_written()
    assert upload.lost(generation) == []
    assert upload.settle(now=0) == [Replay()]
    upload.replay(FILE[:written])
    upload.replayed()
    assert upload.verifier.verified_at == max((end for end in ENDS if end <= written), default=0)
    assert upload.head().fields["Upload-Offset"] == str(upload.verifier.verified_at)


@pytest.mark.parametrize("n_lost", [0, 1, 6])
def test_an_upload_ends_if_one_chunk_in_eight_tries_gets_through(n_lost):
    """T8-2: each request is cut after its first chunk, and between two of these others bring nothing at all."""
    world, sha256 = World(), hashlib.sha256(FILE).digest()
    client = UploadClient(UploadSource(len(FILE), sha256, ENDS), Retry(Random(1)))
    n_patches = 0
    while not isinstance(action := client.next(), Done):
        if isinstance(action, Wait):
            client.go_on()
            continue
        assert isinstance(action, Request), action
        if action.method != "PATCH":
            client.on(world.plain(action))
            continue
        n_patches += 1
        start = action.body[0]
        if n_patches % (n_lost + 1):
            client.on(Lost("nothing got through"))
            continue
        cut = next(end for end in ENDS if end > start)
        if cut == len(FILE):
            client.on(world.body(action, FILE[start:]))
            continue
        upload, generation = world.begin(action)
        world.piece(upload, generation, FILE[start : cut + 5])
        world.carry_out(upload, upload.lost(generation))
        client.on(Lost("cut"))
    assert world.objects == {sha256: FILE}
    assert n_patches >= len(ENDS) * (n_lost + 1)
