"""Raw payloads <-> arrays of values (spec/container.md, section 5).

Owns what a value looks like in each encoding and the bytes the content id is made of.  Knows nothing of chunks or
compression.  NumPy is imported on first use, so that a reader that only looks at headers never loads it.
bf16, which NumPy lacks, is handed out and taken as float32 whose lower 16 bits are zero.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from aeformat.container import text19
from aeformat.container.assigned import VALUE_TYPES
from aeformat.container.header import LatentsHeader
from aeformat.container.ragged import RaggedRows
from aeformat.container.sizes import RowSizes

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray


_BF16_EXPONENT: Final = 0x7F80  # all ones: NaN or infinity


class BadValue(ValueError):
    """A value that breaks section 5.  at: byte offset in the raw payload."""

    def __init__(self, rule: str, at: int, what: str) -> None:
        super().__init__(rule, at, what)
        self.rule, self.at, self.what = rule, at, what


def array_type(values: str) -> DTypeLike:
    """The NumPy type, in this machine's byte order, of the value type of that name."""
    import numpy as np

    return np.dtype(np.float32) if values == "bf16" else np.dtype(VALUE_TYPES[values].numpy).newbyteorder("=")


def check_type(values: NDArray[Any] | RaggedRows, header: LatentsHeader) -> None:
    """That rows have the header's value type; the byte order is free.  Raises TypeError."""
    if values.dtype.newbyteorder("=") != array_type(header.values):
        raise TypeError(f"values are {values.dtype}, the header says {header.values}")


def encode(values: NDArray[Any] | RaggedRows, header: LatentsHeader) -> bytes | memoryview:
    """Rows in the header's value type, of either byte order -> raw payload.

    Raises BadValue (NaN, infinity, a float32 that is no bf16), TypeError (another type).
    """
    import numpy as np

    check_type(values, header)
    sizes = sizes_of(values, header)
    flat = values.flat if isinstance(values, RaggedRows) else values
    flat = np.ascontiguousarray(flat, array_type(header.values)).reshape(-1)
    width = header.encoding_spec.n_bytes
    _check_finite(flat, width, sizes)
    if header.values == "bf16":
        _check_same(_narrow(flat, "bf16"), flat, "bf16", width)
    if header.encoding_spec.is_text:
        return text19.format_rows(flat.astype(np.float64), _lines(sizes))
    return _little_endian(flat, header.encoding_spec.own)


def sizes_of(values: NDArray[Any] | RaggedRows, header: LatentsHeader) -> RowSizes:
    """The sizes of rows."""
    return values.sizes if isinstance(values, RaggedRows) else RowSizes.equal(header.form, len(values))


def _lines(sizes: RowSizes) -> text19.Lines:
    return text19.lines_until(sizes.row_ends()) if sizes.form.n_free else sizes.form.n_values


def decode(
    raw: bytes | memoryview, header: LatentsHeader, sizes: RowSizes | None = None, *, bf16_bits: bool = False
) -> NDArray[Any] | Any:
    """Raw payload -> rows in the header's value type: (n, *dims), or RaggedRows if they have sizes of their own.

    sizes: of the rows; may be left out where the header says them.  bf16_bits: bf16 comes as its bits, uint16, not widened.
    Raises BadValue.
    """
    import numpy as np

    spec, sizes = header.encoding_spec, _all_equal(raw, header) if sizes is None else sizes
    if bf16_bits and header.values == "bf16":
        bits = _stored_bits(raw, header, sizes) if spec.own == "bf16" else _bits_of(decode(raw, header, sizes))
        return _shaped(bits, header, sizes)
    if spec.is_text:
        try:
            stored: NDArray[Any] = text19.parse_rows(raw, _lines(sizes))
        except text19.BadText as error:
            raise BadValue(error.rule, error.at, error.what) from None
    else:
        stored = _stored(raw, header)
        if spec.own == "bf16":
            wide = stored.astype(np.uint32)
            wide <<= 16
            stored = wide.view(np.float32)
        stored = stored.astype(stored.dtype.newbyteorder("="), copy=False)
        _check_finite(stored, spec.n_bytes, sizes)
    values = stored
    if header.values != spec.own:
        values = _narrow(stored, header.values)
        _check_same(values, stored, header.values, spec.n_bytes)
    return _shaped(values, header, sizes)


