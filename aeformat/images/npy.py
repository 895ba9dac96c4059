"""NumPy's files: `.npy` (mapped, or read forward from a pipe) and one array of an `.npz`.

Owns the .npy header, both ways, and the choice of an array in an archive.  Never unpickles: only uint8 is read.
Source: numpy.lib.format, versions 1.0 and 2.0 (3.0 differs only for structured arrays).
"""

from __future__ import annotations

import ast
import contextlib
import math
import os
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.lib import format as npy_format

from aeformat.errors import ImageError
from aeformat.images.exact_read import Readable, damage_as_image_error, read_images, read_up_to
from aeformat.images.fit import ImageFit, Layout, Shape, check_dtype, layout_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

HEADER_BYTES: Final = 128  # fixed, so that the count can be filled in at the end; there is room for 20 digits
PREFERRED: Final = ("images", "x", "arr_0", "x_test")  # which array of several is meant, if just one of these is there
_MAGIC: Final = b"\x93NUMPY"
_MAX_HEADER_BYTES: Final = 10_000  # numpy's own bound on what is handed to Python's parser
_MEMBER_SUFFIX: Final = ".npy"
_ENCRYPTED: Final = 0x1  # general purpose flag, APPNOTE.TXT 4.4.4


def encode_header(shape: Shape, n_rows: int) -> bytes:
    """The 128-byte version 1.0 header of n_rows images of uint8: (n, h, w) for one channel, else (n, h, w, c)."""
    dims = (n_rows, *shape[:2]) if shape[2] == 1 else (n_rows, *shape)
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {dims}, }}"
    prefix = npy_format.magic(1, 0) + (HEADER_BYTES - 10).to_bytes(2, "little")
    return prefix + text.encode("ascii").ljust(HEADER_BYTES - 11) + b"\n"


@dataclass(frozen=True, slots=True)
class NpyHeader:
    """The shape and order of an array of uint8, and how many bytes the header took."""

    shape: tuple[int, ...]
    fortran_order: bool
    header_bytes: int

    @classmethod
    def read(cls, file: Readable, label: str) -> NpyHeader:
        """Read the header and nothing beyond.  Raises ImageError unless it is of an array of uint8."""
        start = read_up_to(file, 8)
        if len(start) < 8 or not start.startswith(_MAGIC):
            raise ImageError(f"{label}: is no .npy data")
        major, minor = start[6], start[7]
        if (major, minor) not in ((1, 0), (2, 0)):
            raise ImageError(f"{label}: is .npy of version {major}.{minor}, expected 1.0 or 2.0")
        length = read_up_to(file, 2 * major)
        n_bytes = int.from_bytes(length, "little")
        text = read_up_to(file, min(n_bytes, _MAX_HEADER_BYTES))
        try:
            fields = ast.literal_eval(text.decode("latin-1").strip()) if len(text) == n_bytes else None
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            fields = None
        match fields:
            case {"descr": descr, "fortran_order": bool(fortran_order), "shape": tuple(shape), **rest} if not rest:
                if all(type(size) is int and size >= 0 for size in shape):
                    check_dtype(_dtype(descr, label), label)
                    return cls(shape, fortran_order, 8 + 2 * major + n_bytes)
        raise ImageError(f"{label}: its .npy header is damaged; get a fresh copy of it")


def _dtype(descr: object, label: str) -> np.dtype[Any]:
    """What a header calls "descr", a list of fields included.  Raises ImageError."""
    try:
        return npy_format.descr_to_dtype(descr)  # type: ignore[arg-type]  # it is what the file says
    except (TypeError, ValueError, LookupError, SyntaxError) as error:
        raise ImageError(f"{label}: its .npy header names no type of values; get a fresh copy of it") from error


