"""Reading latents: forward from any stream, or any row at once from a file.

This is the module that other programs embed.  Importing it loads neither NumPy nor TensorFlow, only the standard
library, msgpack and zstandard; NumPy comes with the first array.

    from aeformat.reader import open_latents, stream_latents

    with open_latents("digits.aef") as latents:     # random access: header, trailer, then only what is asked for
        latents.header.dims, latents.n_rows, latents[7], latents.rows(100, 200)

    with open("digits.aef", "rb") as file:           # forward: pipes, sockets; every byte is checked
        for block in stream_latents(file):
            block.first_row, block.values, block.names

Source: spec/container.md.  Errors are those of aeformat.errors: FormatError with rule, at and code.
"""

from __future__ import annotations

import mmap
import os
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Final
from zlib import crc32

from aeformat import encodings, payloads, registry, wire
from aeformat.errors import ChecksumMismatch, FormatError, StructureInvalid, Truncated, UsageError
from aeformat.header import Header, LatentsHeader, ModelHeader, parse_header
from aeformat.limits import DEFAULT, Limits
from aeformat.names import RowNames
from aeformat.parser import ChunkRead, Event, HeaderRead, Parser, TrailerRead
from aeformat.payloads import Block, RowReader
from aeformat.sequence import padding_bytes
from aeformat.wire import CHUNK_HEADER_BYTES, TRAILER_BYTES, ChunkHeader, IndexEntry, Preamble, Trailer

if TYPE_CHECKING:
    from numpy.typing import NDArray

_READ_BYTES: Final = 1 << 18  # a quarter of a usual chunk


def events(file: BinaryIO, limits: Limits = DEFAULT) -> Iterator[Event]:
    """What the forward parser sees in a stream, to its end.  Raises FormatError."""
    parser = Parser(limits)
    while data := file.read(_READ_BYTES):
        yield from parser.feed(data)
    parser.close()


class LatentStream:
    """The blocks of a latents file, read forward.  Iterate once; memory is bounded by one chunk.

    recover: stop quietly at the first broken byte instead of raising; `damage` then says what it was.  Everything before it has
    been checked.  Raises FormatError on iteration, and on construction if there is no good header.
    """

    def __init__(self, file: BinaryIO, *, recover: bool = False, limits: Limits = DEFAULT) -> None:
        self._events = events(file, limits)
        self._recover = recover
        self.damage: FormatError | None = None
        self.trailer: Trailer | None = None
        first = next(self._events)
        assert isinstance(first, HeaderRead)
        self.header = latents_header(first.header)
        self._rows = RowReader(self.header)
        self._ahead: list[Event] = []

    @property
    def embedded_decoder(self) -> bytes | None:
        """The container of the decoder that travels in this file, if one does: it stands before the first row."""
        if not self._ahead:
            try:
                event = next(self._events, None)
            except FormatError as error:
                if not self._recover:
                    raise
                self.damage = error
                return None
            if event is not None:
                self._ahead.append(event)
                if isinstance(event, ChunkRead) and event.header.tag == registry.DECODER:
                    self._rows.chunk(event)
        return self._rows.decoder

    def __iter__(self) -> Iterator[Block]:
        try:
            if self.damage is not None:
                return
            yield from self._blocks()
        except FormatError as error:
            if not self._recover:
                raise
            self.damage = error

    def _blocks(self) -> Iterator[Block]:
        while self._ahead:
            yield from self._block(self._ahead.pop(0))
        for event in self._events:
            yield from self._block(event)

    def _block(self, event: Event) -> Iterator[Block]:
        if isinstance(event, TrailerRead):
            self._rows.trailer(event)
            self.trailer = event.trailer
        elif isinstance(event, ChunkRead):
            block = self._rows.chunk(event)
            if block is not None:
                yield block


def stream_latents(file: BinaryIO, *, recover: bool = False, limits: Limits = DEFAULT) -> LatentStream:
    """The blocks of a latents file, read forward from a binary stream.  See LatentStream."""
    return LatentStream(file, recover=recover, limits=limits)


def latents_header(header: Header) -> LatentsHeader:
    """The header, if it is that of a latents file.  Raises UsageError for a model package."""
    if isinstance(header, ModelHeader):
        raise UsageError("this is a model package, not a file of latents; see aeformat info")
    return header


