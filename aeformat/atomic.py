"""Files that appear whole or not at all: written beside their target, synced, then renamed onto it.

Owns the temporary name, its removal after any failure (Ctrl-C included), and the order "data on disk, then name".
Knows nothing of what is written.  An OSError of the disk itself (full, unplugged) passes through unchanged.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from aeformat.errors import Hint, UsageError

if TYPE_CHECKING:
    from types import TracebackType

NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # what a disk says that takes no more
TEMP_PREFIX: Final = ".aeformat-tmp-"  # hidden; what a killed process may leave behind begins with this


class AtomicFile:
    """Write a file that appears under its name only when it is complete.

    with AtomicFile(path, force=True) as file: file.write(...)       # commits; aborts on any exception

    or, for a writer that lives longer: `atomic = AtomicFile(path)`, `atomic.file.write(...)`, then `commit()` or
    `abort()`.  `file` is an ordinary binary file: it can seek, tell and read back.  The target is replaced, never
    written into; a symlink there is replaced, not followed.

    Raises UsageError at once where the target exists (unless `force`), is no ordinary file, or cannot be created.
    """

    path: Path
    file: BinaryIO

    def __init__(self, path: str | os.PathLike[str], *, force: bool = False) -> None:
        self.path = Path(path)
        self._force = force
        check_target(self.path, force=force)
        self._temp = temporary_in(self.path.parent)
        try:
            self.file = _create(self._temp)
        except OSError as error:
            raise UsageError(f"cannot write {self.path}: {error.strerror}") from error
        self._open = True

    def commit(self) -> None:
        """Put the file under its name, on disk.  Whatever goes wrong, the temporary file is gone afterwards."""
        if not self._open:
            raise ValueError(f"{self.path} was already committed or aborted")
        try:
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()
            check_target(self.path, force=self._force)  # another process may have been faster
            self._temp.replace(self.path)
        except BaseException:
            self.abort()
            raise
        self._open = False
        sync_folder(self.path.parent)

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


def check_target(path: Path, *, force: bool) -> None:
    """Refuse a target that no file can be put at: it exists (without `force`), is a folder, a device, a pipe.

    Raises UsageError.
    """
    if not path.name:
        raise UsageError(f"{path} is no file name")
    if not path.parent.is_dir():
        raise UsageError(f"cannot write {path}: the folder {path.parent} does not exist")
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    if stat.S_ISDIR(mode):
        raise UsageError(f"cannot write {path}: it is a folder")
    if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
        raise UsageError(f"cannot write {path}: it is not an ordinary file", hint=Hint.USE_STANDARD_OUTPUT)
    if not force:
        raise UsageError(f"{path} exists", hint=Hint.REPLACE_FILE)


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
