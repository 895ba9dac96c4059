"""Images of their own sizes in an .npz archive: an array for each image, under the row's name; read and written.

Owns the names of the arrays.  np.load reads such a file lazily, one image at a time.
"""

from __future__ import annotations

import contextlib
import zipfile
from typing import TYPE_CHECKING

import numpy as np

from aeformat.atomic import AtomicFile
from aeformat.errors import ImageError
from aeformat.images import npy
from aeformat.images.arrays import ZIP_TIME
from aeformat.images.exact_read import Readable, damage_as_image_error, read_images
from aeformat.images.file_names import check_name
from aeformat.images.fit import ImageFit, Layout, check_images

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

    from aeformat.images.fit import Shape


class NamedArraysInput:
    """The images of an archive, in its order.  Raises ImageError, for an array that is no image too.

    names: of the rows, those of the arrays.
    """

    def __init__(self, path: Path, fit: ImageFit, label: str) -> None:
        self.label = label
        self._path, self._fit = path, fit
        with damage_as_image_error(label), zipfile.ZipFile(path) as archive:
            self._members = npy.array_names(archive)
            for name, info in self._members.items():
                npy.check_open(info, f"{label}:{name}")
                with archive.open(info) as file:
                    self._layout(file, name)
        self.names: list[str] | None = list(self._members)
        self.n_rows = len(self._members)
        self.files: list[str | Path] = [path] * self.n_rows

    def pieces(self, n_rows: int) -> Iterator[NDArray[np.uint8]]:
        """Yield the images one by one; n_rows does not matter."""
        with damage_as_image_error(self.label), zipfile.ZipFile(self._path) as archive:
            for name, info in self._members.items():
                with archive.open(info) as file:
                    header, layout = self._layout(file, name)
                    (image,) = read_images(file, layout, 1, f"{self.label}:{name}")
                if header.is_scattered:
                    upright = image.reshape(-1).reshape(header.shape, order="F")
                    image = np.ascontiguousarray(upright).reshape(image.shape)
                    del upright
                yield self._fit.convert(image)
                del image

    def _layout(self, file: Readable, name: str) -> tuple[npy.NpyHeader, Layout]:
        label = f"{self.label}:{name}"
        header = npy.NpyHeader.read(file, label)
        if len(header.shape) not in (2, 3):
            raise ImageError(f"{label}: has shape {header.shape}, expected one image; name the array that is meant")
        height, width, channels = header.shape if len(header.shape) == 3 else (*header.shape, 1)
        self._fit.check_image((height, width, channels), label)
        return header, Layout(1, (height, width, channels))


def has_several_arrays(path: Path) -> bool:
    """Whether an archive could hold an array for each image.  False where it cannot be read: its reader says why."""
    try:
        with zipfile.ZipFile(path) as archive:
            return len(npy.array_names(archive)) > 1
    except (OSError, zipfile.BadZipFile, UnicodeError):
        return False


class NamedArraysSink:
    """Writes an array (h, w, c) for each image, (h, w) where c is 1.  Raises UsageError, as AtomicFile does.

    Images without names become "00000" and so on.
    """

    def __init__(self, path: Path, shape: Shape, n_rows: int | None, *, force: bool) -> None:
        self._shape = shape
        self._width = max(5, len(str((n_rows or 1) - 1)))
        self._names: set[str] = set()
        self._atomic = AtomicFile(path, force=force)
        self._archive = zipfile.ZipFile(self._atomic.file, "w")
        self._open = True

    def write(self, images: NDArray[np.uint8], names: Sequence[str] | None) -> None:
        """Add (n, h, w, c) uint8.  Raises ImageError where a name is unsafe or taken, OSError."""
        check_images(images, self._shape)
        for at, image in enumerate(images):
            name = f"{len(self._names):0{self._width}d}" if names is None else names[at]
            check_name(name)
            if name in self._names:
                raise ImageError(f"row name {name!a} is taken by another row; unpack these rows apart from each other")
            self._names.add(name)
            self._add(name, image)

    def _add(self, name: str, image: NDArray[np.uint8]) -> None:
        info = zipfile.ZipInfo(f"{name}.npy", ZIP_TIME)
        info.compress_type = zipfile.ZIP_DEFLATED
        shape = image.shape[:2] if image.shape[2] == 1 else image.shape
        with self._archive.open(info, "w", force_zip64=True) as member:
            member.write(npy.encode_array_header("|u1", shape))
            member.write(np.ascontiguousarray(image).data)

    def commit(self) -> None:
        """Put the file under its name.  Raises OSError; nothing is left then."""
        try:
            self._archive.close()
            self._atomic.commit()
        except BaseException:
            self.abort()
            raise
        self._open = False

    def abort(self) -> None:
        """Remove what was written.  Does nothing after a commit or an earlier abort."""
        if self._open:
            self._open = False
            with contextlib.suppress(OSError, ValueError):  # a full disk; a member that was being written
                self._archive.close()
            self._atomic.abort()

    def __enter__(self) -> NamedArraysSink:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is not None:
            self.abort()
        elif self._open:
            self.commit()
