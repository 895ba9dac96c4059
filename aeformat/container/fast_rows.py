"""Rows of one size, without reading the chunks that hold them one after the other.

Owns which way is the fastest: a row out of byte planes, out of a chunk that was checked before, many rows by several threads.
Knows nothing of how a chunk is read.  NumPy is imported on first use.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aeformat.container import encodings, payloads, threads
from aeformat.container.front import Front
from aeformat.container.gather import gathered_by_threads
from aeformat.container.header import LatentsHeader
from aeformat.container.opened import OpenedFile
from aeformat.container.parser import ChunkRead
from aeformat.container.payloads import Block
from aeformat.container.planes import Planes, has_planes
from aeformat.container.raw import filtered_payload
from aeformat.container.recent import Recent
from aeformat.container.stored_rows import StoredRows
from aeformat.errors import AeformatError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MANY_BYTES: Final = 1 << 20  # of rows, which several threads read
_MOST_BYTES: Final = 1 << 26  # of rows that are believed to be there before they are read
_BYTES_A_BYTE: Final = 64  # and what each byte of the file is believed beside that
_FEW_OF_A_CHUNK: Final = 8  # rows up to this part of a chunk are taken out of its planes


class ChunksOfRows(NamedTuple):
    """The chunks of rows of one file, by their position among them.

    starts: the first row of each, and behind them the number of all rows.  checked: what stands in front of one, and the
    chunk, of which all but its payload's meaning is checked.  read: all of it.  kept: those that were used last.
    """

    name: str
    file: OpenedFile
    header: LatentsHeader
    starts: Sequence[int]
    checked: Callable[[int], tuple[Front, ChunkRead]]
    read: Callable[[int], Block]
    kept: Recent[Block]
    cache_bytes: int


class FastRows:
    """The rows of one file.  is_mapped: whether it is.  dtype: of what comes out.  bf16_bits: as in encodings.decode."""

    def __init__(self, chunks: ChunksOfRows, dtype: np.dtype[Any], *, is_mapped: bool, bf16_bits: bool) -> None:
        self._chunks, self._header, self._dtype = chunks, chunks.header, dtype
        self._is_mapped, self._bf16_bits = is_mapped, bf16_bits
        self._has_planes = has_planes(self._header)
        is_binary = not self._header.encoding_spec.is_text
        self._is_stored = self._header.codec == "none" and is_binary and not self._header.has_free_sizes
        self._planes = Recent[Planes](chunks.cache_bytes >> 2, lambda planes: planes.n_bytes)

    @cached_property
    def _stored(self) -> StoredRows:
        chunks = self._chunks
        return StoredRows(
            chunks.file, self._header, chunks.starts[:-1], chunks.read,
            is_mapped=self._is_mapped, bf16_bits=self._bf16_bits,
        )  # fmt: skip

    def row(self, row: int) -> NDArray[Any] | None:
        """One row, read-only; None where all of its chunk is to be read."""
        if not self._is_stored and not self._has_planes:
            return None
        try:
            return self._stored.row(row) if self._is_stored else self._row_of_planes(row)
        except AeformatError as error:  # as `named` does, in a third of the time
            error.source = error.source or self._chunks.name
            raise

    def take(self, block: Block, position: int) -> None:
        """All of a chunk has been read."""
        if self._is_stored:
            self._stored.take(block, position)

    def _row_of_planes(self, row: int) -> NDArray[Any] | None:
        position = bisect_right(self._chunks.starts, row) - 1
        planes = self._new_planes(position)
        return None if planes is None else planes.row(row - self._chunks.starts[position])

    def _new_planes(self, position: int) -> Planes | None:
        """The planes of a chunk that nothing is kept of: of one whose rows are used again all of it is worth keeping."""
        if position in self._chunks.kept or position in self._planes:
            return None
        front, chunk = self._chunks.checked(position)
        if chunk.header.stored_bytes == chunk.header.raw_bytes or front.has_more_than_sizes:
            return None
        planes = Planes(filtered_payload(chunk), self._header)
        if not planes.shows_finite():
            return None
        self._planes.get(position, lambda _: planes)
        return planes

    def gathered(self, rows: NDArray[np.int64], block_of: Callable[[int], Block]) -> NDArray[Any]:
        """These rows, in that order; read-only.  block_of: the chunk that holds a row."""
        found = self._stored.rows(rows) if self._is_stored else None
        if found is not None:
            return found
        starts = self._chunks.starts

        def pick(position: int, here: NDArray[np.int64]) -> NDArray[Any]:
            is_few = self._has_planes and len(here) * _FEW_OF_A_CHUNK <= starts[position + 1] - starts[position]
            planes = self._new_planes(position) if is_few else None
            picked: NDArray[Any] = block_of(starts[position]).values[here] if planes is None else planes.rows(here)
            return picked

        return gathered_by_threads(rows, starts[:-1], pick, self._header, self._dtype)

    def rows(self, start: int, stop: int, block_of: Callable[[int], Block]) -> NDArray[Any] | None:
        """Rows start to stop - 1, read-only; None where a chunk after the other is to be read.

        They are too few for several threads, or more than the file's own bytes make likely, or lie in the mapped file.
        """
        import numpy as np

        n_bytes, most = (stop - start) * self._header.row_bytes, _MOST_BYTES + _BYTES_A_BYTE * self._chunks.file.size
        if not _MANY_BYTES <= n_bytes <= most or (self._is_stored and self._is_mapped):
            return None
        values = np.empty((stop - start, *self._header.dims), self._dtype)
        starts, first = self._chunks.starts, bisect_right(self._chunks.starts, start) - 1
        is_direct = values.nbytes > self._chunks.cache_bytes >> 3 and self._is_read_directly

        def read(number: int) -> None:
            position = first + number
            here = slice(max(starts[position], start), min(starts[position + 1], stop))
            part = values[here.start - start : here.stop - start]
            is_whole = len(part) == starts[position + 1] - starts[position]
            if is_direct and is_whole and position not in self._chunks.kept:
                payloads.rows_into(part, self._chunks.checked(position)[1], self._header)
            else:
                part[:] = block_of(here.start).values[here.start - starts[position] : here.stop - starts[position]]

        threads.each(read, bisect_right(starts, stop - 1) - first)
        values.setflags(write=False)
        return values

    @property
    def _is_read_directly(self) -> bool:
        """Whether chunks can be read into an array without being kept."""
        return self._header.codec != "rans" and encodings.is_as_stored(self._header)