class NpyInput:
    """The images of one .npy file: only the block at hand is in memory.  Raises ImageError.

    A file in C order is read forward; one in Fortran order, where an image is spread over the file, is mapped.
    """

    names: list[str] | None = None

    def __init__(self, path: Path, fit: ImageFit, label: str) -> None:
        self.label = label
        self._path, self._fit = path, fit
        self._layout, _ = self._map()
        self.n_rows = self._layout.n_rows

    def pieces(self, n_rows: int) -> Iterator[NDArray[np.uint8]]:
        layout, rows = self._map()
        if layout != self._layout:
            raise ImageError(f"{self.label}: changed while it was read")
        if rows.flags.c_contiguous:
            del rows  # pages of a mapping would count as memory until the last one is read
            yield from self._forward(n_rows)
            return
        for first in range(0, self.n_rows, n_rows):
            images = np.array(rows[first : first + n_rows], order="C")  # out of the mapping
            yield self._fit.convert(images.reshape(-1, *layout.image))

    def _forward(self, n_rows: int) -> Iterator[NDArray[np.uint8]]:
        with damage_as_image_error(self.label), self._path.open("rb") as file:
            NpyHeader.read(file, self.label)
            for images in read_images(file, self._layout, n_rows, self.label):
                yield self._fit.convert(images)

    def _map(self) -> tuple[Layout, NDArray[np.uint8]]:
        """The layout, and the array with one image an entry of its first axis."""
        with damage_as_image_error(self.label), self._path.open("rb") as file:
            header = NpyHeader.read(file, self.label)
            layout = layout_of(header.shape, self._fit, self.label)
            n_bytes, expected = os.fstat(file.fileno()).st_size, header.header_bytes + math.prod(header.shape)
            if n_bytes != expected:
                raise ImageError(f"{self.label}: is {n_bytes:,} bytes long, but its header promises {expected:,}")
            array: NDArray[np.uint8] = np.memmap(
                file, np.uint8, "r", header.header_bytes, header.shape, "F" if header.fortran_order else "C"
            )
        one_image = math.prod(header.shape[1:]) != layout.image_bytes  # (h, w) or (h, w, c)
        return layout, array[np.newaxis] if one_image else array


class NpyStream:
    """The images of an .npy stream that can only be read forward, once.  Raises ImageError."""

    names: list[str] | None = None

    def __init__(self, file: Readable, fit: ImageFit, label: str) -> None:
        self.label = label
        self._file, self._fit = file, fit
        with damage_as_image_error(label):
            header = NpyHeader.read(file, label)
        if header.fortran_order and len(header.shape) > 1:
            raise ImageError(f"{label}: is in Fortran order; save numpy.ascontiguousarray(x)")
        self._layout = layout_of(header.shape, fit, label)
        self.n_rows = self._layout.n_rows

    def pieces(self, n_rows: int) -> Iterator[NDArray[np.uint8]]:
        with damage_as_image_error(self.label):
            for images in read_images(self._file, self._layout, n_rows, self.label):
                yield self._fit.convert(images)


class NpzInput:
    """The images of one array of an .npz archive, unpacked block by block.

    key: the array; None takes the only one, or the only one with a name in PREFERRED.  Raises ImageError.
    """

    names: list[str] | None = None

    def __init__(self, path: Path, fit: ImageFit, label: str, key: str | None = None) -> None:
        self.label = label
        self._path, self._fit, self._key = path, fit, key
        with self._open() as stream:
            self.n_rows = stream.n_rows

    def pieces(self, n_rows: int) -> Iterator[NDArray[np.uint8]]:
        with self._open() as stream:
            if stream.n_rows != self.n_rows:
                raise ImageError(f"{self.label}: changed while it was read")
            yield from stream.pieces(n_rows)

    @contextlib.contextmanager
    def _open(self) -> Iterator[NpyStream]:
        with damage_as_image_error(self.label), zipfile.ZipFile(self._path) as archive:
            member = archive.getinfo(choose_array(archive.namelist(), self._key, self.label) + _MEMBER_SUFFIX)
            if member.flag_bits & _ENCRYPTED:
                raise ImageError(f"{self.label}: is encrypted")
            with archive.open(member) as file:
                yield NpyStream(file, self._fit, self.label)


def choose_array(members: list[str], key: str | None, label: str) -> str:
    """The name of the array that holds the images.  Raises ImageError, listing the names, where that is not clear."""
    names = [name.removesuffix(_MEMBER_SUFFIX) for name in members if name.endswith(_MEMBER_SUFFIX)]
    wanted = [name for name in names if name in PREFERRED] if key is None else [key] * (key in names)
    if key is None and len(names) == 1:
        wanted = names
    if len(wanted) != 1:
        listed = ", ".join(names[:10]) or "none"
        expected = key or f"one of {', '.join(PREFERRED)}"
        raise ImageError(f"{label}: which array holds the images?  It has: {listed}; name it {expected}")
    return wanted[0]
