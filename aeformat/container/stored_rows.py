"""Rows of uncompressed binary encodings, taken one by one out of chunks that were checked once.

Owns where each row lies, and when a chunk is checked again: after the file was changed.  Where rows are mapped, that is
not noticed.  NumPy is imported on first use.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from aeformat.container import encodings, threads
from aeformat.container.header import LatentsHeader
from aeformat.container.opened import OpenedFile
from aeformat.container.payloads import Block

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MOST_OF_A_CHUNK: Final = 16  # rows: for more of each chunk it is read as a whole


class StoredRows:
    """The rows of one file whose header fixes their size.

    starts: the first row of each chunk.  checked: reads and checks a whole chunk, by its position among the chunks of rows.
    is_mapped: rows lie in the mapped file, without a copy.  bf16_bits: as in encodings.decode.
    """

    def __init__(
        self,
        file: OpenedFile,
        header: LatentsHeader,
        starts: Sequence[int],
        checked: Callable[[int], Block],
        *,
        is_mapped: bool,
        bf16_bits: bool,
    ) -> None:
        import numpy as np

        self._file, self._header, self._starts, self._checked = file, header, starts, checked
        self._view = file.view() if is_mapped else None
        self._bf16_bits = bf16_bits
        self._dtype = np.dtype(encodings.array_type(header.values)) if encodings.is_as_stored(header) else None
        self._first_rows = np.array(starts, np.int64)
        self._at = np.zeros(len(starts), np.int64)  # where the rows of each chunk begin; 0: not checked yet
        self._stamp = (0, 0) if is_mapped else file.stamp()
        self._recent = -1  # the chunk that was used last
        self._mapped: list[NDArray[Any] | None] = [None] * len(
            starts
        )  # the rows of the chunks that are checked, where they lie

    def row(self, row: int) -> NDArray[Any] | None:
        """One row; None where its chunk is not checked yet, or was used just before: then take the whole chunk."""
        position = bisect_right(self._starts, row) - 1
        mapped = self._mapped[position]
        if mapped is not None:
            found: NDArray[Any] = mapped[row - self._starts[position]]
            return found
        if self._view is None:
            before, self._recent = self._recent, position
            if position == before or self._is_changed():
                return None
        at = int(self._at[position])
        if not at:
            return None
        n_bytes = self._header.row_bytes
        at += (row - self._starts[position]) * n_bytes
        raw = self._file.read(at, n_bytes) if self._view is None else self._view[at : at + n_bytes]
        found = self._values(raw)[0]
        return found

    def take(self, block: Block, position: int) -> None:
        """A chunk has been checked."""
        assert block.place is not None
        self._at[position] = block.place.at
        if self._view is not None and self._dtype is not None:
            self._mapped[position] = block.values

    def rows(self, rows: NDArray[np.int64]) -> NDArray[Any] | None:
        """These rows, in that order; None where they are so many of each chunk that whole chunks are read sooner."""
        import numpy as np

        positions = self._first_rows.searchsorted(rows, "right") - 1
        if self._view is None and (self._is_changed() or len(rows) > _MOST_OF_A_CHUNK * len(np.unique(positions))):
            return None
        if not self._at[positions].all():
            self._check(np.unique(positions))
        n_bytes = self._header.row_bytes
        places = self._at[positions] + (rows - self._first_rows[positions]) * n_bytes
        if self._view is None:
            return self._values(b"".join([self._file.read(at, n_bytes) for at in places.tolist()]))
        return self._values(self._rows_everywhere[places])

    @cached_property
    def _rows_everywhere(self) -> NDArray[np.void]:
        """A row that would begin at each byte of the mapped file, which is not copied."""
        import numpy as np

        assert self._view is not None
        n_bytes = self._header.row_bytes
        return np.ndarray((len(self._view) - n_bytes + 1,), f"V{n_bytes}", self._view, strides=(1,))

    def _check(self, chunks: NDArray[np.int64]) -> None:
        """Those of these chunks that are not checked yet."""
        unchecked = chunks[self._at[chunks] == 0].tolist()

        def check(number: int) -> None:
            self.take(self._checked(unchecked[number]), unchecked[number])

        threads.each(check, len(unchecked))

    def _is_changed(self) -> bool:
        """Whether the file was changed since chunks were checked: then none is checked."""
        stamp = self._file.stamp()
        if stamp == self._stamp:
            return False
        self._at[:] = 0
        self._stamp = stamp
        return True

    def _values(self, raw: Any) -> NDArray[Any]:
        """(n, *dims), read-only."""
        import numpy as np

        if self._dtype is None:
            values: NDArray[Any] = encodings.decode(raw, self._header, bf16_bits=self._bf16_bits)
            values.setflags(write=False)
            return values
        values = np.frombuffer(raw, self._dtype).reshape(-1, *self._header.dims)
        values.flags.writeable = False
        return values
