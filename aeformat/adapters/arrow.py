"""Folders of .parquet and .arrow: rows of a table.  The only module here that imports pyarrow.

Lists of numbers of one size, however deep, are arrays; numbers, texts and bytes are fields.  The schema is kept; row groups,
compression and the split into batches are not.  What has another type is no field, and is named.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from aeformat.adapters.items import LATENT, CacheFormat, Item, Value, chosen_key
from aeformat.adapters.tensors import OUR_NAMES, Tensor, of_array
from aeformat.errors import CacheInvalid, UsageError

_SCHEMA: Final = "arrow.schema"
_BATCH_ROWS: Final = 64
_LOST: Final = "row groups, batches and compression of a table"


class ParquetFiles(CacheFormat):
    """A folder of .parquet."""

    name, suffix, many = "parquet", ".parquet", True

    @contextlib.contextmanager
    def opened(self, path: Path) -> Iterator[tuple[Any, Iterator[Any]]]:
        """The schema of a file, and its rows, some at a time."""
        parquet = _pyarrow("parquet")
        with parquet.ParquetFile(path) as file:
            yield file.schema_arrow, file.iter_batches(_BATCH_ROWS)

    def writer(self, path: Path, schema: Any) -> Any:
        """Of a new file."""
        return _pyarrow("parquet").ParquetWriter(path, schema)

    def items(self, path: Path, file: str, key: str | None) -> Iterator[Item]:
        """As CacheFormat's."""
        with _arrow_errors(), contextlib.ExitStack() as stack:
            schema, batches = stack.enter_context(self.opened(path))
            kinds = {field.name: _kind(field.type) for field in schema}
            if len(kinds) < len(schema):
                raise CacheInvalid("two columns have one name")
            lost = [_LOST, *(f"column {name!r} of type {schema.field(name).type}" for name in kinds if not kinds[name])]
            chosen = chosen_key([name for name, kind in kinds.items() if kind == "array"], key)
            keys = {LATENT if name == chosen else name: name for name, kind in kinds.items() if kind}
            kept = _pyarrow().schema([schema.field(name) for name in keys.values()], metadata=schema.metadata)
            metadata: dict[str, Any] | None = {_SCHEMA: base64.b64encode(kept.serialize().to_pybytes()).decode()}
            number = 0
            for batch in batches:
                for i in range(batch.num_rows):
                    values = {field: _value(name, batch.column(name), i, kinds[name]) for field, name in keys.items()}
                    latent = values.pop(LATENT)
                    if not isinstance(latent, Tensor):
                        raise CacheInvalid(f"row {number} has no latent")
                    extras = {field: value for field, value in values.items() if value is not None}
                    yield Item(file, f"{file}/{number:08d}", latent, keys, extras, metadata, lost)
                    number, metadata, lost = number + 1, None, []

    def write(self, path: Path, items: Iterable[Item]) -> list[str]:
        """As CacheFormat's."""
        rows: list[Item] = []
        writer: Any = None
        schema: Any = None
        try:
            for item in items:
                if writer is None:
                    schema = _schema(item)
                    writer = self.writer(path, schema)
                rows.append(item)
                if len(rows) == _BATCH_ROWS:
                    writer.write_batch(_batch(rows, schema))
                    rows = []
            if rows:
                writer.write_batch(_batch(rows, schema))
        finally:
            if writer is not None:
                writer.close()
        return []


class ArrowFiles(ParquetFiles):
    """A folder of .arrow, the file format of Arrow IPC."""

    name, suffix = "arrow", ".arrow"

    @contextlib.contextmanager
    def opened(self, path: Path) -> Iterator[tuple[Any, Iterator[Any]]]:
        """As ParquetFiles'."""
        with _pyarrow().memory_map(str(path)) as data, _pyarrow("ipc").open_file(data) as file:
            yield file.schema, (file.get_batch(i) for i in range(file.num_record_batches))

    def writer(self, path: Path, schema: Any) -> Any:
        """As ParquetFiles'."""
        return _pyarrow("ipc").new_file(str(path), schema)


def _pyarrow(part: str = "") -> Any:
    """Raises UsageError where it is not installed."""
    try:
        import pyarrow
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError as error:
        raise UsageError('tables need pyarrow: pip install "aeformat[arrow]"') from error
    return getattr(pyarrow, part) if part else pyarrow


