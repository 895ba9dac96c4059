"""Framing by offset: the structures of a file that can be read at any place (spec/container.md, sections 2 to 4, 8, 9).

Owns where each structure is found without reading those before it.  `Framing` is the front of a file, whole or cut, and all its
chunk headers in order; `Chunks` is any chunk of a whole file.  Does no I/O: bytes come from a function.  Knows nothing of what
rows mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, NoReturn
from zlib import crc32

from aeformat.container import assigned, wire
from aeformat.container.header import parse_header
from aeformat.container.limits import DEFAULT, Limits
from aeformat.container.parser import ChunkRead, Parser
from aeformat.container.sequence import (
    ChunkSequence,
    check_plain,
    is_known,
    most_bytes,
    needs_decoder,
    padding_bytes,
    raise_first,
)
from aeformat.container.sizes import RowSizes
from aeformat.container.wire import CHUNK_HEADER_BYTES, TRAILER_BYTES, ChunkHeader, IndexEntry, Preamble, Trailer
from aeformat.errors import ChecksumMismatch, FormatError, StructureInvalid, Truncated, Unsupported

_READ_BYTES: Final = 1 << 18

ReadAt = Callable[[int, int], bytes]  # (byte, number of bytes) -> those bytes, fewer where the file ends


class ChunkPlace(NamedTuple):
    """A chunk as its header alone shows it.  sizes: of the rows of a ROWS, where chunks are scanned in order."""

    number: int
    at: int  # of the chunk header
    header: ChunkHeader
    payload_at: int
    end: int  # byte after the payload
    sizes: RowSizes | None = None


class Framing:
    """The front of a file, and its chunks by their headers.

    read: gives bytes of the file.  size: of the whole file.  Raises FormatError (C2-1 to C2-7, C3-1 to C3-16).
    """

    def __init__(self, read: ReadAt, size: int, limits: Limits = DEFAULT) -> None:
        self.read, self.size, self.limits = read, size, limits
        preamble = Preamble.parse(front := read(0, wire.PREAMBLE_BYTES))
        data = read(wire.PREAMBLE_BYTES, preamble.header_bytes)
        if len(data) < preamble.header_bytes:
            raise Truncated("C2-7", size, "the file ends inside its header")
        if crc32(data) != preamble.header_crc:
            raise ChecksumMismatch("C2-6", wire.PREAMBLE_BYTES, "the header's checksum does not match")
        self.header = parse_header(data, wire.PREAMBLE_BYTES, preamble.flags)
        self.header_crc = preamble.header_crc
        self.front = front + data  # as it stands in the file
        self.first_chunk_at = len(self.front)
        self.view: memoryview | None = None  # of the whole file, from which payloads of rows are then taken

    def place(self, found: bytes, at: int, number: int) -> ChunkPlace:
        """Chunk `number`, whose header is the first bytes of `found`, from byte `at` on.  Raises FormatError (C4-1 to C4-4)."""
        header = ChunkHeader.parse(found[:CHUNK_HEADER_BYTES], at, self.header_crc, number)
        header.check_sizes(at, most_bytes(header.tag, self.limits))
        payload_at = at + CHUNK_HEADER_BYTES
        payload_at += padding_bytes(self.header, header.tag, payload_at)
        return ChunkPlace(number, at, header, payload_at, payload_at + header.stored_bytes)

    def payload(self, place: ChunkPlace) -> bytes:
        """The payload of a chunk as stored.  Raises ChecksumMismatch (C4-11)."""
        stored: Any
        if self.view is not None and place.header.tag == assigned.ROWS:
            stored = self.view[place.payload_at : place.end]
        else:
            stored = self.read(place.payload_at, place.header.stored_bytes)
        if wire.bound_crc(self.header_crc, place.number, stored) != place.header.payload_crc:
            what = f"the checksum of chunk {place.number}'s payload does not match"
            raise ChecksumMismatch("C4-11", place.payload_at, what)
        return stored  # type: ignore[no-any-return]

    def scan(self) -> Iterator[ChunkPlace]:
        """All chunks, in order, then what the trailer shows: of a cut file, those that are whole before the error.

        Payloads are not read, but those that say how large rows are.  Raises FormatError, as the forward parser does.
        """
        sequence, at = ChunkSequence(self.header), self.first_chunk_at
        while not assigned.TRAILER.startswith((found := self.read(at, TRAILER_BYTES))[:4]):
            if len(found) < CHUNK_HEADER_BYTES:
                raise Truncated("C4-1", self.size, f"the file ends inside the header of chunk {sequence.n_chunks}")
            chunk = self.place(found, at, sequence.n_chunks)
            raise_first(sequence.check(chunk.header, at))
            if chunk.end > self.size:
                raise Truncated("C4-10", self.size, f"the file ends inside chunk {chunk.number}")
            if chunk.header.tag == assigned.SIZES:
                raise_first(sequence.take_sizes(self.payload(chunk), chunk.payload_at))
            at = chunk.end
            yield chunk._replace(sizes=sequence.row_sizes) if chunk.header.tag == assigned.ROWS else chunk
        if len(found) < TRAILER_BYTES:
            raise wire.incomplete(self.size)
        raise_first(sequence.check_trailer(Trailer.parse(found, at, self.header_crc), at))
        if at + TRAILER_BYTES < self.size:
            raise StructureInvalid("C9-7", at + TRAILER_BYTES, "there are bytes after the trailer")


class Chunks:
    """Any chunk of a whole file.  Raises FormatError: Truncated where the file does not end with its trailer."""

    def __init__(self, framing: Framing) -> None:
        self._framing, self._header_crc = framing, framing.header_crc
        self._ends: dict[int, int] = {}  # byte of a chunk -> byte after it, of those that were read or asked for
        self.first_at, self.trailer_at = framing.first_chunk_at, framing.size - TRAILER_BYTES
        found = framing.read(self.trailer_at, TRAILER_BYTES) if self.trailer_at >= self.first_at else b""
        if found[:4] != assigned.TRAILER:
            self._refuse_without_trailer()
        try:
            self.trailer = Trailer.parse(found, self.trailer_at, self._header_crc)
        except ChecksumMismatch:  # of another file: one that is cut where its embedded decoder ends has that one's
            self._refuse_without_trailer()

    def _refuse_without_trailer(self) -> NoReturn:
        """There is no trailer at the end: the forward parser says why."""
        parser = Parser(self._framing.limits)
        for start in range(0, self._framing.size, _READ_BYTES):
            parser.feed(self._framing.read(start, _READ_BYTES))
        parser.close()
        raise AssertionError("the forward parser takes a file that has no trailer")

    def locate(self, at: int, number: int) -> ChunkPlace:
        """Chunk `number` at byte `at`, which may be any number.  Raises FormatError."""
        if not self.first_at <= at <= self.trailer_at:
            raise StructureInvalid("C8-1", at, f"chunk {number} is outside the chunks of this file")
        found = self._framing.read(at, min(CHUNK_HEADER_BYTES, self.trailer_at - at))
        place = self._framing.place(found, at, number)
        tag = place.header.tag
        if place.header.is_critical and not is_known(tag, self._framing.header):
            raise Unsupported("C4-5", at, f"critical chunk {tag.decode('ascii')} that this reader does not know")
        if needs_decoder(tag, self._framing.header):
            raise StructureInvalid("C4-6", at, f"chunk {tag.decode('ascii')} in a file whose decoder is not known")
        raise_first(check_plain(self._framing.header, place.header, at))
        if place.end > self.trailer_at:
            raise StructureInvalid("C4-10", at, f"chunk {number} reaches into the trailer")
        return place

    def end_of(self, at: int, number: int) -> int:
        """The byte after chunk `number` at byte `at`.  Raises as `locate` does."""
        end = self._ends.get(at)
        if end is None:
            end = self._ends[at] = self.locate(at, number).end
        return end

    def chunk(self, at: int, number: int) -> ChunkRead:
        """Chunk `number` at byte `at`, with its payload, whose checksum is good.  Raises FormatError."""
        place = self.locate(at, number)
        self._ends[at] = place.end
        padding_at, payload_at = at + CHUNK_HEADER_BYTES, place.payload_at
        if payload_at > padding_at and any(self._framing.read(padding_at, payload_at - padding_at)):
            raise StructureInvalid("C4-9", padding_at, "padding is not zero")
        return ChunkRead(number, at, payload_at, place.header, self._framing.payload(place))

    def walk(self, n_chunks: int) -> Iterator[ChunkPlace]:
        """The first n_chunks chunks of the file, which must have as many.  Raises FormatError."""
        at = self.first_at
        for number in range(n_chunks):
            place = self.locate(at, number)
            yield place
            at = place.end

    def rows(self) -> list[IndexEntry]:
        """Where the rows are: what the index says, else what the chunk headers say.  Raises FormatError."""
        return self._read_index() if self.trailer.index_at else self._count_rows()

    def _read_index(self) -> list[IndexEntry]:
        """The index, with as much of C8-1 as it shows by itself."""
        at, wrong = self.trailer.index_at, self.trailer_at + 16
        if not self.trailer.n_chunks:
            raise StructureInvalid("C9-3", self.trailer_at + 4, "an index, but no chunk")
        if not self.first_at <= at < self.trailer_at:
            raise StructureInvalid("C9-4", wrong, f"an index at byte {at}, outside the chunks")
        chunk = self.chunk(at, self.trailer.n_chunks - 1)
        end = chunk.payload_at + chunk.header.stored_bytes
        if chunk.header.tag != assigned.INDEX or end != self.trailer_at:  # C4-6: nothing stands between the two
            raise StructureInvalid("C9-4", wrong, "there is no index where the trailer says")
        if chunk.header.n_rows or chunk.header.first_row:
            raise StructureInvalid("C4-7", at + 4, "the index counts rows")
        entries = IndexEntry.parse_all(chunk.stored, chunk.payload_at)
        n_rows, after, next_number = 0, self.first_at, 0
        for i, entry in enumerate(entries):
            if entry.first_row != n_rows or not entry.n_rows or entry.at < after or entry.number < next_number:
                entry_at = chunk.payload_at + i * wire.INDEX_ENTRY_BYTES
                raise StructureInvalid("C8-1", entry_at, f"entry {i} of the index does not follow the one before")
            n_rows, after, next_number = n_rows + entry.n_rows, entry.at + CHUNK_HEADER_BYTES, entry.number + 1
        if n_rows != self.trailer.n_rows or not n_rows:
            raise StructureInvalid("C9-3", self.trailer_at + 8, f"{self.trailer.n_rows} rows stated, {n_rows} indexed")
        return entries

    def _count_rows(self) -> list[IndexEntry]:
        """The index of a file without one, from its chunk headers: all of them, so all that they show is checked."""
        sequence = ChunkSequence(self._framing.header)
        at = self.first_at
        while at < self.trailer_at:
            place = self.locate(at, sequence.n_chunks)
            raise_first(sequence.check(place.header, at))
            if place.header.tag == assigned.SIZES:
                raise_first(sequence.take_sizes(self._framing.payload(place), place.payload_at))
            at = place.end
        raise_first(sequence.check_trailer(self.trailer, at))
        return IndexEntry.parse_all(sequence.index_payload, at)


class WholeChunks(Chunks):
    """The chunks of a file that is cut or damaged, up to the last rows before that.

    damage: what comes behind them, if anything.  Chunk headers are read; of payloads only those that say how large rows are
    (section 10).
    """

    def __init__(self, framing: Framing) -> None:
        self._framing, self._header_crc = framing, framing.header_crc
        self._ends = {}
        self.first_at = self.trailer_at = framing.first_chunk_at
        self.damage: FormatError | None = None
        self._entries: list[IndexEntry] = []
        try:
            for place in framing.scan():
                if place.header.tag == assigned.ROWS:
                    of_rows = IndexEntry(place.at, place.header.first_row, place.header.n_rows, place.number)
                    self._entries.append(of_rows)
                    self.trailer_at = place.end
        except FormatError as error:
            self.damage = error

    def rows(self) -> list[IndexEntry]:
        """Where the rows are."""
        return self._entries
