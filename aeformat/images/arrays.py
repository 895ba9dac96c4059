"""Images out as one array: a header, then rows of bytes, in constant memory.

Owns the one difficulty: the header comes first and says how many rows follow.  A body that can seek gets its header
rewritten at the end; for one that cannot, the count is known up front or the rows wait in a temporary file.
"""

from __future__ import annotations

import contextlib
import gzip
import shutil
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol, TextIO

import numpy as np

from aeformat.atomic import AtomicFile
from aeformat.errors import Hint, UsageError
from aeformat.images.fit import check_images

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

    from aeformat.images.fit import Shape

_COPY_BYTES: Final = 1 << 20
ZIP_TIME: Final = (1980, 1, 1, 0, 0, 0)  # the earliest that zip has, so that the same images give the same bytes


class _Writable(Protocol):
    def write(self, data: Any, /) -> int: ...

    def seek(self, at: int, /) -> int: ...

    def flush(self) -> None: ...


class _Closable(Protocol):
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Body:
    """Where an array goes: a file to write to, what wraps it (outermost first), and the atomic file below, if any."""

    file: _Writable
    can_seek: bool
    layers: tuple[_Closable, ...] = ()
    atomic: AtomicFile | None = None

    def commit(self) -> None:
        for layer in self.layers:
            layer.close()
        if self.atomic is None:
            if not self.layers:
                self.file.flush()
        else:
            self.atomic.commit()

    def abort(self) -> None:
        for layer in self.layers:
            with contextlib.suppress(OSError):  # closing writes, and on a full disk that fails once more
                layer.close()
        if self.atomic is not None:
            self.atomic.abort()


def plain_body(path: Path, *, force: bool) -> Body:
    """The file itself.  Raises UsageError, as AtomicFile does."""
    atomic = AtomicFile(path, force=force)
    return Body(atomic.file, can_seek=True, atomic=atomic)


def gzip_body(path: Path, *, force: bool) -> Body:
    """A gzip file without name or time, so that the same images give the same bytes."""
    atomic = AtomicFile(path, force=force)
    zipped = gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=atomic.file, mtime=0)
    return Body(zipped, can_seek=False, layers=(zipped,), atomic=atomic)


def npz_body(path: Path, *, force: bool) -> Body:
    """The array "images" of a compressed .npz archive."""
    atomic = AtomicFile(path, force=force)
    archive = zipfile.ZipFile(atomic.file, "w")
    info = zipfile.ZipInfo("images.npy", ZIP_TIME)
    info.compress_type = zipfile.ZIP_DEFLATED
    member = archive.open(info, "w", force_zip64=True)
    return Body(member, can_seek=False, layers=(member, archive), atomic=atomic)


def stdout_body() -> Body:
    """Standard output.  Raises UsageError where that is a terminal."""
    _refuse_terminal(sys.stdout)
    return Body(sys.stdout.buffer, can_seek=False)


def stream_body(stream: BinaryIO) -> Body:
    """A pipe or a device, which is closed in the end.  Raises UsageError where that is a terminal."""
    _refuse_terminal(stream)
    return Body(stream, can_seek=False, layers=(stream,))


def _refuse_terminal(stream: TextIO | BinaryIO) -> None:
    if stream.isatty():
        raise UsageError("images are not for a terminal", hint=Hint.REDIRECT_OUTPUT)


class ArraySink:
    """Writes images as one array.  encode_header(shape, n_rows): its length must not depend on n_rows."""

    def __init__(
        self, body: Body, encode_header: Callable[[Shape, int], bytes], shape: Shape, n_rows: int | None
    ) -> None:
        self._body, self._encode_header, self._shape, self._n_promised = body, encode_header, shape, n_rows
        self._n_rows = 0
        self._open = True
        self._spool = tempfile.TemporaryFile() if n_rows is None and not body.can_seek else None  # noqa: SIM115
        self._file: _Writable = self._spool or body.file
        try:
            if self._spool is None:
                self._file.write(encode_header(shape, n_rows or 0))
        except BaseException:
            self.abort()
            raise

    def write(self, images: NDArray[np.uint8], names: Sequence[str] | None) -> None:
        """Append (n, h, w, c) uint8; an array has no place for names.  Raises OSError."""
        check_images(images, self._shape)
        self._file.write(np.ascontiguousarray(images).data)
        self._n_rows += len(images)

    def commit(self) -> None:
        """Complete the header and put the file under its name.  Raises OSError; nothing is left then."""
        try:
            self._finish()
            self._body.commit()
        except BaseException:
            self.abort()
            raise
        self._open = False

    def abort(self) -> None:
        """Remove what was written.  What already went to standard output stays there, short of what it promised."""
        if not self._open:
            return
        self._open = False
        if self._spool is not None:
            with contextlib.suppress(OSError):
                self._spool.close()
        self._body.abort()

    def _finish(self) -> None:
        if self._n_promised not in (None, self._n_rows):
            raise ValueError(f"{self._n_promised} images were promised, {self._n_rows} came")
        header = self._encode_header(self._shape, self._n_rows)
        if self._spool is not None:
            self._body.file.write(header)
            self._spool.seek(0)
            shutil.copyfileobj(self._spool, self._body.file, _COPY_BYTES)
            self._spool.close()
        elif self._n_promised is None:
            self._file.seek(0)
            self._file.write(header)

    def __enter__(self) -> ArraySink:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is not None:
            self.abort()
        elif self._open:
            self.commit()
