"""AtomicFile: the whole file under its name, or nothing at all."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import pytest

from aeformat import atomic
from aeformat.atomic import TEMP_PREFIX, AtomicFile
from aeformat.errors import UsageError

POSIX = pytest.mark.skipif(os.name != "posix", reason="POSIX file modes and special files")


class FullDisk(io.FileIO):
    """A file on a disk with room for 10 more bytes."""

    room = 10

    def write(self, data) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = super().write(bytes(data)[: self.room])
        self.room -= taken
        return taken


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_nothing_is_under_the_name_until_the_end(tmp_path):
    """While it is written, the file is hidden beside its target; afterwards only the target is there."""
    target = tmp_path / "out.bin"
    with AtomicFile(target) as file:
        file.write(b"hello")
        assert not target.exists()
        assert [name.startswith(TEMP_PREFIX) for name in names(tmp_path)] == [True]

    assert names(tmp_path) == ["out.bin"]
    assert target.read_bytes() == b"hello"


def test_the_beginning_can_be_rewritten(tmp_path):
    """A header can be filled in at the end, and read back."""
    with AtomicFile(tmp_path / "out") as file:
        file.write(b"????body")
        file.seek(0)
        file.write(b"head")
        file.seek(0)
        assert file.read() == b"headbody"

    assert (tmp_path / "out").read_bytes() == b"headbody"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError, GeneratorExit])
@pytest.mark.parametrize("before", [None, b"old"], ids=["new", "replacing"])
def test_any_exception_leaves_things_as_they_were(tmp_path, error, before):
    """Ctrl-C in the middle removes the temporary file and keeps what was there."""
    target = tmp_path / "out"
    if before:
        target.write_bytes(before)
    with pytest.raises(error), AtomicFile(target, force=True) as file:
        file.write(b"half")
        raise error

    assert names(tmp_path) == (["out"] if before else [])
    assert not before or target.read_bytes() == before


@pytest.mark.parametrize("size", [11, 100_000], ids=["flush", "write"])
def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch, size):
    """ENOSPC comes through as it is, whether at a write or at the flush in commit, and nothing stays behind."""
    monkeypatch.setattr(atomic, "_create", lambda path: io.BufferedRandom(FullDisk(path, "x+")))
    with pytest.raises(OSError) as caught, AtomicFile(tmp_path / "out") as file:
        file.write(bytes(size))

    assert caught.value.errno == errno.ENOSPC
    assert names(tmp_path) == []


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_ctrl_c_during_commit_leaves_nothing(tmp_path, monkeypatch, step):
    """The commit itself can be interrupted."""

    def interrupt(*_):
        raise KeyboardInterrupt

    owner = os if step == "fsync" else Path
    with pytest.raises(KeyboardInterrupt), AtomicFile(tmp_path / "out") as file:
        file.write(b"x")
        monkeypatch.setattr(owner, step, interrupt)

    assert names(tmp_path) == []


def test_an_existing_file_needs_force(tmp_path):
    """Without force an existing file is refused before anything is written; with it, it is replaced."""
    target = tmp_path / "out"
    target.write_bytes(b"old")
    with pytest.raises(UsageError, match=r"exists$"):
        AtomicFile(target)
    assert names(tmp_path) == ["out"]

    with AtomicFile(target, force=True) as file:
        file.write(b"new")
    assert target.read_bytes() == b"new"


def test_a_file_that_appeared_meanwhile_is_kept(tmp_path):
    """Two writers without force: the second to finish gives up."""
    target = tmp_path / "out"
    with pytest.raises(UsageError, match="exists"), AtomicFile(target) as file:
        file.write(b"late")
        target.write_bytes(b"early")

    assert names(tmp_path) == ["out"]
    assert target.read_bytes() == b"early"


@POSIX
def test_a_link_is_replaced_and_not_followed(tmp_path):
    """Where the target is a symbolic link, even a dangling one, what it points to is left alone."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    link = tmp_path / "link"
    link.symlink_to(victim)
    with AtomicFile(link, force=True) as file:
        file.write(b"new")
    assert (victim.read_bytes(), link.is_symlink()) == (b"precious", False)

    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"exists$"):
        AtomicFile(tmp_path / "dangling")


@POSIX
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_mode_is_what_the_umask_says(tmp_path, umask):
    """Not the 0600 of a temporary file."""
    old = os.umask(umask)
    try:
        with AtomicFile(tmp_path / "out") as file:
            file.write(b"x")
    finally:
        os.umask(old)

    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.parametrize(
    ("target", "says"),
    [
        (".", "no file name"),
        ("folder", "is a folder"),
        ("missing/out", "does not exist"),
        pytest.param("pipe", "not an ordinary file", marks=POSIX),
        pytest.param("x" * 300, "cannot write", marks=POSIX),
    ],
)
def test_an_impossible_target_is_refused_at_once(tmp_path, monkeypatch, target, says):
    """A folder, a pipe, a missing parent: one clear line, also with force, and nothing is made."""
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    if target == "pipe":
        os.mkfifo("pipe")
    before = names(tmp_path)
    with pytest.raises(UsageError, match=says):
        AtomicFile(target, force=True)

    assert names(tmp_path) == before


def test_ending_twice(tmp_path):
    """An abort after the end does nothing, a commit after the end is a mistake, and the with block notices neither."""
    done = AtomicFile(tmp_path / "out")
    with done:
        done.commit()
    done.abort()
    with pytest.raises(ValueError, match="already"):
        done.commit()

    assert names(tmp_path) == ["out"]
