"""IDX, .npy, .npz and standard output: what others read, whole or not at all."""

from __future__ import annotations

import errno
import gzip
import io
import os
import subprocess
import sys
import tempfile
import tracemalloc
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from aeformat import atomic
from aeformat.errors import UsageError
from aeformat.images import ImageFit, open_sink, open_source

KINDS = ["a.npy", "a.npz", "a.idx", "a.idx3", "a-idx3-ubyte", "a.idx3-ubyte", "a.idx.gz", "t10k-images-idx3-ubyte.gz"]


def load(path: Path, make) -> np.ndarray:
    """The array as NumPy, or a byte comparison by hand, sees it: (n, h, w) or (n, h, w, c)."""
    if path.suffix == ".npy":
        return np.load(path)
    if path.suffix == ".npz":
        with np.load(path) as archive:
            assert archive.files == ["images"]
            return archive["images"]
    data = path.read_bytes()
    data = gzip.decompress(data) if path.suffix == ".gz" else data
    shape = np.frombuffer(data, ">u4", data[3], 4)
    array = np.frombuffer(data, np.uint8, -1, 4 + 4 * data[3]).reshape(shape)
    assert data == make.idx(array)
    return array


def write(out: str, images: np.ndarray, n_rows: int | None, **options) -> None:
    with open_sink(out, images.shape[1:], n_rows, force=False, **options) as sink:
        for first in range(0, len(images), 3):
            sink.write(images[first : first + 3], None)


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("n", [0, 1, 7])
@pytest.mark.parametrize("kind", KINDS)
def test_others_can_read_it(tmp_path, make, kind, n, known):
    """The count is right whether it was known at the start or not; one channel has no axis."""
    images = make.pictures(n)
    write(str(tmp_path / kind), images, n if known else None)

    np.testing.assert_array_equal(load(tmp_path / kind, make), images[..., 0])
    assert [path.name for path in tmp_path.iterdir()] == [kind]


@pytest.mark.parametrize("kind", ["a.npy", "a.npz", "a.idx", "a.idx4", "a-idx4-ubyte.gz"])
def test_colour_has_an_axis(tmp_path, make, kind):
    """(n, h, w, c) for more than one channel."""
    images = make.pictures(4, channels=3)
    write(str(tmp_path / kind), images, 4)
    np.testing.assert_array_equal(load(tmp_path / kind, make), images)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_written_is_read_again(tmp_path, make, read, kind):
    """Every output is an input."""
    expected = make.pictures(7)
    write(str(tmp_path / kind), expected, 7)
    images, _ = read(open_source([str(tmp_path / kind)], ImageFit((4, 3, 1))))
    np.testing.assert_array_equal(images, expected)


@pytest.mark.parametrize("n_rows", [None, 7])
def test_an_npy_file_is_byte_for_byte_numpys(tmp_path, make, n_rows):
    """So are its header's length and padding."""
    images = make.pictures(7)
    write(str(tmp_path / "a.npy"), images, n_rows)
    assert (tmp_path / "a.npy").read_bytes() == make.npy(images[..., 0])


@pytest.mark.parametrize("kind", ["a.npz", "a.idx.gz"])
def test_compressed_outputs_hold_no_time_and_no_name(tmp_path, make, monkeypatch, kind):
    """The same images give the same bytes, whenever and under whatever name."""
    images = make.pictures(3)
    write(str(tmp_path / kind), images, 3)
    monkeypatch.setattr("time.time", lambda: 2e9)
    (tmp_path / "later").mkdir()
    write(str(tmp_path / "later" / f"b{kind[1:]}"), images, 3)
    assert (tmp_path / kind).read_bytes() == (tmp_path / "later" / f"b{kind[1:]}").read_bytes()


class Pipe(io.BytesIO):
    def seek(self, *_) -> int:
        raise io.UnsupportedOperation("a pipe cannot seek")


@pytest.mark.parametrize("n_rows", [5, None])
def test_standard_output_is_an_npy_stream(make, monkeypatch, n_rows):
    """`-` never seeks: a pipe cannot."""
    pipe = Pipe()
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=pipe, isatty=lambda: False))
    images = make.pictures(5)
    write("-", images, n_rows)
    assert pipe.getvalue() == make.npy(images[..., 0])


def test_a_terminal_gets_no_images(monkeypatch):
    """Bytes on a terminal help nobody."""
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(isatty=lambda: True))
    with pytest.raises(UsageError, match="terminal"):
        open_sink("-", (4, 3, 1), 1, force=True)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("n_rows", [5, None])
def test_a_full_standard_output_is_an_error(n_rows):
    """What does not fit is reported, at the latest at commit."""
    code = f"""
import numpy, sys
from aeformat.images import open_sink
try:
    with open_sink("-", (4, 3, 1), {n_rows}, force=False) as sink:
        sink.write(numpy.zeros((5, 4, 3, 1), "u1"), None)
except OSError as error:
    print(error.strerror, file=sys.stderr)
"""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True)

    assert done.stderr.startswith(os.strerror(errno.ENOSPC) + "\n")


