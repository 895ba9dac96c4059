"""Small images of every kind, and a standard input to read them from."""

from __future__ import annotations

import io
import struct
import sys
from types import SimpleNamespace

import numpy as np
import pytest


def pictures(n: int, height: int = 4, width: int = 3, channels: int = 1) -> np.ndarray:
    """(n, h, w, c) uint8, every image different."""
    return np.random.default_rng(n).integers(0, 256, (n, height, width, channels), dtype=np.uint8)


def idx_bytes(array: np.ndarray, kind: int = 8) -> bytes:
    """An IDX file, built here by hand so that reader and writer are not tested against each other."""
    return bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def npy_bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


class Drip(io.RawIOBase):
    """A pipe that hands out at most `step` bytes at a time."""

    def __init__(self, data: bytes, step: int) -> None:
        self._data, self._step = io.BytesIO(data), step

    def read(self, n_bytes: int = -1) -> bytes:
        return self._data.read(self._step if n_bytes < 0 else min(n_bytes, self._step))


@pytest.fixture
def make():
    """The helpers above, for tests in this folder."""
    return SimpleNamespace(pictures=pictures, idx=idx_bytes, npy=npy_bytes)


@pytest.fixture
def stdin(monkeypatch):
    """stdin(data, step): what standard input will deliver, in pieces of at most step bytes."""

    def feed(data: bytes, step: int = 1 << 30) -> None:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Drip(data, step)))

    return feed


@pytest.fixture
def read():
    """read(source, n_rows) -> (all images, all names); checks that the blocks have the size they should have."""

    def collect(source, n_rows: int = 2):
        blocks = list(source.blocks(n_rows))
        assert all(len(block.images) == n_rows for block in blocks[:-1])
        assert all(block.names is None or len(block.names) == len(block.images) for block in blocks)
        names = [name for block in blocks for name in block.names or []]
        images = np.concatenate([block.images for block in blocks])
        assert images.dtype == np.uint8
        assert source.n_rows in (None, len(images))
        return images, names or None

    return collect
