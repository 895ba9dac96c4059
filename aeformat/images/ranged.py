"""Rows of images that lie anywhere: image files and arrays at paths and URLs, of which some are read.

Owns what a range of rows is read from, and that an image which is left out is recorded.  Knows nothing of how rows were chosen.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from aeformat.container.opened import OpenedFile
from aeformat.errors import ImageError
from aeformat.images import idx
from aeformat.images.exact_read import damage_as_image_error
from aeformat.images.files import load_image
from aeformat.images.fit import ImageFit, layout_of, require_pillow
from aeformat.images.npy import NpyHeader
from aeformat.images.source import Concatenation, ImageSource, Input
from aeformat.paths import is_url
from aeformat.remote import RemoteFile, open_forward, read_many

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FETCHED: Final = 64  # image files that are in memory at a time, and as many on their way
_HEAD_BYTES: Final = 1 << 14  # more than the header of an array
_READ_BYTES: Final = 16 << 20  # of an array at a time
ARRAY_SUFFIXES: Final = (".npy", ".idx", ".idx3", ".idx4", "-ubyte", ".gz")


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """Image files.  files: (row name, path or URL) of each."""

    files: tuple[tuple[str, str], ...]

    @property
    def n_rows(self) -> int:
        return len(self.files)


@dataclass(frozen=True, slots=True)
class ArrayRows:
    """Rows of one array.  stem: what their names begin with; digits: how many the numbers in them have."""

    url: str
    first: int
    n_rows: int
    stem: str
    digits: int

    def names(self) -> list[str]:
        return [f"{self.stem}/{row:0{self.digits}d}.png" for row in range(self.first, self.first + self.n_rows)]


Piece = ImageFiles | ArrayRows


class RangedSource:
    """Rows of images, in order, with their names.  source: to be read once.  skipped: (name, reason) of those left out so far.

    skips: leave out what is no image, or does not fit, and record it; else it is an error.
    """

    def __init__(self, pieces: Sequence[Piece], fit: ImageFit, label: str, *, skips: bool) -> None:
        fit.check()
        self._names: list[str] = []
        self._digests: list[bytes] = []
        self.skipped: list[tuple[str, str]] = []
        self.n_rows = sum(piece.n_rows for piece in pieces)
        has_digests = all(isinstance(piece, ImageFiles) for piece in pieces)
        parts: list[Input] = [self._part(piece, fit, skips=skips) for piece in pieces]
        self.source: ImageSource = Concatenation(
            parts, self._names, (), takes_any_size=fit.takes_any_size, digests=self._digests if has_digests else None
        )
        self.source.label = label

    def _part(self, piece: Piece, fit: ImageFit, *, skips: bool) -> Input:
        if isinstance(piece, ArrayRows):
            return _ArrayPart(piece, fit, self._names)
        return _FilesPart(piece, fit, self._names, self._digests, self.skipped if skips else None)


class _FilesPart:
    """Image files; while some are decoded the next ones are fetched."""

    names: list[str] | None = None  # they go where the source has them

    def __init__(
        self,
        piece: ImageFiles,
        fit: ImageFit,
        names: list[str],
        digests: list[bytes],
        skipped: list[tuple[str, str]] | None,
    ) -> None:
        require_pillow("image files")
        self.n_rows, self.label = piece.n_rows, piece.files[0][1]
        self.files: list[str | Path] = []
        self._piece, self._fit = piece, fit
        self._names, self._digests, self._skipped = names, digests, skipped

    def pieces(self, n_rows: int) -> Iterator[NDArray[np.uint8]]:
        n_rows = 1 if self._fit.takes_any_size else n_rows
        pending: list[NDArray[np.uint8]] = []
        for name, url, data in _fetched(self._piece.files):
            image = self._image(name, url, data)
            if image is None:
                continue
            pending.append(image)
            del image, data
            if len(pending) == n_rows:
                yield np.stack(pending)
                pending = []
        if pending:
            yield np.stack(pending)

    def _image(self, name: str, url: str, data: bytes | OSError) -> NDArray[np.uint8] | None:
        """The image, its name and digest noted; None where it is left out, which is noted too."""
        try:
            if isinstance(data, FileNotFoundError):
                raise ImageError(f"{url}: is not there any more")
            if isinstance(data, OSError):
                raise data
            image = load_image(url, self._fit, data)
        except ImageError as error:
            if self._skipped is None:
                raise
            self._skipped.append((name, error.sentence))
            return None
        self._names.append(name)
        self._digests.append(hashlib.sha256(data).digest())
        return image


def _fetched(files: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str, bytes | OSError]]:
    """(row name, URL, bytes or why there are none) of each file, in order; the next ones are read meanwhile."""
    from concurrent.futures import ThreadPoolExecutor

    groups = [files[at : at + _FETCHED] for at in range(0, len(files), _FETCHED)]
    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(read_many, [url for _, url in groups[0]])
        for number, group in enumerate(groups):
            found = coming.result()
            if number + 1 < len(groups):
                coming = ahead.submit(read_many, [url for _, url in groups[number + 1]])
            for (name, url), data in zip(group, found, strict=True):
                yield name, url, data
            del found


class _ArrayPart:
    """Some rows of an array."""

    names: list[str] | None = None  # they go where the source has them

    def __init__(self, rows: ArrayRows, fit: ImageFit, names: list[str]) -> None:
        self.n_rows, self.label = rows.n_rows, rows.url
        self.files: list[str | Path] = []
        self._rows, self._fit, self._names = rows, fit, names

    def pieces(self, n_rows: int) -> Iterator[NDArray[np.uint8]]:
        self._names += self._rows.names()
        array = ArrayFile(self._rows.url, self._fit)
        first, end = self._rows.first, self._rows.first + self._rows.n_rows
        if end > array.n_rows:
            raise ImageError(f"{self.label}: has {array.n_rows:,} images, and had {end:,} or more when it was listed")
        step = max(1, min(n_rows, _READ_BYTES // array.image_bytes))
        for at in range(first, end, step):
            yield self._fit.convert(array.rows(at, min(step, end - at)))


class _Random(Protocol):
    """Bytes at any place."""

    def read(self, at: int, n_bytes: int, /) -> bytes: ...


class ArrayFile:
    """An array of images at a path or a URL: .npy or IDX, .gz too, of which rows are read.  Raises ImageError, OSError."""

    def __init__(self, url: str, fit: ImageFit) -> None:
        self.label = url
        self._file: _Random = RemoteFile(url) if is_url(url) else OpenedFile(url)
        start = self._file.read(0, _HEAD_BYTES)
        is_packed = start.startswith(idx.GZIP_MAGIC)
        if is_packed:
            self._file = _Unpacked(url)
            with damage_as_image_error(url):
                start = self._file.read(0, _HEAD_BYTES)
        shape, self._data_at = _shape_of(start, url)
        layout = layout_of(shape, fit, url)
        self.n_rows, self._image, self.image_bytes = layout.n_rows, layout.image, layout.image_bytes
        size, expected = getattr(self._file, "size", None), self._data_at + math.prod(shape)
        if size is not None and size != expected:
            raise ImageError(f"{url}: is {size:,} bytes long, but its header promises {expected:,}")

    def rows(self, first: int, n_rows: int) -> NDArray[np.uint8]:
        """(n_rows, h, w, c) as they are stored, from row `first` on.  Raises ImageError, OSError."""
        n_bytes = n_rows * self.image_bytes
        data = self._file.read(self._data_at + first * self.image_bytes, n_bytes)
        if len(data) < n_bytes:
            raise ImageError(f"{self.label}: ends inside image {first + len(data) // self.image_bytes:,}")
        return np.frombuffer(data, np.uint8).reshape(n_rows, *self._image)


def _shape_of(start: bytes, label: str) -> tuple[tuple[int, ...], int]:
    """The shape of an array, and where its values begin."""
    file = io.BytesIO(start)
    if start.startswith(idx.MAGIC):
        dims = idx.read_header(file, label)
        return dims, file.tell()
    header = NpyHeader.read(file, label)
    if header.is_scattered:
        raise ImageError(
            f"{label}: is in Fortran order, where no image stands together; save numpy.ascontiguousarray of it"
        )
    return header.shape, header.header_bytes


class _Unpacked:
    """What a gzip file holds, at any place; to go back means to begin anew."""

    def __init__(self, url: str) -> None:
        self._label = url
        self._file = gzip.GzipFile(fileobj=open_forward(url))
        self._url = url

    def read(self, at: int, n_bytes: int, /) -> bytes:
        with damage_as_image_error(self._label):
            if at < self._file.tell():
                self._file = gzip.GzipFile(fileobj=open_forward(self._url))
            while (left := at - self._file.tell()) > 0 and self._file.read(min(left, _READ_BYTES)):
                pass
            return self._file.read(n_bytes)
