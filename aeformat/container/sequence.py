"""What may follow what in a container, and what the chunks must add up to (spec/container.md, sections 4, 8, 9).

Owns the order of chunks, their row counts and lengths, and the index and trailer they demand.  Sees chunk headers only, and the
payload of a SIZE, which says how long the rows behind it are.
Every check yields the errors it finds instead of raising the first, so that a validator can have them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final
from zlib import crc32

from aeformat.container import wire
from aeformat.container.assigned import (
    DECODER,
    FIELDS,
    FREE_SIZES,
    INDEX,
    KIND_OF_TAG,
    MANIFEST,
    NAME,
    NEVER_COMPRESSED,
    NO_DECODER,
    RECEIPT,
    ROWS,
    SIZES,
    TENSOR,
)
from aeformat.container.header import Header, LatentsHeader
from aeformat.container.limits import ALIGNMENT, Limits
from aeformat.container.receipts import DIGEST_BYTES
from aeformat.container.sizes import BadSizes, RowSizes
from aeformat.container.wire import ChunkHeader, IndexEntry, Trailer
from aeformat.errors import ContentMismatch, FormatError, LimitExceeded, StructureInvalid, Unsupported

_WHAT: Final = {SIZES: "sizes", RECEIPT: "receipts", NAME: "row names", ROWS: "rows"}
_OF_ROWS: Final = (SIZES, RECEIPT, NAME, ROWS)
_OTHER: Final = b""  # any ancillary tag that this version does not know

# C4-6, M1-1, M1-3: state -> tag -> next state.  What is absent is refused.
_NEXT: Final[dict[str, dict[str, dict[bytes, str]]]] = {
    "latents": {
        "start": {DECODER: "ready", RECEIPT: "receipt", NAME: "named", ROWS: "rows", INDEX: "end", _OTHER: "start"},
        "ready": {RECEIPT: "receipt", NAME: "named", ROWS: "rows", INDEX: "end", _OTHER: "ready"},
        "rows": {NAME: "named", ROWS: "rows", INDEX: "end", _OTHER: "rows"},
        "named": {ROWS: "rows"},
        "receipt": {NAME: "receipt, named", ROWS: "proved rows"},
        "receipt, named": {ROWS: "proved rows"},
        "proved rows": {RECEIPT: "receipt", INDEX: "end", _OTHER: "proved rows"},
        "end": {},
    },
    "latents with sizes": {
        "start": {DECODER: "ready", SIZES: "sized", INDEX: "end", _OTHER: "start"},
        "ready": {SIZES: "sized", INDEX: "end", _OTHER: "ready"},
        "sized": {RECEIPT: "receipt", NAME: "named", ROWS: "rows"},
        "rows": {SIZES: "sized again", INDEX: "end", _OTHER: "rows"},
        "sized again": {NAME: "named", ROWS: "rows"},
        "named": {ROWS: "rows"},
        "receipt": {NAME: "receipt, named", ROWS: "proved rows"},
        "receipt, named": {ROWS: "proved rows"},
        "proved rows": {SIZES: "sized, to be proved", INDEX: "end", _OTHER: "proved rows"},
        "sized, to be proved": {RECEIPT: "receipt"},
        "end": {},
    },
    "model": {
        "start": {MANIFEST: "tensors"},
        "tensors": {TENSOR: "tensors", _OTHER: "tensors"},
    },
}
_NO_TRAILER: Final = {
    "latents": {"named", "receipt", "receipt, named"},
    "latents with sizes": {"named", "receipt", "receipt, named", "sized", "sized again", "sized, to be proved"},
    "model": {"start"},
}  # where the file must not end


def is_known(tag: bytes, header: Header) -> bool:
    """Whether a tag is assigned in a file with this header (C4-5)."""
    return tag in KIND_OF_TAG and (tag != SIZES or bool(header.flags & FREE_SIZES))


def needs_decoder(tag: bytes, header: Header) -> bool:
    """Whether a chunk has no place in a file whose decoder is not known (C4-6)."""
    return bool(header.flags & NO_DECODER) and tag in (DECODER, RECEIPT)


def padding_bytes(header: Header, tag: bytes, payload_at: int) -> int:
    """Zero bytes between chunk header and payload (C4-9), if the payload could begin at `payload_at`."""
    if header.codec != "none":
        return 0
    is_aligned = tag == TENSOR or (
        tag == ROWS and isinstance(header, LatentsHeader) and header.encoding_spec.is_aligned
    )
    return -payload_at % ALIGNMENT if is_aligned else 0


def most_bytes(tag: bytes, limits: Limits) -> int:
    """The raw size that a reader with these limits allows a chunk with this tag (C4-4)."""
    return min(limits.chunk_bytes, limits.names_bytes) if tag == NAME else limits.chunk_bytes


def raise_first(errors: Iterable[FormatError]) -> None:
    """What a reader does with the problems that a check yields."""
    for error in errors:
        raise error


def check_plain(header: Header, chunk: ChunkHeader, at: int) -> Iterator[FormatError]:
    """The part of C4-8 that one chunk header, at byte `at`, shows: what must not be compressed is not."""
    is_plain = chunk.tag in KIND_OF_TAG and (header.codec == "none" or chunk.tag in NEVER_COMPRESSED)
    if is_plain and chunk.stored_bytes != chunk.raw_bytes:
        yield StructureInvalid("C4-8", at + 16, f"chunk {chunk.tag.decode('ascii')} must not be compressed here")


def check_receipt(chunk: ChunkHeader, at: int, sizes: RowSizes | None) -> Iterator[FormatError]:
    """The part of C4-8 that is about a rCPT: it has a digest for each run of its rows.  sizes: of them, None if not known."""
    if chunk.tag != RECEIPT or sizes is None:
        return
    expected = DIGEST_BYTES * sum(n_runs for n_runs, _ in sizes.receipt_runs())
    if chunk.raw_bytes != expected:
        yield StructureInvalid(
            "C4-8", at + 20, f"receipts of {chunk.n_rows} rows take {expected} bytes, not {chunk.raw_bytes}"
        )


def check_cover(chunk: ChunkHeader, at: int, rows: ChunkHeader | IndexEntry) -> Iterator[FormatError]:
    """The part of C4-7 that is about what stands with the rows, at byte `at`: it speaks of the same rows."""
    what = f"{_WHAT[chunk.tag]} are not of the rows that they stand with"
    if chunk.n_rows != rows.n_rows:
        yield StructureInvalid("C4-7", at + 4, what)
    elif chunk.first_row != rows.first_row:
        yield StructureInvalid("C4-7", at + 8, what)


def check_first_fields(chunk: ChunkHeader, at: int, n_before: int) -> Iterator[FormatError]:
    """The part of C22-2 that an fLDs, at byte `at`, shows itself.  n_before: rows before it."""
    if not chunk.n_rows:
        yield StructureInvalid("C22-2", at + 4, "fields of no rows")
    if chunk.first_row != n_before:
        yield StructureInvalid("C22-2", at + 8, f"fields begin at row {chunk.first_row}, {n_before} came before")


def check_rows(header: LatentsHeader, chunk: ChunkHeader, at: int, sizes: RowSizes) -> Iterator[FormatError]:
    """The part of C4-8 that is about a ROWS: it is as long as its rows."""
    expected = sizes.n_values * header.encoding_spec.n_bytes
    if chunk.raw_bytes != expected:
        what = f"{chunk.n_rows} rows take {expected} bytes, not {chunk.raw_bytes}"
        yield StructureInvalid("C4-8", at + 20, what)


def check_sizes_length(header: LatentsHeader, chunk: ChunkHeader, at: int) -> Iterator[FormatError]:
    """The part of C4-8 that is about a SIZE: whole entries, no more than rows."""
    n_entries, rest = divmod(chunk.raw_bytes, header.form.entry_bytes)
    if rest or n_entries > chunk.n_rows:
        what = (
            f"sizes of {chunk.raw_bytes} bytes are not made of 1 to {chunk.n_rows} entries of {header.form.entry_bytes}"
        )
        yield StructureInvalid("C4-8", at + 20, what)


def read_sizes(header: LatentsHeader, chunk: ChunkHeader, payload: bytes, at: int) -> RowSizes:
    """The sizes in the payload of a SIZE chunk, at byte `at`.  Raises StructureInvalid, LimitExceeded (C5-5 to C5-8)."""
    try:
        return RowSizes.parse(header.form, payload, chunk.n_rows, value_bytes=header.encoding_spec.n_bytes)
    except BadSizes as error:
        kind = LimitExceeded if error.is_limit else StructureInvalid
        raise kind(error.rule, at + error.at, f"sizes of rows: {error.what}") from None


class ChunkSequence:
    """The chunks of one file as they come."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self._table = "latents with sizes" if header.flags & FREE_SIZES else header.kind
        self._state = "start"
        self._index = bytearray()  # the payload that an index must have
        self._index_at = 0
        self._waiting: tuple[
            tuple[ChunkHeader, int], ...
        ] = ()  # rCPT and nAMe that wait for their ROWS, and where they are
        self._sized: ChunkHeader | None = None  # the SIZE of the chunks up to its ROWS
        self._sizes: RowSizes | None = None  # what it says, if that is good
        self.row_sizes: RowSizes | None = None  # of the last ROWS; None where they are not known
        self._fields: tuple[ChunkHeader, int] | None = None  # the fLDs that waits for its ROWS, and where it is
        self._has_fields: bool | None = None  # whether rows have fields: all or none
        self._has_begun = False  # a chunk that belongs to rows has come, their ROWS not yet
        self._chain_crc = 0
        self.n_chunks = 0
        self.n_rows = 0

    def check(self, chunk: ChunkHeader, at: int) -> Iterator[FormatError]:
        """C4-5 and C4-6 to C4-8 for the next chunk, whose header is at byte `at`; C4-4 has been checked."""
        tag, name = chunk.tag, chunk.tag.decode("ascii")
        is_assigned = is_known(tag, self._header)
        if not is_assigned and chunk.is_critical:
            yield Unsupported("C4-5", at, f"critical chunk {name} that this reader does not know")
        is_plain = is_assigned and not (tag == FIELDS and self._header.kind == "latents")
        following = _NEXT[self._table][self._state].get(tag if is_plain else _OTHER)
        if needs_decoder(tag, self._header):
            following = None
        if following is None:
            yield self._misplaced(chunk, at)
        else:
            self._state = following
        if tag == ROWS:
            yield from self._check_rows(chunk, at)
        elif tag in (RECEIPT, NAME):
            yield from self._check_with_rows(chunk, at)
        elif is_assigned and tag == SIZES:
            yield from self._check_sizes(chunk, at)
        elif is_assigned and tag != FIELDS and (chunk.n_rows or chunk.first_row):
            yield StructureInvalid("C4-7", at + (4 if chunk.n_rows else 8), f"chunk {name} counts rows")
        yield from check_plain(self._header, chunk, at)
        if isinstance(self._header, LatentsHeader):
            yield from self._check_fields(chunk, at)
        if tag == INDEX:
            self._index_at = at
        self._chain_crc = crc32(wire.crc_field(chunk.chunk_crc), self._chain_crc)
        self.n_chunks += 1

    def _misplaced(self, chunk: ChunkHeader, at: int) -> FormatError:
        name = chunk.tag.decode("ascii")
        kind = self._header.kind
        if kind == "model" and KIND_OF_TAG.get(chunk.tag, kind) == kind:
            return StructureInvalid("M1-1", at, f"chunk {name} where a model package has another")
        return StructureInvalid("C4-6", at, f"chunk {name} does not belong here in a {kind} file")

    def _check_numbers(self, chunk: ChunkHeader, at: int) -> Iterator[FormatError]:
        """C4-7 of the chunk that the others of its rows go by: a SIZE, or a ROWS where there is none."""
        if not chunk.n_rows:
            yield StructureInvalid("C4-7", at + 4, "a chunk of no rows")
        if chunk.first_row != self.n_rows:
            yield StructureInvalid("C4-7", at + 8, f"rows begin at {chunk.first_row}, {self.n_rows} came before")

    def _check_sizes(self, chunk: ChunkHeader, at: int) -> Iterator[FormatError]:
        assert isinstance(self._header, LatentsHeader)  # no other has the flag
        yield from self._check_numbers(chunk, at)
        yield from check_sizes_length(self._header, chunk, at)
        self._sized, self._sizes = chunk, None

    def take_sizes(self, payload: bytes, at: int) -> Iterator[FormatError]:
        """C5-5 to C5-8 for the payload, at byte `at`, of the SIZE that was checked last."""
        assert isinstance(self._header, LatentsHeader) and self._sized is not None
        if len(payload) % self._header.form.entry_bytes:
            return  # C4-8 has said so
        try:
            self._sizes = read_sizes(self._header, self._sized, payload, at)
        except FormatError as error:
            yield error

    def _check_with_rows(self, chunk: ChunkHeader, at: int) -> Iterator[FormatError]:
        """C4-7 and C4-8 of a rCPT or a nAMe, as far as they show before the ROWS."""
        if self._sized is not None:
            yield from check_cover(chunk, at, self._sized)
            yield from check_receipt(chunk, at, self._sizes)
            return
        self._waiting = (*self._waiting, (chunk, at))  # never changed in place, see `mark`
        yield from check_receipt(chunk, at, self._header_sizes(chunk.n_rows))

    def _header_sizes(self, n_rows: int) -> RowSizes | None:
        """The sizes of so many rows where the header says them all."""
        return self._header.sizes_of(n_rows) if isinstance(self._header, LatentsHeader) else None

    def _check_rows(self, chunk: ChunkHeader, at: int) -> Iterator[FormatError]:
        if self._sized is None:
            yield from self._check_numbers(chunk, at)
        else:
            yield from check_cover(chunk, at, self._sized)
        for waiting, waiting_at in self._waiting:
            yield from check_cover(waiting, waiting_at, chunk)
        self.row_sizes = self._header_sizes(chunk.n_rows) if self._sized is None else self._sizes
        self._waiting, self._sized, self._sizes = (), None, None
        if isinstance(self._header, LatentsHeader) and self.row_sizes is not None:
            yield from check_rows(self._header, chunk, at, self.row_sizes)
        self._index += IndexEntry(at, chunk.first_row, chunk.n_rows, self.n_chunks).pack()
        self.n_rows += chunk.n_rows

    def _check_fields(self, chunk: ChunkHeader, at: int) -> Iterator[FormatError]:
        """C22-1 and C22-2."""
        tag = chunk.tag
        if tag == FIELDS:
            if self._fields is not None or self._has_fields is False:
                yield StructureInvalid("C22-1", at, "fields where none may stand")
            yield from check_first_fields(chunk, at, self.n_rows)
            self._fields = chunk, at
        elif tag not in _OF_ROWS or not is_known(tag, self._header):
            if self._fields is not None and not self._has_begun:
                yield StructureInvalid("C22-1", at, f"chunk {tag.decode('ascii')} behind fields, without their rows")
        else:
            if not self._has_begun and self._has_fields and self._fields is None:
                yield StructureInvalid("C22-1", at, "rows without fields, where others have them")
            self._has_begun = tag != ROWS
            if tag == ROWS:
                yield from self._end_fields(chunk)

    def _end_fields(self, rows: ChunkHeader) -> Iterator[FormatError]:
        if self._has_fields is None:
            self._has_fields = self._fields is not None
        if self._fields is not None and self._fields[0].n_rows != rows.n_rows:
            yield StructureInvalid("C22-2", self._fields[1] + 4, "fields are not of the rows that they stand with")
        self._fields = None

    def check_index(self, payload: bytes, at: int) -> Iterator[FormatError]:
        """C8-1 for the payload, at byte `at`, of an iNDX chunk."""
        if payload == self._index:
            return
        size = wire.INDEX_ENTRY_BYTES
        first = next((i for i, (a, b) in enumerate(zip(payload, self._index, strict=False)) if a != b), None)
        entry = (min(len(payload), len(self._index)) if first is None else first) // size
        yield StructureInvalid(
            "C8-1", at + entry * size, f"entry {entry} of the index is not that of the rows it is for"
        )

    def check_trailer(self, trailer: Trailer, at: int) -> Iterator[FormatError]:
        """C9-3 to C9-5, and that the file may end here."""
        if self._state in _NO_TRAILER[self._table]:
            rule = "C4-6" if self._header.kind == "latents" else "M1-1"
            yield StructureInvalid(rule, at, "the file ends where another chunk must follow")
        if self._fields is not None and not self._has_begun:
            yield StructureInvalid("C22-1", at, "the file ends behind fields, without their rows")
        if trailer.n_chunks != self.n_chunks:
            yield StructureInvalid("C9-3", at + 4, f"{trailer.n_chunks} chunks stated, {self.n_chunks} found")
        if trailer.n_rows != self.n_rows:
            yield StructureInvalid("C9-3", at + 8, f"{trailer.n_rows} rows stated, {self.n_rows} found")
        elif self._header.kind == "latents" and not self.n_rows:
            yield StructureInvalid("C9-3", at + 8, "a latents file without a row")
        if trailer.index_at != self._index_at:
            yield StructureInvalid(
                "C9-4", at + 16, f"index stated at byte {trailer.index_at}, found at {self._index_at}"
            )
        if trailer.chain_crc != self._chain_crc:
            yield ContentMismatch("C9-5", at + 24, "the chunks are not those that the trailer was written for")

    @property
    def is_waiting(self) -> bool:
        """Whether the last chunks belong to rows that have not come."""
        return self._state in _NO_TRAILER[self._table] or self._fields is not None

    def mark(self) -> dict[str, object]:
        """Where the sequence is, to come back to with `rewind`; takes the same time however long the file is."""
        return {**vars(self), "_index": len(self._index)}

    def rewind(self, mark: dict[str, object]) -> None:
        """Forget the chunks since `mark`."""
        index = self._index  # it only ever grows
        vars(self).update(mark)
        assert isinstance(mark["_index"], int)
        self._index = index
        del index[mark["_index"] :]

    @property
    def held_bytes(self) -> int:
        """The memory that grows with the number of chunks."""
        return len(self._index)

    @property
    def index_payload(self) -> bytes:
        """The payload that an index of the chunks so far has."""
        return bytes(self._index)

    def trailer(self, content_id: bytes) -> Trailer:
        """The trailer that the chunks so far demand."""
        return Trailer(self.n_chunks, self.n_rows, self._index_at, self._chain_crc, content_id)
