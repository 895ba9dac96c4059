"""Reading latents by random access: any row of a complete file.

Owns Latents: rows, and what stands in front of them.  Importing it loads neither NumPy nor TensorFlow; NumPy comes with the
first array.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, overload

from aeformat.container import assigned, costs, encodings, payloads
from aeformat.container.decoder_prior import AnyPrior, DecoderPrior
from aeformat.container.described import Described
from aeformat.container.front import Front, read_front
from aeformat.container.gather import gathered
from aeformat.container.limits import DEFAULT, RECEIPT_ROWS, Limits
from aeformat.container.names import RowNames
from aeformat.container.opened import INSTEAD, OpenedFile
from aeformat.container.parser import ChunkRead
from aeformat.container.payloads import Block
from aeformat.container.ragged import RaggedRows, join_rows
from aeformat.container.receipts import rows_of_runs
from aeformat.container.seeking import Chunks, Framing
from aeformat.container.selection import selected_row, selected_rows
from aeformat.container.sequence import check_rows, raise_first
from aeformat.container.sizes import RowSizes
from aeformat.container.stream import latents_header
from aeformat.container.wire import IndexEntry
from aeformat.errors import StructureInvalid, UsageError
from aeformat.paths import checked_path, named

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aeformat.container.selection import Rows


class Latents:
    """Random access to the rows of a complete latents file.

    path: the file.  Only preamble, header, trailer and index are read at first; each chunk is
    checked when one of its rows is wanted.  The content id as a whole is not checked: read forward for that.
    Everything but `stored_chunks` copies, so that a file which is cut meanwhile is an error (Truncated).
    find_prior: asked for the prior of the file's decoder when rows first take one that is not inside the file.
    Raises FormatError, Truncated if the file is incomplete, UsageError if it is no ordinary file, OSError.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        limits: Limits = DEFAULT,
        find_prior: Callable[[Latents], DecoderPrior] | None = None,
    ) -> None:
        self._limits, self._find_prior = limits, find_prior
        self._last: tuple[int, Block] | None = None
        self._prior: AnyPrior | None = None
        self._has_used_decoder = False  # the embedded one
        self._has_receipts: bool | None = None  # not yet seen
        self.name = checked_path(path, instead=INSTEAD)
        """The path, as it was given."""
        with named(self.name):
            self._open()

    def _open(self) -> None:
        limits = self._limits
        self._file = OpenedFile(self.name)
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

    def _rows_chunk(self, entry: IndexEntry, sizes: RowSizes) -> ChunkRead:
        chunk = self._chunks.chunk(entry.at, entry.number)
        header = chunk.header
        if (header.tag, header.first_row, header.n_rows) != (assigned.ROWS, entry.first_row, entry.n_rows):
            raise StructureInvalid("C8-1", entry.at, f"the index is not that of chunk {entry.number}")
        raise_first(check_rows(self.header, header, entry.at, sizes))
        return chunk._replace(sizes=sizes)

    def _block(self, row: int) -> Block:
        """The chunk that holds this row; the last one is kept."""
        position = bisect_right(self._starts, row) - 1
        last = self._last  # of another thread, perhaps
        if last is None or last[0] != position:
            with named(self.name):
                last = self._last = position, self._read_block(position)
        return last[1]

    def _read_block(self, position: int) -> Block:
        entry, front = self._entries[position], self._front(position)
        chunk = self._rows_chunk(entry, front.sizes)
        if payloads.is_coded(chunk, self.header) and self._prior is None:
            payloads.check_coded(chunk, self.header, self._budget)
            if self.needs_prior and self._find_prior is not None:
                self.give_prior(self._find_prior(self))
        values = payloads.rows(chunk, self.header, self._prior, self._budget)
        values.setflags(write=False)  # it is handed out more than once
        names = None if front.names is None else payloads.row_names(front.names, self.header)
        receipts = None if front.receipts is None else payloads.row_receipts(front.receipts, front.sizes)
        return Block(entry.first_row, values, names, receipts, payloads.values_at(chunk, self.header))

    def _front(self, position: int) -> Front:
        """What belongs to the rows of a chunk: right before it, so it is found from the chunk of rows before."""
        before = self._entries[position - 1] if position else None
        front = read_front(self._chunks, self.header, before, self._entries[position])
        has_receipts = front.receipts is not None
        if self._has_receipts not in (None, has_receipts):
            raise StructureInvalid("C4-6", self._entries[position].at, "receipts of some rows only")
        self._has_receipts = has_receipts
        return front

    @property
    def n_rows(self) -> int:
        """Rows in the file."""
        return self.trailer.n_rows

    def __len__(self) -> int:
        return self.trailer.n_rows

    def __repr__(self) -> str:
        if self.header.has_free_sizes:
            dims = tuple(size or None for size in self.header.dims)
            return f"<aeformat.Latents {self.name}, {self.n_rows} rows of {dims}, {self.header.values}>"
        return f"<aeformat.Latents {self.name}, shape {self.shape}, {self.header.values}>"

    @property
    def described(self) -> Described | None:
        """What the latents are, where the header says it (spec/container.md, section 3.3)."""
        return self.header.described

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, *dims), as of an array; (rows,) where rows have sizes of their own."""
        return (self.n_rows,) if self.header.has_free_sizes else (self.n_rows, *self.header.dims)

    def sizes(self, start: int = 0, stop: int | None = None) -> RowSizes:
        """The sizes of rows start to stop - 1, by default of all: their shapes, and of their images.  No row is read.

        Raises IndexError, FormatError.
        """
        stop = self.n_rows if stop is None else stop
        self._check_range(start, stop)
        fixed = self.header.sizes_of(stop - start)
        if fixed is not None:
            return fixed
        first, last = (bisect_right(self._starts, row) - 1 for row in (start, stop - 1))
        with named(self.name):
            parts = [self._front(position).sizes for position in range(first, last + 1)]
        before = self._starts[first]
        return RowSizes.join(parts).slice(start - before, stop - before)

    def _check_range(self, start: int, stop: int) -> None:
        if not 0 <= start < stop <= self.n_rows:
            raise IndexError(f"rows {start} to {stop} of {self.n_rows}")

    @property
    def ndim(self) -> int:
        """The length of `shape`."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the arrays that come out: the header's value type, in this machine's byte order."""
        import numpy as np

        return np.dtype(encodings.array_type(self.header.values))

    def __array__(self, dtype: np.dtype[Any] | None = None, copy: bool | None = None) -> NDArray[Any]:
        """All rows, for NumPy: np.asarray(latents).

        Raises ValueError for copy=False and for rows of their own size, FormatError.
        """
        import numpy as np

        if self.header.has_free_sizes:
            raise ValueError("the rows of this file have sizes of their own, which no one array holds; take latents[:]")
        if copy is False:
            raise ValueError("latents are read from a file, so they cannot be had without a copy")
        return np.array(self[:], dtype=dtype)  # one that can be written to

    @overload
    def __getitem__(self, rows: int) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, rows: Rows) -> NDArray[Any] | Any: ...

    def __getitem__(self, rows: Rows) -> NDArray[Any] | RaggedRows:
        """Latents in the header's value type, picked as from an array; negative numbers count from the end.

        rows: a number -> one latent, an array of its shape; a slice, ..., a list or array of numbers, or a mask of n_rows
        booleans -> (n, *dims); if the header leaves sizes free, always a RaggedRows, which is a sequence of n arrays.
        Read-only: copy what is to be changed.

        Raises IndexError (no such row, a mask of another length), TypeError, FormatError.
        """
        chosen = selected_rows(rows, self.n_rows)
        if isinstance(chosen, int):
            block = self._block(chosen)
            values: NDArray[Any] = block.values[chosen - block.first_row]
            return values
        if isinstance(chosen, range) and chosen and chosen.step == 1:
            return self.rows(chosen.start, chosen.stop)
        import numpy as np

        return gathered(np.asarray(chosen, np.int64), self._block, self.header)

    def rows(self, start: int, stop: int) -> NDArray[Any] | Any:
        """Rows start to stop - 1 in the header's value type, (stop - start, *dims) or a RaggedRows; read-only.

        Raises IndexError, FormatError.
        """
        import numpy as np

        self._check_range(start, stop)
        pieces: list[Any] = []
        row = start
        while row < stop:
            block = self._block(row)
            pieces.append(block.values[row - block.first_row : stop - block.first_row])
            row += len(pieces[-1])
        join = join_rows if self.header.has_free_sizes else np.concatenate
        values: Any = pieces[0] if len(pieces) == 1 else join(pieces)
        values.setflags(write=False)
        return values

    def blocks(self, start: int, stop: int) -> Iterator[Block]:
        """Rows start to stop - 1 by chunk; with receipts, also the rows beside them that the same digests are for.

        Values are read-only.  Raises IndexError, FormatError.
        """
        self._check_range(start, stop)
        row = start
        while row < stop:
            block = self._block(row)
            n_rows = len(block.values)
            first, last = row - block.first_row, min(stop - block.first_row, n_rows)
            if block.receipts is not None:
                first, last = block.receipts.widened(first, last)
                last = min(last, n_rows)
            yield block.slice(first, last)
            row = block.first_row + n_rows

    def block_of(self, row: int) -> Block:
        """The whole chunk that holds a row; values are read-only.  Raises IndexError, FormatError."""
        if not 0 <= row < self.n_rows:
            raise IndexError(f"row {row} of {self.n_rows}")
        return self._block(row)

    def with_receipted(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Ascending numbers of rows, and beside them all rows that the same digests of receipts are for.

        What has to be decoded to check these rows.  Raises FormatError.
        """
        import numpy as np

        if not self.has_receipts:
            return rows
        if self.header.form.has_free_image:
            return self._with_receipted(rows)
        starts = np.asarray(self._starts, np.int64)
        chunk_start = starts[np.searchsorted(starts, rows, "right") - 1]
        runs = np.unique(rows - (rows - chunk_start) % RECEIPT_ROWS)  # first row of each
        chunk_end = np.append(starts[1:], self.n_rows)[np.searchsorted(starts, runs, "right") - 1]
        numbers = runs[:, np.newaxis] + np.arange(RECEIPT_ROWS)
        needed: NDArray[Any] = numbers[numbers < chunk_end[:, np.newaxis]]
        return needed

    def _with_receipted(self, rows: NDArray[Any]) -> NDArray[Any]:
        """The same where runs depend on the sizes of the images: chunk by chunk."""
        import numpy as np

        found = []
        for position in range(len(self._starts)):
            start, stop = self._starts[position], self._starts[position] + self._entries[position].n_rows
            here = rows[np.searchsorted(rows, start) : np.searchsorted(rows, stop)]
            if len(here):
                with named(self.name):
                    ends = payloads.run_ends(self._front(position).sizes)
                found.append(start + rows_of_runs(here - start, ends))
        return np.concatenate(found) if found else rows

    def names(self, row: int) -> RowNames | None:
        """Name, label and source of one row, as far as the file has them; negative numbers count from the end.

        Raises IndexError, TypeError (no number), FormatError.
        """
        row = selected_row(row, self.n_rows)
        block = self._block(row)
        return None if block.names is None else block.names.slice(row - block.first_row, row - block.first_row + 1)

    def stored_chunks(self) -> Iterator[NDArray[Any] | Any]:
        """The rows of each chunk as they are stored, (n, *dims) or a RaggedRows, little-endian, without a copy.

        For uncompressed binary encodings only (UsageError otherwise).  The arrays lie in the mapped file, aligned to 64
        bytes where values are wider than one; they stay valid after this reader is closed.  bf16 comes as its 16 bits.
        Checksums are checked, values are not (C5-3, C5-4): that would mean a pass over them.  If another program cuts the file
        while it is mapped, the system ends whoever touches what is gone (SIGBUS): take `rows`, which copies, for a file that
        others may cut.
        """
        if self.header.codec != "none" or self.header.encoding_spec.is_text:
            raise UsageError("only uncompressed binary rows can be had without a copy")
        view = self._file.view()
        for position, entry in enumerate(self._entries):
            sizes = self.header.sizes_of(entry.n_rows) or self._front(position).sizes
            chunk = self._rows_chunk(entry, sizes)
            payload = view[chunk.payload_at : chunk.payload_at + chunk.header.stored_bytes]
            yield encodings.stored_view(payload, self.header, sizes)

    @property
    def has_receipts(self) -> bool:
        """Whether there are receipts of the rows: of all or of none (C4-6).  Raises FormatError."""
        with named(self.name):
            return self._front(0).receipts is not None

    @property
    def embedded_decoder(self) -> bytes | None:
        """The container of the decoder that travels in this file, if one does.

        With codec rans it is used, so checked as in a file read forward (section 6.1, C7-4).  Raises FormatError.
        """
        with named(self.name):
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
        """Whether the rows cannot be read before `give_prior`: codec rans, and no decoder inside, or one with passes."""
        if self.header.codec == "rans" and self._prior is None:
            self._use_decoder()
        return self.header.codec == "rans" and self._prior is None

    def give_prior(self, prior: DecoderPrior) -> None:
        """The prior of the file's decoder (decoder_prior.py).  Raises DecoderMismatch, HeaderInvalid (C3-14, C3-16)."""
        self._prior = prior.of(self.header) or self._prior

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
