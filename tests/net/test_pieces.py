"""How much of a body is taken, and given, at a time."""

from __future__ import annotations

import random

import numpy as np
import pytest

from aeformat.net import slices
from aeformat.net.server.blocks import BLOCK_BYTES
from aeformat.net.server.request_buffer import Inbox
from aeformat.net.slices import LEAST_BYTES, MOST_BYTES, Slices

BODY = random.Random(3).randbytes(9_000_000)


def address(data) -> int:
    """Of its first byte."""
    return np.frombuffer(data, np.uint8).__array_interface__["data"][0]


@pytest.mark.parametrize("offset", [0, 1, 3776, 123_456_789])
@pytest.mark.parametrize("ahead", [0, 1, 5000, 60_000])
@pytest.mark.parametrize("most", [1000, 65_536, 1_000_003, 1 << 24])
def test_what_arrives_is_handed_on_whole_and_on_its_block(ahead, most, offset):
    """However it arrives and is fetched.  A large piece lies in memory as it will in a file: no copy to write it."""
    rng = random.Random(most + ahead)
    inbox, at, pieces = Inbox(len(BODY), BODY[:ahead], offset=offset), ahead, []
    while not inbox.is_over or not inbox.is_empty:
        while not inbox.is_full and not inbox.is_over:
            room = inbox.room()
            n_bytes = min(len(room), rng.randint(1, most))
            room[:n_bytes] = BODY[at : at + n_bytes]
            inbox.take(n_bytes)
            at += n_bytes
            if rng.random() < 0.2:
                break
        pieces.append(inbox.hand_over())
    n_before = offset
    for piece in pieces:
        if len(piece) >= 1 << 21:  # more than half of the largest: not copied out of its room
            assert address(piece) % BLOCK_BYTES == n_before % BLOCK_BYTES
        n_before += len(piece)
    assert b"".join(pieces) == BODY
    assert most < 1 << 24 or max(map(len, pieces)) == 1 << 22


def fill(n_bytes: int) -> tuple[Inbox, list[memoryview]]:
    """A body that a fast client fills, and its pieces, kept."""
    inbox, pieces = Inbox(n_bytes, b""), []
    while not inbox.is_over:
        inbox.take(len(inbox.room()))
        pieces.append(inbox.hand_over())
    return inbox, pieces


def test_only_so_many_pieces_are_large_at_a_time():
    """T7-1: five hundred fast clients do not take four large pieces each; who comes later gets smaller ones, and all bytes."""
    kept = [fill(40 << 20)[1] for _ in range(8)]
    sizes = [len(piece) for pieces in kept for piece in pieces]
    assert sum(sizes) == 8 * 40 << 20
    assert sum(size > 1 << 20 for size in sizes) == 48
    assert max(map(len, kept[-1])) == 1 << 20
    del kept
    assert max(len(piece) for piece in fill(40 << 20)[1]) == 1 << 22


def test_slices_grow_for_who_takes_them_fast(monkeypatch):
    """And shrink for who does not, down to what a slow peer takes in its time."""
    now = [0.0]
    monkeypatch.setattr(slices.time, "monotonic", lambda: now[0])
    sizes = Slices()

    def take(seconds: float) -> int:
        n_bytes = sizes.next(1 << 40)
        now[0] += seconds
        sizes.ended()
        return n_bytes

    assert [take(0.05) for _ in range(7)] == [LEAST_BYTES << min(n, 4) for n in range(7)]
    assert LEAST_BYTES << 4 == MOST_BYTES
    assert [take(1.0) for _ in range(6)] == [MOST_BYTES >> min(n, 4) for n in range(6)]
    assert sizes.next(17) == 17
