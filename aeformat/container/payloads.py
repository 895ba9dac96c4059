"""Stored payloads -> what they mean: raw bytes, rows of values, row names (spec/container.md, sections 5 to 7).

Owns the step from a chunk whose framing is good to its content, and the file offset of an error inside it.  Knows nothing
of where chunks come from.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

from aeformat.container import assigned, costs, rans, rans_passes
from aeformat.container.columns import RowFields, parse_fields
from aeformat.container.content import ContentId
from aeformat.container.decoder_prior import AnyPrior, DecoderPrior, read_decoder_prior
from aeformat.container.encodings import BadValue, check_finite, decode
from aeformat.container.field_types import BadFields, FieldTypes
from aeformat.container.header import Header, LatentsHeader
from aeformat.container.limits import DEFAULT, Limits
from aeformat.container.names import BadNames, RowNames, parse_names
from aeformat.container.parser import ChunkRead, TrailerRead
from aeformat.container.passes import PassesPrior
from aeformat.container.prior import Prior
from aeformat.container.ragged import RaggedRows
from aeformat.container.raw import raw_payload, raw_payload_into
from aeformat.container.receipts import DIGEST_BYTES, Receipts
from aeformat.container.sizes import RowSizes
from aeformat.errors import (
    CompressionInvalid,
    ContentMismatch,
    DecoderMissing,
    FieldsInvalid,
    FormatError,
    Hint,
    LimitExceeded,
    NamesInvalid,
    StructureInvalid,
    ValueInvalid,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


class ValuesAt(NamedTuple):
    """Where values stand in their file.  at: byte of the first.  n_bytes: of each; 0 in a compressed payload."""

    at: int
    n_bytes: int


class Block(NamedTuple):
    """Rows that came together.  names, receipts, fields: of the same rows, if any.  place: where the values stand in a file.

    values: in the header's value type, (n, *dims); where rows have sizes of their own a RaggedRows, a sequence of n arrays.
    """

    first_row: int
    values: NDArray[Any] | Any
    names: RowNames | None = None
    receipts: Receipts | None = None
    place: ValuesAt | None = None
    fields: RowFields | None = None

    @property
    def n_bytes(self) -> int:
        """What its values take."""
        return int((self.values.flat if isinstance(self.values, RaggedRows) else self.values).nbytes)

    def byte_of(self, number: int) -> int:
        """Where in the file value `number` stands, counted from 0 in C order; in the values as bytes where there is no file."""
        if self.place is None:
            return int(number * self.values.itemsize)
        return self.place.at + number * self.place.n_bytes

    def slice(self, start: int, stop: int) -> Block:
        """Rows start to stop - 1, counted from the first here; where there are receipts, both ends are ends of runs."""
        return Block(
            self.first_row + start,
            self.values[start:stop],
            None if self.names is None else self.names.slice(start, stop),
            None if self.receipts is None else self.receipts.slice(start, stop),
            None if self.place is None else self._place_of_row(self.place, start),
            None if self.fields is None else self.fields.slice(start, stop),
        )

    def pick(self, rows: NDArray[Any]) -> Block:
        """Some rows, as ascending numbers counted from the first here; where there are receipts, whole runs."""
        return Block(
            self.first_row + int(rows[0]),
            self.values[rows],
            None if self.names is None else self.names.pick(rows.tolist()),
            None if self.receipts is None else self.receipts.pick(rows),
            fields=None if self.fields is None else self.fields.pick(rows),
        )

    def _place_of_row(self, place: ValuesAt, row: int) -> ValuesAt:
        if isinstance(self.values, RaggedRows):
            n_before = self.values.sizes.start(row)
        else:
            n_before = row * (self.values.size // len(self.values))
        return place._replace(at=place.at + n_before * place.n_bytes)


def raw_rows(
    chunk: ChunkRead, header: LatentsHeader, prior: AnyPrior | None = None, budget: costs.StepBudget | None = None
) -> bytes | memoryview:
    """The raw payload of a ROWS chunk.  Raises CompressionInvalid, LimitExceeded (C6-8), DecoderMissing."""
    if is_coded(chunk, header):
        most_steps = check_coded(chunk, header, budget, prior)
        if prior is None:
            raise missing_prior(header)
        try:
            if isinstance(prior, Prior):
                return rans.decode_rows(chunk.stored, prior, n_rows=chunk.header.n_rows, most_steps=most_steps)
            assert chunk.sizes is not None
            return rans_passes.decode_passes(chunk.stored, prior, chunk.sizes)
        except rans.BadCode as error:
            raise _bad_code(chunk, error) from None
    spec = header.encoding_spec
    return raw_payload(chunk, header, 1 if spec.is_text else spec.n_bytes)


def missing_prior(header: LatentsHeader) -> DecoderMissing:
    """The error where rows take a prior that nobody gave."""
    by = "what computes the passes of its prior" if header.has_free_sizes else "it"
    return DecoderMissing(
        f"the rows are coded with decoder {header.decoder.hex()}, and {by} is not here", hint=Hint.GET_DECODER
    )


def is_coded(chunk: ChunkRead, header: LatentsHeader) -> bool:
    """Whether it takes the decoder's prior to read this ROWS chunk."""
    return header.codec == "rans" and chunk.header.stored_bytes < chunk.header.raw_bytes


