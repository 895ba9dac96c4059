"""Reading latents by random access: any row of a complete file.

Owns Latents: rows, and what stands in front of them.  Importing it loads neither NumPy nor TensorFlow; NumPy comes with the
first array.
"""

from __future__ import annotations

import os
import weakref
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import cached_property
from operator import attrgetter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from aeformat.container import assigned, costs, encodings, payloads
from aeformat.container.columns import RowFields
from aeformat.container.decoder_prior import AnyPrior, DecoderPrior
from aeformat.container.described import Described
from aeformat.container.fast_rows import ChunksOfRows, FastRows
from aeformat.container.field_types import FieldTypes
from aeformat.container.field_views import Fields
from aeformat.container.front import Front
from aeformat.container.fronts import Fronts
from aeformat.container.limits import DEFAULT, Limits
from aeformat.container.name_index import NameIndex
from aeformat.container.names import RowNames
from aeformat.container.opened import INSTEAD, OpenedFile, RandomFile
from aeformat.container.parser import ChunkRead
from aeformat.container.payloads import Block
from aeformat.container.ragged import RaggedRows
from aeformat.container.receipted import with_same_receipts
from aeformat.container.recent import ForkLock, Recent
from aeformat.container.row_access import RowAccess
from aeformat.container.seeking import Chunks, Framing, WholeChunks
from aeformat.container.sequence import check_rows, raise_first
from aeformat.container.sizes import RowSizes
from aeformat.container.stream import latents_header
from aeformat.container.wire import IndexEntry, Trailer
from aeformat.errors import FormatError, StructureInvalid, UsageError
from aeformat.paths import absolute, checked_path, named

if TYPE_CHECKING:
    from numpy.typing import NDArray


CACHE_BYTES: Final = 1 << 25  # of chunks that are kept decoded
_MAPPED_BYTES: Final = 1 << 12  # what a chunk counts whose rows lie in the mapped file


