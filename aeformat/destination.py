"""What the name of an output stands for: an ordinary file, or something that takes bytes as they come.

Owns links (a file is put where they lead, they stay) and what is no ordinary file: a pipe, a character device, a descriptor
of this process (/dev/stdout, /dev/fd/3).  Those are written down, never replaced.  Knows nothing of what is written.
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from aeformat.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

_DESCRIPTOR: Final = re.compile(r"/(?:dev|proc/(?P<process>\d+)(?:/task/\d+)?)/fd/(?P<number>\d+)")
_MAX_LINKS: Final = 40  # as Linux
_READER_SECONDS: Final = 3.0  # that a named pipe may take to get its reader
_KINDS: Final = {stat.S_IFBLK: "a block device", stat.S_IFSOCK: "a socket"}


def open_stream(name: str | os.PathLike[str]) -> BinaryIO | None:
    """The pipe, device or descriptor of that name, open for writing; None where a file is there, a folder, or nothing.

    Raises UsageError for what can't be written down: a block device, a socket, a pipe that nobody reads from.
    """
    path = Path(name)
    number = _descriptor(path)
    try:
        if number is not None:
            handle = _duplicate(number, path)
        else:
            mode = path.stat().st_mode
            if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
                return None
            handle = _open(path, mode)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    return os.fdopen(handle, "wb")


def check_no_input(output: str | os.PathLike[str], inputs: Iterable[str | os.PathLike[str]]) -> None:
    """Check that the output is none of the files and pipes that are read, under whatever name; "-" is a standard stream.

    Raises UsageError: a file that is read would be lost, whether or not it may be replaced, and a pipe would wait for itself.
    """
    there = _status(output, 1)
    if there is None or not (stat.S_ISREG(there.st_mode) or stat.S_ISFIFO(there.st_mode)):
        return
    for name in inputs:
        here = _status(name, 0)
        if here is not None and os.path.samestat(here, there):
            what = "standard input" if name == "-" else os.fspath(name)
            out = "standard output" if output == "-" else os.fspath(output)
            also = "" if what == out else f", as {what},"
            if stat.S_ISFIFO(there.st_mode):
                raise UsageError(f"{out} is read too{also} and the pipe would wait for itself; write to another one")
            raise UsageError(f"{out} is read too{also} and would be lost; give the output another name")


def _status(name: str | os.PathLike[str], number: int) -> os.stat_result | None:
    """That of a file by name, of the descriptor with this number for "-"; None where there is none."""
    try:
        return os.fstat(number) if name == "-" else os.stat(name)  # noqa: PTH116 - "" is not the current folder here
    except (OSError, ValueError):
        return None


def can_rewrite(file: BinaryIO) -> bool:
    """Whether what has been written can be changed afterwards: it can seek, and does not append whatever it is given."""
    if not file.seekable():
        return False
    try:
        import fcntl
    except ImportError:
        return True
    try:
        return not fcntl.fcntl(file.fileno(), fcntl.F_GETFL) & os.O_APPEND
    except io.UnsupportedOperation:  # in memory
        return True


def behind_links(path: Path) -> Path:
    """The file that a path names in the end, which need not exist; the path itself where it is no link.

    Raises UsageError where links lead in a circle, or may not be followed.
    """
    if not os.path.islink(path):  # noqa: PTH114 - pathlib's raises for some names
        return path
    try:
        path.stat()  # the system decides: it refuses the links of others in folders that all can write to
    except FileNotFoundError:
        pass
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    return Path(os.path.realpath(path))


def _descriptor(path: Path) -> int | None:
    """The number of the descriptor of this process that a path names, directly or by links."""
    for _ in range(_MAX_LINKS):
        path = Path(os.path.realpath(path.parent), path.name)
        match = _DESCRIPTOR.fullmatch(path.as_posix())
        if match and match["process"] in (None, str(os.getpid())):
            return int(match["number"])
        if not path.is_symlink():
            return None
        path = path.parent / path.readlink()
    return None


def _duplicate(number: int, path: Path) -> int:
    """Not opened by its name: a file would be written from its beginning, and one that is appended to would be spoilt."""
    try:
        import fcntl
    except ImportError:  # Windows has no such paths
        return os.dup(number)
    if fcntl.fcntl(number, fcntl.F_GETFL) & (os.O_WRONLY | os.O_RDWR):
        return os.dup(number)
    raise UsageError(f"cannot write {path}: it is open for reading only")


def _open(path: Path, mode: int) -> int:
    if stat.S_ISCHR(mode):
        return os.open(path, os.O_WRONLY | getattr(os, "O_NOCTTY", 0))
    if stat.S_ISFIFO(mode):
        return _open_pipe(path)
    raise UsageError(f"cannot write {path}: it is {_KINDS.get(stat.S_IFMT(mode), 'not an ordinary file')}")


def _open_pipe(path: Path) -> int:
    """A named pipe, once it has a reader: one that never comes would leave the command waiting without a word."""
    end = time.monotonic() + _READER_SECONDS
    while True:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if time.monotonic() > end:
                raise UsageError(f"cannot write {path}: nobody reads from this pipe; start its reader first") from None
            time.sleep(0.05)
        else:
            os.set_blocking(handle, True)
            return handle
