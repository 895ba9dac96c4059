"""Writing a container in one pass (spec/container.md).

Owns the cutting of rows into chunks and the bytes of a whole file.  Needs only a `write` method: a file, a pipe, a
socket.  Knows nothing of temporary files (atomic.py) or of where latents come from.  The bytes do not depend on how the
rows were handed over, only on the rows and the header.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol
from zlib import crc32

from aeformat import compression, limits, registry
from aeformat.encodings import BadValue, array_type, content_bytes, encode
from aeformat.errors import FormatError, NamesInvalid, StructureInvalid, ValueInvalid
from aeformat.header import Header, LatentsHeader
from aeformat.names import BadNames, RowNames
from aeformat.sequence import Sequence, padding_bytes
from aeformat.wire import CHUNK_HEADER_BYTES, ChunkHeader, Preamble, bound_crc

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Sink(Protocol):
    """Where bytes go."""

    def write(self, data: bytes | memoryview, /) -> object:
        """Take all of `data`."""
        ...


class ContainerWriter:
    """The framing: preamble and header at once, then chunk after chunk, then the trailer."""

    def __init__(self, sink: Sink, header: Header, *, level: int = compression.DEFAULT_LEVEL) -> None:
        data = header.to_bytes()
        self._sink, self._header, self._level = sink, header, level
        self._header_crc = crc32(data)
        self._sequence = Sequence(header)
        self.n_bytes = 0
        self._write(Preamble(len(data), self._header_crc).pack() + data)

    def _write(self, data: bytes | memoryview) -> None:
        self._sink.write(data)
        self.n_bytes += len(data)

    def chunk(
        self, tag: bytes, raw: bytes | memoryview, *, n_rows: int = 0, first_row: int = 0, value_bytes: int = 1
    ) -> None:
        """Write one chunk.  value_bytes: for the shuffle.  Raises FormatError where the chunk would break the spec."""
        stored = raw
        if self._header.codec == "zstd" and tag not in registry.NEVER_COMPRESSED:
            width = value_bytes if self._header.filter == "shuffle" else 1
            stored = compression.compress(raw, level=self._level, value_bytes=width)
        number = self._sequence.n_chunks
        crc = bound_crc(self._header_crc, number, stored)
        chunk = ChunkHeader(tag, n_rows, first_row, len(stored), len(raw), crc)
        packed = chunk.pack(self._header_crc, number)
        chunk = ChunkHeader.parse(packed, self.n_bytes, self._header_crc, number)
        chunk.check_sizes(self.n_bytes, limits.CHUNK_BYTES)
        self._raise_first(self._sequence.check(chunk, self.n_bytes))
        self._write(packed + bytes(padding_bytes(self._header, tag, self.n_bytes + CHUNK_HEADER_BYTES)))
        self._write(stored)

    def index(self) -> None:
        """Write the index of the rows so far."""
        self.chunk(registry.INDEX, self._sequence.index_payload)

    def trailer(self, content_id: bytes) -> None:
        """Write the trailer: the file is complete.  Raises FormatError if it must not end here."""
        trailer = self._sequence.trailer(content_id)
        self._raise_first(self._sequence.check_trailer(trailer, self.n_bytes))
        self._write(trailer.pack(self._header_crc))

    @staticmethod
    def _raise_first(errors: Iterable[FormatError]) -> None:
        for error in errors:
            raise error


class LatentsWriter:
    """Writes rows of latents.

    sink: where the bytes go.  header: says encoding, codec and decoder.  chunk_rows: rows in a chunk; by default as many
    as make about 1 MiB.  level: zstd's.  decoder: the bytes of a decoder's whole container, to travel inside the file.
    Use as a context manager: the trailer is written on a clean exit only, so what is left after an error says itself that it
    is incomplete.  Raises ValueInvalid for NaN and infinity, TypeError for values of another type than the header's.
    """

    def __init__(
        self,
        sink: Sink,
        header: LatentsHeader,
        *,
        chunk_rows: int | None = None,
        level: int = compression.DEFAULT_LEVEL,
        decoder: bytes | None = None,
    ) -> None:
        self._header = header
        self._out = ContainerWriter(sink, header, level=level)
        self._chunk_rows = chunk_rows or max(1, limits.WRITER_CHUNK_BYTES // header.row_bytes)
        self._content = hashlib.sha256(header.content_head)
        self._waiting: list[NDArray[Any]] = []
        self._names: list[RowNames] = []
        self._n_waiting = 0
        self._n_chunks = 0
        self._has_names: bool | None = None
        self.n_rows = 0
        self.content_id: bytes | None = None
        if decoder is not None:
            self._out.chunk(registry.DECODER, decoder)

    @property
    def n_bytes(self) -> int:
        """Bytes written so far."""
        return self._out.n_bytes

    def write(self, values: NDArray[Any], names: RowNames | None = None) -> None:
        """Add rows.  values: (n, *dims) in the header's value type.  names: of the same n rows; for all rows or none."""
        import numpy as np

        values = np.array(values)  # a copy: rows wait here until their chunk is full
        if values.shape[1:] != self._header.dims:
            raise ValueError(f"rows have shape {values.shape[1:]}, the header says {self._header.dims}")
        if values.dtype != array_type(self._header.values):
            raise TypeError(f"values are {values.dtype}, the header says {self._header.values}")
        if names is not None and len(names) != len(values):
            raise ValueError(f"{len(names)} names for {len(values)} rows")
        if not len(values):
            return
        if self._has_names not in (None, names is not None):
            raise ValueError("either all rows have names or none")
        self._has_names = names is not None
        self._waiting.append(values)
        if names is not None:
            self._names.append(names)
        self._n_waiting += len(values)
        if self._n_waiting >= self._chunk_rows:
            self._write_chunks(self._n_waiting - self._n_waiting % self._chunk_rows)

    def _write_chunks(self, n_rows: int) -> None:
        """Write the first n_rows of those that wait."""
        import numpy as np

        values = self._waiting[0] if len(self._waiting) == 1 else np.concatenate(self._waiting)
        names = RowNames.join(self._names) if self._names else None
        for start in range(0, n_rows, self._chunk_rows):
            stop = min(start + self._chunk_rows, n_rows)
            self._write_chunk(values[start:stop], None if names is None else names.slice(start, stop))
        self._waiting = [values[n_rows:]] if n_rows < len(values) else []
        self._names = [] if names is None or n_rows >= len(values) else [names.slice(n_rows, len(values))]
        self._n_waiting -= n_rows

    def _write_chunk(self, values: NDArray[Any], names: RowNames | None) -> None:
        header = self._header
        try:
            raw = encode(values, header)
        except BadValue as error:
            row = self.n_rows + error.at // header.row_bytes
            raise ValueInvalid(error.rule, self.n_bytes, f"row {row} cannot be stored: {error.what}") from None
        if names is not None:
            try:
                packed = names.to_bytes()
            except BadNames as error:
                raise NamesInvalid(error.rule, self.n_bytes, error.what) from None
            self._out.chunk(registry.NAME, packed, n_rows=len(values), first_row=self.n_rows)
        width = 1 if header.encoding_spec.is_text else header.encoding_spec.n_bytes
        self._out.chunk(registry.ROWS, raw, n_rows=len(values), first_row=self.n_rows, value_bytes=width)
        self._content.update(content_bytes(values, header))
        self.n_rows += len(values)
        self._n_chunks += 1

    def close(self) -> None:
        """Write what waits, an index if there is more than one chunk of rows, and the trailer."""
        if self.content_id is not None:
            return
        if self._n_waiting:
            self._write_chunks(self._n_waiting)
        if not self.n_rows:
            raise StructureInvalid("C9-3", self.n_bytes, "there are no rows to write")
        if self._n_chunks > 1:
            self._out.index()
        content_id = self._content.digest()
        self._out.trailer(content_id)
        self.content_id = content_id

    def __enter__(self) -> LatentsWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
