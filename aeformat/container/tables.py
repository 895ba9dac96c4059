"""Fields as an Arrow table.

Owns which Arrow type a field has.  pyarrow is imported here and nowhere else, on first use.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aeformat.container.field_types import BOOL, TEXT, FieldType, FieldTypes
from aeformat.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def arrow_table(types: FieldTypes, columns: Mapping[str, Any]) -> Any:
    """A pyarrow.Table.  Raises UsageError (pyarrow is not installed).

    columns: by name, an array (n, *sizes), or a list of str, bytes and None.
    """
    try:
        import pyarrow
    except ImportError:
        raise UsageError('pyarrow is not installed: pip install "aeformat[arrow]"') from None
    return pyarrow.table({name: _column(pyarrow, of, columns[name]) for name, of in types.items()})


def _column(pyarrow: Any, of: FieldType, values: Any) -> Any:
    if of.is_variable:
        return pyarrow.array(values, pyarrow.large_string() if of.name == TEXT else pyarrow.large_binary())
    return _numbers(pyarrow, of, values)


def _numbers(pyarrow: Any, of: FieldType, values: NDArray[Any]) -> Any:
    """Lists of a fixed size, one inside the other, of what is an array."""
    kind = pyarrow.bool_() if of.name == BOOL else pyarrow.from_numpy_dtype(values.dtype)
    made = pyarrow.array(values.reshape(-1), kind)
    for size in reversed(of.sizes):
        made = pyarrow.FixedSizeListArray.from_arrays(made, size)
    return made
