"""Where a set lies: in a folder, or below a URL.  Its files are found by their names, and nothing is listed (spec/sets.md).

Owns what the name of a set stands for, and the two ways to replace a small file on a condition (S4-3): by a lock in a folder,
by the service in a bucket.  Knows nothing of what the files mean.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from aeformat import remote
from aeformat.atomic import AtomicFile, sync_folder, temporary_in
from aeformat.container.opened import OpenedFile, RandomFile
from aeformat.live_file import lock_file
from aeformat.paths import checked_path, is_url
from aeformat.sets.opening import MANIFEST_NAME, SUFFIX

LOCK_NAME: Final = f"{MANIFEST_NAME}.lock"


def manifest_path(path: str | os.PathLike[str]) -> str:
    """The manifest of a set: the file itself, or the one in a folder, or below a URL.  Raises UsageError."""
    name = checked_path(path)
    if is_url(name):
        return name if name.endswith(SUFFIX) else remote.below(name, MANIFEST_NAME)
    return os.fspath(Path(name) / MANIFEST_NAME) if Path(name).is_dir() else name


def beside(manifest: str, name: str) -> str:
    """The file that a manifest calls `name`."""
    if is_url(manifest):
        return remote.below(manifest.rpartition("/")[0], name)
    return os.fspath(Path(manifest).parent / name)


def opener(name: str) -> Callable[[str], RandomFile]:
    """What opens a file of that name to be read at any place."""
    return remote.RemoteFile if is_url(name) else OpenedFile


class Place(Protocol):
    """A folder, or a prefix of a bucket, that a set is written into.  name: as a person gave it.

    All methods raise OSError.
    """

    name: str

    def path(self, name: str) -> str:
        """The path or the URL of a file here."""
        ...

    def read(self, name: str) -> tuple[bytes, str] | None:
        """A small file, and a tag of its contents; None where there is none."""
        ...

    def put(self, name: str, data: bytes, *, replaces: str | None) -> bool:
        """Write a small file where there is none, or where it has the tag `replaces`, in one step.  False if that is not so."""
        ...

    def size(self, name: str) -> int | None:
        """The length of a file; None where there is none."""
        ...

    @contextmanager
    def temporary(self) -> Iterator[Path]:
        """A path of this machine for a new file, which is gone at the end unless `keep` has taken it."""
        ...

    def keep(self, path: Path, name: str) -> None:
        """Have a file of `temporary` here under that name, whole and on disk."""
        ...


def place_at(name: str | os.PathLike[str]) -> Place:
    """The place of that name; a folder is made if it is not there.  Raises UsageError, OSError."""
    text = checked_path(name).removesuffix(MANIFEST_NAME)
    return BucketPlace(text) if is_url(text) else FolderPlace(Path(text))


class FolderPlace:
    """A folder.  A tag is the SHA-256 of the contents."""

    def __init__(self, folder: Path) -> None:
        self.name, self._folder = os.fspath(folder), folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, name: str) -> str:
        return os.fspath(self._folder / name)

    def read(self, name: str) -> tuple[bytes, str] | None:
        try:
            data = (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None
        return data, hashlib.sha256(data).hexdigest()

    def put(self, name: str, data: bytes, *, replaces: str | None) -> bool:
        with locked(self._folder):
            there = self.read(name)
            if (None if there is None else there[1]) != replaces:
                return False
            target = self._folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with AtomicFile(target, force=True) as file:
                file.write(data)
        return True

    def size(self, name: str) -> int | None:
        try:
            return (self._folder / name).stat().st_size
        except FileNotFoundError:
            return None

    @contextmanager
    def temporary(self) -> Iterator[Path]:
        path = temporary_in(self._folder)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def keep(self, path: Path, name: str) -> None:
        path.replace(self._folder / name)
        sync_folder(self._folder)


class BucketPlace:
    """A prefix of a bucket.  A tag is the service's."""

    def __init__(self, url: str) -> None:
        remote.check_conditional(url)
        self.name = url

    def path(self, name: str) -> str:
        return remote.below(self.name, name)

    def read(self, name: str) -> tuple[bytes, str] | None:
        return remote.read_tagged(self.path(name))

    def put(self, name: str, data: bytes, *, replaces: str | None) -> bool:
        return remote.put_if(self.path(name), data, replaces=replaces)

    def size(self, name: str) -> int | None:
        return remote.size_of(self.path(name))

    @contextmanager
    def temporary(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="aeformat-") as folder:
            yield Path(folder) / "shard.aef"

    def keep(self, path: Path, name: str) -> None:
        remote.put_file(path, self.path(name))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else replaces the manifest in the `with` block (S4-3)."""
    handle = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        lock_file(handle, waits=True)
        yield
    finally:
        os.close(handle)
