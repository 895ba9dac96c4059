"""Reading latents by random access: any row of a complete file.

Owns Latents: rows, and what stands in front of them.  Importing it loads neither NumPy nor TensorFlow; NumPy comes with the
first array.
"""

from __future__ import annotations

import mmap
import os
import stat
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NoReturn
from zlib import crc32

from aeformat.container import assigned, encodings, payloads, rans, wire
from aeformat.container.decoder_prior import DecoderPrior
from aeformat.container.header import parse_header
from aeformat.container.limits import DEFAULT, RECEIPT_ROWS, Limits
from aeformat.container.names import RowNames
from aeformat.container.parser import ChunkRead, Parser
from aeformat.container.payloads import Block
from aeformat.container.prior import Prior
from aeformat.container.receipts import Receipts
from aeformat.container.selection import selected_rows
from aeformat.container.sequence import (
    ChunkSequence,
    check_cover,
    check_plain,
    check_receipt,
    most_bytes,
    padding_bytes,
    raise_first,
)
from aeformat.container.stream import latents_header
from aeformat.container.wire import CHUNK_HEADER_BYTES, TRAILER_BYTES, ChunkHeader, IndexEntry, Preamble, Trailer
from aeformat.errors import ChecksumMismatch, StructureInvalid, Truncated, Unsupported, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aeformat.container.selection import Rows

_READ_BYTES: Final = 1 << 18  # a quarter of a usual chunk


