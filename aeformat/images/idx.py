"""IDX, the format of the MNIST files: two zero bytes, a type, a rank, big-endian u32 dimensions, then the values.

Owns the header, both ways, and reading images from IDX files, gzipped or not.  Only unsigned bytes of rank 3
(n, h, w) or 4 (n, h, w, c) are images.  Source: yann.lecun.com/exdb/mnist, "the IDX file format".
"""

from __future__ import annotations

import gzip
import math
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from aeformat.errors import ImageError, UsageError
from aeformat.images.exact_read import Readable, damage_as_image_error, read_images, read_up_to
from aeformat.images.fit import ImageFit, Layout, Shape, layout_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

MAGIC: Final = b"\x00\x00"
GZIP_MAGIC: Final = b"\x1f\x8b"
_UBYTE: Final = 0x08
_MAX_DIM: Final = 2**32 - 1


def encode_header(shape: Shape, n_rows: int) -> bytes:
    """The header of n_rows images: rank 3 for one channel, else rank 4.  Raises UsageError above 2^32 - 1 images."""
    if n_rows > _MAX_DIM:
        raise UsageError(f"an IDX file holds at most {_MAX_DIM:,} images; write .npy instead")
    height, width, channels = shape
    dims = (n_rows, height, width) if channels == 1 else (n_rows, height, width, channels)
    return struct.pack(f">2xBB{len(dims)}I", _UBYTE, len(dims), *dims)


def read_header(file: Readable, label: str) -> tuple[int, ...]:
    """Read the header and return the dimensions.  Raises ImageError unless it is of images in unsigned bytes."""
    start = read_up_to(file, 4)
    if len(start) < 4 or start[:2] != MAGIC:
        raise ImageError(f"{label}: is no IDX file")
    kind, rank = start[2], start[3]
    if kind != _UBYTE:
        raise ImageError(f"{label}: holds values of IDX type 0x{kind:02x}, expected unsigned bytes (0x08)")
    if rank not in (3, 4):
        hint = "; is it the labels file?" if rank == 1 else ""
        raise ImageError(f"{label}: has {rank} dimensions, expected 3 (n, h, w) or 4 (n, h, w, c){hint}")
    dims = read_up_to(file, 4 * rank)
    if len(dims) < 4 * rank:
        raise ImageError(f"{label}: ends inside its header; get the whole file")
    return struct.unpack(f">{rank}I", dims)


class IdxInput:
    """The images of one IDX file.  Raises ImageError where they do not fit or the length is not what it claims."""

    names: list[str] | None = None

    def __init__(self, path: Path, fit: ImageFit, label: str) -> None:
        self.label = label
        self.files: list[str | Path] = [path]
        self._path, self._fit = path, fit
        with damage_as_image_error(label), open_maybe_gzip(path) as file:
            self._layout = self._read_layout(file)
        self.n_rows = self._layout.n_rows

    def pieces(self, n_rows: int) -> Iterator[NDArray[np.uint8]]:
        with damage_as_image_error(self.label), open_maybe_gzip(self._path) as file:
            if self._read_layout(file) != self._layout:
                raise ImageError(f"{self.label}: changed while it was read")
            for images in read_images(file, self._layout, n_rows, self.label):
                yield self._fit.convert(images)

    def _read_layout(self, file: BinaryIO | gzip.GzipFile) -> Layout:
        dims = read_header(file, self.label)
        if not isinstance(file, gzip.GzipFile):
            n_bytes, expected = os.fstat(file.fileno()).st_size, 4 + 4 * len(dims) + math.prod(dims)
            if n_bytes != expected:
                raise ImageError(f"{self.label}: is {n_bytes:,} bytes long, but its header promises {expected:,}")
        return layout_of(dims, self._fit, self.label)


def open_maybe_gzip(path: Path) -> BinaryIO | gzip.GzipFile:
    """Open for reading, through gzip where the first two bytes are gzip's.  Raises OSError."""
    with path.open("rb") as file:
        start = file.read(2)
    return gzip.GzipFile(path) if start == GZIP_MAGIC else path.open("rb")