class Latents:
    """Random access to the rows of a complete latents file.

    path: the file, which is mapped into memory.  Only preamble, header, trailer and index are read at first; each chunk is
    checked when one of its rows is wanted.  The content id as a whole is not checked: read forward for that.
    Raises FormatError, Truncated if the file is incomplete, OSError.
    """

    def __init__(self, path: str | os.PathLike[str], *, limits: Limits = DEFAULT) -> None:
        self._limits = limits
        with Path(path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            self._map: mmap.mmap | bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
        self._size = size
        self._last: tuple[int, Block] | None = None
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        preamble = Preamble.parse(self._map[: wire.PREAMBLE_BYTES])
        end = wire.PREAMBLE_BYTES + preamble.header_bytes
        data = self._map[wire.PREAMBLE_BYTES : end]
        if len(data) < preamble.header_bytes:
            raise Truncated("C2-7", self._size, "the file ends inside its header")
        if crc32(data) != preamble.header_crc:
            raise ChecksumMismatch("C2-6", wire.PREAMBLE_BYTES, "the header's checksum does not match")
        self.header = latents_header(parse_header(data, wire.PREAMBLE_BYTES))
        self._header_crc = preamble.header_crc
        self._first_chunk_at = end
        at = self._size - TRAILER_BYTES
        data = self._map[at:] if at >= end else b""
        if data[:4] != registry.TRAILER:
            self._refuse_without_trailer()
        self._trailer_at = at
        self.trailer = Trailer.parse(data, at, self._header_crc)
        self._entries = self._read_index() if self.trailer.index_at else self._walk()
        self._starts = [entry.first_row for entry in self._entries]
        self._check_entries()

    def _refuse_without_trailer(self) -> None:
        """There is no trailer at the end: the forward parser says why."""
        with memoryview(self._map) as view:
            parser = Parser(self._limits)
            for start in range(0, self._size, _READ_BYTES):
                parser.feed(view[start : start + _READ_BYTES])
            parser.close()

    def _read_index(self) -> list[IndexEntry]:
        chunk = self._chunk(self.trailer.index_at, self.trailer.n_chunks - 1)
        if chunk.header.tag != registry.INDEX:
            raise StructureInvalid("C9-4", self._trailer_at + 16, "there is no index where the trailer says")
        return IndexEntry.parse_all(chunk.stored, chunk.payload_at)

    def _walk(self) -> list[IndexEntry]:
        """The index of a file without one, from its chunk headers."""
        entries = []
        at = self._first_chunk_at
        for number in range(self.trailer.n_chunks):
            header = self._chunk_header(at, number)
            if header.tag == registry.ROWS:
                entries.append(IndexEntry(at, header.first_row, header.n_rows, number))
            at = self._payload_at(at, header) + header.stored_bytes
        return entries

    def _check_entries(self) -> None:
        """C8-1 as far as it can be known without reading the chunks, C9-3."""
        n_rows = 0
        for entry in self._entries:
            if entry.first_row != n_rows or not entry.n_rows:
                raise StructureInvalid("C8-1", self.trailer.index_at, f"the index skips or repeats row {n_rows}")
            n_rows += entry.n_rows
        if n_rows != self.trailer.n_rows or not n_rows:
            raise StructureInvalid("C9-3", self._trailer_at + 8, f"{self.trailer.n_rows} rows stated, {n_rows} indexed")

    def _chunk_header(self, at: int, number: int) -> ChunkHeader:
        if not self._first_chunk_at <= at <= self._trailer_at:
            raise StructureInvalid("C8-1", at, "the index points outside the chunks")
        header = ChunkHeader.parse(self._map[at : min(at + CHUNK_HEADER_BYTES, self._trailer_at)], at, self._header_crc, number)
        header.check_sizes(at, self._limits.chunk_bytes)
        return header

    def _payload_at(self, at: int, header: ChunkHeader) -> int:
        start = at + CHUNK_HEADER_BYTES
        return start + padding_bytes(self.header, header.tag, start)

    def _chunk(self, at: int, number: int) -> ChunkRead:
        header = self._chunk_header(at, number)
        payload_at = self._payload_at(at, header)
        end = payload_at + header.stored_bytes
        if end > self._trailer_at:
            raise StructureInvalid("C4-10", at, "a chunk reaches into the trailer")
        stored = self._map[payload_at:end]
        if any(self._map[at + CHUNK_HEADER_BYTES : payload_at]):
            raise StructureInvalid("C4-9", at + CHUNK_HEADER_BYTES, "padding is not zero")
        if wire.bound_crc(self._header_crc, number, stored) != header.payload_crc:
            raise ChecksumMismatch("C4-11", payload_at, f"the checksum of chunk {number}'s payload does not match")
        return ChunkRead(number, at, payload_at, header, stored)

    def _rows_chunk(self, entry: IndexEntry) -> ChunkRead:
        chunk = self._chunk(entry.at, entry.number)
        header = chunk.header
        if (header.tag, header.first_row, header.n_rows) != (registry.ROWS, entry.first_row, entry.n_rows):
            raise StructureInvalid("C8-1", entry.at, f"the index is not that of chunk {entry.number}")
        if header.raw_bytes != header.n_rows * self.header.row_bytes or (
            self.header.codec == "none" and header.stored_bytes != header.raw_bytes
        ):
            raise StructureInvalid("C4-8", entry.at + 20, "the chunk's length is not that of its rows")
        return chunk

    def _entry_of(self, row: int) -> IndexEntry:
        return self._entries[bisect_right(self._starts, row) - 1]

    def _block(self, entry: IndexEntry) -> Block:
        if self._last is None or self._last[0] != entry.number:
            chunk = self._rows_chunk(entry)
            self._last = entry.number, Block(entry.first_row, payloads.rows(chunk, self.header), self._names_before(entry))
        return self._last[1]

    def _names_before(self, entry: IndexEntry) -> RowNames | None:
        """The names of a chunk's rows: they stand right before it, so they are found from the end of what stands before."""
        at, number = self._end_of_rows_before(entry)
        while number < entry.number:
            header = self._chunk_header(at, number)
            if header.tag == registry.NAME:
                return payloads.row_names(self._chunk(at, number), self.header)
            at = self._payload_at(at, header) + header.stored_bytes
            number += 1
        return None

    def _end_of_rows_before(self, entry: IndexEntry) -> tuple[int, int]:
        position = bisect_right(self._starts, entry.first_row) - 1
        if not position:
            return self._first_chunk_at, 0
        before = self._entries[position - 1]
        header = self._chunk_header(before.at, before.number)
        return self._payload_at(before.at, header) + header.stored_bytes, before.number + 1

    @property
    def n_rows(self) -> int:
        """Rows in the file."""
        return self.trailer.n_rows

    def __len__(self) -> int:
        return self.trailer.n_rows

    def __getitem__(self, row: int) -> NDArray[Any]:
        """One latent, shape dims, in the header's value type; negative numbers count from the end.  Raises IndexError."""
        row = row + self.n_rows if row < 0 else row
        if not 0 <= row < self.n_rows:
            raise IndexError(f"row {row} of {self.n_rows}")
        block = self._block(self._entry_of(row))
        values: NDArray[Any] = block.values[row - block.first_row]
        return values

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Rows start to stop - 1, (stop - start, *dims) in the header's value type.  Raises IndexError, FormatError."""
        import numpy as np

        if not 0 <= start < stop <= self.n_rows:
            raise IndexError(f"rows {start} to {stop} of {self.n_rows}")
        pieces = []
        row = start
        while row < stop:
            block = self._block(self._entry_of(row))
            pieces.append(block.values[row - block.first_row : stop - block.first_row])
            row += len(pieces[-1])
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def names(self, row: int) -> RowNames | None:
        """Name, label and source of one row, as far as the file has them.  Raises IndexError, FormatError."""
        if not 0 <= row < self.n_rows:
            raise IndexError(f"row {row} of {self.n_rows}")
        block = self._block(self._entry_of(row))
        return None if block.names is None else block.names.slice(row - block.first_row, row - block.first_row + 1)

    def stored_chunks(self) -> Iterator[NDArray[Any]]:
        """The rows of each chunk as they are stored, (n, *dims) little-endian, without a copy.

        For uncompressed binary encodings only (UsageError otherwise).  The arrays lie in the mapped file, aligned to 64
        bytes where values are wider than one; they stay valid after this reader is closed.
        """
        if self.header.codec != "none" or self.header.encoding_spec.is_text:
            raise UsageError("only uncompressed binary rows can be had without a copy")
        view = memoryview(self._map)
        for entry in self._entries:
            chunk = self._rows_chunk(entry)
            yield encodings.stored_view(view[chunk.payload_at : chunk.payload_at + chunk.header.stored_bytes], self.header)

    @property
    def embedded_decoder(self) -> bytes | None:
        """The container of the decoder that travels in this file, if one does.  Raises FormatError."""
        at = self._first_chunk_at
        for number in range(self._entries[0].number):
            header = self._chunk_header(at, number)
            if header.tag == registry.DECODER:
                return self._chunk(at, number).stored
            at = self._payload_at(at, header) + header.stored_bytes
        return None

    def close(self) -> None:
        """Let go of the file.  Arrays from stored_chunks keep it mapped as long as they live."""
        self._last = None
        if isinstance(self._map, mmap.mmap):
            try:
                self._map.close()
            except BufferError:  # a zero-copy array still needs it
                self._map = b""

    def __enter__(self) -> Latents:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_latents(path: str | os.PathLike[str], *, limits: Limits = DEFAULT) -> Latents:
    """Random access to the rows of a latents file.  See Latents."""
    return Latents(path, limits=limits)
