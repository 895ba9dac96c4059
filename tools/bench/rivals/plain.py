"""NumPy's own files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tools.bench.rivals.rival import Array, Names, Place, Rival, Sidecar, read_names, write_names

_NPY: Final = "latents.npy"


def _write_npy(folder: Path, values: Array, names: Names) -> None:
    np.save(folder / _NPY, values)
    write_names(folder, names)


def _read_npy(place: Place) -> tuple[Array, Names]:
    return np.load(place.folder / _NPY), read_names(place)


class _Npy(Sidecar):
    """In the mapped file."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._array = np.load(place.folder / _NPY, mmap_mode="r")

    def row(self, number: int) -> Array:
        found: Array = self._array[number]
        return found

    def rows(self, numbers: NDArray[np.int64]) -> Array:
        found: Array = self._array[numbers]
        return found


def _write_npz(folder: Path, values: Array, names: Names) -> None:
    beside: dict[str, Any] = {} if names is None else {"names": np.array(names)}
    np.savez_compressed(folder / "latents.npz", latents=values, **beside)


def _read_npz(place: Place) -> tuple[Array, Names]:
    with np.load(place.folder / "latents.npz") as file:
        return file["latents"], file["names"].tolist() if place.has_names else None


def _write_text(folder: Path, values: Array, names: Names) -> None:
    np.savetxt(folder / "latents.txt", values)
    write_names(folder, names)


def _read_text(place: Place) -> tuple[Array, Names]:
    return np.loadtxt(place.folder / "latents.txt", ndmin=2), read_names(place)


RIVALS: Final = {
    "npy": Rival(_write_npy, _read_npy, _Npy, (), (), '`np.save`, `np.load`; rows from `np.load(mmap_mode="r")`', "a text file"),
    "npz": Rival(_write_npz, _read_npz, None, (), (), "`np.savez_compressed`: zip, deflate", "an array of str in the same file"),
    "savetxt": Rival(
        _write_text, _read_text, None, (), (), "`np.savetxt`, `np.loadtxt`: 18 digits after the point", "a text file", ("float64",), is_text=True
    ),
}  # fmt: skip
