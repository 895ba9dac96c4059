"""Files that appear whole or not at all: written beside their target, synced, then renamed onto it.

Owns the temporary name, its removal after any failure (Ctrl-C included), the order "data on disk, then name", and what a
file keeps of the one that it replaces: owner, permissions, access list.  Knows nothing of what is written.  An OSError of the
disk itself (full, unplugged) passes through; it names the target, or no file at all.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from aeformat.destination import behind_links
from aeformat.errors import Hint, UsageError

if TYPE_CHECKING:
    from types import TracebackType

NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # what a disk says that takes no more
TEMP_PREFIX: Final = ".aeformat-tmp-"  # hidden; what a killed process may leave behind begins with this
_PRIVATE: Final = 0o600
_PERMISSIONS: Final = 0o777  # not to run as the owner or the group: that was given to what the old file held
_ACCESS_LIST: Final = "system.posix_acl_access"  # POSIX access control lists as Linux keeps them


class AtomicFile:
    """Write a file that appears under its name only when it is complete.

    with AtomicFile(path, force=True) as file: file.write(...)       # commits; aborts on any exception

    or, for a writer that lives longer: `atomic = AtomicFile(path)`, `atomic.file.write(...)`, then `commit()` or
    `abort()`.  `file` is an ordinary binary file: it can seek, tell and read back.  The target is replaced, never
    written into, and the new file gets its owner and permissions; where it is a link, the file that the link names is
    replaced, and the link stays.

    Raises UsageError at once where the target exists (unless `force`), is no ordinary file, or cannot be created; `commit`
    raises it where the target cannot be replaced.
    """

    path: Path
    file: BinaryIO
    _open = False

    def __init__(self, path: str | os.PathLike[str], *, force: bool = False) -> None:
        self.path = Path(path)
        self._force = force
        self._target = check_target(self.path, force=force)
        self._temp = temporary_in(self._target.parent)
        try:
            self.file = _create(self._temp)
            self._open = True
            if self._target.exists():  # it may be secret
                self._temp.chmod(_PRIVATE)
        except OSError as error:
            self.abort()
            raise UsageError(f"cannot write {self.path}: {error.strerror}") from error

    def commit(self) -> None:
        """Put the file under its name, on disk.  Whatever goes wrong, the temporary file is gone afterwards."""
        if not self._open:
            raise ValueError(f"{self.path} was already committed or aborted")
        try:
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()
            if check_target(self.path, force=self._force) != self._target:  # another process may have been faster
                raise UsageError(f"cannot write {self.path}: the link has been changed")
            put_in_place(self._temp, self._target)
        except BaseException:
            self.abort()
            raise
        self._open = False
        sync_folder(self._target.parent)

    def abort(self) -> None:
        """Remove what was written; the target stays as it was.  Does nothing after a commit or an earlier abort."""
        if not self._open:
            return
        self._open = False
        with contextlib.suppress(OSError):  # closing flushes, and on a full disk that fails once more
            self.file.close()
        self._temp.unlink(missing_ok=True)

    def __enter__(self) -> BinaryIO:
        return self.file

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if not self._open:
            return
        if kind is None:
            self.commit()
        else:
            self.abort()


def check_target(path: Path, *, force: bool) -> Path:
    """The file to put in place: `path`, or what it links to.

    Raises UsageError where that cannot be done: it exists (without `force`), is a folder, a device, a pipe.
    """
    if not path.name:
        raise UsageError(f"{path} is no file name")
    target = behind_links(path)
    if not target.parent.is_dir():
        raise UsageError(f"cannot write {path}: the folder {target.parent} does not exist")
    try:
        mode = target.lstat().st_mode
    except FileNotFoundError:  # so nothing is replaced, also where a link leads to it
        return target
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    if stat.S_ISDIR(mode):
        raise UsageError(f"cannot write {path}: it is a folder")
    if not stat.S_ISREG(mode):
        raise UsageError(f"cannot write {path}: it is not an ordinary file", hint=Hint.USE_STANDARD_OUTPUT)
    if not force:
        raise UsageError(f"{path} exists", hint=Hint.REPLACE_FILE)
    return target


def put_in_place(new: Path, target: Path) -> None:
    """Rename a file onto another one, whose owner, permissions and access list it takes over.

    Raises UsageError where the target cannot be replaced, OSError; both name the target.
    """
    try:
        _take_over(new, target)
        new.replace(target)
    except OSError as error:
        if error.errno in (errno.EBUSY, errno.EXDEV):
            raise UsageError(
                f"cannot replace {target}: something is mounted there; give another name, or write to standard output"
            ) from error
        raise OSError(error.errno, f"cannot replace it: {error.strerror}", str(target)) from error


def _take_over(new: Path, target: Path) -> None:
    """As far as this user may.  Where the group cannot be kept, others in the new group may do what everybody may."""
    try:
        old = target.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISREG(old.st_mode):
        return
    with contextlib.suppress(OSError, AttributeError):  # Windows has no owners of this kind
        os.chown(new, old.st_uid, -1)
    with contextlib.suppress(OSError, AttributeError):
        os.chown(new, -1, old.st_gid)
    mode = old.st_mode & _PERMISSIONS
    if new.stat().st_gid != old.st_gid:
        mode = mode & ~stat.S_IRWXG | (mode & stat.S_IRWXO) << 3
    new.chmod(mode)
    with contextlib.suppress(OSError, AttributeError):
        os.setxattr(new, _ACCESS_LIST, os.getxattr(target, _ACCESS_LIST))


def temporary_in(folder: Path) -> Path:
    """A fresh hidden name in the folder of the target, so that a rename never crosses file systems."""
    return folder / f"{TEMP_PREFIX}{secrets.token_hex(8)}"


def sync_folder(path: Path) -> None:
    """Make renames in this folder survive a power cut, where the system can: Windows and some mounts cannot."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _create(path: Path) -> BinaryIO:
    """Open a new file for writing and reading; 0o666 less the umask, as `open` would."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    return os.fdopen(handle, "w+b")
