"""NumPy's files: `.npy`, also from a pipe, and one array of an `.npz`.

Owns the .npy header, both ways, and the choice of an array in an archive.  Never unpickles: only uint8 is read.
An array in Fortran order, where an image is spread over the whole file, is copied into a temporary file first.
Source: numpy.lib.format, versions 1.0 to 3.0.
"""

from __future__ import annotations

import ast
import contextlib
import math
import os
import re
import tempfile
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.lib import format as npy_format

from aeformat.errors import ImageError
from aeformat.images.exact_read import Readable, damage_as_image_error, read_images, read_up_to
from aeformat.images.fit import ImageFit, Shape, check_dtype, layout_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_PREFIX_BYTES: Final = 10  # magic, version, length
_ALIGN: Final = 64
_COUNT_DIGITS: Final = 21  # room for them, as NumPy leaves it, so that the count can be filled in at the end
_MAGIC: Final = b"\x93NUMPY"
_LENGTH_BYTES: Final = {(1, 0): 2, (2, 0): 4, (3, 0): 4}  # version -> bytes of the header's length
_MAX_HEADER_BYTES: Final = 10_000  # numpy's own bound on what is handed to Python's parser
_LONG: Final = re.compile(r"(?<=\d)L\b")  # Python 2 wrote some integers as 28L
_MEMBER_SUFFIX: Final = ".npy"
NAMED_ARRAY: Final = re.compile(r"(?P<file>.+?\.npz):(?P<key>.+)", re.IGNORECASE | re.DOTALL)  # FILE.npz:ARRAY
_MAX_LISTED: Final = 10  # names of arrays in a message
_ENCRYPTED: Final = 0x1  # general purpose flag, APPNOTE.TXT 4.4.4


def encode_header(shape: Shape, n_rows: int) -> bytes:
    """The header of n_rows images of uint8: (n, h, w) for one channel, else (n, h, w, c)."""
    return encode_array_header("|u1", (n_rows, *shape[:2]) if shape[2] == 1 else (n_rows, *shape))


