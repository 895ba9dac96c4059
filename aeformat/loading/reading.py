"""Whole batches from a file or a set: each chunk is read once for as long as its rows are wanted.

Owns what a batch is.  Knows nothing of the order in which rows come.
"""

from __future__ import annotations

import math
import os
from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aeformat.container.columns import joined, taken
from aeformat.container.gather import by_chunk
from aeformat.container.payloads import Block
from aeformat.container.recent import Recent
from aeformat.container.row_access import RowAccess
from aeformat.container.variable import VariableColumn
from aeformat.errors import UsageError
from aeformat.sets.opening import open_latents_or_set

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Empty = Callable[[tuple[int, ...], np.dtype[Any]], NDArray[Any]]


_LARGE_ROW_BYTES: Final = 2048  # rows of as many are copied one by one: once, where picking many at a time copies twice


class Batch(NamedTuple):
    """Rows that come together.

    rows: their numbers, (n,) int64.  values: (n, *dims), of one shape and their own.  names: of each row, None where
    the file has none. fields: by name, an array (n, *sizes) of numbers, or a list of texts or bytes, with None in it
    where a row has no value.
    """

    rows: NDArray[np.int64]
    values: NDArray[Any]
    names: list[str] | None
    fields: dict[str, Any]


def opened(latents: RowAccess | str | os.PathLike[str]) -> RowAccess:
    """An open file or set as it is, or the one of that path.  Raises as aeformat.open does, UsageError (another
    thing).
    """
    return latents if isinstance(latents, RowAccess) else open_latents_or_set(latents)


class BatchReader:
    """Reads batches.  fields: the names of those that come along; None for all.  n_chunks: as many are kept decoded.

    Raises UsageError (no such field), FormatError.
    """

    def __init__(self, latents: RowAccess, *, fields: Iterable[str] | None, names: bool, n_chunks: int) -> None:
        if isinstance(fields, (str, bytes)):
            raise UsageError(f"fields is a list of names, not {fields!r}")
        there = tuple(latents.fields)
        self.latents, self.has_names = latents, names
        self.fields = there if fields is None else tuple(fields)
        for name in self.fields:
            if name not in there:
                raise UsageError(f"no field {name!r}; there are {', '.join(there) or 'none'}")
        self.starts = latents.chunk_starts()
        self._n_chunks = n_chunks
        self._kept: Recent[Block] = Recent(n_chunks, lambda block: 1)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reader, (self.latents, self.fields, self.has_names, self._n_chunks)

    def _block(self, row: int) -> Block:
        return self._kept.get(bisect_right(self.starts, row) - 1, self._read)

    def _read(self, number: int) -> Block:
        return self.latents.block_of(self.starts[number])

    def read(self, rows: NDArray[np.int64], empty: Empty | None = None) -> Batch:
        """The batch of these rows, at least one, in that order; its arrays can be written to.

        empty: makes the array of the values, by its shape and type, as numpy.empty does.
        Raises FormatError, ValueError (rows of several shapes).
        """
        import numpy as np

        found = list(by_chunk(rows, self._block))
        values = self._values(rows, found, empty or np.empty)
        order = np.argsort(np.concatenate([here for here, _ in found]))
        fields = {name: self._field(name, rows, found, order) for name in self.fields}
        return Batch(rows, values, self._names(rows, found), fields)

    def _values(
        self, rows: NDArray[np.int64], found: list[tuple[NDArray[np.int64], Block]], empty: Empty
    ) -> NDArray[Any]:
        header, dtype = self.latents.header, self.latents.dtype
        if not header.has_free_sizes and math.prod(header.dims) * dtype.itemsize < _LARGE_ROW_BYTES:
            values = empty((len(rows), *header.dims), dtype)
            for here, block in found:
                values[here] = block.values[rows[here] - block.first_row]
            return values
        arrays: dict[int, NDArray[Any]] = {}
        for here, block in found:
            own = (rows[here] - block.first_row).tolist()
            arrays |= {place: block.values[row] for place, row in zip(here.tolist(), own, strict=True)}
        values = empty((len(rows), *arrays[0].shape), dtype)
        for place, array in arrays.items():
            if array.shape != values.shape[1:]:
                raise ValueError("rows of several shapes are not one batch")
            values[place] = array
        return values

    def _names(self, rows: NDArray[np.int64], found: list[tuple[NDArray[np.int64], Block]]) -> list[str] | None:
        if not self.has_names:
            return None
        names = [""] * len(rows)
        for here, block in found:
            if block.names is None or block.names.names is None:
                return None
            for place in here.tolist():
                names[place] = block.names.names[int(rows[place]) - block.first_row]
        return names

    @staticmethod
    def _field(
        name: str, rows: NDArray[np.int64], found: list[tuple[NDArray[np.int64], Block]], order: NDArray[np.int64]
    ) -> Any:
        parts = []
        for here, block in found:
            assert block.fields is not None  # all rows have them
            parts.append(taken(block.fields.columns[name], rows[here] - block.first_row))
        column = taken(joined(parts), order)
        return column.values() if isinstance(column, VariableColumn) else column


def _reader(latents: RowAccess, fields: tuple[str, ...], names: bool, n_chunks: int) -> BatchReader:
    return BatchReader(latents, fields=fields, names=names, n_chunks=n_chunks)
