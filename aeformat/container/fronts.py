"""What stands in front of the rows of a whole file: sizes, names, receipts, fields, by the number of their chunk.

Owns that all rows agree on what they have, and what is kept of it.  No row is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from aeformat.container import payloads
from aeformat.container.columns import RowFields
from aeformat.container.field_types import FieldTypes
from aeformat.container.front import Front, read_front
from aeformat.container.header import LatentsHeader
from aeformat.container.names import RowNames
from aeformat.container.recent import Recent
from aeformat.container.seeking import Chunks
from aeformat.container.wire import IndexEntry
from aeformat.errors import StructureInvalid

_KEPT_BYTES: Final = 1 << 24
_NAME_BYTES: Final = 200  # of a row name and its label in memory, about


class Fronts:
    """What belongs to the rows of each chunk: right before it, so it is found from the chunk of rows before."""

    def __init__(self, chunks: Chunks, header: LatentsHeader, entries: Sequence[IndexEntry]) -> None:
        self._chunks, self._header, self._entries = chunks, header, entries
        self._has: tuple[bool, bool] | None = None  # receipts, fields: of all rows or of none; not yet seen
        self._names: Recent[RowNames | None] = Recent(_KEPT_BYTES, lambda names: _NAME_BYTES * len(names or ()))
        self._fields: Recent[RowFields] = Recent(_KEPT_BYTES, lambda fields: int(fields.sizes.sum()))
        self._types: FieldTypes | None = None

    def of(self, position: int) -> Front:
        """What belongs to the rows of chunk `position`, counted among the chunks of rows.  Raises FormatError."""
        before = self._entries[position - 1] if position else None
        front = read_front(self._chunks, self._header, before, self._entries[position])
        has = front.receipts is not None, front.fields is not None
        if self._has is not None and has != self._has:
            rule, what = ("C4-6", "receipts") if has[0] != self._has[0] else ("C22-1", "fields")
            raise StructureInvalid(rule, self._entries[position].at, f"{what} of some rows only")
        self._has = has
        return front

    def names(self, position: int) -> RowNames | None:
        """The names of the rows of a chunk.  Raises FormatError."""
        return self._names.get(position, self._read_names)

    def _read_names(self, position: int) -> RowNames | None:
        front = self.of(position)
        return None if front.names is None else payloads.row_names(front.names, self._header)

    def named(self, starts: Sequence[int]) -> Iterator[tuple[int, tuple[str, ...]]]:
        """(first row, names of the rows from there on) of each chunk that has names.  Raises FormatError."""
        for position, first in enumerate(starts):
            names = self._read_names(position)
            if names is not None and names.names is not None:
                yield first, names.names

    def all_names(self) -> Iterator[tuple[int, int, RowNames | None]]:
        """(first row, rows, their names, labels and sources) of each chunk of rows.  Raises FormatError."""
        for position, entry in enumerate(self._entries):
            yield entry.first_row, entry.n_rows, self._read_names(position)

    @property
    def field_types(self) -> FieldTypes:
        """The types of the fields that all rows have; empty where there are none.  Raises FormatError."""
        if self._types is None:
            front = self.of(0) if self._entries else None
            found = (
                None if front is None or front.fields is None else payloads.row_fields(front.fields, self._header, None)
            )
            self._types = {} if found is None else found.types
        return self._types

    def fields(self, position: int) -> RowFields:
        """The fields of the rows of a chunk, in a file that has fields.  Raises FormatError."""
        return self._fields.get(position, self._read_fields)

    def _read_fields(self, position: int) -> RowFields:
        types, chunk = self.field_types, self.of(position).fields
        assert chunk is not None  # all rows have them, or none
        return payloads.row_fields(chunk, self._header, types)
