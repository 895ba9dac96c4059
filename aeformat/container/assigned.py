"""What this version assigns: tags, encodings, value types, codecs, filters (spec/registry.json says the same).

Owns names and numbers.  Knows nothing of how any of them is read.
"""

from __future__ import annotations

from typing import Final, NamedTuple

MAGIC: Final = b"\x89AEF\r\n\x1a\n"
MAJOR: Final = 1
MINOR: Final = 1

# Bits of `flags` (spec/container.md, section 2).
FREE_SIZES: Final = 1 << 0  # rows have sizes of their own
NO_DECODER: Final = 1 << 1  # the decoder is no package, or not known
NEW_MANIFEST: Final = 1 << 2  # the manifest is one of version 1.1
DESCRIBED: Final = 1 << 4  # the header says what the latents are
MINOR_OF_FLAG: Final = {
    FREE_SIZES: 1,
    NO_DECODER: 1,
    NEW_MANIFEST: 1,
    DESCRIBED: 1,
}  # the minor version that assigned it

# Chunk tags (spec/container.md, section 4).
ROWS: Final = b"ROWS"
SIZES: Final = b"SIZE"  # with FREE_SIZES only
NAME: Final = b"nAMe"
FIELDS: Final = b"fLDs"
RECEIPT: Final = b"rCPT"
DECODER: Final = b"dECo"
INDEX: Final = b"iNDX"
MANIFEST: Final = b"MANF"
TENSOR: Final = b"TENS"
TRAILER: Final = b"TAIL"

KIND_OF_TAG: Final = {
    ROWS: "latents",
    SIZES: "latents",
    NAME: "latents",
    FIELDS: "latents",
    RECEIPT: "latents",
    DECODER: "latents",
    INDEX: "latents",
    MANIFEST: "model",
    TENSOR: "model",
}
NEVER_COMPRESSED: Final = frozenset({DECODER, INDEX, RECEIPT, SIZES})

CODECS: Final = ("none", "zstd", "rans")
FILTERED: Final = frozenset({"zstd"})  # codecs that have a filter (C3-11)
RANS_ENCODINGS: Final = frozenset({"u8", "i8"})  # C3-15
FILTERS: Final = ("none", "shuffle")
KINDS: Final = ("latents", "model")
IMAGE_TYPES: Final = ("u8",)


class ValueType(NamedTuple):
    """A type of numbers.  `numpy` is the little-endian dtype; bf16, which NumPy lacks, is handed out as float32."""

    name: str
    n_bytes: int
    numpy: str
    is_float: bool


VALUE_TYPES: Final = {
    t.name: t
    for t in (
        ValueType("f64", 8, "<f8", True),
        ValueType("f32", 4, "<f4", True),
        ValueType("f16", 2, "<f2", True),
        ValueType("bf16", 2, "<u2", True),
        ValueType("u8", 1, "|u1", False),
        ValueType("i8", 1, "|i1", False),
        ValueType("u16", 2, "<u2", False),
    )
}


class Encoding(NamedTuple):
    """How one value is stored (spec/container.md, section 5).  `holds` begins with the encoding's own type."""

    name: str
    n_bytes: int
    holds: tuple[str, ...]

    @property
    def own(self) -> str:
        """The value type that needs no `values` key."""
        return self.holds[0]

    @property
    def is_text(self) -> bool:
        """True for text19, whose cells are characters."""
        return self.name == "text19"

    @property
    def byte_order(self) -> str:
        """What the header's `byte_order` must say (C3-10)."""
        return "none" if self.is_text or self.n_bytes == 1 else "little"

    @property
    def is_aligned(self) -> bool:
        """Whether uncompressed rows begin at a multiple of 64 (C4-9)."""
        return not self.is_text and self.n_bytes > 1


TEXT19_CELL_BYTES: Final = 27  # the separator included

ENCODINGS: Final = {
    e.name: e
    for e in (
        Encoding("text19", TEXT19_CELL_BYTES, ("f64", "f32", "f16", "bf16", "u8", "i8", "u16")),
        Encoding("f64le", 8, ("f64", "f32", "f16", "bf16", "u8", "i8", "u16")),
        Encoding("f32le", 4, ("f32", "f16", "bf16", "u8", "i8", "u16")),
        Encoding("f16le", 2, ("f16", "u8", "i8")),
        Encoding("bf16le", 2, ("bf16", "u8", "i8")),
        Encoding("u8", 1, ("u8",)),
        Encoding("i8", 1, ("i8",)),
        Encoding("u16le", 2, ("u16", "u8")),
    )
}
