"""What training keeps tensors in: safetensors and array_record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tools.bench.rivals.rival import Array, Names, Opened, Place, Rival

_TENSORS: Final = "latents.safetensors"
_RECORDS: Final = "latents.array_record"


def _write_safetensors(folder: Path, values: Array, names: Names) -> None:
    from safetensors.numpy import save_file

    save_file({"latents": values}, folder / _TENSORS, None if names is None else {"names": json.dumps(names)})


def _read_safetensors(place: Place) -> tuple[Array, Names]:
    from safetensors import safe_open

    file: Any
    with safe_open(place.folder / _TENSORS, "numpy") as file:
        return file.get_tensor("latents"), json.loads(file.metadata()["names"]) if place.has_names else None


class _Safetensors(Opened):
    def __init__(self, place: Place) -> None:
        import safetensors

        opened: Any = safetensors.safe_open
        self._file = opened(place.folder / _TENSORS, "numpy")
        self._slice = self._file.get_slice("latents")
        self._names: list[str] = json.loads(self._file.metadata()["names"]) if place.has_names else []

    def row(self, number: int) -> Array:
        found: Array = self._slice[number]
        return found

    def rows(self, numbers: NDArray[np.int64]) -> Array:
        return np.stack([self._slice[number] for number in numbers.tolist()])

    def name(self, number: int) -> str:
        return self._names[number]


def _write_records(folder: Path, values: Array, names: Names) -> None:
    """A record: the row's bytes, then its name.  The shape and type stand in a file beside it."""
    from array_record.python.array_record_module import ArrayRecordWriter

    writer = ArrayRecordWriter(str(folder / _RECORDS), "group_size:1")
    for number, row in enumerate(values):
        writer.write(row.tobytes() + (b"" if names is None else names[number].encode()))
    writer.close()
    (folder / "shape.json").write_text(json.dumps([values.dtype.str, values.shape[1:]]))


class _Records(Opened):
    def __init__(self, place: Place) -> None:
        from array_record.python.array_record_data_source import ArrayRecordDataSource

        kind, dims = json.loads((place.folder / "shape.json").read_text())
        self._type, self._dims = np.dtype(kind), tuple(dims)
        self._row_bytes = self._type.itemsize * int(np.prod(dims))
        self._source: Any = ArrayRecordDataSource(str(place.folder / _RECORDS))

    def __len__(self) -> int:
        return len(self._source)

    def row(self, number: int) -> Array:
        found: Array = self.rows_of([self._source[number]])[0]
        return found

    def rows(self, numbers: NDArray[np.int64]) -> Array:
        return self.rows_of(self._source.__getitems__(numbers.tolist()))

    def rows_of(self, records: list[bytes]) -> Array:
        data = b"".join([record[: self._row_bytes] for record in records])
        return np.frombuffer(data, self._type).reshape(-1, *self._dims)

    def name(self, number: int) -> str:
        return self.name_in(self._source[number])

    def named_row(self, number: int) -> tuple[Array, str]:
        record: bytes = self._source[number]
        return self.rows_of([record])[0], self.name_in(record)

    def name_in(self, record: bytes) -> str:
        return record[self._row_bytes :].decode()


def _read_records(place: Place) -> tuple[Array, Names]:
    from array_record.python.array_record_module import ArrayRecordReader

    opened = _Records(place)
    reader: Any = ArrayRecordReader(str(place.folder / _RECORDS), "readahead_buffer_size:16777216")
    records = reader.read_all()
    reader.close()
    return opened.rows_of(records), [opened.name_in(record) for record in records] if place.has_names else None


RIVALS: Final = {
    "safetensors": Rival(
        _write_safetensors, _read_safetensors, _Safetensors, ("safetensors",), ("safetensors.numpy",), "one tensor; rows by `get_slice`",
        "a list in JSON in the metadata",
    ),
    "array_record": Rival(
        _write_records, _read_records, _Records, ("array_record",),
        ("array_record.python.array_record_module", "array_record.python.array_record_data_source"),
        "a record a row, `group_size:1`; compressed as it does by default",
        "in the record, behind the row",
    ),
}  # fmt: skip
