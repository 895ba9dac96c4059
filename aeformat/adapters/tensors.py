"""Tensors as files of other tools hold them: a type, a shape, and bytes that are read when somebody wants them.

Owns the names of types, and Tensor <-> NumPy array.  bf16, which NumPy lacks, is an array of float32 whose lower 16 bits are 0,
as everywhere in this package.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aeformat.errors import CacheInvalid
from aeformat.exchange.network_id import TYPE_BYTES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NUMPY_NAMES: Final = {
    "bool": "bool", "u8": "uint8", "u16": "uint16", "u32": "uint32", "u64": "uint64", "i8": "int8", "i16": "int16",
    "i32": "int32", "i64": "int64", "f16": "float16", "f32": "float32", "f64": "float64",
}  # fmt: skip
OUR_NAMES: Final = {theirs: ours for ours, theirs in NUMPY_NAMES.items()}
ENCODINGS: Final = {
    "f64": "f64le", "f32": "f32le", "f16": "f16le", "bf16": "bf16le", "u8": "u8", "i8": "i8", "u16": "u16le",
}  # fmt: skip
"""Type of a latent -> how it is stored.  No other type can be a row (spec/container.md, section 5)."""
TYPES: Final = {encoding: kind for kind, encoding in ENCODINGS.items()}


class Tensor(NamedTuple):
    """One array of a file.  type: a name of spec/model.md, section 13.  read: its values, little-endian, in C order."""

    type: str
    shape: tuple[int, ...]
    read: Callable[[], bytes]

    @property
    def n_bytes(self) -> int:
        """As shape and type say."""
        return math.prod(self.shape) * TYPE_BYTES[self.type]

    def bits(self) -> NDArray[Any]:
        """The values as NumPy has them; bf16 and floats of 8 bits as unsigned integers with the same bits.

        Raises CacheInvalid.
        """
        import numpy as np

        name = NUMPY_NAMES.get(self.type, f"uint{8 * TYPE_BYTES[self.type]}")
        data = self.read()
        if self.type == "bool" and data.translate(None, b"\0\1"):
            raise CacheInvalid("a truth value that is neither 0 nor 1")
        stored = np.frombuffer(data, np.dtype(name).newbyteorder("<"))
        return stored.astype(np.dtype(name), copy=False).reshape(self.shape)

    def values(self) -> NDArray[Any]:
        """As a row: bf16 as float32."""
        import numpy as np

        bits = self.bits()
        return (bits.astype(np.uint32) << 16).view(np.float32) if self.type == "bf16" else bits


def of_array(array: NDArray[Any]) -> Tensor:
    """An array whose type NumPy has.  Raises KeyError for one that is no type of a tensor."""
    import numpy as np

    kind = OUR_NAMES[array.dtype.name]
    return Tensor(kind, array.shape, lambda: np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())


def of_row(row: NDArray[Any], kind: str) -> Tensor:
    """A row of a file, whose latents are of that type."""
    import numpy as np

    if kind != "bf16":
        return of_array(row)
    high = (np.ascontiguousarray(row, np.float32).view(np.uint32) >> 16).astype("<u2")
    return Tensor(kind, row.shape, high.tobytes)


def dtype_of(name: str) -> np.dtype[Any]:
    """The NumPy type of that name."""
    import numpy as np

    return np.dtype(name)
