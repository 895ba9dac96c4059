"""Images out as a folder of PNG files, under the rows' names.

Owns the promise that no name leads out of the folder: names are checked, the files are first written into a fresh
temporary folder, and on the way to their place no link is followed.

A new folder appears whole, by one rename.  Into a folder that exists the files are moved one by one at the end, after
every target was checked; a crash in between leaves whole files, but maybe not all.  Which names are one file, the file system
decides: some take "A.png" for "a.png".
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aeformat.atomic import put_in_place, sync_folder, temporary_in
from aeformat.errors import Hint, ImageError, UsageError
from aeformat.images.file_names import name_key, png_name, png_names
from aeformat.images.files import save_png
from aeformat.images.fit import check_images, require_pillow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray

    from aeformat.images.fit import Shape

_MANY: Final = 100  # files, from which on one sync of everything is better than one for each
_NOT_ON_WINDOWS: Final = frozenset('<>:"|?*')


class FolderSink:
    """Writes one PNG file per image.  Raises UsageError where the folder may not be written to.

    inputs: files that are being read, which are not replaced.
    """

    def __init__(
        self,
        path: Path,
        shape: Shape,
        n_rows: int | None,
        *,
        force: bool,
        inputs: Sequence[str | os.PathLike[str]] = (),
    ) -> None:
        require_pillow("PNG files")
        if shape[2] not in (1, 3):
            raise UsageError(f"{path}: PNG files have 1 or 3 channels, the images {shape[2]}; write .npy instead")
        self._path, self._shape = path, shape
        self._exists = _check_folder(path, force=force)
        self._width = max(5, len(str((n_rows or 1) - 1)))
        self._inputs = inputs
        self._names: dict[str, int] = {}  # of the rows, in their order -> row
        self._temp = temporary_in(path if self._exists else path.parent)
        self._tree = self._temp / "tree"  # where the files get their names
        try:
            self._temp.mkdir()
            self._tree.mkdir()
        except OSError as error:
            raise UsageError(f"cannot write into {self._temp.parent}: {error.strerror}") from error
        self._open = True

    def write(self, images: NDArray[np.uint8], names: Sequence[str] | None) -> None:
        """Write (n, h, w, c) uint8.  Raises ImageError where a name is unsafe or taken, OSError."""
        check_images(images, self._shape)
        if names is not None and len(names) != len(images):
            raise ValueError(f"{len(images)} images came with {len(names)} names")
        for at, image in enumerate(images):
            name = f"{len(self._names):0{self._width}d}.png" if names is None else names[at]
            _check_png_name(name)
            if name in self._names:
                raise ImageError(f"row name {name!a} is taken by another row; unpack to .npy instead")
            save_png(self._row(len(self._names)), image)
            self._names[name] = len(self._names)

    def commit(self) -> None:
        """Put the folder, or the files, in place.

        Raises ImageError where two rows are one file, UsageError where something is in the way, OSError.
        """
        try:
            _sync([self._row(number) for number in range(len(self._names))])
            files = png_names(list(self._names))
            for number, file in enumerate(files):
                self._give_name(number, file)
            if self._exists:
                self._move_files(files)
            else:
                self._tree.rename(self._path)
            shutil.rmtree(self._temp)
        except BaseException:
            self.abort()
            raise
        self._open = False
        sync_folder(self._path.parent)

    def _row(self, number: int) -> Path:
        return self._temp / f"{number}.png"

    def abort(self) -> None:
        """Remove what was written.  Does nothing after a commit or an earlier abort."""
        if self._open:
            self._open = False
            shutil.rmtree(self._temp, ignore_errors=True)

    def _give_name(self, number: int, file: str) -> None:
        """Move a row's file into the tree, after refusing a place that another row has."""
        place = self._tree / file
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            is_taken = os.path.lexists(place)
        except (FileExistsError, NotADirectoryError):
            is_taken = True
        if is_taken:
            raise ImageError(self._clash(number, file))
        self._row(number).rename(place)

    def _clash(self, number: int, file: str) -> str:
        names, key = list(self._names), name_key(file)
        name = names[number]
        for other in names[:number]:
            if name_key(png_name(other)) == key:
                return f"row names {other!a} and {name!a} are one file on this file system; unpack to .npy instead"
        return f"row name {name!a}: the place of {file!a} is taken by another row; unpack to .npy instead"

    def _move_files(self, files: Sequence[str]) -> None:
        for file in files:
            self._check_way(file)
        for file in files:
            self._check_way(file)  # once more: what was checked may have changed
            target = self._path / file
            target.parent.mkdir(parents=True, exist_ok=True)
            put_in_place(self._tree / file, target)

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
            if n == len(parts) and any(_is_same(place, name) for name in self._inputs):
                raise UsageError(f"{place} is in the way: it is read, and would be lost; give the output another name")

    def __enter__(self) -> FolderSink:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is not None:
            self.abort()
        elif self._open:
            self.commit()


def _check_png_name(name: str) -> None:
    """Raises ImageError where a row's name is no safe file name."""
    file = png_name(name)
    if os.name == "nt" and _NOT_ON_WINDOWS.intersection(file):
        raise ImageError(f"row name {name!a} is no file name on Windows; unpack to .npy instead")


def _is_same(place: Path, name: str | os.PathLike[str]) -> bool:
    try:
        return place.samefile(name)
    except OSError:
        return False


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
