"""Compressors of arrays: blosc2 and pcodec."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tools.bench.rivals.rival import Array, Names, Place, Rival, Sidecar, read_names, write_names

_B2ND: Final = "latents.b2nd"


def _write_blosc2(folder: Path, values: Array, names: Names, *, threads: int) -> None:
    import blosc2

    given = {"codec": blosc2.Codec.ZSTD, "clevel": 1, "filters": [blosc2.Filter.SHUFFLE], "nthreads": threads}
    blosc2.asarray(values, urlpath=str(folder / _B2ND), cparams=given, mode="w")
    write_names(folder, names)


def _open_b2nd(folder: Path, threads: int) -> Any:
    import blosc2

    return blosc2.open(str(folder / _B2ND), mode="r", dparams={"nthreads": threads})


def _read_blosc2(place: Place, *, threads: int) -> tuple[Array, Names]:
    return _open_b2nd(place.folder, threads)[:], read_names(place)


class _Blosc2(Sidecar):
    def __init__(self, place: Place, *, threads: int) -> None:
        super().__init__(place)
        self._array = _open_b2nd(place.folder, threads)

    def row(self, number: int) -> Array:
        found: Array = self._array[number]
        return found

    def rows(self, numbers: NDArray[np.int64]) -> Array:
        found: Array = self._array[numbers]
        return found


def _blosc2(threads: int) -> Rival:
    write, read = partial(_write_blosc2, threads=threads), partial(_read_blosc2, threads=threads)
    settings = f"shuffle, zstd 1, {threads} thread{'s' * (threads > 1)}, its own chunks"
    return Rival(write, read, partial(_Blosc2, threads=threads), ("blosc2",), ("blosc2",), settings, "a text file")


def _write_pcodec(folder: Path, values: Array, names: Names) -> None:
    from pcodec import ChunkConfig, standalone

    given: Any = {"enable_8_bit": True} if values.dtype == np.uint8 else {}
    (folder / "latents.pco").write_bytes(standalone.simple_compress(values.ravel(), ChunkConfig(**given)))
    (folder / "shape.json").write_text(json.dumps(values.shape))
    write_names(folder, names)


def _read_pcodec(place: Place) -> tuple[Array, Names]:
    from pcodec import standalone

    shape = json.loads((place.folder / "shape.json").read_text())
    values: Any = standalone.simple_decompress((place.folder / "latents.pco").read_bytes())
    return values.reshape(shape), read_names(place)


RIVALS: Final = {
    "blosc2": _blosc2(1),
    "blosc2, 2 threads": _blosc2(2),
    "pcodec": Rival(
        _write_pcodec, _read_pcodec, None, ("pcodec",), ("pcodec",), "as it does by default", "a text file"
    ),
}
