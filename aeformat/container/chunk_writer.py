"""The framing of a container that is being written (spec/container.md, sections 2, 4, 8 and 9).

Owns preamble, header, chunk after chunk, index and trailer.  Knows nothing of what rows mean.
"""

from __future__ import annotations

from typing import Protocol
from zlib import crc32

from aeformat.container import assigned, compression, limits
from aeformat.container.header import Header
from aeformat.container.sequence import ChunkSequence, most_bytes, padding_bytes, raise_first
from aeformat.container.wire import CHUNK_HEADER_BYTES, ChunkHeader, Preamble, bound_crc


class Sink(Protocol):
    """Where bytes go."""

    def write(self, data: bytes | memoryview, /) -> object:
        """Take all of `data`."""
        ...


class ContainerWriter:
    """The framing: preamble and header at once, then chunk after chunk, then the trailer.

    Raises FormatError where what it is given would break the spec.
    """

    def __init__(self, sink: Sink, header: Header, *, level: int | None = None) -> None:
        data = header.to_bytes()
        self._sink, self._header, self._level = sink, header, level
        self._header_crc = crc32(data)
        self._sequence = ChunkSequence(header)
        self.n_bytes = 0
        preamble = Preamble.of(data, header.flags).pack()
        Preamble.parse(preamble)  # C2-5: `ext` may be too large
        self._write(preamble + data)

    @classmethod
    def going_on(
        cls, sink: Sink, header: Header, sequence: ChunkSequence, header_crc: int, end: int, *, level: int | None
    ) -> ContainerWriter:
        """Behind the chunks of a file that was written before.  end: its bytes so far.  Nothing is written yet."""
        writer = cls.__new__(cls)
        writer._sink, writer._header, writer._level = sink, header, level
        writer._header_crc, writer._sequence, writer.n_bytes = header_crc, sequence, end
        return writer

    def _write(self, data: bytes | memoryview) -> None:
        self._sink.write(data)
        self.n_bytes += len(data)

    def chunk(
        self,
        tag: bytes,
        raw: bytes | memoryview,
        *,
        n_rows: int = 0,
        first_row: int = 0,
        value_bytes: int = 1,
        stored: bytes | memoryview | None = None,
    ) -> None:
        """Write one chunk.  value_bytes: for the shuffle.  stored: of a ROWS chunk, what the codec makes of it.

        Raises FormatError where the chunk would break the spec.
        """
        if stored is None:
            stored = raw
            if self._header.codec != "none" and tag not in assigned.NEVER_COMPRESSED:
                width = value_bytes if self._header.filter == "shuffle" else 1
                stored = compression.compress(raw, level=self._level, value_bytes=width)
        number = self._sequence.n_chunks
        crc = bound_crc(self._header_crc, number, stored)
        chunk = ChunkHeader(tag, n_rows, first_row, len(stored), len(raw), crc)
        packed = chunk.pack(self._header_crc, number)
        chunk = ChunkHeader.parse(packed, self.n_bytes, self._header_crc, number)
        chunk.check_sizes(self.n_bytes, most_bytes(tag, limits.DEFAULT))
        raise_first(self._sequence.check(chunk, self.n_bytes))
        self._write(packed + bytes(padding_bytes(self._header, tag, self.n_bytes + CHUNK_HEADER_BYTES)))
        if tag == assigned.SIZES:
            raise_first(self._sequence.take_sizes(bytes(stored), self.n_bytes))
        self._write(stored)

    def compressed_rows(self, raw: bytes | memoryview, value_bytes: int) -> bytes | memoryview:
        """What codec none or zstd makes of the rows of a chunk.  Several threads may ask at once."""
        if self._header.codec == "none":
            return raw
        width = value_bytes if self._header.filter == "shuffle" else 1
        return compression.compress_rows(raw, level=self._level, value_bytes=width)

    def index(self) -> None:
        """Write the index of the rows so far."""
        self.chunk(assigned.INDEX, self._sequence.index_payload)

    def trailer(self, content_id: bytes) -> None:
        """Write the trailer: the file is complete.  Raises FormatError if it must not end here."""
        trailer = self._sequence.trailer(content_id)
        raise_first(self._sequence.check_trailer(trailer, self.n_bytes))
        self._write(trailer.pack(self._header_crc))
