"""Folders of .npy and .npz: what NumPy writes.  Objects in them are pickles, and refused.

Owns how an array is read from either: its head first, its values when they are wanted.
"""

from __future__ import annotations

import contextlib
import io
import math
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from aeformat.adapters.items import Contents, FileFormat
from aeformat.adapters.tensors import OUR_NAMES, Tensor
from aeformat.container.limits import ROW_BYTES
from aeformat.errors import CacheInvalid, UsageError

_NPY: Final = ".npy"
_HEADS: Final = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class NpzFiles(FileFormat):
    """A folder of .npz."""

    name, suffix = "npz", ".npz"

    def load(self, path: Path) -> Iterator[Contents]:
        """As FileFormat's."""
        with _zip_errors():
            archive = zipfile.ZipFile(path)
        with archive:
            with _zip_errors():
                contents = _contents(archive)
            yield contents

    def save(self, path: Path, contents: Contents) -> None:
        """As np.savez does.  Raises UsageError for a type that NumPy lacks."""
        arrays = {key: numpy_array(key, tensor) for key, tensor in contents.tensors.items()}
        with path.open("wb") as file:
            _save(file, arrays)


@contextlib.contextmanager
def _zip_errors() -> Iterator[None]:
    """What is wrong with an archive as CacheInvalid."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise CacheInvalid(f"no whole .npz file: {error}") from None


def _save(file: IO[bytes], arrays: dict[str, Any]) -> None:
    """np.savez, for any name of an array: there `file` is an argument."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for key, array in arrays.items():
            with archive.open(f"{key}{_NPY}", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


class NpyFiles(FileFormat):
    """A folder of .npy."""

    name, suffix = "npy", _NPY

    def load(self, path: Path) -> Iterator[Contents]:
        """As FileFormat's."""
        with path.open("rb") as file:
            tensor, lost = npy_tensor(file, lambda: path.open("rb"))
        yield Contents({"array": tensor}, lost=lost)

    def save(self, path: Path, contents: Contents) -> None:
        """Raises UsageError for more than one array, and for a type that NumPy lacks."""
        if len(contents.tensors) > 1:
            raise UsageError(f"a .npy file holds one array, and there are {', '.join(contents.tensors)}; export npz")
        ((key, tensor),) = contents.tensors.items()
        with path.open("wb") as file:
            np.lib.format.write_array(file, numpy_array(key, tensor), allow_pickle=False)


def _contents(archive: zipfile.ZipFile) -> Contents:
    tensors: dict[str, Tensor] = {}
    lost: list[str] = []
    for member in archive.infolist():
        key = member.filename.removesuffix(_NPY)
        if key == member.filename or key in tensors:
            raise CacheInvalid(f"{member.filename!r} in it is no array, or is there twice")
        with archive.open(member) as file:
            try:
                tensors[key], changed = npy_tensor(file, lambda member=member: archive.open(member))
            except CacheInvalid as error:
                raise CacheInvalid(f"array {key!r}: {error.sentence}") from None
        lost += changed
    return Contents(tensors, lost=lost)


def npy_tensor(file: IO[bytes], again: Any) -> tuple[Tensor, list[str]]:
    """The array that begins here; again: opens the file once more, to read the values.  Raises CacheInvalid."""
    try:
        head = _HEADS.get(np.lib.format.read_magic(file))
        if head is None:
            raise CacheInvalid("a .npy of a version that is not known")
        shape, is_fortran, dtype = head(file)
    except (ValueError, EOFError) as error:
        raise CacheInvalid(f"no whole .npy: {error}".splitlines()[0]) from None
    if dtype.hasobject:
        raise CacheInvalid("it holds Python objects, a pickle, which are not read")
    if dtype.name not in OUR_NAMES:
        raise CacheInvalid(f"numbers of type {dtype}, which cannot be kept")
    if any(size < 0 for size in shape):
        raise CacheInvalid(f"an array of shape {shape}")
    n_bytes = math.prod(shape) * dtype.itemsize
    if n_bytes > ROW_BYTES:
        raise CacheInvalid(f"an array of {n_bytes:,} bytes; a row has {ROW_BYTES:,} at most")
    lost = ["Fortran order: values are the same"] if is_fortran and len(shape) > 1 else []
    if dtype.byteorder == ">":
        lost.append("big-endian order: values are the same")

    def read() -> bytes:
        with _zip_errors(), again() as opened:
            _HEADS[np.lib.format.read_magic(opened)](opened)
            data = opened.read(n_bytes)
            if len(data) < n_bytes or opened.read(1):
                raise CacheInvalid(f"no whole .npy: {n_bytes:,} bytes of values are stated")
        values = np.frombuffer(data, dtype)
        ordered = values.reshape(shape[::-1]).T if is_fortran else values
        return np.ascontiguousarray(ordered, dtype.newbyteorder("<")).tobytes()

    return Tensor(OUR_NAMES[dtype.name], shape, read), lost


def npy_bytes(tensor: Tensor) -> bytes:
    """The bytes of a .npy.  Raises UsageError for a type that NumPy lacks."""
    file = io.BytesIO()
    np.lib.format.write_array(file, numpy_array("", tensor), allow_pickle=False)
    return file.getvalue()


def numpy_array(key: str, tensor: Tensor) -> Any:
    """As NumPy has it.  Raises UsageError for a type that it lacks."""
    if tensor.type not in OUR_NAMES.values():
        raise UsageError(f"array {key!r} is {tensor.type}, which NumPy lacks; export safetensors")
    return tensor.bits()