def check_coded(
    chunk: ChunkRead,
    header: LatentsHeader,
    budget: costs.StepBudget | None = None,
    prior: AnyPrior | None = None,
) -> int:
    """What a coded ROWS chunk shows without the prior, and with passes the steps if the prior is here; those it may take.

    budget: of the file, which is then charged; None where the chunk stands alone.  Raises CompressionInvalid,
    LimitExceeded (C6-7 to C6-10).
    """
    n_rows, n_values = chunk.header.n_rows, header.n_values
    budget = costs.StepBudget() if budget is None else budget
    most_steps = budget.left(chunk.number, chunk.payload_at + len(chunk.stored))
    try:
        if header.has_free_sizes:
            assert chunk.sizes is not None
            if isinstance(prior, PassesPrior):
                budget.charge(chunk.number, rans_passes.check_steps(chunk.stored, prior, chunk.sizes, most_steps))
            rans_passes.check_passes_code(chunk.stored, chunk.sizes.n_values)
            return most_steps
        n_lanes = rans.check_code(chunk.stored, n_rows=n_rows, n_values=n_values, most_steps=most_steps)
    except rans.BadCode as error:
        raise _bad_code(chunk, error) from None
    budget.charge(chunk.number, rans.n_steps(n_rows, n_lanes, n_values))
    return most_steps


def _bad_code(chunk: ChunkRead, error: rans.BadCode) -> FormatError:
    kind = LimitExceeded if error.rule == "C6-8" else CompressionInvalid
    return kind(error.rule, chunk.payload_at, f"chunk {chunk.number}: {error.what}")


def rows(
    chunk: ChunkRead,
    header: LatentsHeader,
    prior: AnyPrior | None = None,
    budget: costs.StepBudget | None = None,
    *,
    bf16_bits: bool = False,
) -> NDArray[Any] | RaggedRows:
    """The values of a ROWS chunk whose sizes are known, in the header's value type: (n, *dims), or RaggedRows.

    prior: of the header's decoder, for codec rans.  budget: see check_coded.  bf16_bits: as in `decode`.
    Raises CompressionInvalid, LimitExceeded (C6-8), ValueInvalid, DecoderMissing.
    """
    assert chunk.sizes is not None
    raw = raw_rows(chunk, header, prior, budget)
    try:
        return decode(raw, header, chunk.sizes, bf16_bits=bf16_bits)
    except BadValue as error:
        raise _bad_value(chunk, error) from None


