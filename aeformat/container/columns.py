"""Fields of rows: labels, captions and other values beside the latents (spec/container.md, section 22).

Owns the payload of an fLDs chunk.  Knows nothing of files.  NumPy is imported on first use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from aeformat.container import limits
from aeformat.container.field_types import BOOL, TEXT, BadFields, FieldType, FieldTypes, pack_types, parse_types
from aeformat.container.variable import VariableColumn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Column = NDArray[Any] | VariableColumn
    RowPick = slice | NDArray[Any]

_LENGTH_BYTES: Final = 4


class RowFields:
    """The fields of rows that came together.

    types: of all fields, by name.  columns: by the same names, an array (n, *sizes) of numbers, or a VariableColumn.
    """

    __slots__ = ("columns", "types")

    def __init__(self, types: FieldTypes, columns: Mapping[str, Column]) -> None:
        self.types, self.columns = types, columns

    @classmethod
    def of(cls, types: FieldTypes, values: Mapping[str, Any], n_rows: int) -> RowFields:
        """Of a caller's values: by name, one for each of n_rows rows.

        Raises ValueError (other fields than `types`, other shapes, numbers that do not fit), TypeError, BadFields.
        """
        if values.keys() != types.keys():
            missing, more = types.keys() - values.keys(), values.keys() - types.keys()
            what = f"{', '.join(sorted(missing))} are missing" if missing else f"{', '.join(sorted(more))} are unknown"
            raise ValueError(f"fields: {what}")
        columns = {name: _column(name, of, values[name]) for name, of in types.items()}
        for name, column in columns.items():
            if len(column) != n_rows:
                raise ValueError(f"field {name} has {len(column)} values for {n_rows} rows")
        return cls(types, columns)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RowFields) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.to_bytes())

    def __repr__(self) -> str:
        return f"<fields {', '.join(self.types)} of {len(self)} rows>"

    def __getitem__(self, name: str) -> NDArray[Any] | list[Any]:
        """The values of one field: an array (n, *sizes), or a list of str, of bytes; None in it where there is no value."""
        column = self.columns[name]
        return column.values() if isinstance(column, VariableColumn) else column

    def slice(self, start: int, stop: int) -> RowFields:
        """The fields of rows start to stop - 1."""
        return self._take(slice(start, stop))

    def pick(self, rows: NDArray[Any]) -> RowFields:
        """The fields of these rows, in that order."""
        return self._take(rows)

    def _take(self, rows: RowPick) -> RowFields:
        return RowFields(self.types, {name: taken(column, rows) for name, column in self.columns.items()})

    @classmethod
    def join(cls, parts: Sequence[RowFields]) -> RowFields:
        """One after the other, all of the same types."""
        types = parts[0].types
        return cls(types, {name: joined([part.columns[name] for part in parts]) for name in types})

    @property
    def sizes(self) -> NDArray[Any]:
        """Bytes that each row takes in a chunk, int64."""
        import numpy as np

        total = np.zeros(len(self), np.int64)
        for name, of in self.types.items():
            column = self.columns[name]
            total += column.sizes if isinstance(column, VariableColumn) else of.row_bytes
        return total

    def to_bytes(self) -> bytes:
        """Raw payload of an fLDs chunk.  Raises BadFields."""
        head = pack_types(self.types)
        columns = (
            column.to_bytes() if isinstance(column, VariableColumn) else _little(column)
            for column in (self.columns[name] for name in self.types)
        )
        return len(head).to_bytes(_LENGTH_BYTES, "little") + head + b"".join(columns)


def taken(column: Column, rows: RowPick) -> Column:
    """Some rows of a column."""
    return column.take(rows) if isinstance(column, VariableColumn) else column[rows]


def joined(parts: Sequence[Column]) -> Column:
    """Columns of one field, one after the other."""
    import numpy as np

    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], VariableColumn):
        return VariableColumn.join([part for part in parts if isinstance(part, VariableColumn)])
    return np.concatenate(parts)  # type: ignore[arg-type]


def empty_column(of: FieldType) -> Column:
    """Of no rows."""
    import numpy as np

    return VariableColumn.of([], is_text=of.name == TEXT) if of.is_variable else np.empty((0, *of.sizes), of.name)


def _little(column: NDArray[Any]) -> bytes:
    return column.astype(column.dtype.newbyteorder("<"), copy=False).tobytes()


def parse_fields(raw: bytes, n_rows: int, before: FieldTypes | None = None) -> RowFields:
    """The fields of n_rows rows.  before: the types of the first chunk of fields; None for itself.

    Raises BadFields (C22-3 to C22-7).
    """
    head = _head(raw)
    types, at = parse_types(head), _LENGTH_BYTES + len(head)
    if before is not None and types != before:
        raise BadFields("C22-5", "fields of other names or types than those before")
    columns: dict[str, Column] = {}
    for name, of in types.items():
        if of.is_variable:
            columns[name], at = VariableColumn.parse(raw, at, n_rows, is_text=of.name == TEXT)
        else:
            columns[name], at = _numbers(raw, at, n_rows, of)
    if at < len(raw):
        raise BadFields("C22-6", f"{len(raw) - at} bytes follow the last column of fields")
    for name, of in types.items():
        _check(columns[name], of)
    return RowFields(types, columns)


def _check(column: Column, of: FieldType) -> None:
    """C22-7."""
    if isinstance(column, VariableColumn):
        column.check()
    elif of.name == BOOL and column.view("u1").max() > 1:
        raise BadFields("C22-7", "a bool that is neither 0 nor 1")


def _head(raw: bytes) -> bytes:
    n_bytes = int.from_bytes(raw[:_LENGTH_BYTES], "little")
    head = raw[_LENGTH_BYTES : _LENGTH_BYTES + n_bytes]
    if not 1 <= n_bytes <= limits.FIELDS_HEAD_BYTES or len(head) < n_bytes or len(raw) < _LENGTH_BYTES:
        raise BadFields("C22-3", f"a head of {n_bytes} bytes in fields of {len(raw)}")
    return head


def _numbers(raw: bytes, at: int, n_rows: int, of: FieldType) -> tuple[NDArray[Any], int]:
    import numpy as np

    end = at + n_rows * of.row_bytes
    if end > len(raw):
        raise BadFields("C22-6", "fields end inside a column of numbers")
    dtype = np.dtype(of.name)
    stored = np.frombuffer(raw[at:end], dtype.newbyteorder("<")).astype(dtype, copy=False)
    return stored.reshape(n_rows, *of.sizes), end


def _column(name: str, of: FieldType, values: Any) -> Column:
    """A caller's values as a column."""
    import numpy as np

    if of.is_variable:
        if isinstance(values, (str, bytes)):
            raise TypeError(f"field {name} takes a list of one value for each row, not one {type(values).__name__}")
        return VariableColumn.of(list(values), is_text=of.name == TEXT)
    given, dtype = np.asarray(values), np.dtype(of.name)
    if given.dtype.kind not in {"b": "b", "i": "iu", "u": "iu", "f": "iuf"}[dtype.kind] and given.size:
        raise TypeError(f"field {name} takes {of.name}, not {given.dtype}")
    if given.shape[1:] != of.sizes or not given.ndim:
        raise ValueError(f"field {name} has shape {given.shape}, and must be (rows, {', '.join(map(str, of.sizes))})")
    if dtype.kind in "iu" and given.size:
        info = np.iinfo(dtype)
        if int(given.min()) < info.min or int(given.max()) > info.max:
            raise ValueError(f"field {name} holds numbers that are not {of.name}")
    return given.astype(dtype)
