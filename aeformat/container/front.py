"""What stands in front of a chunk of rows: fields, sizes, receipts and names, found by seeking (spec/container.md, section 8).

Owns the walk from where the chunk of rows before ends.  Knows nothing of what rows, names and receipts mean.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from aeformat.container.assigned import FIELDS, NAME, RECEIPT, SIZES
from aeformat.container.header import LatentsHeader
from aeformat.container.parser import ChunkRead
from aeformat.container.seeking import ChunkPlace, Chunks
from aeformat.container.sequence import (
    check_cover,
    check_first_fields,
    check_receipt,
    check_sizes_length,
    raise_first,
    read_sizes,
)
from aeformat.container.sizes import RowSizes
from aeformat.container.wire import IndexEntry
from aeformat.errors import StructureInvalid

_OF_ROWS: Final = (FIELDS, SIZES, RECEIPT, NAME)  # in this order


class Front(NamedTuple):
    """What belongs to a ROWS.  names, receipts, fields: the chunks, where there are such."""

    sizes: RowSizes
    names: ChunkRead | None
    receipts: ChunkRead | None
    fields: ChunkRead | None

    @property
    def has_more_than_sizes(self) -> bool:
        """Whether the rows have names, receipts or fields."""
        return self.names is not None or self.receipts is not None or self.fields is not None


def read_front(chunks: Chunks, header: LatentsHeader, before: IndexEntry | None, entry: IndexEntry) -> Front:
    """What belongs to the ROWS of an entry of the index.  before: the entry before it.  Raises FormatError."""
    found = _find(chunks, before, entry)
    sizes = header.sizes_of(entry.n_rows)
    if sizes is None:
        if SIZES not in found:
            raise StructureInvalid("C4-6", entry.at, "rows without their sizes")
        sizes = _read_sizes(chunks, header, found.pop(SIZES))
    for place in found.values():
        raise_first(check_receipt(place.header, place.at, sizes))
    read = {tag: chunks.chunk(place.at, place.number) for tag, place in found.items()}
    return Front(sizes, read.get(NAME), read.get(RECEIPT), read.get(FIELDS))


def _find(chunks: Chunks, before: IndexEntry | None, entry: IndexEntry) -> dict[bytes, ChunkPlace]:
    """The chunks that belong to the rows, by their tags."""
    at, number = chunks.first_at, 0
    if before is not None:
        at, number = chunks.end_of(before.at, before.number), before.number + 1
    found: dict[bytes, ChunkPlace] = {}
    while number < entry.number:
        place = chunks.locate(at, number)
        tag = place.header.tag
        follows = tag in _OF_ROWS and _OF_ROWS.index(tag) > max(map(_OF_ROWS.index, found), default=-1)
        if found and not follows:
            rule = "C22-1" if list(found) == [FIELDS] else "C4-6"
            raise StructureInvalid(rule, at, "fields, sizes, receipts or row names without the rows that they are for")
        if tag == FIELDS:
            raise_first(check_first_fields(place.header, at, entry.first_row))
            if place.header.n_rows != entry.n_rows:
                raise StructureInvalid("C22-2", at + 4, "fields are not of the rows that they stand with")
        elif follows:
            raise_first(check_cover(place.header, at, entry))
        if follows:
            found[tag] = place
        at, number = place.end, number + 1
    if at != entry.at:
        raise StructureInvalid("C8-1", entry.at, f"the index has another place for chunk {entry.number}")
    return found


def _read_sizes(chunks: Chunks, header: LatentsHeader, place: ChunkPlace) -> RowSizes:
    raise_first(check_sizes_length(header, place.header, place.at))
    chunk = chunks.chunk(place.at, place.number)
    return read_sizes(header, chunk.header, chunk.stored, chunk.payload_at)