def rows_into(out: NDArray[Any], chunk: ChunkRead, header: LatentsHeader) -> None:
    """The values of a ROWS chunk of codec none or zstd into an array for them, where their bytes are the raw payload's.

    out: (n, *dims), in C order, of the header's value type; see encodings.is_as_stored.
    Raises CompressionInvalid, ValueInvalid.
    """
    raw_payload_into(out.reshape(-1).view("u1"), chunk, header, header.encoding_spec.n_bytes)
    try:
        check_finite(out, header)
    except BadValue as error:
        raise _bad_value(chunk, error) from None


def _bad_value(chunk: ChunkRead, error: BadValue) -> ValueInvalid:
    inside = error.at if chunk.header.stored_bytes == chunk.header.raw_bytes else 0
    return ValueInvalid(error.rule, chunk.payload_at + inside, f"chunk {chunk.number}: {error.what}")


def values_at(chunk: ChunkRead, header: LatentsHeader) -> ValuesAt:
    """Where the values of a ROWS chunk stand."""
    is_plain = chunk.header.stored_bytes == chunk.header.raw_bytes
    return ValuesAt(chunk.payload_at, header.encoding_spec.n_bytes if is_plain else 0)


def row_names(chunk: ChunkRead, header: Header) -> RowNames:
    """What a nAMe chunk says.  Raises CompressionInvalid, NamesInvalid."""
    raw = bytes(raw_payload(chunk, header))
    try:
        return parse_names(raw, chunk.header.n_rows)
    except BadNames as error:
        raise NamesInvalid(error.rule, chunk.payload_at, error.what) from None


def row_fields(chunk: ChunkRead, header: Header, types: FieldTypes | None) -> RowFields:
    """What an fLDs chunk says.  types: those of the first one, if it is another.  Raises CompressionInvalid, FieldsInvalid."""
    raw = bytes(raw_payload(chunk, header))
    try:
        return parse_fields(raw, chunk.header.n_rows, types)
    except BadFields as error:
        raise FieldsInvalid(error.rule, chunk.payload_at, error.what) from None


def row_receipts(chunk: ChunkRead, sizes: RowSizes) -> Receipts:
    """What a rCPT chunk says of rows of these sizes; it is never compressed."""
    ends = run_ends(sizes) if sizes.form.has_free_image else None
    return Receipts(chunk.header.first_row, chunk.payload_at, chunk.stored, ends)


def run_ends(sizes: RowSizes) -> list[int]:
    """Where the rows of each digest end."""
    return list(accumulate(rows for n_runs, rows in sizes.receipt_runs() for _ in range(n_runs)))


def embedded_prior(chunk: ChunkRead, header: LatentsHeader, limits: Limits = DEFAULT) -> DecoderPrior:
    """The prior of the decoder in a dECo chunk.  Raises FormatError (C7-4, or what is broken inside)."""
    found = read_decoder_prior(chunk.stored, at=chunk.payload_at, limits=limits)
    if found.model != header.decoder:
        raise StructureInvalid("C7-4", chunk.payload_at, "the embedded container is not the decoder of this file")
    return found


