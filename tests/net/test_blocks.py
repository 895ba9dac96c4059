"""Staging files are written in whole blocks without the system's cache, and every byte is in its place."""

from __future__ import annotations

import contextlib
import errno
import os
import random
from pathlib import Path

import pytest
from transport.containers import latents

from aeformat.net.server.blocks import BLOCK_BYTES, DIRECT_BYTES, BlockWriter, aligned_array
from aeformat.net.server.disk import Disk
from net.running import running, until, upload

DATA = random.Random(1).randbytes(3_000_000)


class Watched(Disk):
    """A disk that records each write.

    refuses: the error of every direct write.  cannot_open: direct I/O cannot be opened.
    """

    def __init__(self, *, refuses: int | None = None, cannot_open: bool = False) -> None:
        self.direct, self.through = [], []
        self._refuses, self._cannot_open, self._is_direct = refuses, cannot_open, False

    def open_direct(self, path):
        return None if self._cannot_open else super().open_direct(path)

    def write_direct(self, handle, at, data):
        self._is_direct = True
        try:
            return super().write_direct(handle, at, data)
        finally:
            self._is_direct = False

    def write(self, handle, at, data):
        if self._is_direct and self._refuses is not None:
            raise OSError(self._refuses, os.strerror(self._refuses))
        (self.direct if self._is_direct else self.through).append((at, len(data)))
        super().write(handle, at, data)


@contextlib.contextmanager
def writing(path, disk):
    """A BlockWriter for the file at `path`, which is created if needed."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        writer = BlockWriter(disk, handle, path)
        yield writer
        writer.close()
    finally:
        os.close(handle)


def aligned(at: int) -> memoryview:
    """DATA, aligned in memory as a piece that belongs at byte `at`."""
    data = aligned_array(len(DATA) + BLOCK_BYTES).data[at % BLOCK_BYTES :][: len(DATA)]
    data[:] = DATA
    return data


def has_direct(folder):
    """Whether this file system supports direct I/O."""
    (folder / "probe").touch()
    handle = Disk().open_direct(folder / "probe")
    if handle is None:
        return False
    os.close(handle)
    return True


@pytest.mark.parametrize("cannot_open", [False, True])
@pytest.mark.parametrize("start", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 1_000_003])
@pytest.mark.parametrize("piece", [5_000, 70_001, DIRECT_BYTES, DIRECT_BYTES + BLOCK_BYTES, 1_500_007, 1 << 22])
def test_every_byte_is_in_its_place(tmp_path, start, piece, cannot_open):
    """However the pieces are cut, and wherever the request begins.  Bytes before it are not touched."""
    path = tmp_path / "data"
    path.write_bytes(DATA[:start])
    data = aligned(start)[: len(DATA) - start]
    data[:] = DATA[start:]
    with writing(path, Watched(cannot_open=cannot_open)) as writer:
        for at in range(start, len(DATA), piece):
            writer.write(at, data[at - start : at - start + piece])
            assert path.stat().st_size == min(len(DATA), at + piece)
        assert path.read_bytes() == DATA  # before it is closed: what was written can be synced


def test_large_pieces_are_written_without_the_cache(tmp_path):
    """All but the bytes before the first block and after the last one, if the memory is aligned."""
    if not has_direct(tmp_path):
        pytest.skip("this file system does not write past the cache")
    disk, n_odd = Watched(), BLOCK_BYTES - 100
    data = aligned(100)
    with writing(tmp_path / "data", disk) as writer:
        writer.write(100, data)
        writer.write(100 + len(DATA), DATA[:1000])
    n_whole = (len(DATA) - n_odd) // BLOCK_BYTES * BLOCK_BYTES
    rest = BLOCK_BYTES + n_whole
    assert disk.direct == [(BLOCK_BYTES, n_whole)]
    assert disk.through == [(100, n_odd), (rest, 100 + len(DATA) - rest), (100 + len(DATA), 1000)]
    assert (tmp_path / "data").read_bytes()[100:] == DATA + DATA[:1000]


def test_memory_that_is_not_aligned_goes_through_the_cache(tmp_path):
    """It would have to be copied first."""
    disk = Watched()
    with writing(tmp_path / "data", disk) as writer:
        writer.write(0, aligned(1))
    assert disk.through == [(0, len(DATA))] and not disk.direct
    assert (tmp_path / "data").read_bytes() == DATA


def test_without_a_free_file_descriptor_bytes_go_through_the_cache(tmp_path, monkeypatch):
    """A process has only so many file descriptors; one is open already."""
    real = os.open

    def none_left(path, flags, *more):
        if flags & getattr(os, "O_DIRECT", 0):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return real(path, flags, *more)

    monkeypatch.setattr(os, "open", none_left)
    disk = Watched()
    with writing(tmp_path / "data", disk) as writer:
        writer.write(0, aligned(0))
    assert disk.through == [(0, len(DATA))] and not disk.direct


def test_file_descriptors_are_closed(tmp_path):
    """Uploads leave none open, whether they end well, with damage, or with a lost connection."""
    file = latents(60_000, dims=64, chunk_rows=1000)
    with running(tmp_path / "root") as server:
        assert upload(server, latents(5, seed=2)).status == 201
        handles = Path(f"/proc/{server.process.pid}/fd")
        before = len(list(handles.iterdir()))
        assert upload(server, file).status == 201
        bad = bytearray(file)
        bad[-3_000_000] ^= 1
        assert upload(server, bytes(bad)).status == 409
        assert server.raw(
            b"POST /v1/uploads HTTP/1.1\r\nHost: x\r\nUpload-Complete: ?1\r\nContent-Type: application/vnd.aeformat\r\n"
            b"Content-Length: %d\r\n\r\n" % len(file) + file[:9_000_000], 0.5
        ) == b""  # fmt: skip
        until(lambda: "aeformat_uploads_open 2" in server.request("GET", "metrics").body.decode())
        until(lambda: len(list(handles.iterdir())) <= before + 2)  # the staging files of two that may go on


@pytest.mark.parametrize("error", [errno.EINVAL, errno.EOPNOTSUPP])
def test_a_file_system_without_direct_io_is_written_through_the_cache(tmp_path, error):
    """It has larger blocks, or no direct I/O: the same bytes are written."""
    path = tmp_path / "data"
    disk = Watched(refuses=error)
    with writing(path, disk) as writer:
        writer.write(0, aligned(0))
    assert path.read_bytes() == DATA and not disk.direct


def test_other_errors_of_the_disk_are_raised(tmp_path):
    """A full disk is not a reason to write through the cache."""
    if not has_direct(tmp_path):
        pytest.skip("this file system does not write past the cache")
    disk = Watched(refuses=errno.ENOSPC)
    with writing(tmp_path / "data", disk) as writer, pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        writer.write(0, aligned(0))
    assert not disk.through
