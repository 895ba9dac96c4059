"""The datasets of a Keras file: .keras, .weights.h5, .h5 (spec/model.md, section 13).  Needs h5py and no Keras; nothing is run.

Owns what of HDF5 is followed: groups and datasets of this file, never a link, a plugin or another file.
"""

from __future__ import annotations

import contextlib
import io
import math
import struct
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final

from aeformat.errors import FormatError, NetworkInvalid, UsageError
from aeformat.exchange.network_id import PIECE_BYTES, NetworkTensor, checked_type, not_covered

_WEIGHTS: Final = "model.weights.h5"  # in a .keras archive
_NUMBERS: Final = {"u": (1, 2, 4, 8), "i": (1, 2, 4, 8), "f": (2, 4, 8)}  # NumPy's kinds, and their bytes
_MOST_DEPTH: Final = 64
_FILTERS: Final = frozenset(
    {1, 2, 3, 32_000}
)  # deflate, shuffle, fletcher32, lzf: HDF5 would load any other from a plugin
_MOST_DEFLATED: Final = 1_100  # times smaller than it was: deflate cannot do more
_DAMAGE: Final = (OSError, EOFError, RuntimeError, ValueError, KeyError, TypeError, zipfile.BadZipFile, struct.error)
_LOCAL: Final = struct.Struct(
    "<26xHH"
)  # of a zip archive, in front of a member: lengths of its name and of what follows


@contextlib.contextmanager
def open_weights(path: Path) -> Iterator[list[NetworkTensor]]:
    """Its tensors.  Raises UsageError, NetworkInvalid, Unsupported, OSError."""
    try:
        import h5py
    except ImportError as error:
        raise UsageError('reading such a file needs h5py: pip install "aeformat[export]"') from error
    with path.open("rb") as opened:
        source = _inside(opened) if path.suffix.lower() == ".keras" else opened
        with _whole():
            file = h5py.File(source, "r")
        with file:
            with _whole():
                tensors = list(_Walk(h5py).group(file, "", 0))
            yield tensors


def _bad(what: str) -> NetworkInvalid:
    return NetworkInvalid("M13-1", 0, f"no whole Keras file: {what}"[:300])


@contextlib.contextmanager
def _whole() -> Iterator[None]:
    """Turn what h5py and zipfile raise for damage, whichever it is, into NetworkInvalid."""
    try:
        yield
    except FormatError:
        raise
    except _DAMAGE as error:
        raise _bad(str(error)) from None


def _inside(archive: BinaryIO) -> BinaryIO:
    """The weights in a .keras archive, where they stand as they are.  Raises NetworkInvalid, Unsupported."""
    with _whole():
        with zipfile.ZipFile(archive) as packed:
            item = packed.getinfo(_WEIGHTS)
            if item.compress_type != zipfile.ZIP_STORED:
                raise not_covered("M13-6", "its weights are compressed in the archive, which Keras does not do")
            with packed.open(item) as member:
                while member.read(PIECE_BYTES):  # its checksum is looked at
                    pass
        archive.seek(item.header_offset)
        start = item.header_offset + _LOCAL.size + sum(_LOCAL.unpack(archive.read(_LOCAL.size)))
        return io.BufferedReader(_Window(archive, start, item.file_size))


class _Window(io.RawIOBase):
    """A part of a file as a file."""

    def __init__(self, file: BinaryIO, start: int, n_bytes: int) -> None:
        self._file, self._start, self._n_bytes, self._at = file, start, n_bytes, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, at: int, whence: int = io.SEEK_SET, /) -> int:
        """As of any file."""
        self._at = at + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._n_bytes}[whence]
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """As of any file."""
        self._file.seek(self._start + self._at)
        data = self._file.read(max(0, min(len(buffer), self._n_bytes - self._at)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


class _Walk:
    """Over every dataset of one file, each object once."""

    def __init__(self, h5py: Any) -> None:
        self._h5py = h5py
        self._met: set[int] = set()  # addresses

    def group(self, group: Any, path: str, depth: int) -> Iterator[NetworkTensor]:
        """What lies below a group.  Raises NetworkInvalid, Unsupported."""
        if depth > _MOST_DEPTH:
            raise _bad(f"groups lie more than {_MOST_DEPTH} deep")
        for key in group:
            name = f"{path}{key}"
            found = self._object(group, key, name)
            if isinstance(found, self._h5py.Group):
                yield from self.group(found, f"{name}/", depth + 1)
            elif isinstance(found, self._h5py.Dataset):
                yield _tensor(name, found)

    def _object(self, group: Any, key: str, name: str) -> Any:
        """Linked once, from within the file."""
        if not isinstance(group.get(key, getlink=True), self._h5py.HardLink):
            raise not_covered("M13-6", f"{name!r} is a link to another place")
        found = group[key]
        address = self._h5py.h5o.get_info(found.id).addr
        if address in self._met:
            raise not_covered("M13-6", f"{name!r} is the same as something before it, by another link")
        self._met.add(address)
        return found


def _tensor(name: str, found: Any) -> NetworkTensor:
    plist = found.id.get_create_plist()
    filters = {plist.get_filter(number)[0] for number in range(plist.get_nfilters())}
    if found.is_virtual or found.external:
        raise not_covered("M13-6", f"{name!r} lies in another file")
    if filters - _FILTERS:
        raise not_covered("M13-6", f"{name!r} is compressed in a way that takes a plugin")
    try:
        stated = found.dtype
    except (TypeError, ValueError) as error:
        raise not_covered("M13-3", f"tensor {name!r} is of a type that NumPy has not ({error})"[:200]) from None
    if found.shape is None:
        raise not_covered("M13-3", f"{name!r} has no shape")
    kind = checked_type(name, _type_of(found, stated), str(stated))
    if found.nbytes > _MOST_DEFLATED * found.id.get_storage_size():
        raise not_covered("M13-6", f"{name!r} has numbers that are not in the file")
    return NetworkTensor(name, kind, found.shape, partial(_pieces, found, (), found.shape))


def _type_of(found: Any, stated: Any) -> str | None:
    """A type of section 13; None if there is none."""
    if stated.kind == "b":
        return "bool"
    if stated.kind == "V" and stated.itemsize == 2 and not stated.fields:
        return "bf16" if found.attrs.get("dtype") in ("bfloat16", b"bfloat16") else None
    return f"{stated.kind}{8 * stated.itemsize}" if stated.itemsize in _NUMBERS.get(stated.kind, ()) else None


def _pieces(found: Any, index: tuple[int, ...], shape: tuple[int, ...]) -> Iterator[bytes]:
    """The numbers of the part at `index`, which has this shape: little-endian, in C order."""
    row_bytes = found.dtype.itemsize * math.prod(shape[1:])
    if not shape or not row_bytes:
        yield from () if shape else (_bytes(found, index),)
    elif row_bytes > PIECE_BYTES and len(shape) > 1:
        for number in range(shape[0]):
            yield from _pieces(found, (*index, number), shape[1:])
    else:
        step = max(1, PIECE_BYTES // row_bytes)
        for at in range(0, shape[0], step):
            yield _bytes(found, (*index, slice(at, at + step)))


def _bytes(found: Any, index: tuple[Any, ...]) -> bytes:
    import numpy as np

    with _whole():
        array = np.asarray(found[index])
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
