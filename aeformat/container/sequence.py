"""What may follow what in a container, and what the chunks must add up to (spec/container.md, sections 4, 8, 9).

Owns the order of chunks, their row counts and lengths, and the index and trailer they demand.  Sees chunk headers only.
Every check yields the errors it finds instead of raising the first, so that a validator can have them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final
from zlib import crc32

from aeformat.container import receipts, wire
from aeformat.container.assigned import (
    DECODER,
    INDEX,
    KIND_OF_TAG,
    MANIFEST,
    NAME,
    NEVER_COMPRESSED,
    RECEIPT,
    ROWS,
    TENSOR,
)
from aeformat.container.header import Header, LatentsHeader
from aeformat.container.limits import ALIGNMENT, Limits
from aeformat.container.wire import ChunkHeader, IndexEntry, Trailer
from aeformat.errors import ContentMismatch, FormatError, StructureInvalid, Unsupported

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
    "model": {
        "start": {MANIFEST: "tensors"},
        "tensors": {TENSOR: "tensors", _OTHER: "tensors"},
    },
}
_NO_TRAILER: Final = {
    "latents": {"named", "receipt", "receipt, named"},
    "model": {"start"},
}  # where the file must not end


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


def check_receipt(chunk: ChunkHeader, at: int) -> Iterator[FormatError]:
    """The part of C4-8 that is about a rCPT: it has a digest for each run of its rows."""
    expected = receipts.size_of(chunk.n_rows)
    if chunk.tag == RECEIPT and chunk.raw_bytes != expected:
        yield StructureInvalid(
            "C4-8", at + 20, f"receipts of {chunk.n_rows} rows take {expected} bytes, not {chunk.raw_bytes}"
        )


def check_cover(chunk: ChunkHeader, at: int, rows: ChunkHeader | IndexEntry) -> Iterator[FormatError]:
    """The part of C4-7 that is about a rCPT or nAMe, at byte `at`: it speaks of the rows that follow it."""
    what = f"{'receipts' if chunk.tag == RECEIPT else 'row names'} do not cover the rows that follow them"
    if chunk.n_rows != rows.n_rows:
        yield StructureInvalid("C4-7", at + 4, what)
    elif chunk.first_row != rows.first_row:
        yield StructureInvalid("C4-7", at + 8, what)


class ChunkSequence:
    """The chunks of one file as they come."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self._state = "start"
        self._index = bytearray()  # the payload that an index must have
        self._index_at = 0
        self._waiting: tuple[
            tuple[ChunkHeader, int], ...
        ] = ()  # rCPT and nAMe that wait for their ROWS, and where they are
        self._chain_crc = 0
        self.n_chunks = 0
        self.n_rows = 0

    def check(self, chunk: ChunkHeader, at: int) -> Iterator[FormatError]:
        """C4-5 and C4-6 to C4-8 for the next chunk, whose header is at byte `at`; C4-4 has been checked."""
        tag, name = chunk.tag, chunk.tag.decode("ascii")
        is_known = tag in KIND_OF_TAG
        if not is_known and chunk.is_critical:
            yield Unsupported("C4-5", at, f"critical chunk {name} that this reader does not know")
        following = _NEXT[self._header.kind][self._state].get(tag if is_known else _OTHER)
        if following is None:
            yield self._misplaced(chunk, at)
        else:
            self._state = following
        if tag == ROWS:
            yield from self._check_rows(chunk, at)
        elif tag in (RECEIPT, NAME):
            self._waiting = (*self._waiting, (chunk, at))  # never changed in place, see `mark`
        elif is_known and (chunk.n_rows or chunk.first_row):
            yield StructureInvalid("C4-7", at + (4 if chunk.n_rows else 8), f"chunk {name} counts rows")
        yield from check_receipt(chunk, at)
        yield from check_plain(self._header, chunk, at)
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

    def _check_rows(self, chunk: ChunkHeader, at: int) -> Iterator[FormatError]:
        if not chunk.n_rows:
            yield StructureInvalid("C4-7", at + 4, "a chunk of no rows")
        if chunk.first_row != self.n_rows:
            yield StructureInvalid("C4-7", at + 8, f"rows begin at {chunk.first_row}, {self.n_rows} came before")
        for waiting, waiting_at in self._waiting:
            yield from check_cover(waiting, waiting_at, chunk)
        self._waiting = ()
        if isinstance(self._header, LatentsHeader):
            expected = chunk.n_rows * self._header.row_bytes
            if chunk.raw_bytes != expected:
                yield StructureInvalid(
                    "C4-8", at + 20, f"{chunk.n_rows} rows take {expected} bytes, not {chunk.raw_bytes}"
                )
        self._index += IndexEntry(at, chunk.first_row, chunk.n_rows, self.n_chunks).pack()
        self.n_rows += chunk.n_rows

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
        if self._state in _NO_TRAILER[self._header.kind]:
            rule = "C4-6" if self._header.kind == "latents" else "M1-1"
            yield StructureInvalid(rule, at, "the file ends where another chunk must follow")
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
