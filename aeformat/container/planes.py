"""Rows of a chunk before the shuffle is undone: one row of them costs less than all (spec/container.md, section 6).

Owns a row out of byte planes, and whether the planes show that all values are finite.  NumPy is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aeformat.container.assigned import VALUE_TYPES
from aeformat.container.compression import unshuffle_into
from aeformat.container.encodings import is_as_stored
from aeformat.container.header import LatentsHeader

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The last byte of a value holds the sign and the upper bits of the exponent: without the sign at most this in a finite value.
# (A few finite values have more there, in f64 and f32: a look at one plane does not tell them from NaN.)
_MOST_LAST: Final = {"f64": 0x7E, "f32": 0x7E, "f16": 0x7B}


_FEW: Final = 512  # values, for which one transposed copy is as fast as a copy of each plane


class Planes:
    """The rows of one chunk, all of one size.  filtered: the bytes that the frame held."""

    __slots__ = ("_filtered", "_header")

    def __init__(self, filtered: bytes, header: LatentsHeader) -> None:
        self._filtered, self._header = filtered, header

    @property
    def n_bytes(self) -> int:
        """What they take."""
        return len(self._filtered)

    def shows_finite(self) -> bool:
        """Whether a look at one plane shows that all values are finite; False where that takes a look at the values."""
        import numpy as np

        last = np.frombuffer(self._filtered, np.uint8)[-len(self._filtered) // self._header.encoding_spec.n_bytes :]
        return bool((last & 0x7F).max() <= _MOST_LAST[self._header.encoding_spec.own])

    def row(self, row: int) -> NDArray[Any]:
        """One row, counted from the first here; read-only."""
        import numpy as np

        header = self._header
        width, n_values = header.encoding_spec.n_bytes, header.n_values
        planes = np.frombuffer(self._filtered, np.uint8).reshape(width, -1)[:, row * n_values : (row + 1) * n_values]
        if n_values < _FEW:
            values = np.frombuffer(planes.T.tobytes(), VALUE_TYPES[header.values].numpy)
        else:
            values = np.empty(n_values, VALUE_TYPES[header.values].numpy)
            unshuffle_into(values.view(np.uint8), planes)
            values.flags.writeable = False
        return values.reshape(header.dims)

    def rows(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Some rows, (n, *dims), by their numbers counted from the first here."""
        import numpy as np

        header = self._header
        planes = np.frombuffer(self._filtered, np.uint8).reshape(header.encoding_spec.n_bytes, -1, header.n_values)
        values = np.empty((len(rows), *header.dims), VALUE_TYPES[header.values].numpy)
        unshuffle_into(values.reshape(-1).view(np.uint8), planes[:, rows].reshape(len(planes), -1))
        return values


def has_planes(header: LatentsHeader) -> bool:
    """Whether a file has chunks of rows that this module can take a row from."""
    return (
        header.filter == "shuffle"
        and not header.has_free_sizes
        and header.encoding_spec.own in _MOST_LAST
        and is_as_stored(header)
    )
