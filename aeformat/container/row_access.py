"""Rows that are picked as from an array, wherever they are stored: in one file, or in many.

Owns the words of that.  Where chunks of rows come from is for who inherits.  NumPy is imported on first use.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, overload

from aeformat.container import encodings
from aeformat.container.field_views import Fields
from aeformat.container.gather import gathered
from aeformat.container.header import LatentsHeader
from aeformat.container.names import RowNames
from aeformat.container.payloads import Block
from aeformat.container.ragged import RaggedRows, join_rows
from aeformat.container.selection import selected_row, selected_rows
from aeformat.container.sizes import RowSizes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aeformat.container.selection import Rows


class RowAccess(ABC):
    """Rows by number, slice, list, mask and name.  header: what all of them have in common.  n_rows: how many there are."""

    header: LatentsHeader
    n_rows: int
    has_bf16_bits: bool = False
    """Whether bf16 comes as its bits, uint16: of what `as_bits` has made."""

    @abstractmethod
    def _block(self, row: int) -> Block:
        """The whole chunk that holds a row which is there; its values are read-only."""

    @abstractmethod
    def as_bits(self) -> RowAccess:
        """The same rows, opened again: bf16 comes as its bits, uint16, and is not widened.  Other values come as they do.

        For programs that know the type (torch.bfloat16, ml_dtypes.bfloat16): take a view.  Raises as opening does.
        """

    @abstractmethod
    def chunk_starts(self) -> list[int]:
        """The first row of each chunk of rows, in order.  No row is read; each shard is opened.  Raises FormatError."""

    @abstractmethod
    def sizes(self, start: int = 0, stop: int | None = None) -> RowSizes:
        """The sizes of rows start to stop - 1, by default of all.  No row is read.  Raises IndexError, FormatError."""

    @abstractmethod
    def index_of(self, name: str) -> int:
        """The number of the first row of that name.  Raises KeyError (no row of that name), FormatError."""

    @property
    @abstractmethod
    def fields(self) -> Fields:
        """What stands beside the rows, by name: fields["caption"][10:20].  No row is read.  Raises FormatError."""

    def __len__(self) -> int:
        return self.n_rows

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, *dims), as of an array; (rows,) where rows have sizes of their own."""
        return (self.n_rows,) if self.header.has_free_sizes else (self.n_rows, *self.header.dims)

    def _check_range(self, start: int, stop: int) -> None:
        if not 0 <= start < stop <= self.n_rows:
            raise IndexError(f"rows {start} to {stop} of {self.n_rows}")

    @property
    def ndim(self) -> int:
        """The length of `shape`."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the arrays that come out: the header's value type, in this machine's byte order; of bf16 see `as_bits`."""
        import numpy as np

        is_bits = self.has_bf16_bits and self.header.values == "bf16"
        return np.dtype(np.uint16 if is_bits else encodings.array_type(self.header.values))

    def __array__(self, dtype: np.dtype[Any] | None = None, copy: bool | None = None) -> NDArray[Any]:
        """All rows, for NumPy: np.asarray(latents).

        Raises ValueError for copy=False and for rows of their own size, FormatError.
        """
        import numpy as np

        if self.header.has_free_sizes:
            raise ValueError("the rows of this file have sizes of their own, which no one array holds; take latents[:]")
        if copy is False:
            raise ValueError("latents are read from a file, so they cannot be had without a copy")
        return np.array(self[:], dtype=dtype)  # one that can be written to

    @overload
    def __getitem__(self, rows: int | str) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, rows: Rows) -> NDArray[Any] | Any: ...

    def __getitem__(self, rows: Rows | str) -> NDArray[Any] | RaggedRows:
        """Latents in the header's value type, picked as from an array; negative numbers count from the end.

        rows: a number or the name of a row -> one latent, an array of its shape; a slice, ..., a list or array of
        numbers, or a mask of n_rows booleans -> (n, *dims); if the header leaves sizes free, always a RaggedRows, which is a
        sequence of n arrays.  Read-only: copy what is to be changed.

        Raises IndexError (no such row, a mask of another length), KeyError (no row of that name), TypeError, FormatError.
        """
        if type(rows) is int and 0 <= rows < self.n_rows:  # as most do, and there is nothing to find out
            return self._row(rows)
        chosen = self.index_of(rows) if isinstance(rows, str) else selected_rows(rows, self.n_rows)
        if isinstance(chosen, int):
            return self._row(chosen)
        if isinstance(chosen, range) and chosen and chosen.step == 1:
            return self.rows(chosen.start, chosen.stop)
        import numpy as np

        return self._gathered(np.asarray(chosen, np.int64))

    def _row(self, row: int) -> NDArray[Any]:
        """One row, which is there."""
        block = self._block(row)
        values: NDArray[Any] = block.values[row - block.first_row]
        return values

    def _gathered(self, rows: NDArray[np.int64]) -> NDArray[Any] | RaggedRows:
        """These rows, which are there, in that order."""
        return gathered(rows, self._block, self.header, self.dtype)

    def rows(self, start: int, stop: int) -> NDArray[Any] | Any:
        """Rows start to stop - 1 in the header's value type, (stop - start, *dims) or a RaggedRows; read-only.

        Raises IndexError, FormatError.
        """
        import numpy as np

        self._check_range(start, stop)
        pieces: list[Any] = []
        row = start
        while row < stop:
            block = self._block(row)
            pieces.append(block.values[row - block.first_row : stop - block.first_row])
            row += len(pieces[-1])
        join = join_rows if self.header.has_free_sizes else np.concatenate
        values: Any = pieces[0] if len(pieces) == 1 else join(pieces)
        values.setflags(write=False)
        return values

    def blocks(self, start: int, stop: int) -> Iterator[Block]:
        """Rows start to stop - 1 by chunk; with receipts, also the rows beside them that the same digests are for.

        Values are read-only.  Raises IndexError, FormatError.
        """
        self._check_range(start, stop)
        row = start
        while row < stop:
            block = self._block(row)
            n_rows = len(block.values)
            first, last = row - block.first_row, min(stop - block.first_row, n_rows)
            if block.receipts is not None:
                first, last = block.receipts.widened(first, last)
                last = min(last, n_rows)
            yield block.slice(first, last)
            row = block.first_row + n_rows

    def block_of(self, row: int) -> Block:
        """The whole chunk that holds a row; values are read-only.  Raises IndexError, FormatError."""
        if not 0 <= row < self.n_rows:
            raise IndexError(f"row {row} of {self.n_rows}")
        return self._block(row)

    def names(self, row: int) -> RowNames | None:
        """Name, label and source of one row, as far as the file has them; negative numbers count from the end.

        Raises IndexError, TypeError (no number), FormatError.
        """
        row = selected_row(row, self.n_rows)
        block = self._block(row)
        return None if block.names is None else block.names.slice(row - block.first_row, row - block.first_row + 1)

    def field(self, name: str, rows: Rows = ...) -> Any:
        """One field of some rows, by default of all.  Raises as `fields[name][rows]` does."""
        return self.fields[name][rows]