class Latents(RowAccess):
    """Random access to the rows of a latents file, for several threads and processes.

    path: the file.  Only preamble, header, trailer and index are read at first; each chunk is
    checked when one of its rows is wanted.  The content id as a whole is not checked: read forward for that.
    cache_bytes: chunks that were used last are kept decoded, as many as make that together, and always one.
    mmap: rows of uncompressed binary encodings lie in the mapped file, without a copy (bf16 is still widened, unless it comes
    as bits).  If another program then cuts the file, the system ends whoever touches what is gone (SIGBUS).  Without it all
    but `stored_chunks` copies, so that a file which is cut meanwhile is an error (Truncated).
    incomplete: take a file that is cut, or that is being written, and hand out the rows of its whole chunks; `damage` then
    says what comes behind them.
    find_prior: asked for the prior of the file's decoder when rows first take one that is not inside the file.
    bf16_bits: as `as_bits`.
    open_file: opens the file by its path; another one than OpenedFile reads what is no file of this machine.
    It can be pickled, if find_prior can: the file is opened again by its path, and must still have the same content id.
    Raises FormatError, Truncated if the file is incomplete, UsageError if it is no ordinary file, OSError.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        limits: Limits = DEFAULT,
        cache_bytes: int = CACHE_BYTES,
        mmap: bool = False,
        incomplete: bool = False,
        find_prior: Callable[[Latents], DecoderPrior] | None = None,
        bf16_bits: bool = False,
        open_file: Callable[[str], RandomFile] = OpenedFile,
    ) -> None:
        self._limits, self._is_mapped, self._find_prior = limits, mmap, find_prior
        self._options: dict[str, Any] = {
            "cache_bytes": cache_bytes,
            "mmap": mmap,
            "incomplete": incomplete,
            "find_prior": find_prior,
            "bf16_bits": bf16_bits,
            "open_file": open_file,
        }
        self.has_bf16_bits = bf16_bits
        self._decoding = ForkLock()  # of codec rans, whose steps are counted
        self._prior: AnyPrior | None = None
        self._has_used_decoder = False  # the embedded one
        self._names: NameIndex | None = None
        self.trailer: Trailer | None = None
        self.damage: FormatError | None = None
        self.name = checked_path(path, instead=INSTEAD)
        """The path, as it was given."""
        with named(self.name):
            self._open(incomplete=incomplete)

    @property
    def _lies_in_file(self) -> bool:
        return self._is_mapped and self.header.codec == "none" and not self.header.encoding_spec.is_text

    def _open(self, *, incomplete: bool) -> None:
        limits = self._limits
        self._file: RandomFile = self._options["open_file"](self.name)
        self._budget = costs.StepBudget(limits.rans_steps, file_bytes=self._file.size)
        try:
            framing = Framing(self._file.read, self._file.size, limits)
            self.header = latents_header(framing.header)
            if self._lies_in_file:
                framing.view = self._file.view()
            # No bound method: it would keep the file open.
            size_of = (lambda _: _MAPPED_BYTES) if self._lies_in_file else attrgetter("n_bytes")
            self._blocks: Recent[Block] = Recent(self._options["cache_bytes"], size_of)
            self._open_rows(framing, incomplete=incomplete)
        except BaseException:
            self._file.close()
            raise
        self._starts = [entry.first_row for entry in self._entries]
        self._fronts = Fronts(self._chunks, self.header, self._entries)

    def _open_rows(self, framing: Framing, *, incomplete: bool) -> None:
        try:
            chunks = Chunks(framing)
            self._chunks, self._entries, self.trailer = chunks, chunks.rows(), chunks.trailer
        except FormatError as error:
            if not incomplete:
                raise
            whole = WholeChunks(framing)
            self._chunks, self._entries, self.damage = whole, whole.rows(), whole.damage or error
        self.n_rows = sum(entry.n_rows for entry in self._entries)
        """Rows in the file."""

    def _rows_chunk(self, entry: IndexEntry, sizes: RowSizes) -> ChunkRead:
        chunk = self._chunks.chunk(entry.at, entry.number)
        header = chunk.header
        if (header.tag, header.first_row, header.n_rows) != (assigned.ROWS, entry.first_row, entry.n_rows):
            raise StructureInvalid("C8-1", entry.at, f"the index is not that of chunk {entry.number}")
        raise_first(check_rows(self.header, header, entry.at, sizes))
        return chunk._replace(sizes=sizes)

    def _block(self, row: int) -> Block:
        """The chunk that holds this row; the last ones are kept."""
        return self._blocks.get(bisect_right(self._starts, row) - 1, self._read_block)

    def _read_block(self, position: int) -> Block:
        with named(self.name):
            if self.header.codec != "rans":
                return self._decoded(position)
            with self._decoding:
                return self._decoded(position)

    def _row(self, row: int) -> NDArray[Any]:
        found = None if self._fast is None else self._fast.row(row)
        return super()._row(row) if found is None else found

    def _gathered(self, rows: NDArray[Any]) -> NDArray[Any] | RaggedRows:
        if self._fast is None:
            return super()._gathered(rows)
        with named(self.name):
            return self._fast.gathered(rows, self._block)

    def rows(self, start: int, stop: int) -> NDArray[Any] | Any:
        """As RowAccess has it; many rows of one size are read by several threads."""
        self._check_range(start, stop)
        with named(self.name):
            found = None if self._fast is None else self._fast.rows(start, stop, self._block)
        return super().rows(start, stop) if found is None else found

    @cached_property
    def _fast(self) -> FastRows | None:
        """For rows of one size in a file of this machine; elsewhere each request costs more than what it saves."""
        if self.header.has_free_sizes or not isinstance(self._file, OpenedFile):
            return None
        starts, kept = [*self._starts, self.n_rows], self._options["cache_bytes"]
        me = weakref.proxy(self)  # in no circle: a reader that is let go of lets go of its file at once
        chunks = ChunksOfRows(
            self.name, self._file, self.header, starts,
            lambda position: me._checked_rows(position),  # noqa: PLW0108 - the method itself would hold the reader
            lambda position: me._read_block(position),  # noqa: PLW0108
            self._blocks, kept,
        )  # fmt: skip
        return FastRows(chunks, self.dtype, is_mapped=self._is_mapped, bf16_bits=self.has_bf16_bits)

    def _checked_rows(self, position: int) -> tuple[Front, ChunkRead]:
        """What stands in front of a chunk of rows, and the chunk."""
        entry, front = self._entries[position], self._fronts.of(position)
        return front, self._rows_chunk(entry, front.sizes)

    def _decoded(self, position: int) -> Block:
        entry = self._entries[position]
        front, chunk = self._checked_rows(position)
        if payloads.is_coded(chunk, self.header) and self._prior is None:
            payloads.check_coded(chunk, self.header, self._budget)
            if self.needs_prior and self._find_prior is not None:
                self.give_prior(self._find_prior(self))
        values = payloads.rows(chunk, self.header, self._prior, self._budget, bf16_bits=self.has_bf16_bits)
        values.setflags(write=False)  # it is handed out more than once
        names = None if front.names is None else payloads.row_names(front.names, self.header)
        receipts = None if front.receipts is None else payloads.row_receipts(front.receipts, front.sizes)
        fields = None if front.fields is None else self._fronts.fields(position)
        block = Block(entry.first_row, values, names, receipts, payloads.values_at(chunk, self.header), fields)
        if self._fast is not None:
            self._fast.take(block, position)
        return block

    def __repr__(self) -> str:
        if self.header.has_free_sizes:
            dims = tuple(size or None for size in self.header.dims)
            return f"<aeformat.Latents {self.name}, {self.n_rows} rows of {dims}, {self.header.values}>"
        return f"<aeformat.Latents {self.name}, shape {self.shape}, {self.header.values}>"

    @property
    def described(self) -> Described | None:
        """What the latents are, where the header says it (spec/container.md, section 3.3)."""
        return self.header.described

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
            parts = [self._fronts.of(position).sizes for position in range(first, last + 1)]
        before = self._starts[first]
        return RowSizes.join(parts).slice(start - before, stop - before)

    def chunk_starts(self) -> list[int]:
        """The first row of each chunk of rows, in order.  No row is read."""
        return list(self._starts)

    def as_bits(self) -> Latents:
        """The same file, opened again: bf16 comes as its bits, uint16, and is not widened.

        Raises as opening does, UsageError if it is another file by now.
        """
        options = {**self._options, "bf16_bits": True}
        return _reopened(absolute(self.name), self._limits, options, self.content_id, self._prior)

    def with_receipted(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Ascending numbers of rows, and beside them all rows that the same digests of receipts are for.

        What has to be decoded to check these rows.  Raises FormatError.
        """
        if not self.has_receipts:
            return rows
        with named(self.name):
            return with_same_receipts(rows, [*self._starts, self.n_rows], self.header, self._fronts)

    def index_of(self, name: str) -> int:
        """The number of the first row of that name.  The first call reads all row names, and keeps 16 bytes for each.

        Raises KeyError (no row of that name), FormatError.
        """
        with named(self.name):
            if self._names is None:
                self._names = NameIndex(self.row_names())
            return self._names.row_of(name, self.name_of)

    def row_names(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        """(first row, names of the rows from there on) of each chunk whose rows have names.  No row is read."""
        return self._fronts.named(self._starts)

    def all_names(self) -> Iterator[tuple[int, int, RowNames | None]]:
        """(first row, rows, their names, labels and sources) of each chunk.  No row is read.  Raises FormatError."""
        with named(self.name):
            yield from self._fronts.all_names()

    def name_of(self, row: int) -> str | None:
        """The name of a row; None if it has none.  The row is not read.  Raises FormatError."""
        position = bisect_right(self._starts, row) - 1
        names = self._fronts.names(position)
        return None if names is None or names.names is None else names.names[row - self._starts[position]]

    @property
    def fields(self) -> Fields:
        """What stands beside the rows, by name: fields["caption"][10:20].  No row is read.  Raises FormatError."""
        return Fields(self.field_types, self.n_rows, self.fields_at)

    def fields_at(self, row: int) -> tuple[int, RowFields]:
        """The first row of the chunk that holds a row, and the fields of all its rows; of a file that has fields."""
        position = bisect_right(self._starts, row) - 1
        with named(self.name):
            return self._starts[position], self._fronts.fields(position)

    @property
    def field_types(self) -> FieldTypes:
        """Name and type of each field; empty where there are none.  Raises FormatError."""
        with named(self.name):
            return self._fronts.field_types

    @property
    def n_bytes(self) -> int:
        """Length of the file."""
        return self._file.size

    @property
    def content_id(self) -> bytes | None:
        """What the content of the file is known by; None if the file is incomplete."""
        return None if self.trailer is None else self.trailer.content_id

    def __reduce__(self) -> tuple[Any, ...]:
        path = absolute(self.name)
        return _reopened, (path, self._limits, self._options, self.content_id, self._prior)

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
            sizes = self.header.sizes_of(entry.n_rows) or self._fronts.of(position).sizes
            chunk = self._rows_chunk(entry, sizes)
            payload = view[chunk.payload_at : chunk.payload_at + chunk.header.stored_bytes]
            yield encodings.stored_view(payload, self.header, sizes)

    @property
    def has_receipts(self) -> bool:
        """Whether there are receipts of the rows: of all or of none (C4-6).  Raises FormatError."""
        with named(self.name):
            return bool(self._entries) and self._fronts.of(0).receipts is not None

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
        self._blocks.clear()
        self._file.close()

    def __enter__(self) -> Latents:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _reopened(
    path: str, limits: Limits, options: dict[str, Any], content_id: bytes | None, prior: AnyPrior | None
) -> Latents:
    latents = Latents(path, limits=limits, **options)
    if latents.content_id != content_id:
        latents.close()
        raise UsageError(f"{path} is another file than the one that was pickled: its content id is not the same")
    latents._prior = prior
    return latents


def open_latents(
    path: str | os.PathLike[str],
    *,
    limits: Limits = DEFAULT,
    cache_bytes: int = CACHE_BYTES,
    mmap: bool = False,
    incomplete: bool = False,
) -> Latents:
    """Random access to the rows of a latents file.  See Latents."""
    return Latents(path, limits=limits, cache_bytes=cache_bytes, mmap=mmap, incomplete=incomplete)
