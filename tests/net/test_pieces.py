"""The sizes of the pieces in which a body is received, and of the slices in which a file is sent."""

from __future__ import annotations

import random

import numpy as np
import pytest

from aeformat.net import slices
from aeformat.net.server.blocks import BLOCK_BYTES
from aeformat.net.server.request_buffer import RequestBuffer
from aeformat.net.slices import LEAST_BYTES, MOST_BYTES, SliceSizes

BODY = random.Random(3).randbytes(9_000_000)


def address(data) -> int:
    """The memory address of the first byte."""
    return np.frombuffer(data, np.uint8).__array_interface__["data"][0]


@pytest.mark.parametrize("offset", [0, 1, 3776, 123_456_789])
@pytest.mark.parametrize("ahead", [0, 1, 5000, 60_000])
@pytest.mark.parametrize("most", [1000, 65_536, 1_000_003, 1 << 24])
def test_all_bytes_are_handed_over_and_large_pieces_are_aligned(ahead, most, offset):
    """However the bytes arrive and are taken.  A large piece is aligned in memory as in the file: it is written uncopied."""
    rng = random.Random(most + ahead)
    buffer, at, pieces = RequestBuffer(len(BODY), BODY[:ahead], offset=offset), ahead, []
    while not buffer.is_over or not buffer.is_empty:
        while not buffer.is_full and not buffer.is_over:
            space = buffer.space()
            n_bytes = min(len(space), rng.randint(1, most))
            space[:n_bytes] = BODY[at : at + n_bytes]
            buffer.fill(n_bytes)
            at += n_bytes
            if rng.random() < 0.2:
                break
        pieces.append(buffer.take())
    n_before = offset
    for piece in pieces:
        if len(piece) >= 1 << 21:  # more than half of the largest: not copied
            assert address(piece) % BLOCK_BYTES == n_before % BLOCK_BYTES
        n_before += len(piece)
    assert b"".join(pieces) == BODY
    assert most < 1 << 24 or max(map(len, pieces)) == 1 << 22


def fill(n_bytes: int) -> tuple[RequestBuffer, list[memoryview]]:
    """A buffer that a fast client has filled, and all its pieces."""
    buffer, pieces = RequestBuffer(n_bytes, b""), []
    while not buffer.is_over:
        buffer.fill(len(buffer.space()))
        pieces.append(buffer.take())
    return buffer, pieces


def test_only_so_many_pieces_are_large_at_a_time():
    """T7-1: fast clients do not get large pieces without a bound; later clients get smaller pieces, and all bytes."""
    kept = [fill(40 << 20)[1] for _ in range(8)]
    sizes = [len(piece) for pieces in kept for piece in pieces]
    assert sum(sizes) == 8 * 40 << 20
    assert sum(size > 1 << 20 for size in sizes) == 48
    assert max(map(len, kept[-1])) == 1 << 20
    del kept
    assert max(len(piece) for piece in fill(40 << 20)[1]) == 1 << 22


def test_slices_grow_for_a_fast_peer(monkeypatch):
    """They shrink for a slow peer, down to what it receives within its timeout."""
    now = [0.0]
    monkeypatch.setattr(slices.time, "monotonic", lambda: now[0])
    sizes = SliceSizes()

    def take(seconds: float) -> int:
        n_bytes = sizes.next(1 << 40)
        now[0] += seconds
        sizes.finished()
        return n_bytes

    assert [take(0.05) for _ in range(7)] == [LEAST_BYTES << min(n, 4) for n in range(7)]
    assert LEAST_BYTES << 4 == MOST_BYTES
    assert [take(1.0) for _ in range(6)] == [MOST_BYTES >> min(n, 4) for n in range(6)]
    assert sizes.next(17) == 17