class Latents:
    """Random access to the rows of a complete latents file.

    path: the file, which is mapped into memory.  Only preamble, header, trailer and index are read at first; each chunk is
    checked when one of its rows is wanted.  The content id as a whole is not checked: read forward for that.
    Raises FormatError, Truncated if the file is incomplete, UsageError if it is no ordinary file, OSError.
    """

    def __init__(self, path: str | os.PathLike[str], *, limits: Limits = DEFAULT) -> None:
        self._limits = limits
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib costs start-up time that embedders would pay
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UsageError(f"{path} is not an ordinary file; read it forward")
            self._size = status.st_size
            self._map: mmap.mmap | bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if self._size else b""
        self._is_closed = False
        self._last: tuple[int, Block] | None = None
        self._prior: Prior | None = None
        self._budget = rans.StepBudget(limits.rans_steps, file_bytes=self._size)
        self._charged: set[int] = set()  # coded chunks, by position
        self._has_receipts: bool | None = None  # not yet seen
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
        self._trailer_at = self._size - TRAILER_BYTES
        if self._trailer_at < end or self._map[self._trailer_at : self._trailer_at + 4] != assigned.TRAILER:
            self._refuse_without_trailer()
        try:
            self.trailer = Trailer.parse(self._map[self._trailer_at :], self._trailer_at, self._header_crc)
        except ChecksumMismatch:  # of another file: one that is cut where its embedded decoder ends has that one's
            self._refuse_without_trailer()
        self._entries = self._read_index() if self.trailer.index_at else self._walk()
        self._starts = [entry.first_row for entry in self._entries]

    def _refuse_without_trailer(self) -> NoReturn:
        """There is no trailer at the end: the forward parser says why."""
        with memoryview(self._map) as view:
            parser = Parser(self._limits)
            for start in range(0, self._size, _READ_BYTES):
                parser.feed(view[start : start + _READ_BYTES])
            parser.close()
        raise AssertionError("the forward parser takes a file that has no trailer")

    def _read_index(self) -> list[IndexEntry]:
        """The index, with as much of C8-1 as it shows by itself."""
        at, wrong = self.trailer.index_at, self._trailer_at + 16
        if not self.trailer.n_chunks:
            raise StructureInvalid("C9-3", self._trailer_at + 4, "an index, but no chunk")
        if not self._first_chunk_at <= at < self._trailer_at:
            raise StructureInvalid("C9-4", wrong, f"an index at byte {at}, outside the chunks")
        chunk = self._chunk(at, self.trailer.n_chunks - 1)
        end = chunk.payload_at + chunk.header.stored_bytes
        if chunk.header.tag != assigned.INDEX or end != self._trailer_at:  # C4-6: nothing stands between the two
            raise StructureInvalid("C9-4", wrong, "there is no index where the trailer says")
        if chunk.header.n_rows or chunk.header.first_row:
            raise StructureInvalid("C4-7", at + 4, "the index counts rows")
        entries = IndexEntry.parse_all(chunk.stored, chunk.payload_at)
        n_rows, after, next_number = 0, self._first_chunk_at, 0
        for i, entry in enumerate(entries):
            if entry.first_row != n_rows or not entry.n_rows or entry.at < after or entry.number < next_number:
                entry_at = chunk.payload_at + i * wire.INDEX_ENTRY_BYTES
                raise StructureInvalid("C8-1", entry_at, f"entry {i} of the index does not follow the one before")
            n_rows, after, next_number = n_rows + entry.n_rows, entry.at + CHUNK_HEADER_BYTES, entry.number + 1
        if n_rows != self.trailer.n_rows or not n_rows:
            raise StructureInvalid("C9-3", self._trailer_at + 8, f"{self.trailer.n_rows} rows stated, {n_rows} indexed")
        return entries

    def _walk(self) -> list[IndexEntry]:
        """The index of a file without one, from its chunk headers: all of them, so all that they show is checked."""
        sequence = ChunkSequence(self.header)
        at = self._first_chunk_at
        while at < self._trailer_at:
            header, _, end = self._locate(at, sequence.n_chunks)
            raise_first(sequence.check(header, at))
            at = end
        raise_first(sequence.check_trailer(self.trailer, at))
        return IndexEntry.parse_all(sequence.index_payload, at)

    def _locate(self, at: int, number: int) -> tuple[ChunkHeader, int, int]:
        """(header, byte of the payload, byte after it) of chunk `number` at byte `at`, which may be any number."""
        if self._is_closed:
            raise ValueError("this reader is closed")
        if not self._first_chunk_at <= at <= self._trailer_at:
            raise StructureInvalid("C8-1", at, f"chunk {number} is outside the chunks of this file")
        front = self._map[at : min(at + CHUNK_HEADER_BYTES, self._trailer_at)]
        header = ChunkHeader.parse(front, at, self._header_crc, number)
        header.check_sizes(at, most_bytes(header.tag, self._limits))
        if header.is_critical and header.tag not in assigned.KIND_OF_TAG:
            raise Unsupported("C4-5", at, f"critical chunk {header.tag.decode('ascii')} that this reader does not know")
        raise_first(check_plain(self.header, header, at))
        payload_at = at + CHUNK_HEADER_BYTES
        payload_at += padding_bytes(self.header, header.tag, payload_at)
        end = payload_at + header.stored_bytes
        if end > self._trailer_at:
            raise StructureInvalid("C4-10", at, f"chunk {number} reaches into the trailer")
        return header, payload_at, end

    def _chunk(self, at: int, number: int) -> ChunkRead:
        header, payload_at, end = self._locate(at, number)
        if any(self._map[at + CHUNK_HEADER_BYTES : payload_at]):
            raise StructureInvalid("C4-9", at + CHUNK_HEADER_BYTES, "padding is not zero")
        stored = self._map[payload_at:end]
        if wire.bound_crc(self._header_crc, number, stored) != header.payload_crc:
            raise ChecksumMismatch("C4-11", payload_at, f"the checksum of chunk {number}'s payload does not match")
        return ChunkRead(number, at, payload_at, header, stored)

    def _rows_chunk(self, entry: IndexEntry) -> ChunkRead:
        chunk = self._chunk(entry.at, entry.number)
        header = chunk.header
        if (header.tag, header.first_row, header.n_rows) != (assigned.ROWS, entry.first_row, entry.n_rows):
            raise StructureInvalid("C8-1", entry.at, f"the index is not that of chunk {entry.number}")
        if header.raw_bytes != header.n_rows * self.header.row_bytes:
            raise StructureInvalid("C4-8", entry.at + 20, "the chunk's length is not that of its rows")
        return chunk

    def _block(self, row: int) -> Block:
        """The chunk that holds this row; the last one is kept."""
        position = bisect_right(self._starts, row) - 1
        last = self._last  # of another thread, perhaps
        if last is None or last[0] != position:
            entry = self._entries[position]
            chunk = self._rows_chunk(entry)
            if payloads.is_coded(chunk, self.header):
                if position not in self._charged:
                    payloads.check_coded(chunk, self.header, self._budget)
                    self._charged.add(position)
                if self._prior is None:
                    self._look_for_prior()
            values = payloads.rows(chunk, self.header, self._prior)
            values.setflags(write=False)  # it is handed out more than once
            last = self._last = position, Block(entry.first_row, values, *self._in_front(position))
        return last[1]

    def _in_front(self, position: int) -> tuple[RowNames | None, Receipts | None]:
        """Names and receipts of a ROWS chunk's rows: right before it, so they are found from the chunk of rows before."""
        entry = self._entries[position]
        at, number = self._first_chunk_at, 0
        if position:
            before = self._entries[position - 1]
            number = before.number + 1
            _, _, at = self._locate(before.at, before.number)
        found: list[tuple[bytes, int, int]] = []  # tag, place and number of a rCPT, a nAMe, or both in that order
        while number < entry.number:
            header, _, end = self._locate(at, number)
            if found and (found[-1][0], header.tag) != (assigned.RECEIPT, assigned.NAME):
                raise StructureInvalid("C4-6", at, "row names or receipts without the rows that they are for")
            if header.tag in (assigned.RECEIPT, assigned.NAME):
                raise_first(check_receipt(header, at))
                raise_first(check_cover(header, at, entry))
                found.append((header.tag, at, number))
            at, number = end, number + 1
        if at != entry.at:
            raise StructureInvalid("C8-1", entry.at, f"the index has another place for chunk {entry.number}")
        chunks = {tag: self._chunk(chunk_at, chunk_number) for tag, chunk_at, chunk_number in found}
        has_receipts = assigned.RECEIPT in chunks
        if self._has_receipts not in (None, has_receipts):
            raise StructureInvalid("C4-6", entry.at, "receipts of some rows only")
        self._has_receipts = has_receipts
        names, receipts = chunks.get(assigned.NAME), chunks.get(assigned.RECEIPT)
        return (
            None if names is None else payloads.row_names(names, self.header),
            None if receipts is None else payloads.row_receipts(receipts),
        )

    @property
    def n_rows(self) -> int:
        """Rows in the file."""
        return self.trailer.n_rows

    def __len__(self) -> int:
        return self.trailer.n_rows

    def __getitem__(self, rows: Rows) -> NDArray[Any]:
        """Latents in the header's value type, picked as from an array; negative numbers count from the end.

        rows: a number -> one latent, shape dims; a slice, a list or array of numbers, or a mask of n_rows booleans ->
        (n, *dims).  Perhaps read-only.  Raises IndexError (no such row, a mask of another length), TypeError, FormatError.
        """
        chosen = selected_rows(rows, self.n_rows)
        if isinstance(chosen, int):
            block = self._block(chosen)
            values: NDArray[Any] = block.values[chosen - block.first_row]
            return values
        if isinstance(chosen, range) and chosen and chosen.step == 1:
            return self.rows(chosen.start, chosen.stop)
        return self._pick(chosen)

    def _pick(self, chosen: Sequence[int]) -> NDArray[Any]:
        """Rows in any order, (n, *dims); each chunk is read once."""
        import numpy as np

        rows = np.asarray(chosen, np.int64)
        values = np.empty((len(rows), *self.header.dims), encodings.array_type(self.header.values))
        order, n_done = np.argsort(rows, kind="stable"), 0
        while n_done < len(rows):
            block = self._block(int(rows[order[n_done]]))
            end = int(np.searchsorted(rows, block.first_row + len(block.values), sorter=order))
            here = order[n_done:end]
            values[here] = block.values[rows[here] - block.first_row]
            n_done = end
        return values

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Rows start to stop - 1, (stop - start, *dims) in the header's value type; perhaps read-only.

        Raises IndexError, FormatError.
        """
        import numpy as np

        if not 0 <= start < stop <= self.n_rows:
            raise IndexError(f"rows {start} to {stop} of {self.n_rows}")
        pieces = []
        row = start
        while row < stop:
            block = self._block(row)
            pieces.append(block.values[row - block.first_row : stop - block.first_row])
            row += len(pieces[-1])
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def blocks(self, start: int, stop: int) -> Iterator[Block]:
        """Rows start to stop - 1 by chunk; with receipts, also the rows beside them that the same digests are for.

        Values are read-only.  Raises IndexError, FormatError.
        """
        if not 0 <= start < stop <= self.n_rows:
            raise IndexError(f"rows {start} to {stop} of {self.n_rows}")
        row = start
        while row < stop:
            block = self._block(row)
            n_rows = len(block.values)
            first, last = row - block.first_row, min(stop - block.first_row, n_rows)
            if block.receipts is not None:
                first = first // RECEIPT_ROWS * RECEIPT_ROWS
                last = min(-(-last // RECEIPT_ROWS) * RECEIPT_ROWS, n_rows)
            yield block.slice(first, last)
            row = block.first_row + n_rows

    def names(self, row: int) -> RowNames | None:
        """Name, label and source of one row, as far as the file has them.  Raises IndexError, FormatError."""
        if not 0 <= row < self.n_rows:
            raise IndexError(f"row {row} of {self.n_rows}")
        block = self._block(row)
        return None if block.names is None else block.names.slice(row - block.first_row, row - block.first_row + 1)

    def stored_chunks(self) -> Iterator[NDArray[Any]]:
        """The rows of each chunk as they are stored, (n, *dims) little-endian, without a copy.

        For uncompressed binary encodings only (UsageError otherwise).  The arrays lie in the mapped file, aligned to 64
        bytes where values are wider than one; they stay valid after this reader is closed.  bf16 comes as its 16 bits.
        Checksums are checked, values are not (C5-3, C5-4): that would mean a pass over them.
        """
        if self.header.codec != "none" or self.header.encoding_spec.is_text:
            raise UsageError("only uncompressed binary rows can be had without a copy")
        view = memoryview(self._map)
        for entry in self._entries:
            chunk = self._rows_chunk(entry)
            yield encodings.stored_view(
                view[chunk.payload_at : chunk.payload_at + chunk.header.stored_bytes], self.header
            )

    @property
    def has_receipts(self) -> bool:
        """Whether there are receipts of the rows: of all or of none (C4-6).  Raises FormatError."""
        return self._in_front(0)[1] is not None

    @property
    def embedded_decoder(self) -> bytes | None:
        """The container of the decoder that travels in this file, if one does.  Raises FormatError."""
        chunk = self._decoder_chunk()
        return None if chunk is None else chunk.stored

    def _decoder_chunk(self) -> ChunkRead | None:
        at = self._first_chunk_at
        for number in range(self._entries[0].number):
            header, _, end = self._locate(at, number)
            if header.tag == assigned.DECODER:
                return self._chunk(at, number)
            at = end
        return None

    @property
    def needs_prior(self) -> bool:
        """Whether the rows cannot be read before `give_prior`: codec rans, and no decoder inside.  Raises FormatError."""
        return self.header.codec == "rans" and self._prior is None and self.embedded_decoder is None

    def give_prior(self, prior: DecoderPrior) -> None:
        """The prior of the file's decoder (decoder_prior.py).  Raises DecoderMismatch, HeaderInvalid (C3-14, C3-16)."""
        self._prior = prior.of(self.header)

    def _look_for_prior(self) -> None:
        """In the embedded decoder, if there is one."""
        chunk = self._decoder_chunk()
        if chunk is not None:
            self.give_prior(payloads.embedded_prior(chunk, self.header, self._limits))

    def close(self) -> None:
        """Let go of the file.  Arrays from stored_chunks keep it mapped as long as they live."""
        self._is_closed = True
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
