"""Shapes, types and intervals of the values in a network (spec/model.md, sections 2 to 4).

Owns the small types that all of aeformat.model uses.  Knows nothing of layers, manifests or files.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Final

Shape = tuple[int, ...]
Number = int | tuple[int, ...]  # a parameter of a layer

EXACT: Final = "exact"
FLOAT32: Final = "float32"

# Types of tensors (section 2) -> little-endian dtype.
DTYPES: Final = {"f32": "<f4", "f16": "<f2", "i8": "|i1", "u8": "|u1", "i32": "<i4"}
ITEM_BYTES: Final = {"f32": 4, "f16": 2, "i8": 1, "u8": 1, "i32": 4}
FLOAT_TYPES: Final = frozenset({"f32", "f16"})

# Types of endpoints and values -> the integers they can hold; f32 holds no interval.
INTEGER_RANGES: Final = {"u8": (0, 255), "i8": (-128, 127)}
ENDPOINT_TYPES: Final = ("u8", "i8", "f32")
ACC: Final = "acc"  # the integer sums of the exact profile

MAX_ELEMENTS: Final = 2**28  # M3-5
MAX_TENSOR_BYTES: Final = 268_435_456  # M2-6


@dataclass(frozen=True, slots=True)
class Interval:
    """All integers from lo to hi, both included."""

    lo: int
    hi: int

    @property
    def magnitude(self) -> int:
        """The largest absolute value."""
        return max(abs(self.lo), abs(self.hi))

    def holds(self, other: Interval) -> bool:
        """Whether all of `other` is inside this interval."""
        return self.lo <= other.lo and other.hi <= self.hi

    def __str__(self) -> str:
        return f"{self.lo} to {self.hi}"


@dataclass(frozen=True, slots=True)
class Value:
    """The network's input or one layer's output: the shape of one row, and "u8", "i8", "f32" or "acc"."""

    shape: Shape
    type: str

    @property
    def n_elements(self) -> int:
        """Numbers in one row."""
        return prod(self.shape)

    def __str__(self) -> str:
        return f"{self.type} {list(self.shape)}"


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Shape, type and digest of one tensor, from the manifest.  sha256: of its C-order little-endian bytes."""

    shape: Shape
    type: str
    sha256: bytes

    @property
    def n_elements(self) -> int:
        """Numbers in the tensor."""
        return prod(self.shape)

    @property
    def n_bytes(self) -> int:
        """Bytes of the raw payload of its TENS chunk (M1-4)."""
        return self.n_elements * ITEM_BYTES[self.type]
