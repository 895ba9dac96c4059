"""Images out as a folder of PNG files, under the rows' names.

Owns the promise that no name leads out of the folder: names are checked, the files are first written into a fresh
temporary folder, and on the way to their place no link is followed.

A new folder appears whole, by one rename.  Into a folder that exists the files are moved one by one at the end, after
every target was checked; a crash in between leaves whole files, but maybe not all.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from aeformat.atomic import sync_folder, temporary_in
from aeformat.errors import Hint, ImageError, UsageError
from aeformat.images.file_names import name_key, png_name
from aeformat.images.files import save_png
from aeformat.images.fit import require_pillow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from numpy.typing import NDArray

    from aeformat.images.fit import Shape

_MANY: Final = 100  # files, from which on one sync of everything is better than one for each
_NOT_ON_WINDOWS: Final = frozenset('<>:"|?*')


class FolderSink:
    """Writes one PNG file per image.  Raises UsageError where the folder may not be written to."""

    def __init__(self, path: Path, shape: Shape, n_rows: int | None, *, force: bool) -> None:
        require_pillow("PNG files")
        if shape[2] not in (1, 3):
            raise UsageError(f"{path}: PNG files have 1 or 3 channels, the images {shape[2]}; write .npy instead")
        self._path, self._shape = path, shape
        self._exists = _check_folder(path, force=force)
        self._width = max(5, len(str((n_rows or 1) - 1)))
        self._files: dict[str, str] = {}  # name_key -> file, relative to the folder
        self._folders: set[str] = set()  # name_keys
        self._n_rows = 0
        self._temp = temporary_in(path if self._exists else path.parent)
        try:
            self._temp.mkdir()
        except OSError as error:
            raise UsageError(f"cannot write into {self._temp.parent}: {error.strerror}") from error
        self._open = True

    def write(self, images: NDArray[np.uint8], names: Sequence[str] | None) -> None:
        """Write (n, h, w, c) uint8.  Raises ImageError where a name is unsafe or taken, OSError."""
        if images.shape[1:] != self._shape or images.dtype != np.uint8:
            raise ValueError(f"expected (n, *{self._shape}) of uint8, not {images.shape} of {images.dtype}")
        if names is not None and len(names) != len(images):
            raise ValueError(f"{len(images)} images came with {len(names)} names")
        for at, image in enumerate(images):
            file = self._take_name(f"{self._n_rows:0{self._width}d}.png" if names is None else names[at])
            target = self._temp / file
            target.parent.mkdir(parents=True, exist_ok=True)
            save_png(target, image)
            self._n_rows += 1

    def commit(self) -> None:
        """Put the folder, or the files, in place.  Raises UsageError where something is in the way, OSError."""
        try:
            _sync([self._temp / file for file in self._files.values()])
            if self._exists:
                self._move_files()
            else:
                self._temp.rename(self._path)
        except BaseException:
            self.abort()
            raise
        self._open = False
        sync_folder(self._path.parent)

    def abort(self) -> None:
        """Remove what was written.  Does nothing after a commit or an earlier abort."""
        if self._open:
            self._open = False
            shutil.rmtree(self._temp, ignore_errors=True)

    def _take_name(self, name: str) -> str:
        """The file for a row's name, after refusing one that is taken, also where only the case differs."""
        file = png_name(name)
        if os.name == "nt" and _NOT_ON_WINDOWS.intersection(file):
            raise ImageError(f"row name {name!a} is no file name on Windows; unpack to .npy instead")
        key = name_key(file)
        parts = key.split("/")
        parents = {"/".join(parts[:n]) for n in range(1, len(parts))}
        if key in self._files or key in self._folders or not parents.isdisjoint(self._files):
            raise ImageError(
                f"row name {name!a}: the place of {file!a} is taken by another row; unpack to .npy instead"
            )
        self._files[key] = file
        self._folders |= parents
        return file

    def _move_files(self) -> None:
        for file in self._files.values():
            self._check_way(file)
        for file in self._files.values():
            self._check_way(file)  # once more: what was checked may have changed
            target = self._path / file
            target.parent.mkdir(parents=True, exist_ok=True)
            (self._temp / file).replace(target)
        shutil.rmtree(self._temp)

    def _check_way(self, file: str) -> None:
        """Raises UsageError unless every folder on the way is a real one, and the file's place is a file's or free."""
        parts = file.split("/")
        for n in range(1, len(parts) + 1):
            place = self._path.joinpath(*parts[:n])
            try:
                mode = place.lstat().st_mode
            except FileNotFoundError:
                return
            if n < len(parts) and not stat.S_ISDIR(mode):
                raise UsageError(f"{place} is in the way: it is a link or a file, expected a folder")
            if n == len(parts) and not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
                raise UsageError(f"{place} is in the way: it is no ordinary file")

    def __enter__(self) -> FolderSink:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is not None:
            self.abort()
        elif self._open:
            self.commit()


def _check_folder(path: Path, *, force: bool) -> bool:
    """Whether the folder exists.  Raises UsageError where it cannot be made, or is not empty without `force`."""
    if not path.is_dir():
        if os.path.lexists(path):
            raise UsageError(f"{path} exists and is no folder")
        if not path.parent.is_dir():
            raise UsageError(f"cannot make {path}: the folder {path.parent} does not exist")
        return False
    if not force and any(path.iterdir()):
        raise UsageError(f"{path} exists and is not empty", hint=Hint.WRITE_INTO_FOLDER)
    return True


def _sync(paths: Sequence[Path]) -> None:
    """Have the files on disk.  Ten thousand small ones take seconds one by one, and a tenth of one with os.sync."""
    if len(paths) > _MANY and hasattr(os, "sync"):
        os.sync()
        return
    for path in paths:
        with path.open("rb+") as file:
            os.fsync(file.fileno())
