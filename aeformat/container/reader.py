"""Reading latents by random access: any row of a complete file.

Owns Latents: rows, and what stands in front of them.  Importing it loads neither NumPy nor TensorFlow; NumPy comes with the
first array.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from aeformat.container import assigned, costs, encodings, payloads
from aeformat.container.decoder_prior import DecoderPrior
from aeformat.container.limits import DEFAULT, RECEIPT_ROWS, Limits
from aeformat.container.names import RowNames
from aeformat.container.opened import OpenedFile
from aeformat.container.parser import ChunkRead
from aeformat.container.payloads import Block
from aeformat.container.prior import Prior
from aeformat.container.receipts import Receipts
from aeformat.container.seeking import Chunks, Framing
from aeformat.container.selection import selected_rows
from aeformat.container.sequence import check_cover, check_receipt, raise_first
from aeformat.container.stream import latents_header
from aeformat.container.wire import IndexEntry
from aeformat.errors import StructureInvalid, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aeformat.container.selection import Rows


class Latents:
    """Random access to the rows of a complete latents file.

    path: the file.  Only preamble, header, trailer and index are read at first; each chunk is
    checked when one of its rows is wanted.  The content id as a whole is not checked: read forward for that.
    Everything but `stored_chunks` copies, so that a file which is cut meanwhile is an error (Truncated).
    Raises FormatError, Truncated if the file is incomplete, UsageError if it is no ordinary file, OSError.
    """

    def __init__(self, path: str | os.PathLike[str], *, limits: Limits = DEFAULT) -> None:
        self._limits = limits
        self._last: tuple[int, Block] | None = None
        self._prior: Prior | None = None
        self._has_used_decoder = False  # the embedded one
        self._has_receipts: bool | None = None  # not yet seen
        self._file = OpenedFile(path)
        self._budget = costs.StepBudget(limits.rans_steps, file_bytes=self._file.size)
        try:
            framing = Framing(self._file.read, self._file.size, limits)
            self.header = latents_header(framing.header)
            self._chunks = Chunks(framing)
            self._entries = self._chunks.rows()
        except BaseException:
            self.close()
            raise
        self.trailer = self._chunks.trailer
        self._starts = [entry.first_row for entry in self._entries]

    def _rows_chunk(self, entry: IndexEntry) -> ChunkRead:
        chunk = self._chunks.chunk(entry.at, entry.number)
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
                payloads.check_coded(chunk, self.header, self._budget)
                if self._prior is None:
                    self._use_decoder()
            values = payloads.rows(chunk, self.header, self._prior, self._budget)
            values.setflags(write=False)  # it is handed out more than once
            place = payloads.values_at(chunk, self.header)
            last = self._last = position, Block(entry.first_row, values, *self._in_front(position), place)
        return last[1]

    def _in_front(self, position: int) -> tuple[RowNames | None, Receipts | None]:
        """Names and receipts of a ROWS chunk's rows: right before it, so they are found from the chunk of rows before."""
        entry = self._entries[position]
        at, number = self._chunks.first_at, 0
        if position:
            before = self._entries[position - 1]
            number = before.number + 1
            at = self._chunks.locate(before.at, before.number).end
        found: list[tuple[bytes, int, int]] = []  # tag, place and number of a rCPT, a nAMe, or both in that order
        while number < entry.number:
            place = self._chunks.locate(at, number)
            header = place.header
            if found and (found[-1][0], header.tag) != (assigned.RECEIPT, assigned.NAME):
                raise StructureInvalid("C4-6", at, "row names or receipts without the rows that they are for")
            if header.tag in (assigned.RECEIPT, assigned.NAME):
                raise_first(check_receipt(header, at))
                raise_first(check_cover(header, at, entry))
                found.append((header.tag, at, number))
            at, number = place.end, number + 1
        if at != entry.at:
            raise StructureInvalid("C8-1", entry.at, f"the index has another place for chunk {entry.number}")
        chunks = {tag: self._chunks.chunk(chunk_at, chunk_number) for tag, chunk_at, chunk_number in found}
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
        Checksums are checked, values are not (C5-3, C5-4): that would mean a pass over them.  If another program cuts the file
        while it is mapped, the system ends whoever touches what is gone (SIGBUS): take `rows`, which copies, for a file that
        others may cut.
        """
        if self.header.codec != "none" or self.header.encoding_spec.is_text:
            raise UsageError("only uncompressed binary rows can be had without a copy")
        view = self._file.view()
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
        """The container of the decoder that travels in this file, if one does.

        With codec rans it is used, so checked as in a file read forward (section 6.1, C7-4).  Raises FormatError.
        """
        return self._use_decoder()

    def _use_decoder(self) -> bytes | None:
        """The embedded decoder, if there is one; with codec rans its prior is from now on that of the rows."""
        chunk = self._decoder_chunk()
        if chunk is None:
            return None
        if self.header.codec == "rans" and not self._has_used_decoder:
            self.give_prior(payloads.embedded_prior(chunk, self.header, self._limits))
            self._has_used_decoder = True
        return chunk.stored

    def _decoder_chunk(self) -> ChunkRead | None:
        for place in self._chunks.walk(self._entries[0].number):
            if place.header.tag == assigned.DECODER:
                return self._chunks.chunk(place.at, place.number)
        return None

    @property
    def needs_prior(self) -> bool:
        """Whether the rows cannot be read before `give_prior`: codec rans, and no decoder inside.  Raises FormatError."""
        return self.header.codec == "rans" and self._prior is None and self.embedded_decoder is None

    def give_prior(self, prior: DecoderPrior) -> None:
        """The prior of the file's decoder (decoder_prior.py).  Raises DecoderMismatch, HeaderInvalid (C3-14, C3-16)."""
        self._prior = prior.of(self.header)

    def close(self) -> None:
        """Let go of the file.  Arrays from stored_chunks keep it mapped as long as they live."""
        self._last = None
        self._file.close()

    def __enter__(self) -> Latents:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_latents(path: str | os.PathLike[str], *, limits: Limits = DEFAULT) -> Latents:
    """Random access to the rows of a latents file.  See Latents."""
    return Latents(path, limits=limits)
