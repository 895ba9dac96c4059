"""Raw payloads <-> arrays of values (spec/container.md, section 5).

Owns what a value looks like in each encoding and the bytes the content id is made of.  Knows nothing of chunks or
compression.  NumPy is imported on first use, so that a reader that only looks at headers never loads it.
bf16, which NumPy lacks, is handed out and taken as float32 whose lower 16 bits are zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aeformat.container import text19
from aeformat.container.assigned import VALUE_TYPES
from aeformat.container.header import LatentsHeader

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray


class BadValue(ValueError):
    """A value that breaks section 5.  at: byte offset in the raw payload."""

    def __init__(self, rule: str, at: int, what: str) -> None:
        super().__init__(rule, at, what)
        self.rule, self.at, self.what = rule, at, what


def array_type(values: str) -> DTypeLike:
    """The NumPy type, in this machine's byte order, of the value type of that name."""
    import numpy as np

    return np.dtype(np.float32) if values == "bf16" else np.dtype(VALUE_TYPES[values].numpy).newbyteorder("=")


def check_type(values: NDArray[Any], header: LatentsHeader) -> None:
    """That the values, (n, *dims), have the header's value type; the byte order is free.  Raises TypeError."""
    if values.dtype.newbyteorder("=") != array_type(header.values):
        raise TypeError(f"values are {values.dtype}, the header says {header.values}")


def encode(values: NDArray[Any], header: LatentsHeader) -> bytes | memoryview:
    """(n, *dims) in the header's value type, of either byte order -> raw payload.

    Raises BadValue (NaN, infinity, a float32 that is no bf16), TypeError (another type).
    """
    import numpy as np

    check_type(values, header)
    rows = np.ascontiguousarray(values, array_type(header.values)).reshape(len(values), header.n_values)
    width = header.encoding_spec.n_bytes
    _check_finite(rows, width)
    if header.values == "bf16":
        _check_same(_narrow(rows, "bf16"), rows, "bf16", width)
    if header.encoding_spec.is_text:
        return text19.format_rows(rows.astype(np.float64))
    return _little_endian(rows, header.encoding_spec.own)


def decode(raw: bytes | memoryview, header: LatentsHeader) -> NDArray[Any]:
    """Raw payload, a whole number of rows -> (n, *dims) in the header's value type.  Raises BadValue."""
    import numpy as np

    spec = header.encoding_spec
    if spec.is_text:
        try:
            stored: NDArray[Any] = text19.parse_rows(raw, header.n_values)
        except text19.BadText as error:
            raise BadValue(error.rule, error.at, error.what) from None
    else:
        stored = stored_view(raw, header)
        if spec.own == "bf16":
            wide = stored.astype(np.uint32)
            wide <<= 16
            stored = wide.view(np.float32)
        stored = stored.astype(stored.dtype.newbyteorder("="), copy=False)
        _check_finite(stored, spec.n_bytes)
    values = stored
    if header.values != spec.own:
        values = _narrow(stored, header.values)
        _check_same(values, stored, header.values, spec.n_bytes)
    return values.reshape(-1, *header.dims)


def stored_view(raw: bytes | memoryview, header: LatentsHeader) -> NDArray[Any]:
    """Raw payload -> (n, *dims) as it is stored, little-endian, without a copy; read-only.  Not for text19."""
    import numpy as np

    dtype = np.dtype(VALUE_TYPES[header.encoding_spec.own].numpy)
    return np.frombuffer(raw, dtype).reshape(-1, *header.dims)


def content_bytes(values: NDArray[Any], header: LatentsHeader) -> bytes | memoryview:
    """(n, *dims) in the header's value type -> the bytes that the content id is computed over."""
    return _little_endian(values, header.values)


def round_to(values: NDArray[Any], name: str) -> NDArray[Any]:
    """Values rounded to the nearest of a narrower float type, ties to even: "f32", "f16" or "bf16" (given as float32).

    What is too large for the type becomes infinity, which `encode` refuses.
    """
    import numpy as np

    with np.errstate(over="ignore", under="ignore"):
        if name != "bf16":
            return values.astype(array_type(name))
        single = np.ascontiguousarray(values, np.float32)
        bits = single.view(np.uint32)
        half = (bits & np.uint32(0xFFFF)) == 0x8000  # looks like a tie; what the step to float32 took away decides
        odd = (bits >> 16) & np.uint32(1)
        up = np.where(np.abs(single) == np.abs(values), odd, np.abs(single) < np.abs(values)).astype(np.uint32)
        rounded = bits + np.where(half, np.uint32(0x7FFF) + up, np.uint32(0x8000))
        rounded = (rounded & np.uint32(0xFFFF0000)).view(np.float32)
        return np.where(np.isnan(single), np.float32(np.nan), rounded)


def _little_endian(values: NDArray[Any], own: str) -> bytes | memoryview:
    """The values widened to type `own`, little-endian, C order."""
    import numpy as np

    if own == "bf16":
        values = np.ascontiguousarray(values, np.float32).view(np.uint32) >> 16
    stored = np.ascontiguousarray(values, VALUE_TYPES[own].numpy)
    return stored.reshape(-1).view(np.uint8).data


def _check_finite(stored: NDArray[Any], width: int) -> None:
    """C5-3."""
    import numpy as np

    if stored.dtype.kind != "f":
        return
    finite = np.isfinite(stored)
    if not finite.all():
        index = int(np.flatnonzero(~finite)[0])
        row = index // (stored.size // len(stored))
        raise BadValue("C5-3", index * width, f"row {row} of this chunk holds {stored.reshape(-1)[index]}")


def _narrow(stored: NDArray[Any], values: str) -> NDArray[Any]:
    """The values in a narrower type, rounded or clipped where they do not fit: `_check_same` tells."""
    import numpy as np

    if values == "bf16":
        single = np.ascontiguousarray(_narrow(stored, "f32"))
        return (single.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    dtype = np.dtype(array_type(values))
    if dtype.kind != "f":
        info = np.iinfo(dtype)
        clipped: NDArray[Any] = np.clip(stored, info.min, info.max)
        return clipped.astype(dtype)
    with np.errstate(over="ignore", under="ignore"):
        return stored.astype(dtype)


def _check_same(values: NDArray[Any], stored: NDArray[Any], name: str, width: int) -> None:
    """C5-4: widened again, the values have the very bits that were stored."""
    import numpy as np

    widened = np.ascontiguousarray(values.astype(stored.dtype))
    bits = np.dtype(f"u{stored.dtype.itemsize}")
    bad = np.flatnonzero(widened.view(bits) != np.ascontiguousarray(stored).view(bits))
    if bad.size:
        index = int(bad[0])
        raise BadValue("C5-4", index * width, f"{stored.reshape(-1)[index]!s} is not exact in {name}")