class FullDisk(io.FileIO):
    """A file on a disk with room for 300 more bytes."""

    room = 300

    def write(self, data) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = super().write(bytes(data)[: self.room])
        self.room -= taken
        return taken


@pytest.mark.parametrize("n_rows", [300, None])
@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk_leaves_nothing(tmp_path, make, monkeypatch, kind, n_rows):
    """ENOSPC, at whatever layer, comes through; no file, no temporary file, no warning about unclosed ones."""
    monkeypatch.setattr(atomic, "_create", lambda path: io.BufferedRandom(FullDisk(path, "x+")))
    with pytest.raises(OSError) as caught:
        write(str(tmp_path / kind), make.pictures(300), n_rows)

    assert caught.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("n_rows", [300, None])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_leaves_nothing(tmp_path, make, kind, n_rows, error):
    """Ctrl-C in the middle: the folder is as before."""
    with pytest.raises(error), open_sink(str(tmp_path / kind), (4, 3, 1), n_rows, force=False) as sink:
        sink.write(make.pictures(5), None)
        raise error

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_an_existing_file_needs_force(tmp_path, make, kind):
    """Refused before any work; an abort keeps it even with force."""
    path = tmp_path / kind
    path.write_bytes(b"old")
    with pytest.raises(UsageError, match=r"exists$"):
        open_sink(str(path), (4, 3, 1), 1, force=False)
    open_sink(str(path), (4, 3, 1), 1, force=True).abort()
    assert path.read_bytes() == b"old"

    with open_sink(str(path), (4, 3, 1), 1, force=True) as sink:
        sink.write(make.pictures(1), None)
    assert load(path, make).shape == (1, 4, 3)


@pytest.mark.parametrize(
    ("out", "shape"),
    [
        ("a.png", (4, 3, 1)),
        ("a.jpg", (4, 3, 1)),
        ("a.npy.gz", (4, 3, 1)),
        ("a.aef", (4, 3, 1)),
        ("a.idx1", (4, 3, 1)),
        ("a-idx3-ubyte", (4, 3, 3)),
        ("a.idx4.gz", (4, 3, 1)),
        ("missing/a.npy", (4, 3, 1)),
    ],
)
def test_an_impossible_output_is_refused_at_once(tmp_path, monkeypatch, out, shape):
    """An unknown suffix, or a rank that the name contradicts; nothing is made."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        open_sink(out, shape, 1, force=False)

    assert out in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["a.npy", "a.npz", "a.idx.gz"])
def test_a_broken_promise_leaves_nothing(tmp_path, make, kind):
    """Fewer images than promised would be a file that lies about its length."""
    with pytest.raises(ValueError, match="promised"):
        write(str(tmp_path / kind), make.pictures(3), 4)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("images", [np.zeros((1, 3, 4, 1), np.uint8), np.zeros((1, 4, 3, 1)), np.zeros((4, 3, 1))])
def test_other_shapes_and_types_are_a_mistake(tmp_path, images):
    """A sink takes (n, *shape) uint8."""
    with (
        pytest.raises(ValueError, match="expected"),
        open_sink(str(tmp_path / "a.npy"), (4, 3, 1), 1, force=False) as s,
    ):
        s.write(images, None)


@pytest.mark.parametrize("n_rows", [512, None])
@pytest.mark.parametrize("kind", ["a.npy", "a.npz", "a.idx", "a.idx.gz"])
def test_memory_is_constant(tmp_path, kind, n_rows):
    """32 MiB of images pass through; a block is in memory, never the file."""
    block = np.zeros((8, 256, 256, 1), np.uint8)
    tracemalloc.start()
    try:
        with open_sink(str(tmp_path / kind), (256, 256, 1), n_rows, force=False) as sink:
            for _ in range(64):
                sink.write(block, None)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 4 << 20


def test_a_spool_is_gone_afterwards(tmp_path, make, monkeypatch):
    """Rows that wait for their count leave nothing in the folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "to").mkdir()
    write(str(tmp_path / "to" / "a.npz"), make.pictures(5), None)
    assert [path.name for path in tmp_path.iterdir()] == ["to"]
    assert zipfile.ZipFile(tmp_path / "to" / "a.npz").testzip() is None


@pytest.mark.parametrize("kind", ["a.npy", "a.idx.gz"])
def test_ending_twice(tmp_path, make, kind):
    """Commit inside the with block is enough; an abort afterwards does nothing."""
    with open_sink(str(tmp_path / kind), (4, 3, 1), None, force=False) as sink:
        sink.write(make.pictures(2), None)
        sink.commit()
    sink.abort()
    assert len(load(tmp_path / kind, make)) == 2


def test_idx_counts_have_an_end(tmp_path):
    """An IDX count is 32 bits."""
    with pytest.raises(UsageError, match="4,294,967,295"):
        open_sink(str(tmp_path / "a.idx"), (4, 3, 1), 2**32, force=False)
    assert list(tmp_path.iterdir()) == []
