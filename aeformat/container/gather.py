"""Rows here and there of a file, in the order in which they are wanted.

Owns that each chunk is read once.  Knows nothing of how a chunk is found.  NumPy is imported on first use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from aeformat.container import threads
from aeformat.container.header import LatentsHeader
from aeformat.container.payloads import Block
from aeformat.container.ragged import RaggedRows, join_rows
from aeformat.container.sizes import RowSizes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LARGE_CHUNK_BYTES: Final = 1 << 19  # raw; two threads take turns at smaller ones, and lose more by it than they gain

BlockOf = Callable[[int], Block]  # the number of a row -> the whole chunk that holds it


def gathered(
    rows: NDArray[np.int64], block_of: BlockOf, header: LatentsHeader, dtype: np.dtype[Any]
) -> NDArray[Any] | RaggedRows:
    """These rows, in that order, of that type; read-only.  Raises what block_of raises."""
    values = _ragged(rows, block_of, header, dtype) if header.has_free_sizes else _array(rows, block_of, header, dtype)
    values.setflags(write=False)
    return values


def _array(rows: NDArray[np.int64], block_of: BlockOf, header: LatentsHeader, dtype: np.dtype[Any]) -> NDArray[Any]:
    import numpy as np

    values = np.empty((len(rows), *header.dims), dtype)
    for here, block in by_chunk(rows, block_of):
        values[here] = block.values[rows[here] - block.first_row]
    return values


def _ragged(rows: NDArray[np.int64], block_of: BlockOf, header: LatentsHeader, dtype: np.dtype[Any]) -> RaggedRows:
    import numpy as np

    nothing = np.empty(0, dtype)
    parts: list[Any] = [RaggedRows(nothing, RowSizes.none(header.form))]
    places = [np.empty(0, np.int64)]
    for here, block in by_chunk(rows, block_of):
        parts.append(block.values[rows[here] - block.first_row])
        places.append(here)
    return join_rows(parts)[np.argsort(np.concatenate(places))]


def gathered_by_threads(
    rows: NDArray[np.int64],
    starts: Sequence[int],
    pick: Callable[[int, NDArray[np.int64]], NDArray[Any]],
    header: LatentsHeader,
    dtype: np.dtype[Any],
) -> NDArray[Any]:
    """These rows of one size, in that order; read-only.  starts: the first row of each chunk.

    pick: (position of a chunk, rows in it, counted from its first) -> these rows.  Raises what it raises.
    """
    import numpy as np

    values = np.empty((len(rows), *header.dims), dtype)
    positions = np.searchsorted(np.asarray(starts, np.int64), rows, "right") - 1
    order = np.argsort(positions, kind="stable")
    places = np.split(order, np.flatnonzero(np.diff(positions[order])) + 1) if len(rows) else []

    def take(number: int) -> None:
        here = places[number]
        position = int(positions[here[0]])
        values[here] = pick(position, rows[here] - starts[position])

    if _is_large(starts, header):
        threads.each(take, len(places))
    else:
        for number in range(len(places)):
            take(number)
    values.setflags(write=False)
    return values


def _is_large(starts: Sequence[int], header: LatentsHeader) -> bool:
    """Whether chunks are so large that it pays to hand each to another thread."""
    return (starts[-1] - starts[0]) * header.row_bytes >= _LARGE_CHUNK_BYTES * (len(starts) - 1)


def by_chunk(rows: NDArray[np.int64], block_of: BlockOf) -> Iterator[tuple[NDArray[np.int64], Block]]:
    """(places among the rows that are wanted, the chunk that holds these), for one chunk after another."""
    import numpy as np

    order, n_done = np.argsort(rows, kind="stable"), 0
    while n_done < len(rows):
        block = block_of(int(rows[order[n_done]]))
        end = int(np.searchsorted(rows, block.first_row + len(block.values), sorter=order))
        yield order[n_done:end], block
        n_done = end
