"""The fields of a whole file, or of many, read as columns: only the chunks of fields are read, never a row.

Owns which chunks a selection touches.  Knows nothing of files: where fields come from is a function.  NumPy comes
with the first values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from aeformat.container.columns import RowFields, empty_column, joined, taken
from aeformat.container.field_types import FieldType, FieldTypes
from aeformat.container.selection import selected_rows
from aeformat.container.tables import arrow_table
from aeformat.container.variable import VariableColumn
from aeformat.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aeformat.container.columns import Column
    from aeformat.container.selection import Rows

FieldsAt = Callable[
    [int], tuple[int, RowFields]
]  # a row -> the first row of its chunk, and the fields of all rows of it


class Field:
    """One field of all rows.  Pick values as from an array: by a number, a slice, a list of numbers or a mask.

    type: the name of its type in the spec, and the sizes of one row's array.
    """

    def __init__(self, name: str, of: FieldType, n_rows: int, fields_at: FieldsAt) -> None:
        self.name, self.type = name, of
        self._n_rows, self._fields_at = n_rows, fields_at

    def __len__(self) -> int:
        return self._n_rows

    def __repr__(self) -> str:
        return f"<field {self.name}, {' '.join(map(str, self.type))}, {self._n_rows} rows>"

    def __getitem__(self, rows: Rows) -> Any:
        """One value, or many: of numbers an array (n, *sizes), of text and bytes a list, with None where there is no value.

        Raises IndexError, TypeError (what is no selection), FormatError.
        """
        chosen = selected_rows(rows, self._n_rows)
        if isinstance(chosen, int):
            start, column = self._column_at(chosen)
            return column.value(chosen - start) if isinstance(column, VariableColumn) else column[chosen - start]
        found = self._run(chosen) if isinstance(chosen, range) and chosen.step == 1 else self._gather(chosen)
        return found.values() if isinstance(found, VariableColumn) else found

    def __iter__(self) -> Iterator[Any]:
        row = 0
        while row < self._n_rows:
            start, column = self._column_at(row)
            yield from column.values() if isinstance(column, VariableColumn) else column
            row = start + len(column)

    def _column_at(self, row: int) -> tuple[int, Column]:
        start, fields = self._fields_at(row)
        return start, fields.columns[self.name]

    def _run(self, rows: range) -> Column:
        parts: list[Column] = []
        row = rows.start
        while row < rows.stop:
            start, column = self._column_at(row)
            parts.append(taken(column, slice(row - start, rows.stop - start)))
            row = start + len(column)
        return joined(parts) if parts else empty_column(self.type)

    def _gather(self, rows: range | NDArray[Any]) -> Column:
        import numpy as np

        numbers = np.asarray(rows, np.int64)
        order, parts, n_done = np.argsort(numbers, kind="stable"), [], 0
        while n_done < len(numbers):
            start, column = self._column_at(int(numbers[order[n_done]]))
            end = int(np.searchsorted(numbers, start + len(column), sorter=order))
            parts.append(taken(column, numbers[order[n_done:end]] - start))
            n_done = end
        if not parts:
            return empty_column(self.type)
        return taken(joined(parts), np.argsort(order))


class Fields(Mapping[str, Field]):
    """All fields of a file, by name, in the order of the file."""

    def __init__(self, types: FieldTypes, n_rows: int, fields_at: FieldsAt) -> None:
        self._fields = {name: Field(name, of, n_rows, fields_at) for name, of in types.items()}

    def __getitem__(self, name: str) -> Field:
        """Raises KeyError where there is no such field."""
        if name not in self._fields:
            there = f"there are {', '.join(self._fields)}" if self._fields else "the file has no fields"
            raise KeyError(f"no field {name!r}; {there}")
        return self._fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def to_arrow(self, rows: Rows = ...) -> Any:
        """A pyarrow.Table of all fields of some rows, by default of all; arrays are lists of a fixed size.

        Raises UsageError (pyarrow is not installed), and as picking values does.
        """
        return arrow_table(
            {name: field.type for name, field in self.items()}, {name: field[rows] for name, field in self.items()}
        )

    def to_pandas(self, rows: Rows = ...) -> Any:
        """A pandas.DataFrame of all fields of some rows, by default of all.

        Raises UsageError (pyarrow or pandas is not installed), and as picking values does.
        """
        table = self.to_arrow(rows)
        try:
            return table.to_pandas()
        except ImportError:
            raise UsageError('pandas is not installed: pip install "aeformat[arrow]"') from None

    def __repr__(self) -> str:
        return f"<fields {', '.join(self._fields)}>"
