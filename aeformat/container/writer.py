"""Writing a container in one pass (spec/container.md).

Owns the cutting of rows into chunks and the bytes of a whole file.  Needs only a `write` method: a file, a pipe, a
socket.  Knows nothing of temporary files (atomic.py) or of where latents come from.  The bytes do not depend on how the
rows were handed over, only on the rows and the header.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from aeformat.container import assigned, costs, limits, rans, rans_passes
from aeformat.container import receipts as rcpt
from aeformat.container.backlog import Backlog, WaitingChunk
from aeformat.container.chunk_writer import ContainerWriter, Sink
from aeformat.container.columns import RowFields
from aeformat.container.content import ContentId
from aeformat.container.continuing import WrittenSoFar
from aeformat.container.decoder_prior import AnyPrior, DecoderPrior
from aeformat.container.encodings import BadValue, check_type, sizes_of
from aeformat.container.field_types import BadFields, FieldTypes
from aeformat.container.header import LatentsHeader
from aeformat.container.names import BadNames, RowNames
from aeformat.container.payloads import missing_prior, run_ends
from aeformat.container.prior import Prior
from aeformat.container.ragged import RaggedRows, join_rows
from aeformat.container.sizes import RowSizes
from aeformat.errors import FieldsInvalid, NamesInvalid, StructureInvalid, ValueInvalid

if TYPE_CHECKING:
    from numpy.typing import NDArray


class _Nowhere:
    """Where the front goes of a file that has it already."""

    def write(self, data: bytes | memoryview, /) -> object:
        return len(data)


class LatentsWriter:
    """Writes rows of latents.

    sink: where the bytes go.  header: says encoding, codec and decoder.  chunk_rows: rows in a chunk; by default as many as
    make about 128 KiB (64 of rows of 16 KiB or more), at most 4,096; of text and with codec rans 1 MiB, with codec rans at most
    16,384.  level: zstd's; None for the default.  decoder: the bytes of a decoder's whole container, to travel inside the
    file.  prior: the decoder's, for codec rans.  With receipts, chunks end where runs of them do.  Rows of their own size go
    into a chunk as long as they make no more than that together.  The chunks of one `write` are made by several threads.
    Use as a context manager: the trailer is written on a clean exit only, so what is left after an error says itself that it
    is incomplete.  A writer that failed to write a chunk stays failed, and never writes a trailer.
    Raises ValueInvalid for NaN and infinity, TypeError for values of another type than the header's.
    """

    def __init__(
        self,
        sink: Sink,
        header: LatentsHeader,
        *,
        chunk_rows: int | None = None,
        level: int | None = None,
        decoder: bytes | None = None,
        prior: DecoderPrior | None = None,
    ) -> None:
        if (header.codec == "rans") != (prior is not None):
            raise ValueError("codec rans takes the decoder's prior, and no other codec does")
        if chunk_rows is not None and chunk_rows < 1:
            raise ValueError(f"chunks of {chunk_rows} rows")
        self._header = header
        self._prior = None if prior is None else prior.of(header)
        if prior is not None and self._prior is None:
            raise missing_prior(header)
        self._budget = costs.StepBudget()
        self._out = ContainerWriter(sink, header, level=level)
        is_in_one = header.codec == "zstd" and header.filter != "shuffle"  # no block ends with a plane
        is_large = is_in_one or header.encoding_spec.is_text or prior is not None
        self.chunk_bytes = limits.WRITER_LARGE_CHUNK_BYTES if is_large else limits.WRITER_CHUNK_BYTES
        if not is_large and header.row_bytes >= limits.WRITER_LARGE_ROW_BYTES:
            self.chunk_bytes //= 2
        self.chunk_rows = chunk_rows or min(
            max(1, self.chunk_bytes // header.row_bytes),
            limits.WRITER_CHUNK_ROWS if prior is None else limits.WRITER_RANS_ROWS,
        )
        self._backlog = self._new_backlog(ContentId(header))
        self._waiting: list[Any] = []  # arrays, or RaggedRows
        self._names: list[RowNames] = []
        self._seen: set[str] = set()  # names of the rows that wait
        self._receipts: list[bytes] = []
        self._fields: list[RowFields] = []
        self.n_waiting = self._waiting_bytes = self._waiting_field_bytes = 0
        self._n_chunks = 0
        self._columns: tuple[bool, ...] | None = None  # which lists the names of the rows that wait have
        self._has_receipts: bool | None = None
        self.field_types: FieldTypes | None = None  # those of the first rows
        self._is_open = True
        self.n_rows = self._n_values = 0
        self.content_id: bytes | None = None
        if decoder is not None:
            self._out.chunk(assigned.DECODER, decoder)

    @classmethod
    def going_on(
        cls,
        sink: Sink,
        written: WrittenSoFar,
        *,
        level: int | None = None,
        prior: DecoderPrior | None = None,
    ) -> LatentsWriter:
        """Behind what is whole of a file: `sink` takes the bytes from there on.  Raises as the constructor does."""
        writer = cls(_Nowhere(), written.header, level=level, prior=prior)
        args = (written.header, written.sequence, written.header_crc, written.end)
        writer._out = ContainerWriter.going_on(sink, *args, level=level)
        writer._backlog, writer._budget = writer._new_backlog(written.rows.content), written.rows.budget
        writer.n_rows, writer._n_values, writer._n_chunks = written.sequence.n_rows, written.n_values, written.n_chunks
        writer._has_receipts = written.has_receipts if written.n_chunks else None
        writer.field_types = written.field_types
        return writer

    def _new_backlog(self, content: ContentId) -> Backlog:
        self._content, spec = content, self._header.encoding_spec
        compress = partial(self._out.compressed_rows, value_bytes=1 if spec.is_text else spec.n_bytes)
        return Backlog(self._header, content, compress if self._prior is None else None)

    def flush(self) -> None:
        """Write the rows that wait as a chunk of their own."""
        self._check_open()
        if self.n_waiting:
            self._write_waiting()

    @property
    def n_bytes(self) -> int:
        """Bytes written so far."""
        return self._out.n_bytes

    @property
    def is_open(self) -> bool:
        """Whether rows can be written: it is neither closed, nor has it failed to write a chunk."""
        return self._is_open

    def write(
        self,
        values: NDArray[Any] | RaggedRows,
        names: RowNames | None = None,
        receipts: bytes | None = None,
        fields: RowFields | None = None,
    ) -> None:
        """Add rows.  values: (n, *dims) in the header's value type; RaggedRows if the header leaves sizes free.  names: of the
        same n rows.  Where rows with other lists of names begin, rows without any, or a name that was there already, a chunk
        ends.

        receipts: digests of the pixels of these rows, one for each run (receipts.digests_of); for all rows or none.  Where the
        last run could go on, a chunk ends.
        fields: of the same n rows; for all rows or none, and all of the same types.
        A chunk ends where they make 1 MiB, unless there are receipts.
        """
        self._check_open()
        self._check_shape(values)
        check_type(values, self._header)
        if names is not None and len(names) != len(values):
            raise ValueError(f"{len(names)} names for {len(values)} rows")
        ends = run_ends(values.sizes) if isinstance(values, RaggedRows) else None
        if receipts is not None and len(receipts) != rcpt.size_of(len(values), ends):
            raise ValueError(f"{len(receipts)} bytes of receipts for {len(values)} rows")
        if not len(values):
            return
        if self._has_receipts not in (None, receipts is not None):
            raise ValueError("either all rows have receipts or none")
        self._has_receipts = receipts is not None
        self._check_fields(fields, len(values))
        columns = None if names is None else names.columns
        if self.n_waiting and (columns != self._columns or self._repeats(names)):
            self._write_waiting()
        self._columns = columns
        of = None if receipts is None else rcpt.Receipts(0, 0, receipts, ends)
        if of is not None and self.n_waiting and (ends is not None or self.n_waiting % limits.RECEIPT_ROWS):
            self._write_waiting()
        start = 0
        while start < len(values):
            stop = self._stop(values, start, of)
            stop = stop if fields is None or receipts is not None else self._stop_for_fields(fields, start, stop)
            if stop > start:
                self._wait(values, names, of, fields, start, stop)
            if stop == start or self._is_full(of):
                self._end_chunk()
            start = stop
        self._write_backlog()
        if self._waiting:
            self._waiting[-1] = self._waiting[-1].copy()  # it waits here longer than the caller may keep it

    def _check_fields(self, fields: RowFields | None, n_rows: int) -> None:
        if fields is not None and len(fields) != n_rows:
            raise ValueError(f"fields of {len(fields)} rows for {n_rows} rows")
        types = None if fields is None else fields.types
        if (self.n_rows or self.n_waiting) and types != self.field_types:
            raise ValueError("either all rows have the same fields or none")
        self.field_types = types

    def _stop_for_fields(self, fields: RowFields, start: int, stop: int) -> int:
        """How many of rows start to stop - 1 go into the chunk that waits, so that fields make no more than 1 MiB."""
        room = limits.WRITER_LARGE_CHUNK_BYTES - self._waiting_field_bytes
        n_fit = int(fields.slice(start, stop).sizes.cumsum().searchsorted(room, "right"))
        return start + (max(n_fit, 1) if not self.n_waiting else n_fit)

    def _check_shape(self, values: NDArray[Any] | RaggedRows) -> None:
        if isinstance(values, RaggedRows):
            if values.sizes.form != self._header.form:
                raise ValueError(f"rows of form {values.sizes.form}, the header says {self._header.form}")
        elif self._header.has_free_sizes:
            raise ValueError("rows of their own size are written as RaggedRows")
        elif values.shape[1:] != self._header.dims:
            raise ValueError(f"rows have shape {values.shape[1:]}, the header says {self._header.dims}")

    def _most_rows(self, receipts: rcpt.Receipts | None) -> int:
        """Rows of a chunk where all have one size."""
        runs = max(self.chunk_rows // limits.RECEIPT_ROWS, 1) * limits.RECEIPT_ROWS
        return self.chunk_rows if receipts is None else runs

    def _is_full(self, receipts: rcpt.Receipts | None) -> bool:
        if not self._header.has_free_sizes:
            return self.n_waiting == self._most_rows(receipts)
        return self.n_waiting >= self.chunk_rows or self._waiting_bytes >= self.chunk_bytes

    def _stop(self, values: NDArray[Any] | RaggedRows, start: int, receipts: rcpt.Receipts | None) -> int:
        """How far rows from `start` on go into the chunk that waits; `start` itself where none does."""
        if not isinstance(values, RaggedRows):
            return min(start + self._most_rows(receipts) - self.n_waiting, len(values))
        left = (self.chunk_bytes - self._waiting_bytes) // self._header.encoding_spec.n_bytes
        stop = values.sizes.stop_within(start, left, self.chunk_rows - self.n_waiting)
        first = start + 1  # an empty chunk takes at least that
        if receipts is not None:
            ends = receipts.ends
            n_whole = bisect_right(ends, stop)
            stop = max(start, ends[n_whole - 1] if n_whole else start)
            first = ends[bisect_right(ends, start)]
        return stop if stop > start or self.n_waiting else first

    def _wait(
        self,
        values: NDArray[Any] | RaggedRows,
        names: RowNames | None,
        of: rcpt.Receipts | None,
        fields: RowFields | None,
        start: int,
        stop: int,
    ) -> None:
        """Keep rows start to stop - 1 for the chunk that waits."""
        self._waiting.append(values[start:stop])
        if names is not None:
            self._names.append(names.slice(start, stop))
            self._seen.update(self._names[-1].names or ())
        if of is not None:
            self._receipts.append(of.slice(start, stop).digests)
        if fields is not None:
            self._fields.append(fields.slice(start, stop))
            self._waiting_field_bytes += int(self._fields[-1].sizes.sum())
        self.n_waiting += stop - start
        n_values = sizes_of(self._waiting[-1], self._header).n_values
        self._waiting_bytes += n_values * self._header.encoding_spec.n_bytes

    def _repeats(self, names: RowNames | None) -> bool:
        """Whether a name is one of those that wait: names may come again in another chunk, not in the same (C7-3)."""
        return names is not None and names.names is not None and not self._seen.isdisjoint(names.names)

    def _check_open(self) -> None:
        if not self._is_open:
            raise ValueError("this writer is closed, or failed to write a chunk")

    def _write_waiting(self) -> None:
        """Write the rows that wait as one chunk, and the chunks that wait before it."""
        self._end_chunk()
        self._write_backlog()

    def _end_chunk(self) -> None:
        """Make one chunk of the rows that wait; it waits for others that can be made beside it."""
        import numpy as np

        join = join_rows if self._header.has_free_sizes else np.concatenate
        values: Any = self._waiting[0] if len(self._waiting) == 1 else join(self._waiting)
        names = RowNames.join(self._names) if self._names else None
        fields = RowFields.join(self._fields) if self._fields else None
        self._backlog.add(WaitingChunk(values, names, b"".join(self._receipts), fields), self._waiting_bytes)
        self._waiting, self._names, self._receipts, self._fields = [], [], [], []
        self.n_waiting = self._waiting_bytes = self._waiting_field_bytes = 0
        self._seen.clear()
        if self._backlog.is_full:
            self._write_backlog()

    def _write_backlog(self) -> None:
        self._is_open = False  # until all of them are written: half of a chunk cannot be gone on from
        for chunk in self._backlog.take():
            self._write_chunk(chunk)
        self._is_open = True

    def _write_chunk(self, chunk: WaitingChunk) -> None:
        header, values, n_rows = self._header, chunk.values, len(chunk.values)
        sizes = sizes_of(values, header)
        if isinstance(chunk.made, BadValue):
            error = chunk.made
            row = self.n_rows + sizes.row_of(error.at // header.encoding_spec.n_bytes)
            raise ValueInvalid(error.rule, self.n_bytes, f"row {row} cannot be stored: {error.what}")
        assert chunk.made is not None
        raw, stored = chunk.made
        if stored is None:
            coded = self._coded(values)
            stored = raw if coded is None else coded
        try:
            packed = None if chunk.names is None else chunk.names.to_bytes()
        except BadNames as error:
            raise NamesInvalid(error.rule, self.n_bytes, error.what) from None
        if chunk.fields is not None:
            self._write_fields(chunk.fields)
        if header.has_free_sizes:
            self._out.chunk(assigned.SIZES, sizes.to_bytes(), n_rows=n_rows, first_row=self.n_rows)
        if chunk.receipts:
            self._out.chunk(assigned.RECEIPT, chunk.receipts, n_rows=n_rows, first_row=self.n_rows)
        if packed is not None:
            self._out.chunk(assigned.NAME, packed, n_rows=n_rows, first_row=self.n_rows)
        self._out.chunk(assigned.ROWS, raw, n_rows=n_rows, first_row=self.n_rows, stored=stored)
        self.n_rows += n_rows
        self._n_values += sizes.n_values
        self._n_chunks += 1

    def _write_fields(self, fields: RowFields) -> None:
        try:
            packed = fields.to_bytes()
        except BadFields as error:
            raise FieldsInvalid(error.rule, self.n_bytes, error.what) from None
        self._out.chunk(assigned.FIELDS, packed, n_rows=len(fields), first_row=self.n_rows)

    def _coded(self, values: NDArray[Any] | RaggedRows) -> bytes | None:
        """The rows as codec rans has them, if that is smaller and may be decoded (C6-8).

        Raises ValueInvalid for a latent that the decoder does not take (M4-7), at its byte in the rows.
        """
        prior, sizes = self._prior, sizes_of(values, self._header)
        assert prior is not None
        flat = values.flat if isinstance(values, RaggedRows) else values.reshape(-1)
        self._check_range(flat, sizes, prior)
        left = self._budget.left(self._n_chunks, self.n_bytes)
        if isinstance(prior, Prior):
            coded = rans.encode_rows(flat.reshape(-1, *prior.dims), prior, most_steps=left)
        else:
            coded = rans_passes.encode_passes(flat, sizes, prior, most_steps=left)
        if coded is None or len(coded) >= flat.nbytes:
            return None
        n_lanes = 1 << coded[0]
        if isinstance(prior, Prior):
            steps = rans.n_steps(len(values), n_lanes, prior.n_values)
        else:
            steps = rans_passes.n_passes_steps(prior, sizes, n_lanes)
        self._budget.charge(self._n_chunks, steps)
        return coded

    def _check_range(self, flat: NDArray[Any], sizes: RowSizes, prior: AnyPrior) -> None:
        """M4-7, at the byte of the value in the rows handed over, of one byte a value."""
        import numpy as np

        bad = np.flatnonzero((flat < prior.lo) | (flat > prior.hi))
        if bad.size:
            first = int(bad[0])
            row = self.n_rows + sizes.row_of(first)
            what = f"row {row} holds {flat[first]}, the decoder takes {prior.lo} to {prior.hi}"
            raise ValueInvalid("M4-7", self._n_values + first, what)

    def close(self) -> None:
        """Write what waits, an index if there is more than one chunk of rows, and the trailer."""
        if self.content_id is not None:
            return
        self._check_open()
        if self.n_waiting:
            self._write_waiting()
        self._is_open = False
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