class RowReader:
    """Turns the chunks of one latents file, in order, into blocks, and proves the content id at the end.

    With codec rans the rows take the decoder's prior: that of the embedded decoder, or what `give_prior` gave.
    reads_decoder: whether to look for it in the embedded decoder; whoever checks that as a whole gives what it finds.
    proves_content: False for who passes the file on, and leaves the content id to its reader (transport.md, T4-2).
    find_prior: asked for the prior when rows first take one that neither came nor was given.
    """

    def __init__(
        self,
        header: LatentsHeader,
        *,
        reads_decoder: bool = True,
        proves_content: bool = True,
        limits: Limits = DEFAULT,
        find_prior: Callable[[], DecoderPrior] | None = None,
    ) -> None:
        self._header, self._proves_content, self._find_prior = header, proves_content, find_prior
        self._limits, self._reads_decoder = limits, reads_decoder
        self._prior: AnyPrior | None = None
        self.budget = costs.StepBudget(limits.rans_steps)
        self.n_unread = 0  # rows that `check` passed over, because their prior is not here
        self.n_unread_receipts = 0  # digests of such rows
        self.content = ContentId(header)  # of the rows so far
        self._names: RowNames | None = None
        self._receipts: ChunkRead | None = None  # the rCPT of the rows that come
        self._fields: RowFields | None = None  # of the rows that come
        self.field_types: FieldTypes | None = None  # of all rows, once the first came
        self.decoder: bytes | None = None  # the embedded decoder's container, once it came by

    @property
    def needs_prior(self) -> bool:
        """Whether rows may come that nothing here can decode."""
        return self._header.codec == "rans" and self._prior is None

    @property
    def held_bytes(self) -> int:
        """The memory that it keeps between two chunks: an embedded decoder, and a prior."""
        prior = 0 if self._prior is None else self._prior.held_bytes
        return prior + (0 if self.decoder is None else len(self.decoder))

    @property
    def decoder_id(self) -> bytes:
        """The model id of the decoder that the header names."""
        return self._header.decoder

    def give_prior(self, prior: DecoderPrior) -> None:
        """The prior of the header's decoder.  Raises DecoderMismatch, HeaderInvalid (C3-14, C3-16)."""
        self._prior = prior.of(self._header) or self._prior

    def n_steps(self, chunk: ChunkRead) -> int:
        """The steps of a ROWS chunk that is coded with passes, as far as that can be known (C6-8); 0 of any other."""
        if not isinstance(self._prior, PassesPrior) or not is_coded(chunk, self._header):
            return 0
        assert chunk.sizes is not None
        try:
            left = self.budget.left(chunk.number, chunk.payload_at + len(chunk.stored))
            return rans_passes.check_steps(chunk.stored, self._prior, chunk.sizes, left)
        except rans.BadCode:
            return 0  # it is refused before it takes any

    def check(self, chunk: ChunkRead) -> Block | None:
        """The same as `chunk`, but rows that cannot be decoded for want of a prior are checked as far as they can be."""
        if chunk.header.tag == assigned.ROWS and self.needs_prior and is_coded(chunk, self._header):
            check_coded(chunk, self._header, self.budget)
            self.n_unread_receipts += 0 if self._receipts is None else len(self._receipts.stored) // DIGEST_BYTES
            self._names = self._receipts = self._fields = None
            self.n_unread += chunk.header.n_rows
            return None
        return self.chunk(chunk)

    def chunk(self, chunk: ChunkRead) -> Block | None:
        """Take the next chunk; a block if it holds rows.  Raises FormatError; DecoderMissing for rows without their prior."""
        tag = chunk.header.tag
        if tag == assigned.NAME:
            self._names = row_names(chunk, self._header)
        elif tag == assigned.RECEIPT:
            self._receipts = chunk
        elif tag == assigned.FIELDS:
            self._fields = row_fields(chunk, self._header, self.field_types)
            self.field_types = self._fields.types
        elif tag == assigned.DECODER:
            self.decoder = chunk.stored
            if self._header.codec == "rans" and self._reads_decoder:
                self.give_prior(embedded_prior(chunk, self._header, self._limits))
        elif tag == assigned.ROWS:
            if self._find_prior is not None and self.needs_prior and is_coded(chunk, self._header):
                self.give_prior(self._find_prior())
            values = rows(chunk, self._header, self._prior, self.budget)
            if self._proves_content:
                self.content.add(values)
            assert chunk.sizes is not None
            receipts = None if self._receipts is None else row_receipts(self._receipts, chunk.sizes)
            place = values_at(chunk, self._header)
            block = Block(chunk.header.first_row, values, self._names, receipts, place, self._fields)
            self._names = self._receipts = self._fields = None
            return block
        return None

    def trailer(self, event: TrailerRead) -> None:
        """Check the content id (C9-6), unless there are rows that could not be read.  Raises ContentMismatch."""
        if self._proves_content and not self.n_unread and self.content.digest() != event.trailer.content_id:
            raise ContentMismatch("C9-6", event.at + 28, "the content is not the one that the content id names")