def encode_array_header(descr: str, shape: tuple[int, ...]) -> bytes:
    """The version 1.0 header of an array, as NumPy writes it; its length is the same for every number of rows.

    descr: NumPy's name of the type.  shape: with the number of rows first.
    """
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"
    longest = len(text) + _COUNT_DIGITS - len(str(shape[0]))
    n_bytes = -(-(_PREFIX_BYTES + longest + 1) // _ALIGN) * _ALIGN
    prefix = npy_format.magic(1, 0) + (n_bytes - _PREFIX_BYTES).to_bytes(2, "little")
    return prefix + text.encode("ascii").ljust(n_bytes - _PREFIX_BYTES - 1) + b"\n"


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
        if (major, minor) not in _LENGTH_BYTES:
            raise ImageError(f"{label}: is .npy of version {major}.{minor}, expected 1.0 to 3.0")
        length = read_up_to(file, _LENGTH_BYTES[major, minor])
        n_bytes = int.from_bytes(length, "little")
        text = read_up_to(file, min(n_bytes, _MAX_HEADER_BYTES))
        match _fields(text) if len(text) == n_bytes else None:
            case {"descr": descr, "fortran_order": bool(fortran_order), "shape": tuple(shape), **rest} if not rest:
                if all(type(size) is int and size >= 0 for size in shape):
                    check_dtype(_dtype(descr, label), label)
                    return cls(shape, fortran_order, 8 + len(length) + n_bytes)
        raise ImageError(f"{label}: its .npy header is damaged; get a fresh copy of it")

    @property
    def is_scattered(self) -> bool:
        """Whether the bytes of an image do not stand together."""
        return self.fortran_order and sum(size > 1 for size in self.shape) > 1


def _fields(text: bytes | bytearray) -> object:
    """What a header says, a Python literal; None where it is none."""
    source = text.decode("latin-1").strip()
    for candidate in (source, _LONG.sub("", source)):
        with contextlib.suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            return ast.literal_eval(candidate)
    return None


def _dtype(descr: object, label: str) -> np.dtype[Any]:
    """What a header calls "descr", a list of fields included.  Raises ImageError."""
    try:
        return npy_format.descr_to_dtype(descr)  # type: ignore[arg-type]  # it is what the file says
    except (TypeError, ValueError, LookupError, SyntaxError) as error:
        raise ImageError(f"{label}: its .npy header names no type of values; get a fresh copy of it") from error


class NpyInput:
    """The images of one .npy file: only the block at hand is in memory.  Raises ImageError."""

    names: list[str] | None = None

    def __init__(self, path: Path, fit: ImageFit, label: str) -> None:
        self.label = label
        self.files: list[str | Path] = [path]
        self._path, self._fit = path, fit
        with self._open() as stream:
            self._layout = stream.layout
        self.n_rows = self._layout.n_rows

    def pieces(self, n_rows: int) -> Iterator[NDArray[np.uint8]]:
        with self._open() as stream:
            if stream.layout != self._layout:
                raise ImageError(f"{self.label}: changed while it was read")
            yield from stream.pieces(n_rows)

    @contextlib.contextmanager
    def _open(self) -> Iterator[NpyStream]:
        with damage_as_image_error(self.label), self._path.open("rb") as file:
            stream = NpyStream(file, self._fit, self.label)
            n_bytes, expected = os.fstat(file.fileno()).st_size, stream.n_bytes
            if n_bytes != expected:
                raise ImageError(f"{self.label}: is {n_bytes:,} bytes long, but its header promises {expected:,}")
            yield stream


class NpyStream:
    """The images of an .npy stream that can only be read forward, once.  Raises ImageError.

    files: what it is read from, for whoever must not overwrite it.  n_bytes: of the whole stream, as its header has it.
    """

    names: list[str] | None = None

    def __init__(self, file: Readable, fit: ImageFit, label: str, files: Sequence[str | Path] = ()) -> None:
        self.label, self.files = label, list(files)
        self._file, self._fit = file, fit
        with damage_as_image_error(label):
            self._header = NpyHeader.read(file, label)
        self.layout = layout_of(self._header.shape, fit, label)
        self.n_rows = self.layout.n_rows
        self.n_bytes = self._header.header_bytes + math.prod(self._header.shape)

    def pieces(self, n_rows: int) -> Iterator[NDArray[np.uint8]]:
        read = self._gathered if self._header.is_scattered else self._forward
        for images in read(n_rows):
            yield self._fit.convert(images)

    def _forward(self, n_rows: int) -> Iterator[NDArray[np.uint8]]:
        with damage_as_image_error(self.label):
            yield from read_images(self._file, self.layout, n_rows, self.label)

    def _gathered(self, n_rows: int) -> Iterator[NDArray[np.uint8]]:
        """Out of a temporary file, which nobody else can cut while it is mapped."""
        shape = self._header.shape
        with tempfile.TemporaryFile() as copy:
            for piece in self._forward(n_rows):
                copy.write(piece.data)
            copy.flush()
            array: NDArray[np.uint8] = np.memmap(copy, np.uint8, "r", 0, shape, "F")
            if math.prod(shape[1:]) != self.layout.image_bytes:  # (h, w) or (h, w, c): one image
                array = array[np.newaxis]
            for first in range(0, self.n_rows, n_rows):
                yield np.array(array[first : first + n_rows], order="C").reshape(-1, *self.layout.image)


class NpzInput:
    """The images of one array of an .npz archive, unpacked block by block.

    key: the array; None takes the only one, or the only one that fits the model.  Raises ImageError.
    """

    names: list[str] | None = None

    def __init__(self, path: Path, fit: ImageFit, label: str, key: str | None = None) -> None:
        self.label = label
        self.files: list[str | Path] = [path]
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
            member = choose_array(archive, self._key, self._fit, self.label)
            check_open(member, self.label)
            with archive.open(member) as file:
                yield NpyStream(file, self._fit, self.label)


def array_names(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The arrays of an archive by their names."""
    return {
        info.filename.removesuffix(_MEMBER_SUFFIX): info
        for info in archive.infolist()
        if info.filename.endswith(_MEMBER_SUFFIX)
    }


def check_open(member: zipfile.ZipInfo, label: str) -> None:
    """That an array can be read without a password.  Raises ImageError."""
    if member.flag_bits & _ENCRYPTED:
        raise ImageError(f"{label}: is encrypted")


def choose_array(archive: zipfile.ZipFile, key: str | None, fit: ImageFit, label: str) -> zipfile.ZipInfo:
    """The member that holds the images: the one named, or the only one, or the only one that fits the model.

    Raises ImageError, listing the names, where that is not clear.
    """
    members = array_names(archive)
    wanted = (
        list(members) if key is None else [name for name in (key, key.removesuffix(_MEMBER_SUFFIX)) if name in members]
    )
    if key is None and len(wanted) > 1:
        wanted = [name for name in members if _fits(archive, members[name], fit, label)]
    if key is None and len(wanted) > 1:
        raise ImageError(
            f"{label}: {len(wanted)} of its arrays could be meant, {_listed(wanted)}; name one: {label}:{wanted[0]}"
        )
    if not wanted:
        missing = "none fits the model" if key is None else f"there is no {key!a}"
        names = list(members)
        advice = f"; name the one that is meant, as {label}:{names[0]}" if key is None and names else ""
        raise ImageError(f"{label}: which array holds the images?  It has: {_listed(names)}; {missing}{advice}")
    return members[wanted[0]]


def _fits(archive: zipfile.ZipFile, member: zipfile.ZipInfo, fit: ImageFit, label: str) -> bool:
    """Whether an array's header is that of images for the model."""
    if member.flag_bits & _ENCRYPTED:
        return False
    try:
        with damage_as_image_error(label), archive.open(member) as file:
            layout_of(NpyHeader.read(file, label).shape, fit, label)
    except ImageError:
        return False
    return True


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MAX_LISTED:,} more" if len(names) > _MAX_LISTED else ""
    return (", ".join(names[:_MAX_LISTED]) or "none") + more
