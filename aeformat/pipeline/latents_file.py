"""A file of latents that is being written from arrays.

Owns what its rows may be given as, and what becomes of it after an error.  What its header says is create.py's.
"""

from __future__ import annotations

import os
import warnings
import weakref
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from types import TracebackType
from typing import TYPE_CHECKING, Any

from aeformat.atomic import AtomicFile
from aeformat.container.columns import RowFields
from aeformat.container.encodings import round_to
from aeformat.container.field_types import BadFields, FieldTypes
from aeformat.container.header import LatentsHeader
from aeformat.container.names import RowNames
from aeformat.container.ragged import RaggedRows
from aeformat.container.sizes import BadSizes
from aeformat.container.writer import LatentsWriter
from aeformat.errors import UsageError
from aeformat.live_file import LiveFile
from aeformat.paths import checked_path
from aeformat.pipeline.sources import source_fields_of, sources_of, with_sources

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aeformat.pipeline.sources import AnySource


class LatentsFile:
    """A file of latents that is being written; `create` makes one.

    As a context manager it appears under its name on a clean exit, and leaves nothing behind after an exception.  A file that
    is appended to is there all the time, and incomplete until it is closed: see `flush`.
    """

    def __init__(
        self,
        file: AtomicFile | LiveFile,
        writer: LatentsWriter,
        header: LatentsHeader,
        *,
        is_rounded: bool,
        field_types: FieldTypes | None = None,
    ) -> None:
        self._file, self._writer, self._is_rounded = file, writer, is_rounded
        self._is_open = True
        self._failure: BaseException | None = None
        self._forgotten = weakref.finalize(self, _remove_forgotten, file)
        self.header = header
        self.field_types: FieldTypes = field_types or {}

    @property
    def n_rows(self) -> int:
        """Rows so far."""
        return self._writer.n_rows + self._writer.n_waiting

    @property
    def content_id(self) -> bytes | None:
        """What the content of the file is known by, once it is closed."""
        return self._writer.content_id

    def append(
        self,
        latents: NDArray[Any] | Sequence[NDArray[Any]],
        names: Iterable[str | os.PathLike[str]] | RowNames | None = None,
        *,
        images: Sequence[tuple[int, int]] | None = None,
        sources: Iterable[AnySource] | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        """Add rows.

        latents: (n, *dims) in the header's value type; float32 where encoding f16le or bf16le rounds a decoder's latents.
        Where dims has free sizes: n arrays, each of its own shape.
        names: of the same n rows, relative POSIX paths: str or pathlib.Path.
        images: (height, width) of the image of each row, if and only if the header leaves these free.
        sources: what each row was made from: a path, whose file is read and digested, or the SHA-256 of the bytes of a file.
        `aeformat.check` tells by it which rows are current.  Paths also give the fields of SOURCE_FIELDS, if the file has them.
        fields: values by name, one for each row, for all fields that the file was created with: an array of numbers, a list of
        str or of bytes, None where a row has none.

        Raises ValueError, TypeError (another shape or type), ValueInvalid (NaN, infinity, a value outside the decoder's
        range), NamesInvalid, OSError; after an error while rows were written, and after `close` and `abort`, UsageError.
        """
        import numpy as np

        self._check_open()
        if self.header.has_free_sizes:
            values: Any = self._ragged(latents, images)
        elif images is not None:
            raise UsageError("the images of this file have one size, which the header says; leave images out")
        else:
            values = _plain_floats(np.asarray(latents))
        if self._is_rounded and values.dtype.newbyteorder("=") == np.float32:
            values = self._rounded(values)
        of_rows = names if names is None or isinstance(names, RowNames) else RowNames(names=_row_names(names))
        if sources is not None:
            found = sources_of(sources)
            of_rows = with_sources(of_rows, found)
            fields = source_fields_of(found, self.field_types) | dict(fields or {})
        of_fields = self._row_fields(fields or {}, len(values))
        try:
            self._writer.write(values, of_rows, fields=of_fields)
        except BaseException as error:
            self._failure = None if self._writer.is_open else error
            raise

    def write(
        self,
        latents: NDArray[Any] | Sequence[NDArray[Any]],
        names: Iterable[str | os.PathLike[str]] | RowNames | None = None,
        *,
        images: Sequence[tuple[int, int]] | None = None,
        sources: Iterable[AnySource] | None = None,
        **fields: Any,
    ) -> None:
        """Add rows, as `append` does, with each field as an argument of its name: write(rows, caption=[...], label=...)."""
        self.append(latents, names, images=images, sources=sources, fields=fields)

    def flush(self) -> int:
        """Put all rows so far on disk, as whole chunks; returns how many there are, which no crash takes away.

        They are read by `aeformat.open(path, incomplete=True)`, and gone on from by `aeformat.create(path, append=True)`.  Each
        call ends a chunk: few rows between two calls make small chunks.  Raises UsageError for a file that was not created
        with append=True, OSError.
        """
        self._check_open()
        if not isinstance(self._file, LiveFile):
            raise UsageError("this file appears when it is closed; create it with append=True to have its rows before")
        try:
            self._writer.flush()
            self._file.sync()
        except BaseException as error:
            self._failure = error
            raise
        return self._writer.n_rows

    def _row_fields(self, fields: Mapping[str, Any], n_rows: int) -> RowFields | None:
        """Raises UsageError for other fields than those of the file, and for values that they do not take."""
        if not fields and not self.field_types:
            return None
        try:
            return RowFields.of(self.field_types, fields, n_rows)
        except BadFields as error:
            raise UsageError(error.what) from None
        except (ValueError, TypeError) as error:
            raise UsageError(str(error)) from None

    def _ragged(
        self, latents: NDArray[Any] | Sequence[NDArray[Any]], images: Sequence[tuple[int, int]] | None
    ) -> RaggedRows:
        """Raises UsageError for sizes that the header does not allow."""
        if isinstance(latents, RaggedRows) and images is None:
            return latents
        try:
            return RaggedRows.of(self.header.form, latents, images)
        except BadSizes as error:
            raise UsageError(f"these rows cannot be stored: {error.what}") from None

    def _rounded(self, values: NDArray[Any] | RaggedRows) -> NDArray[Any] | RaggedRows:
        import numpy as np

        if isinstance(values, RaggedRows):
            return RaggedRows(round_to(values.flat.astype(np.float32, copy=False), self.header.values), values.sizes)
        return round_to(values.astype(np.float32, copy=False), self.header.values)

    def _check_open(self) -> None:
        if not self._is_open:
            raise UsageError("this file is closed; aeformat.create begins another one")
        if self._failure is not None:
            raise UsageError(f"rows before could not be written: {self._failure}") from self._failure

    def close(self) -> None:
        """Finish the file and put it under its name.

        Raises StructureInvalid where there are no rows, UsageError after an error while rows were written, OSError.
        """
        if not self._is_open:
            return
        try:
            self._check_open()
            self._writer.close()
            self._file.commit()
        except BaseException:
            self.abort()
            raise
        self._is_open = False
        self._forgotten.detach()

    def abort(self) -> None:
        """Remove what was written; of a file that is appended to, nothing.  Does nothing after `close`."""
        self._is_open = False
        self._forgotten.detach()
        self._file.abort()

    def __enter__(self) -> LatentsFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


def _remove_forgotten(file: AtomicFile | LiveFile) -> None:
    """What becomes of a file that is neither closed nor aborted."""
    what = "it is incomplete" if isinstance(file, LiveFile) else "it is not there"
    warnings.warn(f"{file.path} was never closed, so {what}", ResourceWarning, stacklevel=2)
    file.abort()


def _row_names(names: Iterable[str | os.PathLike[str]]) -> tuple[str, ...]:
    if isinstance(names, (str, bytes)):
        raise UsageError("names are a list of one for each row, not one text")
    return tuple(name.as_posix() if isinstance(name, PurePath) else checked_path(name) for name in names)


def _plain_floats(values: NDArray[Any]) -> NDArray[Any]:
    """bfloat16 of other libraries, which NumPy does not know, as float32."""
    import numpy as np

    return values.astype(np.float32) if values.dtype.name == "bfloat16" else values
