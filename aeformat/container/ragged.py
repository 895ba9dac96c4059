"""Rows of their own size in memory: one array of all values, and the sizes of the rows (spec/container.md, section 5.1).

Owns how such rows are picked, joined and made.  Nothing is made for a row before somebody asks for it.
NumPy is imported on first use.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

from aeformat.container.sizes import RowForm, RowSizes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class RaggedRows(Sequence["NDArray[Any]"]):
    """Rows, each an array of its own shape: a sequence of arrays, which are views of `flat`.

    flat: (n_values,), all values, row after row in C order.  sizes: of the rows.
    A number picks one row; a slice, and a list or an array of numbers, picks rows as another RaggedRows.
    """

    __slots__ = ("flat", "sizes")

    def __init__(self, flat: NDArray[Any], sizes: RowSizes) -> None:
        assert flat.size == sizes.n_values
        self.flat, self.sizes = flat, sizes

    @classmethod
    def of(
        cls,
        form: RowForm,
        rows: Sequence[NDArray[Any]] | NDArray[Any],
        images: Sequence[tuple[int, int]] | None = None,
    ) -> RaggedRows:
        """Of these arrays, at least one, all of one type.  images: (height, width) of the image of each, if these are free.

        Raises ValueError (a shape that is not of the form, no rows, as many images as there are not rows), BadSizes.
        """
        import numpy as np

        if images is not None and len(images) != len(rows):
            raise ValueError(f"sizes of {len(images)} images for {len(rows)} rows")
        if not len(rows):
            raise ValueError("there are no rows")
        arrays = [np.asarray(row) for row in rows]
        kinds = {array.dtype for array in arrays}
        if len(kinds) > 1:
            raise ValueError(f"rows of one file have one type, these are {', '.join(sorted(map(str, kinds)))}")
        pictures = [None] * len(arrays) if images is None else [_pair(image) for image in images]
        sizes = [form.sizes_of(array.shape, image) for array, image in zip(arrays, pictures, strict=True)]
        return cls(np.concatenate([array.reshape(-1) for array in arrays]), RowSizes.of(form, sizes))

    def __len__(self) -> int:
        return self.sizes.n_rows

    def __repr__(self) -> str:
        return f"<{len(self)} rows of {self.sizes.form.dims}, {self.dtype}>"

    @overload
    def __getitem__(self, rows: int) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, rows: slice | Sequence[int] | NDArray[Any]) -> RaggedRows: ...

    def __getitem__(self, rows: int | slice | Sequence[int] | NDArray[Any]) -> NDArray[Any] | RaggedRows:
        """One row, or some.  Raises IndexError (no such row)."""
        if isinstance(rows, slice):
            chosen = range(len(self))[rows]
            if chosen.step == 1:
                return self._run(chosen.start, chosen.stop)
            return self._pick(chosen)
        try:
            return self._row(self._number(operator.index(rows)))  # type: ignore[arg-type]
        except TypeError:
            return self._pick(rows)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        start = 0
        for run in self.sizes.runs():
            dims, stop = self.sizes.form.dims_of(run.sizes), start + run.n_rows * run.n_values
            for at in range(start, stop, run.n_values):
                yield self.flat[at : at + run.n_values].reshape(dims)
            start = stop

    def _number(self, row: int) -> int:
        if not -len(self) <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        return row % len(self)

    def _row(self, row: int) -> NDArray[Any]:
        start, dims = self.sizes.start(row), self.sizes.dims(row)
        return self.flat[start : self.sizes.start(row + 1)].reshape(dims)

    def _run(self, start: int, stop: int) -> RaggedRows:
        stop = max(start, stop)
        return RaggedRows(self.flat[self.sizes.start(start) : self.sizes.start(stop)], self.sizes.slice(start, stop))

    def _pick(self, rows: Sequence[int] | NDArray[Any]) -> RaggedRows:
        """Copies, unless it is one row."""
        numbers = [self._number(int(row)) for row in rows]
        return join_rows([self._run(0, 0), *(self._run(row, row + 1) for row in numbers)])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of all rows."""
        return self.flat.dtype

    @property
    def itemsize(self) -> int:
        """Bytes of one value."""
        return self.flat.itemsize

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shape of each row."""
        return self.sizes.shapes()

    @property
    def image_sizes(self) -> list[tuple[int, ...]]:
        """(height, width) of the image of each row; () where it is not known."""
        return self.sizes.image_sizes()

    def copy(self) -> RaggedRows:
        """The same, with values of its own."""
        return RaggedRows(self.flat.copy(), self.sizes)

    def tobytes(self) -> bytes:
        """All values as bytes."""
        return self.flat.tobytes()

    def setflags(self, *, write: bool) -> None:
        """Whether values can be changed."""
        self.flat.setflags(write=write)


def join_rows(parts: Sequence[RaggedRows]) -> RaggedRows:
    """Rows of one form, part after part; copies if there are several."""
    import numpy as np

    if len(parts) == 1:
        return parts[0]
    return RaggedRows(np.concatenate([part.flat for part in parts]), RowSizes.join([part.sizes for part in parts]))


def _pair(image: Sequence[int]) -> tuple[int, int]:
    height, width = (operator.index(size) for size in image)
    return height, width
