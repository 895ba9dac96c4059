"""Folders of .h5: datasets whose first axis is the rows.  One of them is the latents; the others with as many rows are fields.

Values, types, shapes and names are kept; attributes, chunks, compression, and datasets without a row for each latent are not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from aeformat.adapters.items import LATENT, CacheFormat, Item, Value, chosen_key, value_of
from aeformat.adapters.tensors import NUMPY_NAMES, OUR_NAMES, Tensor
from aeformat.container.limits import ROW_BYTES
from aeformat.errors import CacheInvalid, UsageError

_BLOCK_BYTES: Final = 8 << 20


class Hdf5Files(CacheFormat):
    """A folder of .h5."""

    name, suffix, many = "hdf5", ".h5", True

    def items(self, path: Path, file: str, key: str | None) -> Iterator[Item]:
        """As CacheFormat's."""
        h5py = _h5py()
        try:
            opened = h5py.File(path, "r")
        except OSError as error:
            raise CacheInvalid(f"no HDF5 file, or damaged: {error}") from None
        with opened:
            found, lost = _datasets(opened, h5py)
            chosen = chosen_key([name for name, one in found.items() if one.dtype.kind != "O"], key)
            n_rows = len(found[chosen])
            for name in [name for name, one in found.items() if len(one) != n_rows]:
                del found[name]
                lost.append(f"dataset {name!r}, which has no row for each latent")
            keys = {LATENT if name == chosen else name: name for name in found}
            for item in _items(file, found, keys, n_rows):
                yield item._replace(lost=lost)
                lost = []

    def write(self, path: Path, items: Iterable[Item]) -> list[str]:
        """As CacheFormat's."""
        with _h5py().File(path, "w") as file:
            writer = _Writer(file)
            for item in items:
                writer.add(item)
            writer.flush()
        return []


def _h5py() -> Any:
    """Raises UsageError where it is not installed."""
    try:
        import h5py
    except ImportError as error:
        raise UsageError('HDF5 needs h5py: pip install "aeformat[export]"') from error
    return h5py


def _datasets(file: Any, h5py: Any) -> tuple[dict[str, Any], list[str]]:
    """The datasets that have rows of a type that can be kept, by name, and what of the rest is lost."""
    found: dict[str, Any] = {}
    lost: list[str] = ["attributes in HDF5"] if len(file.attrs) else []

    def see(name: str, one: Any) -> None:
        if len(one.attrs) and "attributes in HDF5" not in lost:
            lost.append("attributes in HDF5")
        if not isinstance(one, h5py.Dataset):
            return
        if one.chunks and one.shape and _IS_CHUNKED not in lost:
            lost.append(_IS_CHUNKED)
        if not one.shape:
            lost.append(f"dataset {name!r}, which has no row for each latent")
        elif one.dtype.name not in OUR_NAMES and not h5py.check_string_dtype(one.dtype):
            lost.append(f"dataset {name!r}, of type {one.dtype}")
        elif one.dtype.kind == "S":
            lost.append(f"dataset {name!r}, of texts of one length")
        else:
            found[name] = one

    file.visititems(see)
    return found, lost


_IS_CHUNKED: Final = "compression and chunks of HDF5 datasets"


class _Rows:
    """Some rows of a dataset, read when the first of them is wanted."""

    def __init__(self, dataset: Any, start: int, stop: int) -> None:
        self._dataset, self._start, self._stop = dataset, start, stop
        self._values: Any = None

    def values(self) -> Any:
        """All of them, little-endian; texts as a list."""
        if self._values is None:
            one, rows = self._dataset, slice(self._start, self._stop)
            try:
                self._values = list(one.asstr()[rows]) if one.dtype.kind == "O" else one[rows]
            except (OSError, UnicodeDecodeError) as error:
                raise CacheInvalid(f"dataset {one.name!r} cannot be read: {error}") from None
        return self._values

    def value(self, i: int) -> Value:
        """One row."""
        one = self._dataset
        if one.dtype.kind == "O":
            return str(self.values()[i])
        little = one.dtype.newbyteorder("<")
        return Tensor(OUR_NAMES[one.dtype.name], one.shape[1:], lambda: np.asarray(self.values()[i], little).tobytes())


def _items(file: str, found: dict[str, Any], keys: dict[str, str], n_rows: int) -> Iterator[Item]:
    row_bytes = sum(math.prod(one.shape[1:]) * one.dtype.itemsize for one in found.values())
    if row_bytes > ROW_BYTES:
        raise CacheInvalid(f"rows of {row_bytes:,} bytes; a row has {ROW_BYTES:,} at most")
    step = max(1, _BLOCK_BYTES // max(1, row_bytes))
    for start in range(0, n_rows, step):
        stop = min(start + step, n_rows)
        blocks = {field: _Rows(found[name], start, stop) for field, name in keys.items()}
        for i in range(stop - start):
            values = {field: block.value(i) for field, block in blocks.items()}
            latent = values.pop(LATENT)
            assert isinstance(latent, Tensor)  # it is chosen among arrays
            yield Item(file, f"{file}/{start + i:08d}", latent, keys, values)


class _Writer:
    """Rows to datasets that grow, block by block."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._rows: dict[str, list[Any]] = {}
        self._n_bytes = 0

    def add(self, item: Item) -> None:
        """Raises UsageError for a type that HDF5 lacks."""
        for field, key in item.keys.items():
            value = value_of(item, field)
            if isinstance(value, Tensor):
                if value.type not in NUMPY_NAMES:
                    raise UsageError(f"dataset {key!r} is {value.type}, which HDF5 lacks; export safetensors")
                self._n_bytes += value.n_bytes
            self._rows.setdefault(key, []).append(value.bits() if isinstance(value, Tensor) else value)
        if self._n_bytes >= _BLOCK_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        for key, rows in self._rows.items():
            if key not in self._file:
                kind = _h5py().string_dtype() if isinstance(rows[0], str) else rows[0].dtype
                shape = () if isinstance(rows[0], str) else rows[0].shape
                self._file.create_dataset(key, (0, *shape), kind, maxshape=(None, *shape), chunks=True)
            dataset = self._file[key]
            n_before = len(dataset)
            dataset.resize(n_before + len(rows), axis=0)
            dataset[n_before:] = rows if isinstance(rows[0], str) else np.stack(rows)
        self._rows, self._n_bytes = {}, 0