def _stored_bits(raw: bytes | memoryview, header: LatentsHeader, sizes: RowSizes) -> NDArray[Any]:
    """The bits of bf16 as they are stored, without a copy where the machine is little-endian.  C5-3."""
    import numpy as np

    stored = _stored(raw, header).astype(np.uint16, copy=False)
    exponents = stored & np.uint16(_BF16_EXPONENT)
    if exponents.max(initial=0) == _BF16_EXPONENT:
        index = int(np.flatnonzero(exponents == _BF16_EXPONENT)[0])
        value = (stored[index : index + 1].astype(np.uint32) << 16).view(np.float32)[0]
        raise _not_finite(index, header.encoding_spec.n_bytes, sizes, value)
    return stored


def _bits_of(values: NDArray[Any] | RaggedRows) -> NDArray[Any]:
    """The bits of bf16 that was widened."""
    import numpy as np

    flat = values.flat if isinstance(values, RaggedRows) else values.reshape(-1)
    return (flat.view(np.uint32) >> 16).astype(np.uint16)


def is_as_stored(header: LatentsHeader) -> bool:
    """Whether rows in memory have the very bytes of their raw payload, on this machine."""
    spec = header.encoding_spec
    is_own = not spec.is_text and header.values == spec.own and spec.own != "bf16"
    return is_own and (sys.byteorder == "little" or spec.n_bytes == 1)


def check_finite(values: NDArray[Any], header: LatentsHeader) -> None:
    """C5-3 for rows of one size whose bytes are their raw payload.  Raises BadValue."""
    _check_finite(values.reshape(-1), header.encoding_spec.n_bytes, RowSizes.equal(header.form, len(values)))


def stored_view(raw: bytes | memoryview, header: LatentsHeader, sizes: RowSizes | None = None) -> NDArray[Any] | Any:
    """Raw payload -> rows as they are stored, little-endian, without a copy; read-only.  Not for text19.

    sizes: as in `decode`.
    """
    return _shaped(_stored(raw, header), header, _all_equal(raw, header) if sizes is None else sizes)


def _all_equal(raw: bytes | memoryview, header: LatentsHeader) -> RowSizes:
    return RowSizes.equal(header.form, len(raw) // header.row_bytes)


def _stored(raw: bytes | memoryview, header: LatentsHeader) -> NDArray[Any]:
    import numpy as np

    return np.frombuffer(raw, np.dtype(VALUE_TYPES[header.encoding_spec.own].numpy))


def _shaped(flat: NDArray[Any], header: LatentsHeader, sizes: RowSizes) -> NDArray[Any] | RaggedRows:
    return RaggedRows(flat, sizes) if header.has_free_sizes else flat.reshape(-1, *header.dims)


def content_bytes(values: NDArray[Any], header: LatentsHeader) -> bytes | memoryview:
    """Values in the header's value type -> the bytes that the content id is computed over."""
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


def _check_finite(stored: NDArray[Any], width: int, sizes: RowSizes) -> None:
    """C5-3."""
    import numpy as np

    if stored.dtype.kind != "f":
        return
    finite = np.isfinite(stored)
    if not finite.all():
        index = int(np.flatnonzero(~finite)[0])
        raise _not_finite(index, width, sizes, stored[index])


def _not_finite(index: int, width: int, sizes: RowSizes, value: Any) -> BadValue:
    return BadValue("C5-3", index * width, f"row {sizes.row_of(index)} of this chunk holds {value}")


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
        raise BadValue("C5-4", index * width, f"{stored[index]!s} is not exact in {name}")
