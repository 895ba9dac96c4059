"""Stores of arrays and tables: zarr, HDF5, Parquet.  Each is told chunks of whole rows, 256 KiB, which suit single rows and all."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tools.bench.rivals.rival import Array, Names, Opened, Place, Rival, rows_a_chunk


def _write_zarr(folder: Path, values: Array, names: Names) -> None:
    import zarr
    from zarr.codecs import BloscCodec

    group = zarr.open_group(folder / "latents.zarr", mode="w")
    shuffled: Any = BloscCodec(cname="zstd", clevel=1, shuffle="shuffle")
    group.create_array("latents", data=values, chunks=(rows_a_chunk(values), *values.shape[1:]), compressors=shuffled)
    if names is not None:
        array = group.create_array("names", shape=len(names), dtype="str", chunks=rows_a_chunk(values))
        array[:] = np.array(names, np.dtypes.StringDType())


class _Zarr(Opened):
    def __init__(self, place: Place) -> None:
        import zarr

        group: Any = zarr.open_group(place.folder / "latents.zarr", mode="r")
        self._array = group["latents"]
        self._names = group["names"] if place.has_names else None

    def row(self, number: int) -> Array:
        found: Array = self._array[number]
        return found

    def rows(self, numbers: NDArray[np.int64]) -> Array:
        found: Array = self._array.oindex[numbers]
        return found

    def all(self) -> tuple[Array, Names]:
        return self._array[:], None if self._names is None else self._names[:].tolist()

    def name(self, number: int) -> str:
        assert self._names is not None
        return str(self._names[number])


def _read_zarr(place: Place) -> tuple[Array, Names]:
    return _Zarr(place).all()


def _write_hdf5(folder: Path, values: Array, names: Names) -> None:
    import h5py

    given = {"compression": "gzip", "compression_opts": 1, "shuffle": True, "fletcher32": True}
    with h5py.File(folder / "latents.h5", "w") as file:
        file.create_dataset("latents", data=values, chunks=(rows_a_chunk(values), *values.shape[1:]), **given)
        if names is not None:
            file.create_dataset("names", data=list(names), dtype=h5py.string_dtype())


class _Hdf5(Opened):
    def __init__(self, place: Place) -> None:
        import h5py

        self._file = h5py.File(place.folder / "latents.h5")
        self._latents = self._file["latents"]
        self._names = self._file["names"].asstr() if place.has_names else None

    def row(self, number: int) -> Array:
        found: Array = self._latents[number]
        return found

    def rows(self, numbers: NDArray[np.int64]) -> Array:
        """h5py takes ascending numbers only."""
        order = np.argsort(numbers)
        found = np.empty((len(numbers), *self._latents.shape[1:]), self._latents.dtype)
        found[order] = self._latents[numbers[order]]
        return found

    def all(self) -> tuple[Array, Names]:
        return self._latents[:], None if self._names is None else self._names[:].tolist()

    def name(self, number: int) -> str:
        assert self._names is not None
        return str(self._names[number])


def _read_hdf5(place: Place) -> tuple[Array, Names]:
    return _Hdf5(place).all()


def _write_parquet(folder: Path, values: Array, names: Names) -> None:
    import pyarrow
    import pyarrow.parquet

    flat = pyarrow.array(values.reshape(-1))
    columns: dict[str, Any] = {"latents": pyarrow.FixedSizeListArray.from_arrays(flat, values[0].size)}
    if names is not None:
        columns["name"] = pyarrow.array(names)
    leaf = "latents.list.element"
    pyarrow.parquet.write_table(
        pyarrow.table(columns), folder / "latents.parquet", row_group_size=rows_a_chunk(values), use_dictionary=False,
        use_byte_stream_split=[leaf] if values.dtype.kind == "f" else False, compression="zstd", compression_level=1,
        write_statistics=False,
    )  # fmt: skip
    np.save(folder / "shape.npy", np.array(values.shape[1:]))


class _Parquet(Opened):
    def __init__(self, place: Place) -> None:
        import pyarrow.parquet

        self._file = pyarrow.parquet.ParquetFile(place.folder / "latents.parquet")
        self._dims = np.load(place.folder / "shape.npy").tolist()
        self._starts = np.cumsum(
            [0, *(self._file.metadata.row_group(n).num_rows for n in range(self._file.num_row_groups))]
        )

    def _values(self, table: Any) -> Array:
        column = table["latents"].combine_chunks()
        found: Array = column.flatten().to_numpy().reshape(-1, *self._dims)
        return found

    def _at(self, number: int) -> tuple[int, int]:
        group = int(np.searchsorted(self._starts, number, "right")) - 1
        return group, number - int(self._starts[group])

    def row(self, number: int) -> Array:
        group, at = self._at(number)
        found: Array = self._values(self._file.read_row_group(group, ["latents"]))[at]
        return found

    def rows(self, numbers: NDArray[np.int64]) -> Array:
        """Of each row group that is needed, once."""
        groups = np.searchsorted(self._starts, numbers, "right") - 1
        found: Array | None = None
        for group in np.unique(groups).tolist():
            values, chosen = self._values(self._file.read_row_group(group, ["latents"])), groups == group
            if found is None:
                found = np.empty((len(numbers), *values.shape[1:]), values.dtype)
            found[chosen] = values[numbers[chosen] - self._starts[group]]
        assert found is not None
        return found

    def all(self, *, has_names: bool) -> tuple[Array, Names]:
        table = self._file.read()
        return self._values(table), table["name"].to_pylist() if has_names else None

    def name(self, number: int) -> str:
        group, at = self._at(number)
        return str(self._file.read_row_group(group, ["name"])["name"][at].as_py())

    def named_row(self, number: int) -> tuple[Array, str]:
        group, at = self._at(number)
        table = self._file.read_row_group(group)
        return self._values(table)[at], table["name"][at].as_py()


def _read_parquet(place: Place) -> tuple[Array, Names]:
    return _Parquet(place).all(has_names=place.has_names)


RIVALS: Final = {
    "zarr": Rival(
        _write_zarr, _read_zarr, _Zarr, ("zarr", "numcodecs"), ("zarr",), "format 3, blosc of shuffle and zstd 1, chunks of 256 KiB",
        "an array of str in the same group",
    ),
    "HDF5": Rival(
        _write_hdf5, _read_hdf5, _Hdf5, ("h5py",), ("h5py",), "shuffle, gzip 1, Fletcher-32, chunks of 256 KiB", "a data set of str in the same file"
    ),
    "Parquet": Rival(
        _write_parquet, _read_parquet, _Parquet, ("pyarrow",), ("pyarrow.parquet",),
        "a column of lists, byte stream split (floats), zstd 1, row groups of 256 KiB; all cores, as it does by default", "a column of str",
    ),
}  # fmt: skip
