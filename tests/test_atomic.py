"""AtomicFile: the whole file under its name, or nothing at all."""

from __future__ import annotations

import errno
import io
import os
import stat
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


LINKS = {  # what the link is called -> where it leads
    "link": "folder/victim",
    "folder/beside": "victim",
    "chain": "link",
    "absolute": "{tmp}/folder/victim",
    "../{here}/round/about": "../folder/victim",
    "dangling": "folder/new",
}


@POSIX
@pytest.mark.parametrize("name", LINKS)
def test_what_a_link_names_is_replaced_and_the_link_stays(tmp_path, monkeypatch, name):
    """As editors do it, also for a link to a link, from another folder, and to a file that is not there yet."""
    monkeypatch.chdir(tmp_path)
    for folder in ("folder", "round"):
        Path(folder).mkdir()
    victim = Path("folder/victim")
    victim.write_bytes(b"old")
    victim.chmod(0o640)
    for link, to in LINKS.items():
        Path(link.format(here=tmp_path.name)).symlink_to(to.format(tmp=tmp_path))
    link = Path(name.format(here=tmp_path.name))
    if name != "dangling":
        with pytest.raises(UsageError, match="exists"):
            AtomicFile(link)
    with AtomicFile(link, force=name != "dangling") as file:  # where nothing is there, nothing is replaced
        file.write(b"new")

    target = Path("folder/new") if name == "dangling" else victim
    assert link.is_symlink() and link.read_bytes() == target.read_bytes() == b"new"
    assert name == "dangling" or stat.S_IMODE(victim.stat().st_mode) == 0o640
    assert not [path for path in tmp_path.rglob("*") if TEMP_PREFIX in path.name]


@POSIX
@pytest.mark.parametrize("to", ["loop", "missing/file", "folder", "/dev/null"])
def test_a_link_to_no_file_is_refused(tmp_path, to):
    """In a circle, into a folder that is not there, to a folder, to a device: the link stays, and nobody proposes force."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to(to)
    with pytest.raises(UsageError) as caught:
        AtomicFile(tmp_path / "loop", force=True)

    assert "force" not in str(caught.value)
    assert names(tmp_path) == ["folder", "loop"] and (tmp_path / "loop").is_symlink()


@POSIX
def test_what_appears_behind_a_link_meanwhile_is_kept(tmp_path):
    """Without force, as where there is no link."""
    (tmp_path / "link").symlink_to("new")
    with pytest.raises(UsageError, match="exists"), AtomicFile(tmp_path / "link") as file:
        file.write(b"late")
        (tmp_path / "new").write_bytes(b"early")

    assert names(tmp_path) == ["link", "new"] and (tmp_path / "new").read_bytes() == b"early"


@POSIX
def test_a_link_that_is_changed_meanwhile_is_refused(tmp_path):
    """What it names then was never checked."""
    for name in ("first", "second"):
        (tmp_path / name).write_bytes(b"old")
    link = tmp_path / "link"
    link.symlink_to("first")
    with pytest.raises(UsageError, match="changed"), AtomicFile(link, force=True) as file:
        file.write(b"new")
        link.unlink()
        link.symlink_to("second")

    assert names(tmp_path) == ["first", "link", "second"]
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes() == b"old"


@POSIX
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o444, 0o755])
def test_the_permissions_of_the_file_that_is_replaced_are_kept(tmp_path, mode):
    """Whatever the umask says; and until then nobody else can read what is written."""
    target = tmp_path / "out"
    target.touch()
    target.chmod(mode)
    with AtomicFile(target, force=True) as file:
        file.write(b"new")
        (written,) = (path for path in tmp_path.iterdir() if path.name.startswith(TEMP_PREFIX))
        assert stat.S_IMODE(written.stat().st_mode) == 0o600

    assert stat.S_IMODE(target.stat().st_mode) == mode


@POSIX
@pytest.mark.skipif(getattr(os, "getuid", lambda: 1)() != 0, reason="only root gives files away")
def test_the_owner_of_the_file_that_is_replaced_is_kept(tmp_path):
    """As far as the system allows."""
    target = tmp_path / "out"
    target.touch()
    os.chown(target, 1234, 5678)
    with AtomicFile(target, force=True) as file:
        file.write(b"new")

    assert (target.stat().st_uid, target.stat().st_gid) == (1234, 5678)


@POSIX
def test_a_group_that_cannot_be_kept_may_do_what_everybody_may(tmp_path, monkeypatch):
    """What one group was given is not given to another."""
    target = tmp_path / "out"
    target.touch()
    os.chown(target, -1, 5678) if os.getuid() == 0 else pytest.skip("only root gives files away")
    target.chmod(0o664)

    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "chown", refuse)
    with AtomicFile(target, force=True) as file:
        file.write(b"new")

    assert stat.S_IMODE(target.stat().st_mode) == 0o644


@pytest.mark.parametrize(
    ("number", "error", "says"),
    [(errno.EBUSY, UsageError, "mounted"), (errno.EXDEV, UsageError, "mounted"), (errno.EPERM, OSError, "Operation")],
)
def test_a_target_that_cannot_be_replaced_is_named(tmp_path, monkeypatch, number, error, says):
    """A mount point, a file that may not be touched: its name stands in the message, and no temporary one."""

    def refuse(*_):
        raise OSError(number, os.strerror(number), "temporary")

    (tmp_path / "out").write_bytes(b"old")
    with pytest.raises(error) as caught, AtomicFile(tmp_path / "out", force=True) as file:
        file.write(b"x")
        monkeypatch.setattr(Path, "replace", refuse)

    assert str(tmp_path / "out") in str(caught.value) and says in str(caught.value)
    assert TEMP_PREFIX not in str(caught.value)
    assert names(tmp_path) == ["out"]


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