@contextlib.contextmanager
def _arrow_errors() -> Iterator[None]:
    """What is wrong with a file as CacheInvalid."""
    pyarrow = _pyarrow()
    try:
        yield
    except (pyarrow.ArrowException, OSError) as error:
        raise CacheInvalid(f"no whole table: {str(error).splitlines()[0][:200]}") from None


def _leaf(kind: Any) -> Any:
    """The type of the numbers in lists of lists."""
    types = _pyarrow("types")
    while types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        kind = kind.value_type
    return kind


def _kind(of: Any) -> str:
    """ "array", "number", "text", "bytes", or "" for what no field can be."""
    types, leaf = _pyarrow("types"), _leaf(of)
    if types.is_string(of) or types.is_large_string(of):
        return "text"
    if types.is_binary(of) or types.is_large_binary(of):
        return "bytes"
    is_number = types.is_integer(leaf) or types.is_floating(leaf) or types.is_boolean(leaf)
    return "" if not is_number else "number" if leaf == of else "array"


def _value(name: str, column: Any, i: int, kind: str) -> Value | None:
    if not column[i].is_valid:
        return None
    if kind in ("text", "bytes"):
        found: Value = column[i].as_py()
        return found
    values, shape = column.slice(i, 1), []
    while values.type != _leaf(values.type):
        lengths = values.value_lengths().unique().to_pylist()
        if len(lengths) != 1 or lengths[0] is None:
            raise CacheInvalid(f"column {name!r}: lists in it have several sizes, or none, and so are no array")
        shape.append(lengths[0])
        values = values.flatten()
    if values.null_count:
        raise CacheInvalid(f"column {name!r}: a number in a list is missing")
    array = values.to_numpy(zero_copy_only=False)
    if array.dtype.name not in OUR_NAMES:
        raise CacheInvalid(f"column {name!r}: numbers of type {array.dtype}, which cannot be kept")
    return of_array(array.reshape(shape))


def _schema(item: Item) -> Any:
    """That the import has left with the first row of each file.  Raises CacheInvalid."""
    text = (item.metadata or {}).get(_SCHEMA)
    if not isinstance(text, str):
        raise CacheInvalid("the first row of a table does not say its schema")
    with _arrow_errors():
        try:
            data = base64.b64decode(text, validate=True)
        except ValueError:
            raise CacheInvalid("the schema of a table is damaged") from None
        return _pyarrow("ipc").read_schema(_pyarrow().py_buffer(data))


def _batch(rows: list[Item], schema: Any) -> Any:
    columns = []
    fields = {key: field for field, key in rows[0].keys.items()}
    for of in schema:
        field = fields[of.name]
        values = [row.latent if field == LATENT else row.extras.get(field) for row in rows]
        columns.append(_column(values, of.type))
    return _pyarrow("RecordBatch").from_arrays(columns, schema=schema)


def _column(values: list[Value | None], kind: Any) -> Any:
    pyarrow = _pyarrow()
    arrays = [value.bits() if isinstance(value, Tensor) else value for value in values]
    if all(isinstance(one, np.ndarray) for one in arrays):
        return _nested(arrays, kind)
    return pyarrow.array([one.tolist() if isinstance(one, np.ndarray) else one for one in arrays], kind)


def _nested(arrays: list[Any], kind: Any) -> Any:
    """Arrays as lists of lists: numbers first, then the lists around them, from the inside."""
    pyarrow, kinds = _pyarrow(), []
    while kind != _leaf(kind):
        kinds.append(kind)
        kind = kind.value_type
    made = pyarrow.array(np.concatenate([array.reshape(-1) for array in arrays]), kind)
    for depth, of in reversed(list(enumerate(kinds))):
        if pyarrow.types.is_fixed_size_list(of):
            made = pyarrow.FixedSizeListArray.from_arrays(made, type=of)
            continue
        lengths = np.concatenate(
            [np.full(int(np.prod(one.shape[:depth])), one.shape[depth], np.int64) for one in arrays]
        )
        is_large = pyarrow.types.is_large_list(of)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64 if is_large else np.int32)
        made = (pyarrow.LargeListArray if is_large else pyarrow.ListArray).from_arrays(offsets, made, type=of)
    return made
